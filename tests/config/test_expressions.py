"""Conditions of edges as text: what they mean, and how their mistakes are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate import Answer, Candidate, Question, Sampled
from quorate.config.expressions import WORDS, parse_condition
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.state import Choice, State, Visit
from quorate.orchestrator.types import Cluster


def state(votes: int, good: int, *, visits: int = 1, tokens_left: int | None = None, chosen: str = "") -> State:
    """What a condition sees after a node has run so often, the last time with these votes."""
    candidates = tuple(Candidate(index=i, model="m", text="x") for i in range(good))
    tally = (Cluster(answer="4", votes=votes, weight=votes, voters=tuple(range(votes))),) if votes else ()
    result: Sampled | Choice = Choice(chosen=chosen) if chosen else Sampled(candidates=candidates, tally=tally)
    done = (Visit(node="n", result=result),) * visits
    return State(question=Question.of("?"), visits=done, inputs=(visits - 1,), tokens_left=tokens_left)


@pytest.mark.parametrize(
    ("text", "seen", "holds"),
    [
        ("agreement >= 0.75", state(3, 4), True),
        ("agreement>=0.75", state(2, 4), False),
        ("agreement == 0", state(0, 0), True),
        ("votes > 2 and candidates <= 4", state(3, 4), True),
        ("votes > 2 and not candidates <= 4", state(3, 4), False),
        ("votes > 9 or agreement > 0.5 and visits < 2", state(3, 4), True),
        ("(votes > 9 or agreement > 0.5) and visits < 2", state(3, 4, visits=2), False),
        ("not (votes > 9 or visits != 1)", state(3, 4), True),
        ("tokens_left < 100", state(3, 4, tokens_left=99), True),
        ("tokens_left < 100", state(3, 4), False),
        ("chosen == big-model", state(0, 0, chosen="big-model"), True),
        ("chosen == 'big model'", state(0, 0, chosen="big model"), True),
        ("chosen != other", state(0, 0, chosen="big"), True),
        ("chosen == x", state(3, 4), False),
    ],
)
def test_conditions_mean_what_they_say(text: str, seen: State, holds: bool) -> None:
    """`and` binds more than `or`, `not` more than both; the reason repeats the text."""
    condition = parse_condition(text)
    reason = condition.holds(seen)
    assert (reason is not None) == holds
    assert str(condition) == " ".join(text.split())
    if reason is not None:
        assert reason.startswith(str(condition))


def test_the_reason_has_the_values() -> None:
    """So that a trace shows how close it was."""
    reason = parse_condition("agreement >= 0.5 and votes > 1").holds(state(2, 3))
    assert reason == "agreement >= 0.5 and votes > 1 (agreement 0.667, votes 2)"


def test_an_answer_counts_by_its_own_votes() -> None:
    """A condition behind an aggregator or a pipeline reads the answer's tally."""
    candidates = tuple(Candidate(index=i, model="m", text="x") for i in range(4))
    tally = (Cluster(answer="4", votes=3, weight=3, voters=(0, 1, 2)),)
    answer = Answer(text="4", model="m", candidates=candidates, tally=tally)
    seen = State(question=Question.of("?"), visits=(Visit(node="n", result=answer),), inputs=(0,))
    assert parse_condition("agreement == 0.75").holds(seen) is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "where it ends, one of agreement"),
        ("agreement", "where it ends, one of >="),
        ("agreement >=", "where it ends, a number"),
        ("agreement >= high", "'high', a number"),
        ("agreement >= 1e3", "'1e3', a number"),
        ("agreement >= nan", "'nan', a number"),
        ("__import__('os') == 1", "'__import__', one of agreement"),
        ("agreement >= 0.5 votes", "'votes', the end, 'and' or 'or'"),
        ("(agreement >= 0.5", "where it ends, ')'"),
        ("chosen > a", "'>', '==' or '!='"),
        ("chosen == ", "where it ends, a name"),
        ("not", "where it ends, one of"),
        ("agreement >= 0.5 and", "where it ends, one of"),
        ("lambda: 1", "'lambda:', one of"),
    ],
)
def test_what_does_not_parse_is_told_with_its_place(text: str, says: str) -> None:
    """What stands there, and what should."""
    with pytest.raises(BadInput) as caught:
        parse_condition(text)
    assert says in str(caught.value)


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from([*WORDS, ">=", "==", "0.5", "(", ")", "and", "or", "not"])).map(" ".join)
)
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    """Nothing but `BadInput` is ever raised, and a condition that parses can be asked."""
    try:
        condition = parse_condition(text)
    except BadInput:
        return
    condition.holds(state(2, 3))
    assert parse_condition(str(condition)).holds(state(2, 3)) == condition.holds(state(2, 3))
