"""Ten lines: sixteen samples, one answer."""

from quorate import Embedded, MajorityVote, sample

tiny = Embedded("quorate-tiny-base")  # or Endpoint("Qwen/Qwen3-8B", base_url="http://localhost:8000/v1")
vote = sample(tiny, n=16) | MajorityVote()
answer = vote.answer_sync("What is 17 * 24?", seed=1)

print(answer.text)
for cluster in answer.tally:
    print(f"{cluster.votes:3} votes for {cluster.answer}")
