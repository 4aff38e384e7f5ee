"""Self-MoA over a window."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators import SelfMoA, SelfMoASeq
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Failure, Question
from quorate.testing import ScriptedModel

from ..helpers import candidate
from .cases import aggregation, boxed, vote


def attempts(question: Question) -> list[str]:
    """The responses that a prompt shows."""
    return [part.split("\n", 1)[1].strip() for part in question.messages[0].text.split("\nAttempt ")[1:]]


async def test_a_window_that_holds_all_is_self_moa() -> None:
    """One call, with the same prompt and seed as Self-MoA's."""
    sequential, whole = ScriptedModel(), ScriptedModel()
    await aggregation(SelfMoASeq(sequential, window=6, fallback=vote()), boxed(*range(6)))
    await aggregation(SelfMoA(whole, fallback=vote()), boxed(*range(6)))
    assert len(sequential.asked) == 1
    assert sequential.asked == whole.asked


async def test_the_running_synthesis_is_repeated_in_the_window() -> None:
    """Half of each later window by default; new responses fill the rest, each read once."""
    model = ScriptedModel(lambda _, __: f"synthesis {len(model.asked)}")
    answer = await aggregation(SelfMoASeq(model, window=4, fallback=vote()), boxed(*range(8)))
    windows = [attempts(question) for question in model.asked]
    assert [len(window) for window in windows] == [4, 4, 4]
    assert windows[1][:2] == ["synthesis 0"] * 2 or windows[1][0] == windows[1][1]
    fresh = windows[0] + windows[1][2:] + windows[2][2:]
    assert sorted(fresh) == sorted(f"I say \\boxed{{{i}}}" for i in range(8))
    assert answer.degraded == ()
    assert [s.stage for s in answer.nodes] == ["aggregate/step-1", "aggregate/step-2", "aggregate"]


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 30), window=st.integers(2, 7), data=st.data())
async def test_no_prompt_holds_more_than_a_window(n: int, window: int, data: st.DataObject) -> None:
    """Whatever n: the context is bounded, and every response is read exactly once."""
    repeats = data.draw(st.integers(1, window - 1))
    model = ScriptedModel(["short"])
    answer = await aggregation(SelfMoASeq(model, window=window, repeats=repeats, fallback=vote()), boxed(*range(n)))
    windows = [attempts(question) for question in model.asked]
    assert max(map(len, windows)) <= window
    assert sorted(r for w in windows for r in w if r != "short") == sorted(f"I say \\boxed{{{i}}}" for i in range(n))
    assert len(windows) == 1 + max(0, -(-(n - window) // (window - repeats)))
    assert answer.text == "short"


async def test_a_step_that_fails_is_told() -> None:
    """The next window starts anew, and the note names what the synthesis does not hold."""
    model = ScriptedModel(lambda _, __: "\\boxed{8}" if len(model.asked) else Failure(code="boom", message="no luck"))
    answer = await aggregation(SelfMoASeq(model, window=2, fallback=vote()), boxed(*range(5)))
    assert answer.answer == "8"
    failed, dropped = answer.degraded
    assert (failed.code, failed.detail) == ("member_failed", "no luck")
    assert (dropped.code, dropped.where) == ("candidate_dropped", "aggregate/step-1: scripted")
    assert dropped.detail.count("#") == 2


async def test_windows_of_nothing_but_thinking_are_passed_over() -> None:
    """No call is made for a window in which nobody says anything."""
    model = ScriptedModel(["\\boxed{7}"])
    silent = [candidate(i, "<think>hm") for i in range(4)]
    answer = await aggregation(SelfMoASeq(model, window=2, fallback=vote()), silent)
    assert (answer.answer, model.asked) == (None, [])
    assert "aggregator_failed" in {note.code for note in answer.degraded}


@pytest.mark.parametrize(("window", "repeats"), [(1, None), (0, None), (3, 0), (3, 3), (3, -1)])
def test_impossible_windows(window: int, repeats: int | None) -> None:
    """A window holds the synthesis and at least one new response."""
    with pytest.raises(BadInput, match=r"SelfMoASeq\((window|repeats)="):
        SelfMoASeq(ScriptedModel(), window=window, repeats=repeats)
