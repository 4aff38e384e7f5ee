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

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from quorate.orchestrator.errors import BadInput, ConfigError, UnknownName
from quorate.orchestrator.protocols import Model, StoppingRule
from quorate.orchestrator.types import Frozen, SamplingParams

from .catalog import MAX_SAMPLES, Catalog
from .models import MODEL_TYPES, ModelConfig, built_models, endpoint_by_default
from .recipes import RECIPES, STOPPING, TOGETHER, Composed, Parts
from .server_settings import ServerSettings

__all__ = ["Config", "load_config", "schema"]


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
    sampling: SamplingParams = SamplingParams()
    quorum: int | Annotated[float, Field(gt=0, lt=1)] | None = None
    """Good samples that will do, as a number or as a share of n; the others are cancelled after `grace`."""
    grace: float = Field(default=0.5, ge=0)
    """Seconds."""
    least: int = Field(default=1, ge=1)
    """With fewer good samples in the end there is an error instead of an answer."""
    sample_seconds: float | None = Field(default=None, gt=0)
    """For sampling; then the samples that there are go on to the aggregator."""
    aggregate_seconds: float | None = Field(default=None, gt=0)
    """For the aggregator; then the vote as it stands is the answer."""
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
            pipeline = recipe.build(parts).named(name).within(self.aggregate_seconds)
            limits = {"quorum": self.quorum, "grace": self.grace, "least": self.least, "seconds": self.sample_seconds}
            return pipeline.drawing(**limits)

    def _together(self, name: str, models: Sequence[Model]) -> Composed:
        recipe = TOGETHER[self.pipeline]
        for field in ("n", "wave", "stop", "aggregator", "quorum", "sample_seconds", "aggregate_seconds"):
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
            return {**value, "models": {k: endpoint_by_default(v) for k, v in value["models"].items()}}
        return value

    def catalog(self) -> Catalog:
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

    def _catalogue(self) -> Catalog:
        built = built_models(self.models)
        catalog = Catalog(dict(built), max_samples=self._max_samples)
        for name, config in self.pipelines.items():
            if name in built:
                raise ConfigError("a model has this name already", field=f"pipelines.{name}")
            models = [_named(built, used, f"pipelines.{name}.models") for used in config.models]
            aggregator = _named(built, config.aggregator, f"pipelines.{name}.aggregator") if config.aggregator else None
            built[name] = catalog.pipelines[name] = config.build(name, models, aggregator)
        return catalog


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
    errors = error.errors(include_url=False)
    # Of a value that may take several forms, the form was meant whose type it has.
    first = next((e for e in errors if not e["type"].endswith("_type")), errors[0])
    loc = [str(part) for part in first["loc"] if not _is_branch(part)]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return ConfigError(first["msg"] + more, file=path, line=_line(node, loc), field=".".join(loc) or None)


def _is_branch(part: int | str) -> bool:
    """Pydantic's name for one of several forms that a value may take."""
    return (
        part in MODEL_TYPES
        or part in ("int", "float")
        or str(part).startswith("constrained-")
        or (isinstance(part, str) and part.endswith("Config"))
    )


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
