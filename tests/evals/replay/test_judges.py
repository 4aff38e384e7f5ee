"""Recorded rewards and recorded runs of programs, replayed."""

from __future__ import annotations

import pytest

from quorate.evals.records import AnswerRecord
from quorate.evals.replay.contract import ReplayRule
from quorate.evals.replay.rules import replay_rules


def chosen(name: str, recorded: AnswerRecord) -> dict[int, float]:
    entry = replay_rules()[name]
    assert isinstance(entry, ReplayRule)
    return dict(entry.choose(recorded).weights)


def scored(classes: tuple[int | None, ...], scores: tuple[float | None, ...]) -> AnswerRecord:
    n = len(classes)
    return AnswerRecord("q", ("m",) * n, tuple(map(str, classes)), classes, (False,) * n, {"scores": scores})


def test_rewards() -> None:
    """The best sample, sums of scores or of their exponentials; abstentions and missing scores do not count."""
    recorded = scored((0, 0, 1, None, 2, 2), (0.5, 0.25, 0.7, 9.0, None, float("nan")))
    assert chosen("reward-best", recorded) == {0: 0.5, 1: 0.7}
    assert chosen("reward-vote", recorded) == {0: 0.75, 1: 0.7}
    softmax = chosen("reward-softmax-vote", recorded)
    assert sum(softmax.values()) == pytest.approx(1)
    assert softmax[0] > softmax[1]
    for name in ("reward-best", "reward-vote", "reward-softmax-vote"):
        assert chosen(name, scored((None,), (1.0,))) == {}


def test_execution_agreement() -> None:
    """sqrt(different programs) x tests passed; repetitions of a program count once."""
    columns = {"tests": ("110", "110", "110", "111", "000"), "codes": (0, 0, 1, 2, 3)}
    recorded = AnswerRecord("q", ("m",) * 5, ("a", "a", "b", "c", "d"), (0, 0, 0, 1, 2), (True,) * 5, columns)
    assert chosen("execution", recorded) == {0: pytest.approx(2 * 2**0.5), 1: 3.0, 2: 0.0}


def test_what_they_need() -> None:
    """Scores, or tests and programs; a bank without them is refused by name."""
    assert replay_rules()["reward-vote"].needs == {"scores"}
    assert replay_rules()["execution"].needs == {"tests", "codes"}
