"""Names on the wire and the command line, read as the design says."""

from __future__ import annotations

from typing import Any

import pytest

from quorate import Pipeline, sample
from quorate.agents import Embedded
from quorate.aggregators import (
    Council,
    ExecutionAgreement,
    Knockout,
    MajorityVote,
    SelfMoA,
    StructuredVote,
    TestWriter,
    fusion,
    self_moa_seq,
)
from quorate.aggregators.meaning.judged import JudgedGrouping
from quorate.aggregators.registry import ENSEMBLES, PIPELINES
from quorate.aggregators.token_level import SAFE
from quorate.config.catalog import Catalog
from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.stage import SamplingStage
from quorate.testing import ScriptedModel
from tests.aggregators.token_level.writers import model as writer
from tests.orchestrator.fakes import First, Plurality, Texts


@pytest.fixture
def catalog() -> Catalog:
    names = ("tiny", "Qwen/Qwen3-8B", "a+b")
    configured: dict[str, Model] = {"team": (sample(Texts("x"), n=4) | Plurality()).with_name("team")}
    return Catalog({name: Texts("x", name=name) for name in names}, configured, max_samples=64)


def pipeline(catalog: Catalog, name: str) -> Pipeline:
    model = catalog.resolve(name)
    assert isinstance(model, Pipeline)
    return model


@pytest.mark.parametrize("name", ["tiny", "Qwen/Qwen3-8B", "a+b", "team"])
def test_an_exact_name_comes_first(catalog: Catalog, name: str) -> None:
    """Slashes and plus signs in a model's own name mean nothing."""
    assert catalog.resolve(name).name == name


def test_graphs_over_several_models_have_names_too(catalog: Catalog) -> None:
    """Stages are joined by a plus, and may be pipelines; N is of the stages before the last."""
    graph = catalog.resolve("cascade@3/tiny+Qwen/Qwen3-8B")
    assert isinstance(graph, Graph)
    assert (graph.name, list(graph.nodes)) == ("cascade@3/tiny+Qwen/Qwen3-8B", ["majority@3/tiny", "Qwen/Qwen3-8B"])
    mixed = catalog.resolve("cascade/tiny+majority@5/Qwen/Qwen3-8B")
    assert isinstance(mixed, Graph)
    assert list(mixed.nodes) == ["majority@3/tiny", "majority@5/Qwen/Qwen3-8B"]
    assert catalog.resolve("majority@2/cascade@3/tiny+Qwen/Qwen3-8B").name.startswith("majority@2/cascade@3")
    with pytest.raises(BadInput, match="cascade needs two models or more"):
        catalog.resolve("cascade@3/tiny")
    with pytest.raises(BadInput, match="n=65 samples, but this allows 1 to 64"):
        catalog.resolve("cascade@65/tiny+Qwen/Qwen3-8B")
    with pytest.raises(BadInput, match="route needs a trained router"):
        catalog.resolve("route/tiny+Qwen/Qwen3-8B")


@pytest.mark.parametrize(
    ("name", "n", "models"),
    [
        ("majority@8/tiny", 8, ["tiny"]),
        ("majority/tiny", 16, ["tiny"]),
        ("majority@8/Qwen/Qwen3-8B", 8, ["Qwen/Qwen3-8B"]),
        ("majority@8/tiny+Qwen/Qwen3-8B", 8, ["tiny", "Qwen/Qwen3-8B"]),
        ("majority@8/a+b", 8, ["a+b"]),
        ("majority@4/self-moa@6/tiny", 4, ["self-moa@6/tiny"]),
        ("majority@4/self-moa@6/tiny+Qwen/Qwen3-8B", 4, ["self-moa@6/tiny+Qwen/Qwen3-8B"]),
        ("majority@2/team", 2, ["team"]),
        ("majority@2/team@8", 2, ["team@8"]),
        ("majority@8", 8, ["tiny"]),
        ("team@9", 9, ["texts"]),
        (" majority@8/tiny ", 8, ["tiny"]),
    ],
)
def test_pipelines_are_read_from_the_left(catalog: Catalog, name: str, n: int, models: list[str]) -> None:
    """PIPELINE[@N], then the rest the same way again, then models joined by +."""
    found = pipeline(catalog, name)
    assert found.stage.n == n
    assert [model.name for model in found.stage.models] == models
    assert found.name == name.strip()


@pytest.mark.parametrize("name", ["nope", "majority@4/nope", "majority@4/tiny+nope", "tiny/x", ""])
def test_unknown_names_say_what_exists(catalog: Catalog, name: str) -> None:
    """A 404 with the models, the configured pipelines and the built-in ones."""
    with pytest.raises(UnknownName) as caught:
        catalog.resolve(name)
    assert caught.value.status == 404
    for known in ("tiny", "team", "majority@16/tiny"):
        assert known in str(caught.value)


@pytest.mark.parametrize(
    "name", ["majority@0/tiny", "majority@x/tiny", "majority@/tiny", "majority@-1/tiny", "majority@65/tiny"]
)
def test_impossible_counts_are_refused(catalog: Catalog, name: str) -> None:
    """Not a number, below one, or above the limit."""
    with pytest.raises(BadInput):
        catalog.resolve(name)


def test_a_request_may_set_n(catalog: Catalog) -> None:
    """For pipelines; a single model draws one sample and says what to ask for instead."""
    found = catalog.resolve("majority@4/tiny", n=7)
    assert isinstance(found, Pipeline)
    assert found.stage.n == 7
    with pytest.raises(BadInput, match="majority@7/tiny"):
        catalog.resolve("tiny", n=7)
    with pytest.raises(BadInput, match="1 to 64"):
        catalog.resolve("team", n=65)


def test_listings_name_every_model_and_each_built_in_pipeline_once(catalog: Catalog) -> None:
    """Models first, in their order; the built-in pipelines are over the first of them, or the first two where one is
    too few, and every name resolves."""
    assert [info.id for info in catalog.listing()] == ["tiny", "Qwen/Qwen3-8B", "a+b", "team"]
    assert [info.kind for info in catalog.listing()] == ["fake", "fake", "fake", "pipeline"]
    built_in = [f"{spec.name}@{spec.n}" for spec in PIPELINES.values() if spec.listed and spec.fewest == 1]
    several = [f"{name}/tiny+Qwen/Qwen3-8B" for name in ("label-free@8", "cascade@3")]
    assert list(catalog.names()) == ["tiny", "Qwen/Qwen3-8B", "a+b", "team", *built_in, *several]
    for name in (*catalog.names(), *catalog.combinations()):
        assert catalog.resolve(name).name == name


def test_what_writes_together_is_listed_over_models_that_can() -> None:
    """Over the first two that can be asked token by token; not at all where there is one."""
    models = {name: Embedded("quorate-tiny-base", name=name) for name in ("a", "b", "c")}
    catalog = Catalog({"far": Texts("x", name="far"), **models})
    together = [f"{name}/a+b" for name in ENSEMBLES]
    assert list(catalog.names())[-len(together) :] == together
    for name in together:
        assert catalog.resolve(name).name == name
    alone = Catalog({"far": Texts("x", name="far"), "a": models["a"]}).names()
    assert not any(name.startswith("safe/") for name in alone)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("majority@4:tiny", "majority@4/tiny"),
        ("majority:tiny", "majority/tiny"),
        ("majority@4:self-moa@6:tiny", "majority@4/self-moa@6/tiny"),
        ("majority@4/self-moa@6:tiny", "majority@4/self-moa@6/tiny"),
        ("majority@4:Qwen/Qwen3-8B", "majority@4/Qwen/Qwen3-8B"),
        (" majority@4:tiny+tiny ", "majority@4/tiny+tiny"),
        ("majority@4", "majority@4"),
    ],
)
def test_a_colon_will_do_for_a_slash(catalog: Catalog, name: str, meant: str) -> None:
    assert catalog.resolve(name).name == meant
    assert catalog.resolve(name) is catalog.resolve(meant)


def test_a_colon_in_a_models_own_name_is_part_of_it() -> None:
    """As Ollama's names have one."""
    models: dict[str, Model] = {name: Texts("x", name=name) for name in ("qwen2.5:7b", "gate:7b")}
    catalog = Catalog(models)
    assert catalog.resolve("majority@4:qwen2.5:7b").name == "majority@4/qwen2.5:7b"
    assert catalog.resolve("gate:7b") is models["gate:7b"]
    assert catalog.resolve("majority@4:gate:7b").name == "majority@4/gate:7b"


def test_an_empty_catalogue_says_so() -> None:
    """No models yet, as while an upstream is down."""
    with pytest.raises(UnknownName, match="none"):
        Catalog().resolve("majority@4")


async def test_refresh_finds_models_that_came_up_later() -> None:
    """Discovery adds what is new and keeps what is known."""
    found = [Texts("x", name="new"), Texts("x", name="old")]

    async def discover() -> list[Model]:
        return list(found)

    old = Texts("x", name="old")
    catalog = Catalog({"old": old}, discover=discover)
    await catalog.refresh()
    assert list(catalog.models) == ["old", "new"]
    assert catalog.resolve("old") is old


def test_models_that_write_together_are_wrapped_as_one() -> None:
    """By whatever name they are reached, and built of the models themselves."""
    pytest.importorskip("tokenizers")
    models: Any = {each.name: each for each in (writer("bytes", 1), writer("spaces", 2))}
    inner: list[Model] = []

    def wrap(model: Model) -> Model:
        inner.append(model)
        return Texts("wrapped", name=model.name)

    catalog = Catalog(models).wrap_models(wrap)
    ensemble = catalog.resolve("safe/bytes-1+spaces-2")
    assert isinstance(ensemble, Texts)
    vote = pipeline(catalog, "majority@2/safe/bytes-1+spaces-2")
    assert vote.stage.models == (ensemble,)
    assert vote.name == "majority@2/safe/bytes-1+spaces-2"
    [safe] = [model for model in inner if isinstance(model, SAFE)]
    assert list(safe.models) == list(models.values())
    with pytest.raises(UnknownName):
        catalog.resolve("safe/bytes-1+nobody")


def test_wrapping_reaches_every_single_model_once() -> None:
    """Pipelines that share a model share its wrapper, nested ones too."""
    shared, inner = Texts("x", name="shared"), Texts("x", name="inner")
    nested = sample([sample(inner, n=2) | First(), shared], n=2) | First()
    wrapped: list[str] = []

    def wrap(model: Model) -> Model:
        wrapped.append(model.name)
        return Texts("wrapped", name=model.name)

    catalog = Catalog({"shared": shared}, {"nested": nested, "again": nested}).wrap_models(wrap)
    assert sorted(wrapped) == ["inner", "shared"]
    assert pipeline(catalog, "nested").stage.models[1] is catalog.resolve("shared")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("majorty@5/a/b", "no pipeline named 'majorty' (in 'majorty@5/a/b'); nearest of"),
        ("majorty@5/a/b", ": majority, "),
        ("majority@5/a/c", "no model or pipeline named 'a/c'"),
        ("majority@3/a/b+a/c", "no model or pipeline named 'a/c'"),
        ("a/c", "nearest of 21: a/b, "),
        ("majorty@5", "majority, "),
        ("adaptive@5/a/b", ": adaptive-consistency, "),
        ("majority@5/zzz", "`quorate models` or GET /v1/models lists all"),
    ],
)
def test_an_unknown_name_says_which_part_it_is(name: str, says: str) -> None:
    """The nearest three of many, and what lists all."""
    models: dict[str, Model] = {name: ScriptedModel(name=name) for name in ("a/b", *(f"m{i}" for i in range(20)))}
    catalog = Catalog(models)
    with pytest.raises(UnknownName) as caught:
        catalog.resolve(name)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 250


def test_wrapping_reaches_the_models_of_aggregators() -> None:
    """Judges, synthesizers, judges of meaning and writers of tests, of configured pipelines and of those by name."""
    models = {name: Texts("x", name=name) for name in ("m", "judge", "writer", "meaning", "tests")}
    vote = MajorityVote().with_grouping(JudgedGrouping(models["meaning"]))
    given: dict[str, Model] = {
        "knockout": sample(models["m"], n=3) | Knockout(models["judge"]),
        "council": sample(models["m"], n=3) | Council([models["judge"], models["m"]]),
        "fused": sample(models["m"], n=3) | SelfMoA(models["writer"]),
        "windows": self_moa_seq(SamplingStage((models["m"],), n=9), models["writer"], window=3),
        "fusion": fusion(SamplingStage((models["m"],), n=3), models["judge"], analyst=models["writer"]),
        "by meaning": sample(models["m"], n=3) | StructuredVote(vote, error_correlation=0.2),
        "programs": sample(models["m"], n=3) | ExecutionAgreement(TestWriter(models["tests"])),
    }
    wrapped = Catalog(dict(models), given).wrap_models(lambda model: Texts("wrapped", name=f"bank of {model.name}"))
    for name, graph in given.items():
        found = wrapped.resolve(name)
        assert isinstance(found, Graph)
        assert isinstance(graph, Graph)
        assert [model.name for model in found.parts] == [f"bank of {model.name}" for model in graph.parts]
    by_name = wrapped.resolve("usc@3/judge")
    assert isinstance(by_name, Graph)
    assert [model.name for model in by_name.parts] == ["bank of judge"]
