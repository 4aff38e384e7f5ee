"""Stopping rules and confidence votes in replay."""

from __future__ import annotations

import pytest

from quorate.evals.records import AnswerRecord, RecordedBank
from quorate.evals.replay.rules import find_rule, replay_rules
from quorate.evals.replay.traces import trace_rules
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Candidate, TokenLogprob


def recorded(*classes: int | None, confidences: list[list[float]] | None = None) -> AnswerRecord:
    """Answers of these classes at ten tokens each, class 0 right."""
    n = len(classes)
    columns: dict[str, tuple[object, ...]] = {"tokens": (10,) * n}
    if confidences is not None:
        columns["candidates"] = tuple(traced(i, values) for i, values in enumerate(confidences))
    answers = tuple(None if c is None else str(c) for c in classes)
    return AnswerRecord("q", ("m",) * n, answers, classes, tuple(c == 0 for c in classes), columns)


def traced(index: int, confidence: list[float]) -> Candidate:
    tokens = tuple(TokenLogprob(token="x", logprob=-c, top=(("x", -c),)) for c in confidence)
    return Candidate(index=index, model="m", finish_reason="stop", logprobs=tokens)


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("adaptive-consistency", 4),
        ("adaptive-consistency-waves", 5),
        ("esc", 5),
        ("best-of-infinity", 3),
        ("best-of-infinity-waves", 5),
        ("look-ahead", 3),
        ("look-ahead-waves", 5),
    ],
)
def test_agreement_is_paid_for_only_as_long_as_needed(name: str, samples: int) -> None:
    """Of sixteen equal answers each rule takes what it needs; whole waves are paid for."""
    [outcome] = replay_rules()[name].outcomes([recorded(*[0] * 16)])
    assert (outcome.credit, outcome.samples, outcome.tokens) == (1.0, samples, samples * 10)


STOPPING = (
    "adaptive-consistency",
    "adaptive-consistency-waves",
    "best-of-infinity",
    "best-of-infinity-waves",
    "esc",
    "look-ahead",
    "look-ahead-waves",
)


@pytest.mark.parametrize("name", STOPPING)
def test_disagreement_takes_all(name: str) -> None:
    """An undecided question goes to the limit, and ties share the credit; abstentions alone are no answer."""
    [split, silent] = replay_rules()[name].outcomes([recorded(*[0, 1] * 8), recorded(None, None)])
    assert (split.credit, split.samples) == (0.5, 16)
    assert (silent.credit, silent.samples) == (0.0, 2)


def test_a_limit_in_reach_is_looked_at() -> None:
    """With one sample left a lead of two is decided."""
    drawn = recorded(0, 1, 0, 1, 0, 0, 1)
    assert replay_rules()["look-ahead"].outcomes([drawn])[0].samples == 6
    assert replay_rules()["adaptive-consistency"].outcomes([drawn])[0].samples == 7


def test_confidence_decides_where_votes_are_split() -> None:
    """A sure right answer against two unsure wrong ones."""
    drawn = recorded(0, 1, 1, confidences=[[9.0] * 4, [1.0] * 4, [1.0] * 4])
    for name in ("confidence", "confidence-short", "mean-logprob"):
        [outcome] = replay_rules()[name].outcomes([drawn])
        assert outcome.credit == (0.0 if name == "mean-logprob" else 1.0)
    [borda] = replay_rules()["self-certainty"].outcomes([recorded(0, 1, confidences=[[9.0], [1.0]])])
    assert borda.credit == 1.0


def test_deepconf_pays_stopped_traces_up_to_the_token_that_stopped_them() -> None:
    """Sixteen warm-up traces of confidence 3; the next falls to 1 after 40 tokens, and is cut there."""
    sure, unsure = [3.0] * 64, [3.0] * 40 + [1.0] * 24
    classes = [0, 1] * 8 + [1, 0, 0]
    drawn = recorded(*classes, confidences=[sure] * 16 + [unsure, sure, sure])
    [outcome] = replay_rules()["deepconf-short"].outcomes([drawn])
    assert outcome.samples == 19
    assert outcome.tokens == 16 * 10 + 41 + 2 * 10
    assert outcome.credit == 1.0
    [agreed] = replay_rules()["deepconf-short"].outcomes([recorded(*[0] * 32, confidences=[sure] * 32)])
    assert (agreed.samples, agreed.tokens) == (16, 160)
    [few] = replay_rules()["deepconf"].outcomes([recorded(0, 1, confidences=[sure, sure])])
    assert (few.samples, few.credit) == (2, 0.5)


def test_unknown_confidence_is_the_plurality() -> None:
    """A trace whose log-probabilities are no numbers does not break a replay."""
    drawn = recorded(0, 1, 1, confidences=[[float("nan")], [float("nan")], [1.0]])
    for rule in trace_rules():
        [outcome] = rule.outcomes([drawn])
        assert outcome.credit == 0.0


@pytest.mark.parametrize("name", [rule.name for rule in trace_rules()])
def test_a_bank_without_log_probabilities_is_refused_by_name(name: str) -> None:
    """The message names the aggregator and what is lacking."""
    bank = RecordedBank("plain", False, {"m": (recorded(0),)}, 1, frozenset({"tokens", "samples"}))
    with pytest.raises(BadInput, match=f"{name} needs .*logprobs"):
        find_rule(name, bank)
