"""The `models` of `quorate.yaml`: who answers, in what words and how patiently it is asked, and who stands in.

What builds a model is imported when it is built.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from quorate.agents.settings import BreakerPolicy, HedgePolicy, Rate, RetryPolicy, Timeouts
from quorate.aggregators.meaning.embedded import Embedder
from quorate.aggregators.specs import EmbedderConfig, VerifierConfig
from quorate.orchestrator.errors import BadInput, ConfigError, MissingExtra
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.identity import Price
from quorate.orchestrator.protocols import Model, Verifier
from quorate.orchestrator.types import SamplingParams

MODEL_TYPES = ("endpoint", "embedded", "vllm", "recorded", "prompted", "pool")


class PackageProviders:
    """What this package has for the entries of the registry; see `aggregators.specs.Providers`.

    Args:
        wrap: applied to every model that ships inside the package.
    """

    def __init__(self, wrap: Callable[[Model], Model] | None = None) -> None:
        self._wrap = wrap

    def shipped_model(self, name: str) -> Model | None:
        from quorate.agents.embedded import Embedded, list_embedded_models

        if name not in list_embedded_models():
            return None
        return Embedded(name) if self._wrap is None else self._wrap(Embedded(name))

    def verifier(self, config: VerifierConfig) -> Verifier:
        from quorate.agents.reward import RerankModel, RewardModel, ScoreModel, Scorer

        key = os.environ.get(config.key_env) if config.key_env else None
        if config.key_env and not key:
            raise BadInput(f"verifier: the environment variable {config.key_env} is not set")
        kinds: dict[str, type[Scorer]] = {"pooling": RewardModel, "score": ScoreModel, "rerank": RerankModel}
        return kinds[config.api](config.model, base_url=config.base_url, api_key=key)

    def embedder(self, config: EmbedderConfig) -> Embedder:
        from quorate.agents.embeddings import EmbeddingModel, LocalEmbedder

        if config.folder is not None:
            return LocalEmbedder(config.folder)
        if config.base_url is None or config.model is None:
            raise BadInput("embedder: give base_url and model, or folder")
        key = os.environ.get(config.key_env) if config.key_env else None
        if config.key_env and not key:
            raise BadInput(f"embedder: the environment variable {config.key_env} is not set")
        return EmbeddingModel(config.model, base_url=config.base_url, api_key=key)


PROVIDERS = PackageProviders()


@contextmanager
def at_field(field: str) -> Iterator[None]:
    """What is wrong inside is wrong with this field of the file, but for errors that say themselves what to do."""
    try:
        yield
    except BadInput as error:
        if isinstance(error, ConfigError | MissingExtra):
            raise
        raise ConfigError(str(error), field=field) from error


def _hedge(policy: HedgePolicy | None, model: Model) -> Model:
    from quorate.agents import Hedged

    return model if policy is None else Hedged(model, **dict(policy))


class _FallbackConfig(Frozen):
    fallback: tuple[str, ...] = ()
    """Models that stand in for this one where it fails, in this order."""


class EndpointConfig(_FallbackConfig):
    """Any OpenAI-compatible server."""

    type: Literal["endpoint"] = "endpoint"
    base_url: str
    model: str | None = None
    """As the server names it; the key in `models` if not given."""
    key_env: str | None = None
    """Environment variable that holds the API key; keys themselves never stand in the file."""
    key_file: Path | None = None
    """File that holds it instead, such as a mounted secret."""
    sampling: SamplingParams = SamplingParams()
    concurrency: int | None = Field(default=None, ge=1)
    """Most requests at once; without it, as many as the server is found to bear."""
    rate: Rate | None = None
    price: Price | None = None
    timeout: Timeouts | Annotated[float, Field(gt=0)] = 600.0
    """Seconds for one request, from sending to the last token; or each kind of timeout by its name."""
    retries: RetryPolicy | Annotated[int, Field(ge=0)] = RetryPolicy()
    """How often a request is tried again; or how, and how often in all."""
    breaker: BreakerPolicy = BreakerPolicy()
    hedge: HedgePolicy | None = None
    tokenizer: str | None = None
    """Folder or hub name of the model's tokenizer, for token-level ensembling; the server's own `root` if not given."""

    def build(self, name: str) -> Model:
        from quorate.agents.endpoint import Endpoint

        timeout, retries = self.timeout, self.retries
        endpoint = Endpoint(
            self.model or name,
            base_url=self.base_url,
            api_key=self._key(f"models.{name}"),
            name=name,
            sampling=self.sampling,
            concurrency=self.concurrency,
            rate=self.rate,
            price=self.price,
            timeouts=timeout if isinstance(timeout, Timeouts) else Timeouts(total=timeout),
            retries=retries if isinstance(retries, RetryPolicy) else RetryPolicy(attempts=retries + 1),
            breaker=self.breaker,
            tokenizer=self.tokenizer,
        )
        return _hedge(self.hedge, endpoint)

    def _key(self, where: str) -> str | None:
        if self.key_env and self.key_file:
            raise ConfigError("give key_env or key_file, not both", field=f"{where}.key_file")
        if self.key_env:
            if key := os.environ.get(self.key_env):
                return key
            raise ConfigError(f"the environment variable {self.key_env} is not set", field=f"{where}.key_env")
        if self.key_file is None:
            return None
        try:
            return self.key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            said = getattr(error, "strerror", None) or "not text"
            raise ConfigError(f"{self.key_file} cannot be read: {said}", field=f"{where}.key_file") from None


class EmbeddedConfig(_FallbackConfig):
    """A shipped or added model, or any folder with a causal language model, through transformers."""

    type: Literal["embedded"]
    model: str = "quorate-tiny-base"
    dtype: Literal["float32", "bfloat16"] | None = None
    """float32 for shipped models and folders, bfloat16 for added models if not given."""
    threads: int | None = Field(default=None, ge=1)
    """Torch's, for the whole process; half of the idle cores if not given."""
    max_batch: int | None = Field(default=None, ge=1)
    """Samples drawn at once; as many as fit into a quarter of the free memory if not given, 256 at most."""
    sampling: SamplingParams = SamplingParams()

    def build(self, name: str) -> Model:
        from quorate.agents import Embedded

        return Embedded(
            self.model,
            name=name,
            dtype=self.dtype,
            threads=self.threads,
            max_batch=self.max_batch,
            sampling=self.sampling,
        )


class VLLMConfig(_FallbackConfig):
    """A model in vLLM's engine, in this process."""

    type: Literal["vllm"]
    model: str
    sampling: SamplingParams = SamplingParams()
    engine: dict[str, Any] = Field(default_factory=dict)
    """vLLM's engine arguments, such as max_model_len or tensor_parallel_size."""

    def build(self, name: str) -> Model:
        from quorate.agents import VLLM

        return VLLM(self.model, name=name, sampling=self.sampling, **self.engine)


class RecordedConfig(_FallbackConfig):
    """Answers from a JSONL file."""

    type: Literal["recorded"]
    file: Path

    def build(self, name: str) -> Model:
        from quorate.agents import Recorded

        return Recorded(self.file, name=name)


class PromptedConfig(_FallbackConfig):
    """A model that is described under `models` too, with words of its own."""

    type: Literal["prompted"]
    model: str
    template: str | None = None
    """Text of a Jinja template that takes the place of the question (`{{ question }}`), or a file (`*.jinja`)."""
    system: str | None = None
    """Message before all others."""
    prefill: str | None = None
    """How the answer begins."""
    sampling: SamplingParams | None = None

    def build(self, name: str, models: tuple[Model, ...]) -> Model:
        from quorate.orchestrator.prompted import prompted

        return prompted(
            models[0], self.template, system=self.system, prefill=self.prefill, sampling=self.sampling, name=name
        )

    @property
    def members(self) -> tuple[str, ...]:
        return (self.model,)


class PoolConfig(_FallbackConfig):
    """Several servers of one model, each described under `models` too."""

    type: Literal["pool"]
    models: tuple[str, ...] = Field(min_length=2)
    balance: Literal["least-loaded", "round-robin"] = "least-loaded"
    hedge: HedgePolicy | None = None

    @model_validator(mode="after")
    def _no_twins(self) -> Self:
        if len(set(self.models)) < len(self.models):
            raise ValueError("a pool holds each model once")
        return self

    @property
    def members(self) -> tuple[str, ...]:
        return self.models

    def build(self, name: str, models: tuple[Model, ...]) -> Model:
        from quorate.agents import Pool, RoundRobin

        pool = (Pool if self.balance == "least-loaded" else RoundRobin)(models, name=name)
        return _hedge(self.hedge, pool)


def default_to_endpoint(value: Any) -> Any:
    if isinstance(value, dict) and "type" not in value:
        return {"type": "endpoint", **value}
    return value


ModelConfig = Annotated[
    EndpointConfig | EmbeddedConfig | VLLMConfig | RecordedConfig | PromptedConfig | PoolConfig,
    Field(discriminator="type"),
]


def build_models(described: Mapping[str, ModelConfig]) -> dict[str, Model]:
    """Every model, in the order of the file: members before pools and prompted models, stand-ins last.

    Raises:
        ConfigError: one names another that does not exist, or itself, or cannot be built; names the field.
    """
    built: dict[str, Model] = {}
    for name in described:
        _build_model(name, described, built, ())
    return {name: _with_stand_ins(name, config, built) for name, config in described.items()}


def _build_model(
    name: str, described: Mapping[str, ModelConfig], built: dict[str, Model], above: tuple[str, ...]
) -> Model:
    """One model, after those that it is made of."""
    if name in built:
        return built[name]
    config, at = described[name], f"models.{name}"
    if not isinstance(config, PromptedConfig | PoolConfig):
        with at_field(at):
            built[name] = config.build(name)
        return built[name]
    field = f"{at}.models" if isinstance(config, PoolConfig) else f"{at}.model"
    members = []
    for member in config.members:
        if member in (*above, name):
            raise ConfigError(f"it is made of itself: {' -> '.join((*above, name, member))}", field=field)
        if member not in described:
            raise ConfigError(_unknown(member, described), field=field)
        members.append(_build_model(member, described, built, (*above, name)))
    with at_field(at):
        built[name] = config.build(name, tuple(members))
    return built[name]


def _with_stand_ins(name: str, config: ModelConfig, built: Mapping[str, Model]) -> Model:
    if not config.fallback:
        return built[name]
    from quorate.agents import Fallback

    field = f"models.{name}.fallback"
    if name in config.fallback:
        raise ConfigError("a model cannot stand in for itself", field=field)
    for other in config.fallback:
        if other not in built:
            raise ConfigError(_unknown(other, built), field=field)
    return Fallback(built[name], *(built[other] for other in config.fallback), name=name)


def _unknown(name: str, known: Iterable[str]) -> str:
    return f"no model named {name!r} that can serve here; there is: {', '.join(known)}"
