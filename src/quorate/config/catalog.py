"""Names to models: what the command line, the server and the evals can be asked for.

A name is read thus: a model's or a configured pipeline's exact name first; else the part before the
first `/` is `PIPELINE[@N]` and the rest is read the same way again, or is several models joined by
`+`. So `majority@16/qwen`, `majority@4/self-moa@6/qwen`, `majority@16/qwen+llama`. A pipeline
without a model takes the first one there is.

Edge of the room: it may import everything, and does so when a pipeline is built.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Model

from .recipes import RECIPES, TOGETHER, Composed, Parts, Recipe

__all__ = ["MAX_SAMPLES", "Catalog", "ModelInfo"]

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
    pipelines: tuple[str, ...] = ()
    """Names of the built-in pipelines over it."""


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
    _resolved: dict[tuple[str, int | None], Model] = field(default_factory=dict, init=False, repr=False, compare=False)
    _ensemble: Callable[[str], Model] | None = field(default=None, repr=False, compare=False)
    """Makes what writes together from its name, where that takes other models than those here."""

    def resolve(self, name: str, *, n: int | None = None) -> Model:
        """The model of this name, its sampling stage drawing n candidates if given.

        Raises:
            UnknownName: with the names that exist.
            BadInput: n is impossible, or the model draws no samples.
        """
        key = name.strip(), n
        if (known := self._resolved.get(key)) is not None:
            return known
        model = self._sized(*key)
        if len(self._resolved) >= REMEMBERED:
            self._resolved.pop(next(iter(self._resolved)))
        self._resolved[key] = model
        return model

    def _sized(self, name: str, n: int | None) -> Model:
        model = self._resolve(name)
        if n is None:
            return model
        if not isinstance(model, Pipeline):
            raise BadInput(f"n={n} samples need a pipeline, and {name!r} is a single model: try majority@{n}/{name}")
        head, slash, rest = name.partition("/")
        return model.sized(self._checked(n, name)).named(f"{head.partition('@')[0]}@{n}{slash}{rest}")

    def names(self) -> tuple[str, ...]:
        """Every name worth listing."""
        built_in = [name for info in self.listing() for name in info.pipelines]
        return (*self.models, *self.pipelines, *built_in)

    def listing(self) -> list[CatalogEntry]:
        """The models, then the configured pipelines."""
        models = [CatalogEntry(name, _kind(m), self._pipelines_over(name)) for name, m in self.models.items()]
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

    def wrapped(self, wrap: Callable[[Model], Model]) -> Catalog:
        """The same names over other models: `wrap` is applied to every single model, once each.

        Models that write together are a single one in this: it is wrapped as a whole, and not they.
        """
        models = {name: wrap(model) for name, model in self.models.items()}
        known = {id(self.models[name]): wrapper for name, wrapper in models.items()}

        def over(model: Model) -> Model:
            if isinstance(model, Pipeline):
                return model.over(over)
            return known.setdefault(id(model), wrap(model)) if id(model) not in known else known[id(model)]

        pipelines = {name: over(model) for name, model in self.pipelines.items()}
        return Catalog(
            models, pipelines, self.discover, self.max_samples, _ensemble=lambda name: over(self.resolve(name))
        )

    async def aclose(self) -> None:
        for model in (*self.models.values(), *self.pipelines.values()):
            close = getattr(model, "aclose", None)
            if close is not None:
                await close()

    def _resolve(self, name: str) -> Model:
        if (exact := self._exact(name)) is not None:
            return exact
        head, _, rest = name.partition("/")
        if head.partition("@")[0] in TOGETHER:
            return self._ensemble(name) if self._ensemble is not None else self._together(head, rest).named(name)
        recipe, n = self._stage(head)
        if recipe is None:
            raise UnknownName("model or pipeline", name, self.names())
        models = self._proposers(rest) if rest else (self._default(name),)
        parts = Parts(models, self._checked(n or recipe.n, name), recipe.options())
        return recipe.build(parts).named(name)

    def _together(self, head: str, rest: str) -> Composed:
        """Models that write together."""
        together, at, count = head.partition("@")
        if at:
            vote = f"majority@{count or 16}/{together}/{rest}"
            raise BadInput(f"{head!r}: models that write together give one answer; vote over several by {vote}")
        recipe = TOGETHER[together]
        models = self._proposers(rest) if rest else (self._default(together),)
        return recipe.build(Parts(models, 1, recipe.options()))

    def _exact(self, name: str) -> Model | None:
        """A configured name, or a configured pipeline's with another N."""
        found = self.models.get(name) or self.pipelines.get(name)
        if found is None and (match := re.fullmatch(r"(.+)@(\d+)", name)):
            configured = self.pipelines.get(match[1])
            if isinstance(configured, Pipeline):
                found = configured.sized(self._checked(int(match[2]), name)).named(name)
        return found

    def _proposers(self, rest: str) -> tuple[Model, ...]:
        head = rest.partition("/")[0]
        composed = head.partition("@")[0] in TOGETHER or self._stage(head)[0] is not None
        if self._exact(rest) is not None or composed:
            return (self._resolve(rest),)
        return tuple(self._resolve(part) for part in rest.split("+"))

    def _default(self, name: str) -> Model:
        if not self.models:
            raise UnknownName("model for pipeline", name, ())
        return next(iter(self.models.values()))

    def _stage(self, head: str) -> tuple[Recipe | None, int | None]:
        """`PIPELINE[@N]` in parts."""
        pipeline, at, count = head.partition("@")
        recipe = RECIPES.get(pipeline)
        if recipe is None or not at:
            return recipe, None
        if not (count.isascii() and count.isdecimal()) or int(count) < 1:
            raise BadInput(f"{head!r}: after @ comes a number of samples from 1 on, for example {pipeline}@16")
        return recipe, int(count)

    def _checked(self, n: int, name: str) -> int:
        if not 1 <= n <= self.max_samples:
            raise BadInput(f"{name!r}: n={n} samples, but this allows 1 to {self.max_samples}")
        return n

    @staticmethod
    def _pipelines_over(name: str) -> tuple[str, ...]:
        return tuple(f"{recipe.name}@{recipe.n}/{name}" for recipe in RECIPES.values() if recipe.listed)


def _kind(model: Model) -> str:
    return str(getattr(model, "kind", type(model).__name__.lower()))
