"""ScriptedModel: a model in memory for tests of pipelines."""

from __future__ import annotations

import asyncio

import pytest
from quorate.orchestrator.context import RunContext

from quorate import Question, sample
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.events import CandidateToken, Event
from quorate.orchestrator.types import Candidate, Failure
from quorate.testing import ScriptedModel


def ends(events: list[Event]) -> list[Candidate]:
    """The candidates that a stage yielded."""
    return [event.candidate for event in events if hasattr(event, "candidate")]


async def staged(model: ScriptedModel, n: int, run: RunContext | None = None) -> list[Event]:
    """Everything that happens when a stage draws from the model."""
    return [event async for event in sample(model, n=n).stream(Question.of("How many?"), run or RunContext())]


async def test_lines_are_answers_by_index() -> None:
    """Around again after the last; a word is a token."""
    run = RunContext()
    events = await staged(ScriptedModel(["a b", "c"]), 3, run)
    assert [c.text for c in ends(events)] == ["a b", "c", "a b"]
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
    events = await staged(ScriptedModel(lambda question, index: f"{question.text} {index}"), 2)
    assert [c.text for c in ends(events)] == ["How many? 0", "How many? 1"]


async def test_lines_may_fail_or_crash() -> None:
    """A failure fails its sample; a crash those not told yet."""
    failure = Failure(code="rate_limited", message="slow down", status=429)
    with pytest.raises(NoAnswer, match="slow down") as caught:
        await ScriptedModel([failure]).answer("?")
    assert caught.value.status == 429
    first, second, third = ends(await staged(ScriptedModel(["ok", RuntimeError("boom"), "late"]), 3))
    assert first.ok
    assert [c.error.code for c in (second, third) if c.error] == ["model_crashed", "model_crashed"]


async def test_a_line_without_end_waits_to_be_cancelled() -> None:
    """The others come first; it is then among those cut."""
    run = RunContext()
    stream = ScriptedModel([None, "ok"]).sample(Question.of("?"), [0, 1], run)
    seen: list[Event] = []

    async def read() -> None:
        async for event in stream:
            seen.append(event)  # noqa: PERF401 - looked at while it grows

    task = asyncio.create_task(read())
    while not ends(seen):  # noqa: ASYNC110 - the stream has no other sign
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [c.text for c in ends(seen)] == ["ok"]
    assert [(c.index, c.finish_reason) for c in run.cut] == [(0, "cancelled")]


def test_an_empty_script_is_refused() -> None:
    """It would have no answer to give."""
    with pytest.raises(BadInput, match="empty"):
        ScriptedModel([])
