"""The synthesizers by name."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.aggregators import MajorityVote, RandomMember
from quorate.aggregators.registry import build_pipeline
from quorate.aggregators.synthesis.layers import ReadAll
from quorate.aggregators.synthesis.populations import DebateRound, SubsetAggregation
from quorate.aggregators.synthesis.sequential import LastWindow
from quorate.config.catalog import Catalog
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.nodes import LayerNode
from quorate.orchestrator.pipeline import Pipeline
from quorate.testing import ScriptedModel

NAMES = ("self-moa", "self-moa-seq", "moa", "aft", "rsa", "agglm", "debate")


def build(name: str, n: int = 6, helper: ScriptedModel | None = None, **options: Any) -> Pipeline:
    models = (ScriptedModel(name="a"), ScriptedModel(name="b"))
    return build_pipeline(name, models, n=n, options=options, aggregator_model=helper)


def layers_of(pipeline: Pipeline) -> list[LayerNode]:
    return [node for node in pipeline.nodes.values() if isinstance(node, LayerNode)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [1, 2, 5])
async def test_every_name_answers(name: str, n: int) -> None:
    """With any number of candidates, over one model or two, with the defaults."""
    catalog = Catalog({m: ScriptedModel(["\\boxed{4}"], name=m) for m in ("a", "b")})
    for models in ("a", "a+b"):
        pipeline = catalog.resolve(f"{name}@{n}/{models}")
        assert isinstance(pipeline, Pipeline)
        answer = await pipeline.answer("?", seed=1)
        assert (answer.answer, len(answer.candidates), answer.degraded) == ("4", n, ())


def test_options_reach_the_graphs() -> None:
    """As documented; the helper is the aggregator, the proposers fill the layers between."""
    helper = ScriptedModel(name="helper")
    moa = build("moa", helper=helper, layers=4, max_context_tokens=99)
    assert [([m.name for m in node.models], node.stage.n) for node in layers_of(moa)] == [(["a", "b"], 6)] * 2
    assert moa.aggregator.models == (helper,)
    prompts = [node.refiner.prompt for node in layers_of(moa) if isinstance(node.refiner, ReadAll)]
    assert [prompt.max_context_tokens for prompt in prompts] == [99, 99]
    seq = build("self-moa-seq", window=5, repeats=1).aggregator
    assert isinstance(seq, LastWindow)
    assert (seq.window.size, seq.window.repeats) == (5, 1)
    assert [node.stage.n for node in layers_of(build("aft", rounds=3))] == [6, 6]
    rsa = build("rsa", subset=3, loops=1, final="random", helper=helper)
    [loop] = layers_of(rsa)
    assert isinstance(loop.refiner, SubsetAggregation)
    assert (loop.refiner.subset, loop.max_visits, loop.models) == (3, 1, (helper,))
    assert isinstance(rsa.aggregator, RandomMember)
    debate = build("debate", rounds=1, roles=["You doubt."])
    [debating] = layers_of(debate)
    assert isinstance(debating.refiner, DebateRound)
    assert ([m.name for m in debating.models], debating.max_visits) == (["a", "b"], 1)
    assert debating.refiner.roles == ("You doubt.",)
    assert not isinstance(debate.aggregator, MajorityVote | RandomMember)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("self-moa", {"max_context_tokens": 0}, "max_context_tokens"),
        ("self-moa-seq", {"window": 1}, "window"),
        ("self-moa-seq", {"window": 3, "repeats": 3}, "fewer than window=3"),
        ("moa", {"layers": 1}, "layers"),
        ("aft", {"rounds": 0}, "rounds"),
        ("rsa", {"subset": 7}, "subset=7 of n=6"),
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
        build(name, **options)
