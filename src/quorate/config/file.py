"""`quorate.yaml`: models, pipelines and the server's limits, checked before anything runs.

    models:
      qwen: {base_url: http://localhost:8000/v1, model: Qwen/Qwen3-8B, key_env: QWEN_KEY}
      tiny: {type: embedded, model: quorate-tiny-base}
    pipelines:
      team: {pipeline: majority, models: [qwen, tiny], n: 16}
      fused: {pipeline: self-moa, models: [qwen], n: 6, aggregator_model: qwen}
    server: {port: 8000}

A wrong field is reported with file, line and name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, PrivateAttr, ValidationError, model_validator

from quorate.orchestrator.errors import BadInput, ConfigError, UnknownName
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Frozen

from .catalog import MAX_SAMPLES, Catalog
from .models import MODEL_TYPES, ModelConfig, build_models, default_to_endpoint
from .pipelines import PIPELINE_TAGS, AnyPipelineConfig
from .server_settings import ServerSettings

__all__ = ["Config", "load_config", "schema"]


class Config(Frozen):
    """The whole file."""

    models: dict[str, ModelConfig] = Field(min_length=1)
    pipelines: dict[str, AnyPipelineConfig] = Field(default_factory=dict)
    server: ServerSettings = Field(default_factory=ServerSettings)

    _source: tuple[Path, yaml.Node] | None = PrivateAttr(default=None)
    """The file this was read from, for errors that show only when models are built."""

    @model_validator(mode="before")
    @classmethod
    def _default_types(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("models"), dict):
            return {**value, "models": {k: default_to_endpoint(v) for k, v in value["models"].items()}}
        return value

    def catalog(self) -> Catalog:
        """The models and pipelines, in the order of the file.

        Raises:
            ConfigError: a pipeline names something that does not exist, or itself, or a key is missing.
        """
        try:
            return self._build()
        except ConfigError as error:
            raise self._place(error) from error

    @property
    def _max_samples(self) -> int:
        return self.server.max_samples if "max_samples" in self.server.model_fields_set else MAX_SAMPLES

    def _place(self, error: ConfigError) -> ConfigError:
        if self._source is None or error.field is None or error.file is not None:
            return error
        path, node = self._source
        return ConfigError(error.message, file=path, line=_line(node, error.field.split(".")), field=error.field)

    def _build(self) -> Catalog:
        models = build_models(self.models)
        for name in self.pipelines:
            if name in models:
                raise ConfigError("a model has this name already", field=f"pipelines.{name}")
        catalog = Catalog(dict(models), max_samples=self._max_samples)
        catalog.missing = building = _Building(self.pipelines, catalog)
        for name in self.pipelines:
            building(name)
        catalog.missing = None
        catalog.pipelines = {name: catalog.pipelines[name] for name in self.pipelines}
        return catalog


class _Building:
    """Builds each configured pipeline once, when it is first named."""

    def __init__(self, described: Mapping[str, AnyPipelineConfig], catalog: Catalog) -> None:
        self.described, self.catalog = described, catalog
        self.above: list[str] = []
        """The pipelines that are being built, each of which names the next."""

    def __call__(self, name: str) -> Model | None:
        """The pipeline of this name; None where none is configured.

        Raises:
            ConfigError: it names itself, directly or through others, or cannot be built.
        """
        if name in self.catalog.pipelines or name not in self.described:
            return self.catalog.pipelines.get(name)
        if name in self.above:
            ring = " -> ".join([*self.above[self.above.index(name) :], name])
            last = self.described[self.above[-1]]
            raise ConfigError(
                f"a pipeline cannot be made of itself: {ring}; let one of them name a model",
                field=f"pipelines.{self.above[-1]}.{last.where}",
            )
        self.above.append(name)
        model = self.described[name].build(name, self._find)
        self.above.pop()
        self.catalog.pipelines[name] = model
        return model

    def _find(self, name: str) -> Model:
        try:
            return self.catalog.resolve(name)
        except UnknownName:
            known = ", ".join([*self.catalog.models, *self.described])
            raise BadInput(
                f"no model or pipeline named {name!r}; there is: {known}, and PIPELINE@N/MODEL over each"
            ) from None


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
        or part in PIPELINE_TAGS
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
