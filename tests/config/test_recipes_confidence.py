"""Stopping rules and confidence votes by name: on the wire, in YAML, with their options."""

from __future__ import annotations

import pytest

from quorate import Pipeline
from quorate.config.catalog import Catalog
from quorate.config.recipes import RECIPES, STOPPING, Parts
from quorate.orchestrator.errors import BadInput
from quorate.testing import ScriptedModel

STOPPED = ("adaptive-consistency", "esc", "best-of-infinity", "look-ahead")
CONFIDENT = ("confidence", "self-certainty", "deepconf")


@pytest.mark.parametrize("name", [*STOPPED, *CONFIDENT])
async def test_each_is_a_pipeline_over_any_model(name: str) -> None:
    """A model that always says the same is believed; without log-probabilities the answer says so."""
    pipeline = Catalog({"m": ScriptedModel(["so \\boxed{42}"], name="m")}).resolve(f"{name}@12/m")
    assert isinstance(pipeline, Pipeline)
    answer = await pipeline.answer("6 x 7?", seed=1)
    await pipeline.aclose()
    assert answer.answer == "42"
    assert len(answer.candidates) == {"deepconf": 12, "confidence": 12, "self-certainty": 12, "esc": 5}.get(name) or (
        name in STOPPED and len(answer.candidates) <= 4
    )
    assert bool(answer.degraded) == (name in CONFIDENT)


@pytest.mark.parametrize("name", STOPPING)
def test_each_rule_is_built_from_its_defaults(name: str) -> None:
    """For `stop:` of any pipeline."""
    recipe = STOPPING[name]
    rule = recipe.build(recipe.checked({}))
    assert rule.stop([], []) is None
    assert recipe.source
    assert recipe.summary


@pytest.mark.parametrize("measure", ["mean-logprob", "self-certainty", "token-confidence", "bottom-groups", "tail"])
def test_confidence_takes_any_measure(measure: str) -> None:
    """And asks the model for what it needs."""
    recipe = RECIPES["confidence"]
    options = recipe.checked({"measure": measure, "keep": 0.5, "window": 64})
    pipeline = recipe.build(Parts((ScriptedModel(),), 4, options))
    assert pipeline.sampler.sampling.top_logprobs == (0 if measure == "mean-logprob" else 20)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("confidence", {"measure": "vibes"}),
        ("confidence", {"keep": 0}),
        ("deepconf", {"warm_up": 0}),
        ("self-certainty", {"power": -1}),
        ("esc", {"window": 1}),
        ("look-ahead", {"epsilon": 0.5}),
        ("best-of-infinity", {"bayes_factor": 1}),
    ],
)
def test_impossible_options_are_refused_by_name(name: str, options: dict[str, object]) -> None:
    """The message names the pipeline and the option."""
    with pytest.raises(BadInput, match=f"{name}: option '{next(iter(options))}'"):
        RECIPES[name].checked(options)
