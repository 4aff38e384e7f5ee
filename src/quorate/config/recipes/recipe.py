"""What a built-in pipeline is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import ValidationError

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Model, StoppingRule
from quorate.orchestrator.sampling import SamplingStage
from quorate.orchestrator.types import Frozen, SamplingParams

__all__ = ["Composed", "Options", "Parts", "Recipe", "StopRecipe", "TokenRecipe"]


class Options(Frozen):
    """A recipe's parameters beyond the number of samples: all have defaults and are documented."""


@dataclass(frozen=True)
class Parts:
    """What a recipe has at hand."""

    models: tuple[Model, ...]
    """The proposers."""
    n: int
    """Candidates."""
    options: Any = field(default_factory=Options)
    """An instance of the recipe's own `options` class."""
    helper: Model | None = None
    """The model that judges or synthesizes; the first proposer if not given."""
    stop: StoppingRule | None = None
    wave: int | None = None
    sampling: SamplingParams = field(default_factory=SamplingParams)

    @property
    def aggregator(self) -> Model:
        return self.helper or self.models[0]

    def sample(self, stop: StoppingRule | None = None) -> SamplingStage:
        """The sampling stage; a rule given in the configuration wins over the recipe's."""
        return SamplingStage(self.models, n=self.n, stop=self.stop or stop, wave=self.wave, sampling=self.sampling)


@dataclass(frozen=True)
class Recipe:
    """A pipeline that exists over any model."""

    name: str
    summary: str
    source: str
    """Paper, with section."""
    n: int
    """Candidates where nothing is said."""
    build: Callable[[Parts], Pipeline]
    options: type[Options] = Options
    listed: bool = True
    """False where it must be configured (with a reward model, say), so that its bare name gives nothing."""

    def checked(self, given: dict[str, Any]) -> Options:
        """The options, validated.

        Raises:
            BadInput: an option is unknown or impossible; names it.
        """
        return _checked(self, given)


class Composed(Model, Protocol):
    """A model made of models: a pipeline, or an ensemble that writes token by token."""

    def named(self, name: str) -> Composed:
        """The same under another name."""
        ...


@dataclass(frozen=True)
class TokenRecipe:
    """Models that write one answer together: no samples, so no number of them, no stopping rule, no aggregator."""

    name: str
    summary: str
    source: str
    """Paper, with section."""
    build: Callable[[Parts], Composed]
    """From models, sampling settings and options; the rest of the parts is refused before."""
    options: type[Options] = Options

    def checked(self, given: dict[str, Any]) -> Options:
        """See `Recipe.checked`."""
        return _checked(self, given)


@dataclass(frozen=True)
class StopRecipe:
    """A stopping rule by name."""

    name: str
    summary: str
    source: str
    build: Callable[[Any], StoppingRule]
    """From an instance of `options`."""
    options: type[Options] = Options

    def checked(self, given: dict[str, Any]) -> Options:
        """See `Recipe.checked`."""
        return _checked(self, given)


def _checked(recipe: Recipe | StopRecipe | TokenRecipe, given: dict[str, Any]) -> Options:
    try:
        return recipe.options.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        known = ", ".join(recipe.options.model_fields) or "none"
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{recipe.name}: option {where!r}: {first['msg']}; its options: {known}") from None
