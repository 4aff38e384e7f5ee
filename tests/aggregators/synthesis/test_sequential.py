"""Self-MoA over a window."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators import SelfMoA, self_moa_seq
from quorate.orchestrator.checkpoints import Checkpoints
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Failure, Question
from quorate.testing import ScriptedModel

from ..helpers import candidate
from .cases import answer_from, boxed, proposals, vote


def attempts(question: Question) -> list[str]:
    """The responses that a prompt shows."""
    return [part.split("\n", 1)[1].strip() for part in question.messages[0].text.split("\nAttempt ")[1:]]


async def test_a_window_that_holds_all_is_self_moa() -> None:
    """One call, with the same prompt and seed as Self-MoA's."""
    sequential, whole = ScriptedModel(), ScriptedModel()
    await answer_from(self_moa_seq(proposals(6), sequential, window=6, fallback=vote()), boxed(*range(6)))
    await answer_from(proposals(6) | SelfMoA(whole, fallback=vote()), boxed(*range(6)))
    assert len(sequential.asked) == 1
    assert sequential.asked == whole.asked


async def test_the_running_synthesis_is_repeated_in_the_window() -> None:
    """Half of each later window by default; new responses fill the rest, each read once."""
    model = ScriptedModel(lambda _, __: f"synthesis {len(model.asked)}")
    answer = await answer_from(self_moa_seq(proposals(8), model, window=4, fallback=vote()), boxed(*range(8)))
    windows = [attempts(question) for question in model.asked]
    assert [len(window) for window in windows] == [4, 4, 4]
    assert windows[1][:2] == ["synthesis 0"] * 2
    assert windows[2][:2] == ["synthesis 1"] * 2
    fresh = windows[0] + windows[1][2:] + windows[2][2:]
    assert sorted(fresh) == sorted(f"I say \\boxed{{{i}}}" for i in range(8))
    assert answer.degraded == ()
    assert [visit.node for visit in answer.path] == ["sample", "fold", "fold", "aggregate"]
    assert [entry.node for entry in answer.nodes] == ["fold", "aggregate"]


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 30), window=st.integers(2, 7), data=st.data())
async def test_no_prompt_holds_more_than_a_window(n: int, window: int, data: st.DataObject) -> None:
    """Whatever n: the context is bounded, and every response is read exactly once."""
    repeats = data.draw(st.integers(1, window - 1))
    model = ScriptedModel(["short"])
    pipeline = self_moa_seq(proposals(n), model, window=window, repeats=repeats, fallback=vote())
    answer = await answer_from(pipeline, boxed(*range(n)))
    windows = [attempts(question) for question in model.asked]
    assert max(map(len, windows)) <= window
    assert sorted(r for w in windows for r in w if r != "short") == sorted(f"I say \\boxed{{{i}}}" for i in range(n))
    assert len(windows) == 1 + max(0, -(-(n - window) // (window - repeats))) == pipeline.calls - n
    assert answer.text == "short"


async def test_a_step_that_fails_is_told() -> None:
    """The next window starts anew, and the note names what the synthesis does not hold."""
    model = ScriptedModel(lambda _, __: "\\boxed{8}" if len(model.asked) else Failure(code="boom", message="no luck"))
    answer = await answer_from(self_moa_seq(proposals(5), model, window=2, fallback=vote()), boxed(*range(5)))
    assert answer.answer == "8"
    failed, dropped = answer.degraded
    assert (failed.code, failed.detail) == ("member_failed", "no luck")
    assert (dropped.code, dropped.where) == ("candidate_dropped", "fold-1: scripted")
    assert dropped.detail.count("#") == 2


async def test_windows_of_nothing_but_thinking_are_passed_over() -> None:
    """No call is made for a window in which nobody says anything."""
    model = ScriptedModel(["\\boxed{7}"])
    silent = [candidate(i, "<think>hm") for i in range(4)]
    answer = await answer_from(self_moa_seq(proposals(4), model, window=2, fallback=vote()), silent)
    assert (answer.answer, model.asked) == (None, [])
    assert "aggregator_failed" in {note.code for note in answer.degraded}


async def test_where_the_last_step_fails_all_samples_vote() -> None:
    """Also those that earlier steps have read; no synthesis has a vote."""
    model = ScriptedModel(lambda _, __: "\\boxed{8}" if len(model.asked) < 3 else Failure(code="boom", message="no"))
    answer = await answer_from(self_moa_seq(proposals(5), model, window=2, fallback=vote()), boxed(1, 1, 1, 2, 3))
    assert (answer.answer, len(model.asked)) == ("1", 4)
    assert (answer.tally[0].answer, answer.tally[0].votes) == ("1", 3)
    assert [note.code for note in answer.degraded] == ["aggregator_failed"]


async def test_a_run_that_broke_goes_on_at_the_step_where_it_was(tmp_path: Path) -> None:
    """What was folded is kept."""
    killed = ScriptedModel(lambda _, __: None if len(killed.asked) >= 2 else f"synthesis {len(killed.asked)}")
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        pipeline = self_moa_seq(proposals(5), killed, window=2, fallback=vote())
        task = asyncio.create_task(pipeline.answer("What?", seed=1, checkpoints=kept, thread="t"))
        while len(killed.asked) < 3:  # noqa: ASYNC110 - a model in memory has no event to wait for
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    again = ScriptedModel(["the end"])
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        resumed = self_moa_seq(proposals(5), again, window=2, fallback=vote())
        answer = await resumed.answer("What?", seed=1, checkpoints=kept, thread="t")
    assert (answer.text, len(again.asked)) == ("the end", 2)
    assert attempts(again.asked[0])[0] == "synthesis 1"


@pytest.mark.parametrize(("window", "repeats"), [(1, None), (0, None), (3, 0), (3, 3), (3, -1)])
def test_impossible_windows(window: int, repeats: int | None) -> None:
    """A window holds the synthesis and at least one new response."""
    with pytest.raises(BadInput, match=r"self_moa_seq\((window|repeats)="):
        self_moa_seq(proposals(2), ScriptedModel(), window=window, repeats=repeats)
