"""Rules as aggregators: the same as the majority where they should be, and honest where they fail."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators import LabelFreeVote, MajorityVote, RuleVote
from quorate.aggregators.registry import PIPELINES, build_pipeline
from quorate.aggregators.votes import Abilities, Ability, ByModel, Plurality, RunOff
from quorate.orchestrator.errors import BadInput, DataError, NoAnswer
from quorate.orchestrator.types import Candidate
from tests.aggregators.helpers import Exact, aggregated, failed, tallied
from tests.aggregators.test_vote import candidate_lists
from tests.orchestrator.fakes import Texts


def by(model: str, index: int, answer: str | None) -> Candidate:
    text = f"I say {answer}" if answer else "I cannot tell"
    return Candidate(index=index, model=model, text=text, answer=answer, finish_reason="stop")


@given(candidate_lists(), st.integers(0, 3))
async def test_plurality_as_a_rule_is_the_majority_vote(candidates: list[Candidate], seed: int) -> None:
    """Text, tally, ties and reasons alike; whoever failed or was cancelled does not vote."""
    ruled = await aggregated(RuleVote(Plurality(), equivalence=Exact()), candidates, seed)
    assert ruled.replace(degraded=()) == (
        await aggregated(MajorityVote(equivalence=Exact()), candidates, seed)
    ).replace(degraded=())


@given(candidate_lists(), st.randoms(use_true_random=False))
async def test_the_order_of_the_candidates_does_not_matter(
    candidates: list[Candidate], shuffler: random.Random
) -> None:
    """For rules that know the voters too."""
    mixed = [c.model_copy(update={"agent": "ab"[c.index % 2]}) for c in candidates]
    shuffled = list(mixed)
    shuffler.shuffle(shuffled)
    for rule in (ByModel({"a": 2.0}), RunOff()):
        vote = RuleVote(rule, equivalence=Exact())
        first, second = await aggregated(vote, mixed), await aggregated(vote, shuffled)
        assert first.replace(candidates=()) == second.replace(candidates=())


async def test_they_count_while_candidates_come() -> None:
    """With their weights, so stopping rules that look at weights work with them."""
    tally = await tallied(
        RuleVote(ByModel({"big": 3.0}), equivalence=Exact()), [by("big", 0, "1"), by("small", 1, "2")]
    )
    assert [(c.answer, c.weight) for c in tally] == [("1", 3.0), ("2", 1.0)]


async def test_a_prior_outweighs_two_others() -> None:
    """And the tally says by how much."""
    vote = RuleVote(ByModel({"big": 3.0}), equivalence=Exact())
    answer = await aggregated(vote, [by("big", 0, "1"), by("small", 1, "2"), by("tiny", 2, "2"), failed(3)])
    assert answer.answer == "1"
    assert [(c.answer, c.votes, c.weight) for c in answer.tally] == [("1", 1, 3.0), ("2", 2, 2.0)]


async def test_all_abstaining_and_all_failed_are_as_in_the_majority_vote() -> None:
    """A text with a mark, and an error."""
    vote = RuleVote(RunOff(), equivalence=Exact())
    answer = await aggregated(vote, [by("m", 0, None), failed(1)])
    assert (answer.answer, [d.code for d in answer.degraded]) == (None, ["all_abstained"])
    with pytest.raises(NoAnswer):
        await aggregated(vote, [failed(0)])


def panel(strong: str, weak: str) -> list[Candidate]:
    return [by("strong", 0, strong), *(by(f"weak{i}", i, weak) for i in (1, 2))]


async def test_label_free_votes_learn_and_remember(tmp_path: Path) -> None:
    """What one vote has learned, another that reads the file knows; without learning nothing changes."""
    file = tmp_path / "abilities.json"
    vote = LabelFreeVote(file, equivalence=Exact())
    for number in range(12):
        await aggregated(vote, panel(str(number), str(number)))
        await aggregated(vote, [by("strong", 0, "1"), by("weak1", 1, str(number + 20)), by("extra", 2, "1")])
    frozen = LabelFreeVote(file, learn=False, equivalence=Exact())
    assert frozen.learner.abilities == vote.learner.abilities == Abilities.load(file)
    assert frozen.learner.abilities.of("strong").mean > frozen.learner.abilities.of("weak1").mean
    before = file.read_bytes()
    await aggregated(frozen, panel("1", "2"))
    assert file.read_bytes() == before


async def test_an_able_model_outvotes_two_weak_ones(tmp_path: Path) -> None:
    """Abilities from the file decide; the same file and seed give the same answer."""
    file = tmp_path / "abilities.json"
    weak = {f"weak{i}": Ability(mean=-1.0) for i in (1, 2)}
    Abilities(models={"strong": Ability(mean=4.0), **weak}).save(file)
    vote = LabelFreeVote(file, learn=False, equivalence=Exact())
    first, second = [await aggregated(vote, panel("1", "2"), seed=5) for _ in range(2)]
    assert first == second
    assert first.answer == "1"


async def test_abilities_that_cannot_be_saved_cost_no_answer(tmp_path: Path) -> None:
    """The answer says so."""
    vote = LabelFreeVote(tmp_path / "absent" / "abilities.json", equivalence=Exact())
    answer = await aggregated(vote, panel("1", "1"))
    assert (answer.answer, [d.code for d in answer.degraded]) == ("1", ["abilities_not_saved"])


def test_abilities_that_are_broken_or_missing_are_refused(tmp_path: Path) -> None:
    """When the vote is built, not at the first question."""
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(DataError, match=r"a\.json"):
        LabelFreeVote(tmp_path / "a.json")
    with pytest.raises(BadInput, match="learn=False needs a file"):
        LabelFreeVote(learn=False)


@pytest.mark.parametrize("name", ["by-model", "log-odds", "run-off", "label-free"])
async def test_pipelines_are_built_by_name(name: str) -> None:
    """Over two models, with their default options."""
    models = (Texts("\\boxed{1}", name="a"), Texts("\\boxed{1}", name="b"))
    assert (await build_pipeline(name, models, n=4).answer("What?", seed=1)).answer == "1"


def test_options_are_checked() -> None:
    """Unknown and impossible ones are refused by name."""
    for name, options in (("by-model", {"default": -1}), ("label-free", {"flie": "x"}), ("borda", {"power": -1})):
        with pytest.raises(BadInput, match=name):
            PIPELINES[name].check_options(options)
