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

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel, Field, PrivateAttr, Tag, ValidationError, model_validator

from quorate.agents.settings import RetryPolicy, Timeouts
from quorate.orchestrator.errors import BadInput, ConfigError, UnknownName
from quorate.orchestrator.frozen import UNKNOWN, Frozen, explain_fault
from quorate.orchestrator.protocols import Model

from .catalog import MAX_SAMPLES, Catalog
from .models import MODEL_TYPES, ModelConfig, build_models, default_to_endpoint
from .pipelines import PIPELINE_TAGS, AnyPipelineConfig
from .server_settings import ServerSettings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MOST_CHARACTERS = 2**20
"""Of the file; a second's reading."""
MOST_VALUES = 100_000
"""Of the file, an alias counted as what it names: ten lines of aliases can stand for a billion."""


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
            raise BadInput(f"a pipeline cannot be made of itself: {ring}; let one of them name a model")
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
        text = _read_text(path)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _check_node(node, path, {})
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot be read: {told}", file=path) from error
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


def _read_text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        text = file.read(MOST_CHARACTERS + 1)
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"is longer than the {MOST_CHARACTERS} characters of a configuration", file=path)
    return text


def _first(error: ValidationError, node: yaml.Node, path: Path) -> ConfigError:
    errors = error.errors(include_url=False)
    # A field that is misspelled is why another one is missing. Of a value that may take several forms, the form was
    # meant whose type it has.
    misspelled = (e for e in errors if e["type"] == "extra_forbidden")
    first = next(misspelled, None) or next((e for e in errors if not e["type"].endswith("_type")), errors[0])
    loc = _place(first)
    # Where one form of a value is wrong inside, it is not said as well that the value has not the other form.
    places = {place for e in errors if (place := tuple(_place(e))) != tuple(loc)[: len(place)]}
    more = f" (and {len(places)} more mistake{'s' * (len(places) > 1)})" if places else ""
    message = " or ".join(dict.fromkeys(_words(e) for e in errors if _place(e) == loc))
    loc = [part for part in loc if part != "[key]"]
    return ConfigError(message + more, file=path, line=_line(node, loc), field=".".join(loc) or None)


def _place(error: ErrorDetails) -> list[str]:
    return [str(part) for part in error["loc"] if not _is_branch(part)]


def _words(error: ErrorDetails) -> str:
    """What is wrong, in words for those who write YAML."""
    if error["type"] == "extra_forbidden":
        return f"{UNKNOWN}; there is: {', '.join(_fields_at(error['loc'][:-1]))}"
    if error["loc"][-1:] == ("[key]",):
        return "a name must be text: put it in quotes"
    return explain_fault(error)


def _fields_at(loc: Sequence[int | str]) -> list[str]:
    """The fields that there are at a place."""
    forms: list[tuple[str, type[BaseModel]]] = [("", Config)]
    for part in loc:
        if branch := [form for form in forms if part in _branches(*form)]:
            forms = branch
        elif found := [form.model_fields[part].annotation for _, form in forms if part in form.model_fields]:
            forms = [leaf for annotation in found for leaf in _leaves(annotation)]
    return sorted({info.alias or name for _, form in forms[:1] for name, info in form.model_fields.items()})


def _branches(tag: str, form: type[BaseModel]) -> tuple[str, ...]:
    """What pydantic calls this form where a value may have several."""
    kind = form.model_fields.get("type")
    return (*get_args(kind.annotation), form.__name__) if kind is not None else (tag, form.__name__)


def _leaves(annotation: Any, tag: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The models that a value may be, each with its tag."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield tag, annotation
    for inner in get_args(annotation):
        tags = [more.tag for more in getattr(inner, "__metadata__", ()) if isinstance(more, Tag)]
        yield from _leaves(inner, tags[0] if tags else tag)


def _is_branch(part: int | str) -> bool:
    """Pydantic's name for one of several forms that a value may take."""
    return (
        part in MODEL_TYPES
        or part in PIPELINE_TAGS
        or part in ("int", "float", "str", Timeouts.__name__, RetryPolicy.__name__)
        or str(part).startswith(("constrained-", "tuple["))
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


def _check_node(node: yaml.Node | None, path: Path, sizes: dict[int, int]) -> int:
    """How many values there are once every alias is what it names; each node is looked at once.

    Raises:
        ConfigError: a field stands twice (YAML's later one silently wins), or there are more than MOST_VALUES.
        RecursionError: it contains itself.
    """
    if node is None:
        return 0
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise RecursionError
        return sizes[id(node)]
    sizes[id(node)] = 0
    size, seen = 1, set[str]()
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise ConfigError("stands twice", file=path, line=key.start_mark.line + 1, field=name)
            seen.add(name)
            size += _check_node(value, path, sizes)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_check_node(item, path, sizes) for item in node.value)
    if size > MOST_VALUES:
        line = node.start_mark.line + 1
        raise ConfigError(f"has more than {MOST_VALUES} values, with all that its aliases repeat", file=path, line=line)
    sizes[id(node)] = size
    return size


def schema() -> dict[str, Any]:
    """JSON schema of the file, for editors (`quorate config-schema`)."""
    described = Config.model_json_schema()
    models = described["properties"]["models"]["additionalProperties"]
    models.pop("discriminator", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "quorate.yaml", **described}
