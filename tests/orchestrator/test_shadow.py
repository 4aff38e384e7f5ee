"""Stops that are only watched: nothing changes, and what they would have saved is told."""

from __future__ import annotations

import pytest

from quorate.aggregators import AdaptiveConsistency, Agreement, MajorityVote, SelfMoA
from quorate.config.nodes import StopConfig
from quorate.orchestrator.pipeline import gate, sample
from quorate.orchestrator.shadow import ShadowRule
from quorate.orchestrator.types import Question
from quorate.orchestrator.usage import Usage
from quorate.testing import ScriptedModel

SURE = ["so \\boxed{42}"]
SPLIT = ["\\boxed{1}", "\\boxed{2}", "\\boxed{3}", "\\boxed{4}"]


async def test_a_rule_is_watched_and_stops_nothing() -> None:
    """The same candidates as without a rule, and the tokens after the point where it would have stopped."""
    plain = await (sample(ScriptedModel(SURE), n=16) | MajorityVote()).answer("6 x 7?", seed=1)
    watched = await (
        sample(ScriptedModel(SURE), n=16, stop=ShadowRule(AdaptiveConsistency(0.95))) | MajorityVote()
    ).answer("6 x 7?", seed=1)
    assert [(c.text, c.seed) for c in watched.candidates] == [(c.text, c.seed) for c in plain.candidates]
    [saving] = watched.savings
    assert (saving.where, saving.after, saving.of, saving.answer, saving.same) == ("sample", 4, 16, "42", True)
    assert saving.tokens == sum(c.usage.total_tokens for c in watched.candidates[4:])
    assert watched.stopped == "complete"


class PricedModel(ScriptedModel):
    """Every sample of it costs a coin."""

    def _usage(self, question: Question, written: int) -> Usage:
        return super()._usage(question, written).model_copy(update={"cost": 1.0})


async def test_money_is_saved_where_it_is_known() -> None:
    """By the rule of a stage, and by a gate that would not have asked the expensive side."""
    rule = Agreement(1.0, min_votes=4)
    vote = sample(PricedModel(SURE), n=8, stop=ShadowRule(rule)) | MajorityVote()
    [saving] = (await vote.answer("?", seed=1)).savings
    assert saving.cost == 4.0
    watched = gate(
        sample(PricedModel(SURE), n=8), MajorityVote(), expensive=SelfMoA(PricedModel(SURE)), rule=rule, shadow=True
    )
    [saving] = (await watched.answer("?", seed=1)).savings
    assert saving.cost == 5.0


async def test_a_rule_that_would_not_stop_saves_nothing() -> None:
    """And one that would have believed another answer says so."""
    split = sample(ScriptedModel(SPLIT), n=8, stop=ShadowRule(AdaptiveConsistency(0.95))) | MajorityVote()
    assert (await split.answer("?", seed=1)).savings == ()
    turning = ["\\boxed{1}"] * 4 + ["\\boxed{2}"] * 5
    rule = ShadowRule(Agreement(1.0, min_votes=4))
    [saving] = (await (sample(ScriptedModel(turning), n=9, stop=rule) | MajorityVote()).answer("?", seed=1)).savings
    assert (saving.answer, saving.same) == ("1", False)


@pytest.mark.parametrize(
    ("lines", "written", "same"),
    [(SURE, "\\boxed{42}", True), (SURE, "It is 42.0.", True), (SURE, "\\boxed{41}", False)],
)
async def test_a_gate_is_watched(lines: list[str], written: str, same: bool) -> None:
    """The expensive side answers, and what it cost counts as saved."""
    stage = sample(ScriptedModel(lines), n=8)
    rule = Agreement(1.0, min_votes=4)
    writer = ScriptedModel([written], name="w")
    answer = await gate(stage, MajorityVote(), expensive=SelfMoA(writer), rule=rule, shadow=True).answer("?", seed=1)
    assert answer.text == written
    [saving] = answer.savings
    expensive = sum(e.usage.total_tokens for e in answer.nodes if e.node == "self-moa")
    assert expensive > 0
    assert saving.tokens == expensive + sum(c.usage.total_tokens for c in answer.candidates[4:])
    assert saving.same is same


async def test_a_gate_that_would_stay_open_saves_nothing() -> None:
    """Its expensive side is needed."""
    stage, rule = sample(ScriptedModel(SPLIT), n=4), Agreement(0.9)
    writer = ScriptedModel(["\\boxed{1}"], name="w")
    answer = await gate(stage, MajorityVote(), expensive=SelfMoA(writer), rule=rule, shadow=True).answer("?", seed=1)
    assert answer.savings == ()


def test_it_is_a_word_of_the_configuration() -> None:
    """`stop: {rule: ..., shadow: true}`, with the rule's options beside it."""
    rule = StopConfig.model_validate({"rule": "adaptive-consistency", "threshold": 0.9, "shadow": True}).build()
    assert isinstance(rule, ShadowRule)
    assert isinstance(rule.rule, AdaptiveConsistency)
