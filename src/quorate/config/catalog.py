"""Names to models: what the command line, the server and the evals can be asked for.

A name is read thus: a model's or a configured pipeline's exact name first; else the part before the
first `/` is `PIPELINE[@N]` and the rest is read the same way again, or is several models joined by
`+`. So `majority@16/qwen`, `majority@4/self-moa@6/qwen`, `majority@16/qwen+llama`. A pipeline
without a model takes the first one there is. A colon will do in place of the slash, `majority@16:qwen`, for
clients that take what precedes a slash for a provider.

Nesting that could take more answers of single models than a graph may take is refused before anything is asked.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from quorate.aggregators.registry import (
    ENSEMBLES,
    GRAPHS,
    PIPELINES,
    SECTIONS,
    build_ensemble,
    build_graph,
    build_pipeline,
)
from quorate.aggregators.specs import BuiltIn, EnsembleSpec, GraphSpec, PipelineSpec
from quorate.orchestrator.errors import BadInput, UnknownModel
from quorate.orchestrator.graph import Graph, is_composed
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Model

from .models import PROVIDERS, PackageProviders

MAX_SAMPLES = 1024
"""Default bound on the candidates of one stage."""
REMEMBERED = 256
"""Names whose pipelines are kept: what they learn and remember serves the next question."""


@dataclass(frozen=True)
class CatalogEntry:
    """One model or configured pipeline as listings show it."""

    id: str
    kind: str
    """`embedded`, `endpoint`, `vllm`, `recorded`, `pipeline`, or the class of a model of your own."""


Discover = Callable[[], Awaitable[Iterable[Model]]]


@dataclass
class Catalog:
    """Every model and configured pipeline by name, in listing order; the first model is the default.

    Args:
        models: single models.
        pipelines: configured pipelines and other composed models.
        discover: finds further models, of a server that may be down now and up later.
        max_samples: bound on N.
    """

    models: dict[str, Model] = field(default_factory=dict)
    pipelines: dict[str, Model] = field(default_factory=dict)
    discover: Discover | None = None
    max_samples: int = MAX_SAMPLES
    missing: Callable[[str], Model | None] | None = field(default=None, init=False, repr=False, compare=False)
    """Makes what is configured and has not been built yet."""
    _resolved: dict[tuple[str, int | None], Model] = field(default_factory=dict, init=False, repr=False, compare=False)
    _ensemble: Callable[[str], Model] | None = field(default=None, repr=False, compare=False)
    """Makes what writes together from its name, where that takes other models than those here."""
    _providers: PackageProviders = field(default=PROVIDERS, repr=False, compare=False)

    def resolve(self, name: str, *, n: int | None = None) -> Model:
        """The model of this name, its sampling stage drawing n candidates if given.

        Raises:
            UnknownModel: with the names that exist.
            BadInput: n is impossible, or the model draws no samples.
        """
        key = self.normalize(name), n
        if (known := self._resolved.get(key)) is not None:
            return known
        model = self._resolve_with_n(*key)
        if len(self._resolved) >= REMEMBERED:
            self._resolved.pop(next(iter(self._resolved)))
        self._resolved[key] = model
        return model

    def normalize(self, name: str) -> str:
        """The name with a slash behind each built-in pipeline, where a colon may have stood."""
        name = name.strip()
        if name in self.models or name in self.pipelines:
            return name
        head = re.match(r"[^/:]+", name)
        if head is None or not _is_built_in(head[0]) or head.end() == len(name):
            return name
        return f"{head[0]}/{self.normalize(name[head.end() + 1 :])}"

    def _resolve_with_n(self, name: str, n: int | None) -> Model:
        model = self._resolve(name)
        if n is None:
            return model
        if not isinstance(model, Pipeline):
            what = "a graph that does not begin by sampling" if isinstance(model, Graph) else "a single model"
            raise BadInput(f"n={n} samples need a pipeline, and {name!r} is {what}: try majority@{n}/{name}")
        head, slash, rest = name.partition("/")
        self._check_n(n, name)
        return model.with_n(n).with_name(f"{head.partition('@')[0]}@{n}{slash}{rest}")

    def names(self) -> tuple[str, ...]:
        """Every name worth listing: models, configured pipelines, and each built-in one once.

        Those are over the default model, or over the first two that they can be over where one is too few.
        """
        return (*self.models, *self.pipelines, *(_FORMS if self.models else ()), *self._teams())

    def _teams(self) -> Iterable[str]:
        """Built-in pipelines over the first of the models that they can be over, where it takes several."""
        joined = {name: model for name, model in self.models.items() if "+" not in name}
        able = [name for name, model in joined.items() if "tokens" in model.identity.capabilities]
        for spec in _TEAMS:
            names = (able if isinstance(spec, EnsembleSpec) else list(joined))[: spec.fewest]
            if len(names) == spec.fewest:
                yield f"{_name_form(spec)}/{'+'.join(names)}"

    def combinations(self) -> tuple[str, ...]:
        """The built-in pipelines over each model."""
        return tuple(f"{form}/{model}" for model in self.models for form in _FORMS)

    def listing(self) -> list[CatalogEntry]:
        """The models, then the configured pipelines."""
        models = [CatalogEntry(name, model.identity.kind) for name, model in self.models.items()]
        return [*models, *(CatalogEntry(name, "pipeline") for name in self.pipelines)]

    async def refresh(self) -> None:
        """Looks again for models of a server.

        Raises:
            UpstreamError: the server does not tell.
        """
        if self.discover is not None:
            for model in await self.discover():
                self.models.setdefault(model.name, model)
            self._resolved.clear()

    def wrap_models(self, wrap: Callable[[Model], Model]) -> Catalog:
        """The same names over other models: `wrap` is applied to every single model, once each.

        Those are proposers, judges, synthesizers and whatever else answers, aggregators' own models included.
        Models that draw samples together, or with words of their own, are a single one in this, wrapped as a whole.
        """
        known: dict[int, Model] = {}

        def wrap_once(model: Model) -> Model:
            if is_composed(model):
                return model.map_models(wrap_once)
            if id(model) not in known:
                known[id(model)] = wrap(model)
            return known[id(model)]

        return Catalog(
            {name: wrap_once(model) for name, model in self.models.items()},
            {name: wrap_once(model) for name, model in self.pipelines.items()},
            self.discover,
            self.max_samples,
            _ensemble=lambda name: wrap_once(self.resolve(name)),
            _providers=PackageProviders(wrap),
        )

    async def aclose(self) -> None:
        """Closes every model."""
        for model in (*self.models.values(), *self.pipelines.values()):
            await model.aclose()

    def _resolve(self, name: str) -> Model:
        if (exact := self._exact(name)) is not None:
            return exact
        head, _, rest = name.partition("/")
        if head.partition("@")[0] in ENSEMBLES:
            return self._ensemble(name) if self._ensemble is not None else self._build_ensemble(name)
        spec, n = self._parse_head(head)
        if spec is None:
            raise self._unknown(name)
        models = self._proposers(rest) if rest else (self._default(name),)
        n = self._check_n(n or spec.n, name)
        build = build_graph if isinstance(spec, GraphSpec) else build_pipeline
        return build(spec.name, models, n=n, name=name, providers=self._providers)

    def _unknown(self, name: str) -> UnknownModel:
        """Says which part of a name is unknown: its pipeline, where a model or pipeline stands behind it."""
        head, _, rest = name.partition("/")
        kind, unknown, known = "model or pipeline", name, [*self.models, *self.pipelines]
        parts = [part for part in re.split(r"[/+]", rest) if part]
        if parts and any(_is_built_in(part) or self._exact(part) is not None for part in (rest, *parts)):
            kind, unknown, known = (
                "pipeline",
                head.partition("@")[0],
                [*self.pipelines, *PIPELINES, *GRAPHS, *ENSEMBLES],
            )
        elif "/" not in name:
            near = UnknownModel.find_nearest(name.partition("@")[0], [*PIPELINES, *GRAPHS, *ENSEMBLES])
            known += [built_in for built_in in near if built_in not in known]
        over = "".join(f"pipelines such as majority@16/{model}" for model in list(self.models)[:1])
        command = "`quorate models` or GET /v1/models"
        return UnknownModel(kind, unknown, known, more=over, within=name, listed_by=command)

    def _build_ensemble(self, name: str) -> Model:
        """Models that write together."""
        head, _, rest = name.partition("/")
        ensemble, at, count = head.partition("@")
        if at:
            vote = f"majority@{count or 16}/{ensemble}/{rest}"
            raise BadInput(f"{head!r}: models that write together give one answer; vote over several by {vote}")
        models = self._proposers(rest) if rest else (self._default(ensemble),)
        return build_ensemble(ensemble, models, name=name, providers=PROVIDERS)

    def _exact(self, name: str) -> Model | None:
        """A configured name, or a configured pipeline's with another N."""
        found = self._find_configured(name)
        if found is None and (match := re.fullmatch(r"(.+)@(\d+)", name)):
            pipeline = self._find_configured(match[1])
            if isinstance(pipeline, Pipeline):
                found = pipeline.with_n(self._check_n(int(match[2]), name)).with_name(name)
        return found

    def _find_configured(self, name: str) -> Model | None:
        found = self.models.get(name) or self.pipelines.get(name)
        return self.missing(name) if found is None and self.missing is not None else found

    def _proposers(self, rest: str) -> tuple[Model, ...]:
        head = rest.partition("/")[0]
        if self._exact(rest) is not None or _is_built_in(head):
            return (self._resolve(rest),)
        return tuple(self._resolve(part) for part in rest.split("+"))

    def _default(self, name: str) -> Model:
        if not self.models:
            raise UnknownModel("model for pipeline", name, ())
        return next(iter(self.models.values()))

    def _parse_head(self, head: str) -> tuple[PipelineSpec | GraphSpec | None, int | None]:
        """`PIPELINE[@N]` in parts."""
        pipeline, at, count = head.partition("@")
        spec = PIPELINES.get(pipeline) or GRAPHS.get(pipeline)
        if spec is None or not at:
            return spec, None
        if not (count.isascii() and count.isdecimal()) or int(count) < 1:
            raise BadInput(f"{head!r}: after @ comes a number of samples from 1 on, for example {pipeline}@16")
        return spec, int(count)

    def _check_n(self, n: int, name: str) -> int:
        if not 1 <= n <= self.max_samples:
            raise BadInput(f"{name!r}: n={n} samples, but this allows 1 to {self.max_samples}")
        return n


def _name_form(spec: BuiltIn) -> str:
    """A built-in pipeline's name with the number of samples that it draws where nothing is said."""
    return spec.name if isinstance(spec, EnsembleSpec) else f"{spec.name}@{spec.n}"


_LISTED = [spec for section in SECTIONS.values() for spec in section if spec.listed]
_FORMS = tuple(_name_form(spec) for spec in _LISTED if spec.fewest == 1)
_TEAMS = tuple(spec for spec in _LISTED if spec.fewest > 1)


def _is_built_in(head: str) -> bool:
    name = head.partition("@")[0]
    return any(name in known for known in (PIPELINES, GRAPHS, ENSEMBLES))
