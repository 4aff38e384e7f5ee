"""`quorate.yaml`: models, pipelines and the server's limits, checked before anything runs.

    models:
      qwen: {base_url: http://localhost:8000/v1, model: Qwen/Qwen3-8B, key_env: QWEN_KEY}
      tiny: {type: embedded, model: quorate-tiny-base}
    pipelines:
      team: {pipeline: majority, models: [qwen, tiny], n: 16}
      fused: {pipeline: self-moa, models: [qwen], n: 6, aggregator: qwen}
    server: {port: 8000}

A wrong field is reported with file, line and name. Edge of the room: it may import everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from quorate.server.settings import ServerSettings

from .catalogue import MAX_SAMPLES, Catalogue
from .errors import BadInput, ConfigError, MissingExtra, UnknownName
from .protocols import Model, StoppingRule
from .recipes import RECIPES, STOPPING, TOGETHER, Composed, Parts
from .types import Frozen, Sampling

__all__ = ["Config", "load_config", "schema"]


class RateConfig(Frozen):
    """At most so many requests in so many seconds; further ones wait."""

    requests: int = Field(ge=1)
    seconds: float = Field(default=1.0, gt=0)


class PriceConfig(Frozen):
    """Money for a million tokens."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


class EndpointConfig(Frozen):
    """Any OpenAI-compatible server."""

    type: Literal["endpoint"] = "endpoint"
    base_url: str
    model: str | None = None
    """As the server names it; the key in `models` if not given."""
    key_env: str | None = None
    """Environment variable that holds the API key; keys themselves never stand in the file."""
    key_file: Path | None = None
    """File that holds it instead, such as a mounted secret."""
    sampling: Sampling = Sampling()
    concurrency: int = Field(default=64, ge=1)
    rate: RateConfig | None = None
    price: PriceConfig | None = None
    timeout: float = Field(default=600.0, gt=0)
    """Seconds for one request, from sending to the last token."""
    retries: int = Field(default=3, ge=0)

    def build(self, name: str) -> Model:
        from quorate.agents.endpoint import Endpoint, Price, Rate, Retries, Timeouts

        key = self._key(f"models.{name}")
        return Endpoint(
            self.model or name,
            base_url=self.base_url,
            api_key=key,
            name=name,
            sampling=self.sampling,
            concurrency=self.concurrency,
            rate=Rate(**self.rate.model_dump()) if self.rate else None,
            price=Price(**self.price.model_dump()) if self.price else None,
            timeouts=Timeouts(total=self.timeout),
            retries=Retries(attempts=self.retries + 1),
        )

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


class EmbeddedConfig(Frozen):
    """A shipped model, or any folder with a causal language model, through transformers."""

    type: Literal["embedded"]
    model: str = "quorate-tiny-base"
    dtype: Literal["float32", "bfloat16"] = "float32"
    sampling: Sampling = Sampling()

    def build(self, name: str) -> Model:
        from quorate.agents import Embedded

        return Embedded(self.model, name=name, dtype=self.dtype, sampling=self.sampling)


class VLLMConfig(Frozen):
    """A model in vLLM's engine, in this process."""

    type: Literal["vllm"]
    model: str
    sampling: Sampling = Sampling()
    engine: dict[str, Any] = Field(default_factory=dict)
    """vLLM's engine arguments, such as max_model_len or tensor_parallel_size."""

    def build(self, name: str) -> Model:
        from quorate.agents import VLLM

        return VLLM(self.model, name=name, sampling=self.sampling, **self.engine)


class RecordedConfig(Frozen):
    """Answers from a JSONL file."""

    type: Literal["recorded"]
    file: Path

    def build(self, name: str) -> Model:
        from quorate.agents import Recorded

        return Recorded(self.file, name=name)


def _endpoint_by_default(value: Any) -> Any:
    return {"type": "endpoint", **value} if isinstance(value, dict) else value


ModelConfig = Annotated[
    EndpointConfig | EmbeddedConfig | VLLMConfig | RecordedConfig,
    Field(discriminator="type"),
]


def _one_of(names: Iterable[str]) -> Callable[[dict[str, Any]], None]:
    """Lists the names in the JSON schema, so that editors know them."""

    def enumerated(described: dict[str, Any]) -> None:
        described["enum"] = sorted(names)

    return enumerated


class StopConfig(Frozen):
    """When to stop sampling before n: a rule's name, and its options beside it."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    rule: str = Field(json_schema_extra=_one_of(STOPPING))

    def build(self) -> StoppingRule:
        if self.rule not in STOPPING:
            raise UnknownName("stopping rule", self.rule, STOPPING)
        recipe = STOPPING[self.rule]
        return recipe.build(recipe.checked(self.model_extra or {}))


class PipelineConfig(Frozen):
    """A sampling stage and how its candidates become one answer."""

    pipeline: str = Field(json_schema_extra=_one_of([*RECIPES, *TOGETHER]))
    """See `quorate aggregators`."""
    models: tuple[str, ...] = Field(min_length=1)
    """Names of models or of other pipelines."""
    n: int | None = Field(default=None, ge=1, le=MAX_SAMPLES)
    wave: int | None = Field(default=None, ge=1)
    stop: StopConfig | None = None
    sampling: Sampling = Sampling()
    aggregator: str | None = None
    """The model that judges or synthesizes; the first of `models` if not given."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the pipeline, as `quorate aggregators` lists them."""

    def build(self, name: str, models: Sequence[Model], aggregator: Model | None) -> Composed:
        """The pipeline.

        Raises:
            ConfigError: a pipeline, rule or option that does not exist or is impossible; names the field.
        """
        if self.pipeline in TOGETHER:
            return self._together(name, models)
        if self.pipeline not in RECIPES:
            known = UnknownName("pipeline", self.pipeline, [*RECIPES, *TOGETHER])
            raise ConfigError(str(known), field=f"pipelines.{name}.pipeline")
        recipe = RECIPES[self.pipeline]
        with _as_config_error(f"pipelines.{name}.options"):
            options = recipe.checked(self.options)
        with _as_config_error(f"pipelines.{name}.stop"):
            stop = self.stop.build() if self.stop else None
        n = self.n or recipe.n
        parts = Parts(tuple(models), n, options, helper=aggregator, stop=stop, wave=self.wave, sampling=self.sampling)
        with _as_config_error(f"pipelines.{name}"):
            return recipe.build(parts).named(name)

    def _together(self, name: str, models: Sequence[Model]) -> Composed:
        recipe = TOGETHER[self.pipeline]
        for field in ("n", "wave", "stop", "aggregator"):
            if getattr(self, field) is not None:
                raise ConfigError(
                    f"{self.pipeline} has none: models that write together draw no samples; put a vote over it",
                    field=f"pipelines.{name}.{field}",
                )
        with _as_config_error(f"pipelines.{name}.options"):
            options = recipe.checked(self.options)
        with _as_config_error(f"pipelines.{name}"):
            return recipe.build(Parts(tuple(models), 1, options, sampling=self.sampling)).named(name)


@contextmanager
def _as_config_error(field: str) -> Iterator[None]:
    try:
        yield
    except ConfigError:
        raise
    except BadInput as error:
        raise ConfigError(str(error), field=field) from error


class Config(Frozen):
    """The whole file."""

    models: dict[str, ModelConfig] = Field(min_length=1)
    pipelines: dict[str, PipelineConfig] = Field(default_factory=dict)
    server: ServerSettings = Field(default_factory=ServerSettings)

    _source: tuple[Path, yaml.Node] | None = PrivateAttr(default=None)
    """The file this was read from, for errors that show only when models are built."""

    @model_validator(mode="before")
    @classmethod
    def _default_types(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("models"), dict):
            return {**value, "models": {k: _endpoint_by_default(v) for k, v in value["models"].items()}}
        return value

    def catalogue(self) -> Catalogue:
        """The models and pipelines, built in the order of the file.

        Raises:
            ConfigError: a pipeline names something that does not exist (yet), or a key is missing.
        """
        try:
            return self._catalogue()
        except ConfigError as error:
            raise self._placed(error) from error

    @property
    def _max_samples(self) -> int:
        return self.server.max_samples if "max_samples" in self.server.model_fields_set else MAX_SAMPLES

    def _placed(self, error: ConfigError) -> ConfigError:
        if self._source is None or error.field is None or error.file is not None:
            return error
        path, node = self._source
        return ConfigError(error.message, file=path, line=_line(node, error.field.split(".")), field=error.field)

    def _catalogue(self) -> Catalogue:
        built: dict[str, Model] = {}
        for name, described in self.models.items():
            try:
                built[name] = described.build(name)
            except (ConfigError, UnknownName, MissingExtra):
                raise
            except BadInput as error:
                raise ConfigError(str(error), field=f"models.{name}") from error
        catalogue = Catalogue(dict(built), max_samples=self._max_samples)
        for name, config in self.pipelines.items():
            if name in built:
                raise ConfigError("a model has this name already", field=f"pipelines.{name}")
            models = [_named(built, used, f"pipelines.{name}.models") for used in config.models]
            aggregator = _named(built, config.aggregator, f"pipelines.{name}.aggregator") if config.aggregator else None
            built[name] = catalogue.pipelines[name] = config.build(name, models, aggregator)
        return catalogue


def _named(built: dict[str, Model], name: str, field: str) -> Model:
    if name not in built:
        raise ConfigError(f"no model or earlier pipeline named {name!r}; there is: {', '.join(built)}", field=field)
    return built[name]


def load_config(path: str | Path) -> Config:
    """Reads and checks a configuration file.

    Raises:
        ConfigError: naming file, line and field.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_duplicates(node, path)
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=path) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(f"is not YAML: {error.problem or error.context}", file=path, line=line) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"is not YAML: {' '.join(str(error).split())}", file=path) from error
    except RecursionError:
        raise ConfigError("cannot be read: it contains itself or is nested too deeply", file=path) from None
    if node is None:
        raise ConfigError("is empty; it needs at least 'models:'", file=path)
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise _first(error, node, path) from None
    config._source = (path, node)
    return config


def _first(error: ValidationError, node: yaml.Node, path: Path) -> ConfigError:
    first = error.errors(include_url=False)[0]
    loc = [str(part) for part in first["loc"] if part not in ("endpoint", "embedded", "vllm", "recorded")]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return ConfigError(first["msg"] + more, file=path, line=_line(node, loc), field=".".join(loc) or None)


def _line(node: yaml.Node, loc: list[str]) -> int:
    """Line of the deepest node on the way to a field."""
    line = node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
    return line


def _refuse_duplicates(node: yaml.Node | None, path: Path) -> None:
    """YAML's later duplicate silently wins; here it is an error."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise ConfigError("stands twice", file=path, line=key.start_mark.line + 1, field=name)
            seen.add(name)
            _refuse_duplicates(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, path)


def schema() -> dict[str, Any]:
    """JSON schema of the file, for editors (`quorate config-schema`)."""
    described = Config.model_json_schema()
    models = described["properties"]["models"]["additionalProperties"]
    models.pop("discriminator", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "quorate.yaml", **described}
