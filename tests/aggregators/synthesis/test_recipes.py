"""The synthesizers by name."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.aggregators import (
    Debate,
    MixtureOfAgents,
    ProposeAndAggregate,
    RandomMember,
    RecursiveSelfAggregation,
    SelfMoASeq,
)
from quorate.config.catalog import Catalog
from quorate.config.recipes import RECIPES, Parts
from quorate.config.recipes.synthesis import RECIPES as MINE
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import Pipeline
from quorate.testing import ScriptedModel


def built(name: str, n: int = 6, helper: ScriptedModel | None = None, **options: Any) -> Pipeline:
    recipe = RECIPES[name]
    models = (ScriptedModel(name="a"), ScriptedModel(name="b"))
    return recipe.build(Parts(models, n, recipe.checked(options), helper=helper))


@pytest.mark.parametrize("name", [recipe.name for recipe in MINE])
@pytest.mark.parametrize("n", [1, 2, 5])
async def test_every_name_answers(name: str, n: int) -> None:
    """With any number of candidates, over one model or two, with the defaults."""
    catalog = Catalog({m: ScriptedModel(["\\boxed{4}"], name=m) for m in ("a", "b")})
    for models in ("a", "a+b"):
        answer = await catalog.resolve(f"{name}@{n}/{models}").answer("?", seed=1)  # type: ignore[attr-defined]
        assert (answer.answer, len(answer.candidates), answer.degraded) == ("4", n, ())


def test_options_reach_the_aggregators() -> None:
    """As documented; the helper is the aggregator, the proposers fill the layers between."""
    helper = ScriptedModel(name="helper")
    moa = built("moa", helper=helper, layers=4, max_context_tokens=99).aggregator
    assert isinstance(moa, MixtureOfAgents)
    assert [([m.name for m in layer.models], layer.n) for layer in moa.layers] == [(["a", "b"], 6)] * 2
    assert (moa.aggregator, moa.max_context_tokens) == (helper, 99)
    seq = built("self-moa-seq", window=5, repeats=1).aggregator
    assert isinstance(seq, SelfMoASeq)
    assert (seq.window, seq.repeats) == (5, 1)
    aft = built("aft", rounds=3).aggregator
    assert isinstance(aft, ProposeAndAggregate)
    assert [layer.n for layer in aft.layers] == [6, 6]
    rsa = built("rsa", subset=3, loops=1, final="random").aggregator
    assert isinstance(rsa, RecursiveSelfAggregation)
    assert (rsa.subset, rsa.rounds, type(rsa.final)) == (3, 1, RandomMember)
    debate = built("debate", rounds=1, roles=["You doubt."]).aggregator
    assert isinstance(debate, Debate)
    assert ([m.name for m in debate.debaters], debate.rounds, debate.roles) == (["a", "b"], 1, ("You doubt.",))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("self-moa", {"max_context_tokens": 0}, "max_context_tokens"),
        ("self-moa-seq", {"window": 1}, "window"),
        ("self-moa-seq", {"window": 3, "repeats": 3}, "fewer than window=3"),
        ("moa", {"layers": 1}, "layers"),
        ("aft", {"rounds": 0}, "rounds"),
        ("rsa", {"subset": 7}, "'subset': 7 of n=6"),
        ("rsa", {"loops": -1}, "loops"),
        ("rsa", {"loops": 10**9}, "loops"),
        ("rsa", {"final": "best"}, "final"),
        ("debate", {"rounds": -1}, "rounds"),
        ("debate", {"roles": [""]}, "roles"),
        ("agglm", {"nonsense": 1}, "nonsense"),
    ],
)
def test_impossible_options(name: str, options: dict[str, Any], says: str) -> None:
    """Refused when the pipeline is built, by name."""
    with pytest.raises(BadInput, match=says):
        built(name, **options)
