"""What counts as an answer is the vote's own, else that of the run, else the general one."""

from __future__ import annotations

from quorate import MajorityVote, RunContext, sample
from quorate.aggregators.equivalence import SameText
from quorate.aggregators.extraction import AnswerExtractor, Choices
from quorate.orchestrator.reading import AnswerReader
from quorate.orchestrator.types import Candidate, Question
from quorate.testing import ScriptedModel

from .helpers import counter_of

TEXTS = ["The answer is (B) 7 metres.", "Answer: A", "Answer: B) 7 metres"]


def reading(letters: str) -> RunContext:
    return RunContext(answer_reader=AnswerReader(Choices(letters), SameText()))


async def tallied(vote: MajorityVote, run: RunContext | None = None) -> list[tuple[str, int]]:
    candidates = [Candidate(index=n, model="m", text=text) for n, text in enumerate(TEXTS)]
    return [(cluster.answer, cluster.votes) for cluster in await counter_of(vote, run).tally(candidates)]


async def test_votes_count_as_the_run_does() -> None:
    """There, and only there; texts seen before are read anew, each run in its own way."""
    vote = MajorityVote()
    general = await tallied(vote)
    assert await tallied(vote, reading("AB")) == [("B", 2), ("A", 1)]
    assert await tallied(vote, reading("A")) == [("A", 1)]
    assert await tallied(vote) == general != [("A", 1)]


async def test_what_a_vote_was_given_stays() -> None:
    """The caller knew."""
    vote = MajorityVote(Choices("AB"), SameText())
    run = RunContext(answer_reader=AnswerReader(AnswerExtractor(), SameText()))
    assert await tallied(vote, run) == [("B", 2), ("A", 1)]


async def test_whole_pipelines_read_so() -> None:
    """Whatever runs inside, nested pipelines too."""
    pipeline = sample(ScriptedModel(TEXTS), n=3) | MajorityVote()
    nested = sample(pipeline, n=1) | MajorityVote()
    for model in (pipeline, nested):
        assert (await model.answer(Question.of("Which?"), reading("AB"))).answer == "B"
