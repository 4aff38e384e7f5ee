"""Every pipeline and stopping rule by name: built from its options, or saying what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate import Pipeline
from quorate.aggregators.registry import (
    ENSEMBLES,
    PIPELINES,
    STOPPING_RULES,
    build_aggregator,
    build_pipeline,
    build_rule,
)
from quorate.config.catalog import Catalog
from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.progress import SamplingProgress
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


@pytest.mark.parametrize("name", STOPPING_RULES)
def test_each_rule_is_built_from_its_defaults(name: str) -> None:
    """For `stop:` of any pipeline; no rule stops before the first sample."""
    assert build_rule(name).stop(SamplingProgress(limit=16)) is None


def test_names_mean_one_thing_each_and_are_described() -> None:
    """A pipeline and a rule of one name are the vote that stops by it; everything has words and a source."""
    assert not set(PIPELINES) & set(ENSEMBLES)
    assert set(PIPELINES) & set(STOPPING_RULES) == set(STOPPED)
    for spec in (*PIPELINES.values(), *ENSEMBLES.values(), *STOPPING_RULES.values()):
        assert spec.summary
        assert spec.source
        for option in spec.options.model_fields.values():
            assert option.description
            assert not option.is_required()


def test_the_documentation_names_every_entry() -> None:
    """Nothing can be asked for that no page tells of."""
    pages = Path(__file__).parents[2].joinpath("docs").glob("*.md")
    told = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert [name for name in (*PIPELINES, *ENSEMBLES, *STOPPING_RULES) if f"`{name}" not in told] == []


@pytest.mark.parametrize("name", PIPELINES)
def test_each_pipeline_is_built_or_says_what_it_needs(name: str) -> None:
    """A listed one is there over any model; the others name the option that they wait for."""
    if PIPELINES[name].listed or name == "label-free":
        assert build_pipeline(name, [ScriptedModel()], n=6).stage.n == 6
    else:
        with pytest.raises(BadInput, match=f"{name}.*options: {{"):
            build_pipeline(name, [ScriptedModel()])


def test_a_pipeline_of_layers_is_no_single_aggregator() -> None:
    """Where candidates come from elsewhere, its layers would be left out without a word."""
    assert build_aggregator("usc", [ScriptedModel()]).name == "usc"
    with pytest.raises(BadInput, match="debate is no single aggregator"):
        build_aggregator("debate", [ScriptedModel()])


def test_an_unknown_name_lists_the_known_ones() -> None:
    """As everywhere."""
    with pytest.raises(UnknownName, match="majority"):
        build_pipeline("majorty", [ScriptedModel()])
    with pytest.raises(UnknownName, match="esc"):
        build_rule("ecs")


@pytest.mark.parametrize("measure", ["mean-logprob", "self-certainty", "token-confidence", "bottom-groups", "tail"])
def test_confidence_takes_any_measure(measure: str) -> None:
    """And asks the model for what it needs."""
    options = {"measure": measure, "keep": 0.5, "window": 64}
    pipeline = build_pipeline("confidence", [ScriptedModel()], n=4, options=options)
    assert pipeline.stage.sampling.top_logprobs == (0 if measure == "mean-logprob" else 20)


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
        build_pipeline(name, [ScriptedModel()], options=options)
