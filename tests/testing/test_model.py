"""ScriptedModel: a model in memory for tests of pipelines."""

from __future__ import annotations

import asyncio

import pytest

from quorate import Question, sample
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.events import CandidateToken, Event
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.sampling import sample_candidates
from quorate.orchestrator.types import Candidate, Failure
from quorate.testing import ScriptedModel


async def stage(model: ScriptedModel, n: int, run: RunContext | None = None) -> tuple[Candidate, ...]:
    """What a stage draws from the model."""
    sampled = await sample_candidates(sample(model, n=n), Question.of("How many?"), run or RunContext())
    return sampled.candidates


async def test_lines_are_answers_by_index() -> None:
    """Around again after the last; a word is a token."""
    events = list[Event]()
    run = RunContext(emit=events.append)
    candidates = await stage(ScriptedModel(["a b", "c"]), 3, run)
    assert [c.text for c in candidates] == ["a b", "c", "a b"]
    assert [e.text for e in events if isinstance(e, CandidateToken)] == ["a ", "b", "c", "a ", "b"]
    assert (run.ledger.usage.prompt_tokens, run.ledger.usage.completion_tokens) == (6, 5)


async def test_a_single_model_answers() -> None:
    """With its first line; one text is a script of one line."""
    model = ScriptedModel("four", name="m")
    answer = await model.answer("2 + 2?")
    assert (answer.text, answer.model) == ("four", "m")
    assert [q.text for q in model.asked] == ["2 + 2?"]


async def test_a_function_may_be_the_script() -> None:
    """It sees the question and the index."""
    candidates = await stage(ScriptedModel(lambda question, index: f"{question.text} {index}"), 2)
    assert [c.text for c in candidates] == ["How many? 0", "How many? 1"]


async def test_lines_may_fail_or_crash() -> None:
    """A failure fails its sample; a crash those not told yet."""
    failure = Failure(code="rate_limited", message="slow down", status=429)
    with pytest.raises(NoAnswer, match="slow down") as caught:
        await ScriptedModel([failure]).answer("?")
    assert caught.value.status == 429
    first, second, third = await stage(ScriptedModel(["ok", RuntimeError("boom"), "late"]), 3)
    assert first.ok
    assert [c.error.code for c in (second, third) if c.error] == ["model_crashed", "model_crashed"]


async def test_a_line_without_end_waits_to_be_cancelled() -> None:
    """The others come first; it is then what its owner makes of it."""
    run, written = RunContext(), asyncio.Event()
    endless, good = PartialCandidate(0, run), PartialCandidate(1, run, on_end=lambda _: written.set())
    model = ScriptedModel([None, "ok"])
    task = asyncio.create_task(model.sample(Question.of("?"), [endless, good], run))
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert good.result is not None
    assert good.result.text == "ok"
    assert not endless.done
    endless.cancel()
    assert endless.result is not None
    assert endless.result.finish_reason == "cancelled"


def test_an_empty_script_is_refused() -> None:
    """It would have no answer to give."""
    with pytest.raises(BadInput, match="empty"):
        ScriptedModel([])
