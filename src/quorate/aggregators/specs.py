"""What the registry knows of each pipeline, ensemble and stopping rule.

An entry stands beside its class, and `registry` collects the modules that have some:

    PIPELINES = (
        PipelineSpec("run-off", "a second round ...", "arXiv 2302.02300, section 3", 16, lambda context: RunOff()),
    )
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Literal, Protocol, TypeVar

from pydantic import Field, ValidationError

from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.frozen import Frozen, first_fault
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.pipeline import Pipeline, Sampling, pipeline
from quorate.orchestrator.protocols import Aggregator, Model, StoppingRule, Verifier
from quorate.orchestrator.types import SamplingParams

from .meaning.embedded import Embedder


class Options(Frozen):
    """Parameters of an entry beyond the number of samples: all have defaults and are documented."""


class VerifierConfig(Frozen):
    """A scoring endpoint."""

    base_url: str
    model: str
    key_env: str | None = None
    """Environment variable that holds the API key."""
    api: Literal["pooling", "score", "rerank"] = "pooling"
    """`pooling` for reward models on vLLM; `score` and `rerank` for models of pairs of texts."""


class EmbedderConfig(Frozen):
    """Who turns texts into vectors: an endpoint's `/v1/embeddings`, or a folder of transformers."""

    base_url: str | None = None
    model: str | None = None
    key_env: str | None = None
    """Environment variable that holds the API key."""
    folder: str | None = None
    """Of an encoder on this machine, instead of an endpoint."""


class VerifierOptions(Options):
    """Who scores."""

    verifier: VerifierConfig | None = None
    """A pipeline by its bare name has none, and says so when it is built."""
    concurrency: int = Field(default=16, ge=1)
    """Scores at a time."""

    def open_verifier(self, name: str, context: BuildContext) -> Verifier:
        if self.verifier is None:
            raise BadInput(
                f"{name} needs a reward model: configure it in quorate.yaml as "
                f"{{pipeline: {name}, models: [...], options: {{verifier: {{base_url: ..., model: ...}}}}}}"
            )
        return context.providers.verifier(self.verifier)


class Providers(Protocol):
    """What an entry may need that is no aggregator; the configuration has it."""

    def shipped_model(self, name: str) -> Model | None:
        """A model that ships inside the package; None where it does not."""
        ...

    def verifier(self, config: VerifierConfig) -> Verifier:
        """A reward model's endpoint.

        Raises:
            BadInput: it cannot be had, such as without its key.
        """
        ...

    def embedder(self, config: EmbedderConfig) -> Embedder:
        """An embedder of texts.

        Raises:
            BadInput: it cannot be had.
        """
        ...


class _NoProviders:
    """Nothing but aggregators is at hand."""

    def shipped_model(self, name: str) -> Model | None:  # noqa: ARG002
        return None

    def verifier(self, config: VerifierConfig) -> Verifier:
        raise BadInput(f"no scoring endpoints are at hand here, such as {config.model} at {config.base_url}")

    def embedder(self, config: EmbedderConfig) -> Embedder:
        raise BadInput(f"no embedders are at hand here, such as {config.folder or config.base_url}")


@dataclass(frozen=True)
class BuildContext:
    """What an entry is built from."""

    models: tuple[Model, ...]
    """The proposers."""
    n: int = 1
    """Candidates."""
    options: Any = field(default_factory=Options)
    """An instance of the entry's own `options` class."""
    _: KW_ONLY
    aggregator_model: Model | None = None
    """The model that judges or synthesizes, where one was named."""
    stop: StoppingRule | None = None
    wave: int | None = None
    sampling: SamplingParams = field(default_factory=SamplingParams)
    vote: Callable[[], Aggregator]
    """Makes the vote that stands in where an aggregator fails."""
    name: str | None = None
    """How what is built is called; a name made of its parts, if not given."""
    providers: Providers = field(default_factory=_NoProviders)
    pipelines: Mapping[str, PipelineSpec] = field(default_factory=dict)
    """By name, for entries that are made of others."""
    rules: Mapping[str, StoppingSpec] = field(default_factory=dict)

    @property
    def writer(self) -> Model:
        """The model that judges or synthesizes: the first proposer where none was named."""
        return self.aggregator_model or self.models[0]

    def sample(self, *, stop: StoppingRule | None = None, top_logprobs: int | None = None) -> Sampling:
        """The sampling stage.

        Args:
            stop: the entry's own rule; one that was given wins over it.
            top_logprobs: that the aggregator needs of each token.
        """
        sampling = self.sampling
        if top_logprobs is not None:
            sampling = sampling.over(SamplingParams(top_logprobs=top_logprobs))
        return Sampling(self.models, n=self.n, stop=self.stop or stop, wave=self.wave, sampling=sampling)

    def narrowed(self, models: Sequence[Model], n: int, *, top_logprobs: int | None = None) -> BuildContext:
        """The same for a part with these models and so many candidates, whose name it makes itself.

        Args:
            models, n: of the part.
            top_logprobs: that is needed of each token.
        """
        sampling = self.sampling
        if top_logprobs is not None:
            sampling = sampling.over(SamplingParams(top_logprobs=top_logprobs))
        return replace(self, models=tuple(models), n=n, sampling=sampling, name=None)

    def of_another(self, spec: PipelineSpec, options: Mapping[str, Any]) -> Pipeline:
        """The pipeline of another entry over the same models."""
        return spec.build_pipeline(replace(self, options=spec.check_options(options), name=None))


@dataclass(frozen=True)
class _Spec:
    """What all entries have."""

    name: str
    summary: str
    source: str
    """Paper, with section."""
    _: KW_ONLY
    options: type[Options] = Options
    """Its parameters."""

    def check_options(self, given: Mapping[str, Any]) -> Options:
        """The options, validated.

        Raises:
            BadInput: an option is unknown or impossible; names it.
        """
        try:
            return self.options.model_validate(dict(given))
        except ValidationError as error:
            where, words = first_fault(error)
            known = ", ".join(self.options.model_fields) or "none"
            raise BadInput(f"{self.name}: option {where!r}: {words}; its options: {known}") from None


@dataclass(frozen=True)
class _ModelSpec(_Spec):
    """What answers over models."""

    _: KW_ONLY
    listed: bool = True
    """False where it must be configured (with a reward model, say), so that its bare name gives nothing."""
    fewest: int = 1
    """Models from which on it is more than one alone."""


@dataclass(frozen=True)
class PipelineSpec(_ModelSpec):
    """A pipeline that exists over any model."""

    n: int
    """Candidates where nothing is said."""
    build: Callable[[BuildContext], Aggregator | Pipeline]
    """Gives the aggregator where a plain sampling stage goes before it, else the whole pipeline."""

    def build_pipeline(self, context: BuildContext) -> Pipeline:
        """The pipeline.

        Raises:
            BadInput: it cannot be built from these parts; says what is missing.
        """
        made = self.build(context)
        if not isinstance(made, Pipeline):
            return pipeline(context.sample(), made, name=context.name)
        return made if context.name is None else made.with_name(context.name)

    def build_aggregator(self, context: BuildContext) -> Aggregator:
        """The aggregator alone, for candidates that come from elsewhere.

        Raises:
            BadInput: the pipeline is more than one stage of samples and an aggregator.
        """
        made = self.build(context)
        if not isinstance(made, Pipeline):
            return made
        if len(made.nodes) > 2:
            raise BadInput(f"{self.name} is no single aggregator but a graph of {', '.join(made.nodes)}")
        return made.aggregator


@dataclass(frozen=True)
class GraphSpec(_ModelSpec):
    """A graph over several models that begins otherwise than by sampling."""

    n: int
    """Candidates of a model where nothing is said."""
    build: Callable[[BuildContext], Graph]
    _: KW_ONLY
    fewest: int = 2

    def build_graph(self, context: BuildContext) -> Graph:
        """The graph.

        Raises:
            BadInput: it cannot be built from these parts; says what is missing.
        """
        made = self.build(context)
        return made if context.name is None else made.with_name(context.name)


@dataclass(frozen=True)
class EnsembleSpec(_ModelSpec):
    """Models that write one answer together: no samples, so no number of them, no stopping rule, no aggregator."""

    build: Callable[[BuildContext], Model]
    """From models, sampling settings, options and the name; the rest of the context is refused before."""
    _: KW_ONLY
    fewest: int = 2
    most: int | None = None
    """Models that it takes at most; None of one that takes any number."""


BuiltIn = PipelineSpec | GraphSpec | EnsembleSpec
"""What answers over models, by a name of the registry."""


@dataclass(frozen=True)
class StoppingSpec(_Spec):
    """A stopping rule."""

    build: Callable[[Any], StoppingRule]
    """From an instance of `options`."""
    _: KW_ONLY
    vote: str | None = None
    """What a majority vote that stops by it does, where there is a pipeline of the rule's name."""

    def build_rule(self, given: Mapping[str, Any]) -> StoppingRule:
        """The rule with these options.

        Raises:
            BadInput: an option is unknown or impossible; names it.
        """
        return self.build(self.check_options(given))


S = TypeVar("S", bound=_Spec)


def find_spec(kind: str, name: str, known: Mapping[str, S]) -> S:
    """The entry of this name.

    Raises:
        UnknownName: with the names that exist.
    """
    if name not in known:
        raise UnknownName(kind, name, known)
    return known[name]
