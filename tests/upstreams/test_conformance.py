"""The same questions to each server: what comes back is what its own tokenizer counts, or it is said that it is not.

All of it must hold whatever the server makes of `n`, `seed`, `logprobs`, `stream_options` and `temperature`.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from openai import AsyncOpenAI

from quorate import MajorityVote, Question, sample
from quorate.config.catalog import Catalog
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadReply
from quorate.orchestrator.events import CandidateToken, Event
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Candidate
from quorate.server import run_server

from .servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PARIS = Question.of("What is the capital of France? Answer with one word.").with_params(temperature=0.0, max_tokens=40)
COLOR = Question.of("Name a color.").with_params(temperature=1.0, max_tokens=12)
"""Cut at twelve tokens."""
EACH = pytest.mark.parametrize("live", [False, True], ids=["plain", "streamed"])


def hot(server: Server, **changes: Any) -> Question:
    """A question that the server samples to its length."""
    return COLOR.with_params(extra=server.endless, **changes)


async def draw(
    server: Server, question: Question, count: int = 1, *, live: bool = False, seed: int = 3, repeat: int = 1
) -> tuple[list[Candidate], RunContext, dict[int, str]]:
    """The candidates of the last of some equal requests to one agent, its run, and the text that came in pieces."""
    async with server.endpoint() as agent:
        for _ in range(repeat):
            pieces: dict[int, str] = {}

            def note(event: Event, pieces: dict[int, str] = pieces) -> None:
                if isinstance(event, CandidateToken):
                    pieces[event.index] = pieces.get(event.index, "") + event.text

            run = RunContext(seed=seed, live=live, emit=note)
            slots = [PartialCandidate(index, run) for index in range(count)]
            await agent.sample(question, slots, run)
    return [slot.result for slot in slots if slot.result is not None], run, pieces


def check_counts(server: Server, candidates: list[Candidate], run: RunContext, in_vain: int = 0) -> None:
    """All were cut at their length, so their tokens are known; the prompt is counted once or once a request."""
    assert all(c.ok and c.finish_reason == "length" for c in candidates), candidates
    assert [c.usage.completion_tokens for c in candidates] == [12 + in_vain] + [12] * (len(candidates) - 1)
    usage, prompt = run.ledger.usage, server.count_prompt(COLOR.text)
    assert usage.completion_tokens == 12 * len(candidates) + in_vain
    assert usage.prompt_tokens in {prompt * k for k in range(1, usage.requests + 1)}


@EACH
async def test_greedy(server: Server, live: bool) -> None:
    """A text that ends by itself has its tokens and one that ends it, the prompt those of the rendered conversation."""
    (answer,), run, pieces = await draw(server, PARIS, live=live)
    assert (answer.text, answer.finish_reason, answer.error) == ("The capital of France is Paris.", "stop", None)
    assert pieces == ({0: answer.text} if live else {})
    assert run.ledger.usage == answer.usage
    assert not answer.usage.estimated
    assert answer.usage.completion_tokens == server.count(answer.text) + 1
    assert answer.usage.prompt_tokens == server.count_prompt(PARIS.text)


@EACH
async def test_cut_at_its_length(server: Server, live: bool) -> None:
    """It says so, and has just so many tokens."""
    (answer,), run, _ = await draw(server, PARIS.with_params(max_tokens=3), live=live)
    assert (answer.text, answer.finish_reason) == ("The capital of", "length")
    assert run.ledger.usage.completion_tokens == 3


@EACH
async def test_stop(server: Server, live: bool) -> None:
    """The text ends where it was to stop, as one that ends by itself."""
    (answer,), _, _ = await draw(server, PARIS.with_params(stop=("France",)), live=live)
    assert answer.text.removesuffix("France" if server.keeps_stop else "").rstrip() == "The capital of"
    assert answer.finish_reason == "stop"


@EACH
@pytest.mark.parametrize("repeat", [1, 2], ids=["first", "second"])
async def test_several_samples(server: Server, live: bool, repeat: int) -> None:
    """Each is whole and counted, those of the first request as those of the next."""
    candidates, run, pieces = await draw(server, hot(server), 4, live=live, repeat=repeat)
    # Three texts whose end was not told have been written twice.
    check_counts(server, candidates, run, in_vain=36 if live and repeat == 1 and server.mixes_streams else 0)
    assert len({c.text for c in candidates}) > 1
    assert not live or pieces == {c.index: c.text for c in candidates}


@EACH
async def test_samples_that_end_by_themselves(server: Server, live: bool) -> None:
    """What is booked is what the server's tokenizer counts (give or take other cuts of it), or called a guess."""
    short = PARIS.with_params(temperature=1.0, extra=server.sampling, max_tokens=100)
    candidates, run, _ = await draw(server, short, 4, live=live, repeat=2)
    ended = [c for c in candidates if c.finish_reason == "stop"]
    counted = sum(server.count(c.text) + 1 for c in ended) + 100 * (len(candidates) - len(ended))
    assert run.ledger.usage.estimated or run.ledger.usage.completion_tokens == pytest.approx(counted, rel=0.05)


async def test_seeds(server: Server) -> None:
    """The same seed gives the same samples at an agent's first request, its second, and streamed; another, others."""
    first, *others = [
        [c.text for c in (await draw(server, hot(server), 3, **how))[0]]
        for how in ({}, {"repeat": 2}, {"live": True}, {"live": True, "repeat": 2}, {"seed": 4})
    ]
    assert others[:3] == [first] * 3
    assert others[3] != first


@EACH
@pytest.mark.parametrize("alternatives", [0, 2])
async def test_logprobs(server: Server, live: bool, alternatives: int) -> None:
    """One for each token with as many alternatives as were asked for, or it is told that there are none."""
    (answer,), _, _ = await draw(server, hot(server, top_logprobs=alternatives), live=live)
    if server.logprobs:
        assert answer.logprobs is not None
        assert len(answer.logprobs) == 12
        assert "".join(token.token for token in answer.logprobs) == answer.text
        assert all(len(token.top) == alternatives and token.logprob <= 0 for token in answer.logprobs)
        assert not answer.degraded
    else:
        assert answer.logprobs is None
        assert [note.code for note in answer.degraded] == ["logprobs_missing"]


@EACH
async def test_logprobs_of_several(server: Server, live: bool) -> None:
    """Each sample has its own, to its last token."""
    candidates, run, _ = await draw(server, hot(server, top_logprobs=1), 3, live=live, repeat=2)
    check_counts(server, candidates, run)
    spelled = ["".join(token.token for token in c.logprobs or ()) for c in candidates]
    assert spelled == ([c.text for c in candidates] if server.logprobs else [""] * 3)


@EACH
async def test_completions(server: Server, live: bool) -> None:
    """A text goes on, and its tokens are booked."""
    body = {"prompt": "The capital of France is", "max_tokens": 5, "temperature": 0, "stream": live}
    run = RunContext(seed=3)
    async with server.endpoint() as agent:
        replies = [reply async for reply in agent.complete(body, run)]
    text = "".join(choice.get("text") or "" for reply in replies for choice in reply["choices"])
    assert text.startswith(" Paris")
    usage = run.ledger.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (server.count("The capital of France is"), 5)
    assert not usage.estimated


@EACH
async def test_completions_of_several(server: Server, live: bool) -> None:
    """All tokens are booked, of texts that the server leaves out none; a mixture of texts is an error."""
    body = {"prompt": "Once upon", "max_tokens": 6, "temperature": 1, "n": 3, "stream": live}
    run, ends = RunContext(seed=3), dict[int, str]()
    mixed = pytest.raises(BadReply, match="mixed") if live and server.mixes_streams else nullcontext()
    async with server.endpoint() as agent:
        with mixed:
            async for reply in agent.complete(body, run):
                ends |= {each["index"]: each["finish_reason"] for each in reply["choices"] if each.get("finish_reason")}
    texts = 3 if live and server.mixes_streams else len(ends)
    shorter = list(ends.values()).count("stop")  # these may have less than six tokens
    assert 6 * (texts - shorter) + shorter <= run.ledger.usage.completion_tokens <= 6 * texts


async def test_a_vote_behind_our_server(server: Server) -> None:
    """A client of ours gets a vote over a model of theirs, streamed and plain."""
    catalog = Catalog({"theirs": server.endpoint(name="theirs")})
    messages: Any = [{"role": "user", "content": PARIS.text}]
    async with run_server(catalog) as ours, AsyncOpenAI(base_url=f"{ours}/v1", api_key="any") as client:
        ask = client.chat.completions.create
        plain = await ask(model="majority@3/theirs", messages=messages, temperature=0, max_tokens=40)
        stream = await ask(model="majority@3/theirs", messages=messages, temperature=0, max_tokens=40, stream=True)
        text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
    assert plain.choices[0].message.content == text == "The capital of France is Paris."
    assert plain.usage is not None
    assert plain.usage.completion_tokens == 3 * (server.count(text) + 1)


async def test_a_vote(server: Server) -> None:
    """Five samples and a tally of their answers, its usage the sum of theirs."""
    question = PARIS.with_params(temperature=0.7, extra=server.sampling)
    async with sample(server.endpoint(), n=5) | MajorityVote() as vote:
        answer = await vote.answer(question, seed=1)
    assert len(answer.candidates) == 5
    assert all(c.ok and c.text for c in answer.candidates)
    assert answer.usage.completion_tokens == sum(c.usage.completion_tokens for c in answer.candidates) > 5
