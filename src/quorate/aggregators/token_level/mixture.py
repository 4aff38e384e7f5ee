"""How several distributions become one: GaC and UniTE, and what sharpens a mixture that is sure of nothing.

GaC (arXiv 2406.12585, section 3): the mean of the probabilities over the union of the vocabularies.
UniTE (arXiv 2410.03777, section 4): the union of every model's k likeliest tokens; a model without such a
token gives it the score of its first sub-token; a softmax over the union, then the mean.
Sharpening (SAFE, arXiv 2510.15346, section 3.3) where no token has half of the mass: the texts that go on
from a token of the drafter count for it, or the geometric mean takes the place of the arithmetic one.

What differs from these papers and their code: tokens are compared in bytes; all end tokens of a model
are one event; sums do not depend on the order of the models.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.tokens import Distribution

from .token_bytes import END, TokenBytes

SURE = 0.5
"""Sharpening has nothing to do where a token has this much."""
TINY = 1e-10
"""Stands for zero in a geometric mean."""


@dataclass(frozen=True, slots=True)
class NextTokenView:
    """What one model expects next."""

    token_bytes: TokenBytes
    distribution: Distribution
    weight: float
    """Its share; those of all views add up to 1."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Probabilities of keys."""

    keys: Sequence[bytes]
    """In rising order."""
    mass: Any
    """Float64 array of shape [keys]."""
    parts: Any
    """Each model's own probabilities, [models, keys], the drafter's first."""
    weights: Any
    """[models]"""
    whole: bool = False
    """Whether `parts` has all that every model says, by key, and not only its likeliest tokens."""

    def mass_of(self, key: bytes) -> float:
        """The mass of a key; 0 where it is in no model's."""
        place = self._find(key)
        return 0.0 if place is None else float(self.mass[place])

    def likeliest(self, favourite: bytes | None = None) -> bytes:
        """The key with most mass; the favourite if it has as much, else the first in the order of bytes."""
        place = int(self.mass.argmax())
        if favourite is not None and self.mass_of(favourite) >= self.mass[place]:
            return favourite
        return self.keys[place]

    def draw(self, uniform: float) -> bytes:
        """The key where the cumulative mass passes this share of the whole."""
        cumulative = self.mass.cumsum()
        place = int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
        return self.keys[min(place, len(self.keys) - 1)]

    def truncate(self, top_p: float, top_k: int) -> Mixture:
        """Only the likeliest keys: top-k first, then the smallest set that holds top-p of what is left."""
        order = np.argsort(-self.mass, kind="stable")
        kept = order[: top_k if top_k > 0 else len(order)]
        shares = self.mass[kept] / self.mass[kept].sum()
        kept = kept[: int(np.searchsorted(shares.cumsum() - shares, top_p, side="left")) or 1] if top_p < 1 else kept
        mass = np.zeros_like(self.mass)
        mass[kept] = self.mass[kept] / self.mass[kept].sum()
        return self.with_mass(mass)

    def restrict(self, allowed: Any) -> Mixture:
        """Without the keys that are not allowed, by a bool array of shape [keys]; all of it where none is."""
        mass = self.mass * allowed
        total = mass.sum()
        return self.with_mass(mass / total) if total > 0 else self

    def with_mass(self, mass: Any) -> Mixture:
        """The same keys with other probabilities."""
        return replace(self, mass=mass)

    def mass_of_prefix(self, prefix: bytes) -> float:
        """The mass of all keys that begin so."""
        start = bisect_left(self.keys, prefix)
        end = start
        while end < len(self.keys) and self.keys[end].startswith(prefix):
            end += 1
        return float(self.mass[start:end].sum())

    def _find(self, key: bytes) -> int | None:
        place = bisect_left(self.keys, key)
        return place if place < len(self.keys) and self.keys[place] == key else None


class BaseEnsemble(Protocol):
    """A base ensemble."""

    @property
    def name(self) -> str: ...

    def merge(self, views: Sequence[NextTokenView], temperature: float = 1.0) -> Mixture:
        """One distribution from those of all models, the drafter's first."""
        ...


def _average(keys: Sequence[bytes], parts: Any, views: Sequence[NextTokenView], *, whole: bool = False) -> Mixture:
    """Sums in an order that depends on the numbers alone, so that permuted models give the same to the last bit."""
    weights = np.array([view.weight for view in views])
    mass = np.sort(parts * weights[:, None], axis=0).sum(axis=0)
    return Mixture(keys, mass, parts, weights, whole)


@dataclass(frozen=True)
class UniTE:
    """The mean over the union of every model's k likeliest tokens."""

    k: int = 10

    name = "unite"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadInput(f"UniTE(k={self.k}): k must be at least 1")

    def merge(self, views: Sequence[NextTokenView], temperature: float = 1.0) -> Mixture:
        keys, parts = _score_union(views, self.k, temperature)
        parts = np.exp(parts - np.maximum(parts.max(axis=1, keepdims=True), -1e300))
        return _average(keys, parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-300), views)


_FLOOR = float(np.log(TINY))
"""Log-probability of what a model rules out."""


@dataclass(frozen=True)
class CrossMax:
    """The middle vote over the union of every model's k likeliest tokens, which no single one of three can force.

    Of CrossMax (arXiv 2408.05446, section 3) each model's scores are taken below its best, and of every token the
    middle one counts (of two models their mean); weights do not count. Its second step, each class below its best
    model, is left out: it would raise a token that all rule out to the level of one that all like, and a vocabulary
    has many of these.
    """

    k: int = 10

    name = "crossmax"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadInput(f"CrossMax(k={self.k}): k must be at least 1")

    def merge(self, views: Sequence[NextTokenView], temperature: float = 1.0) -> Mixture:
        keys, scores = _score_union(views, self.k, temperature)
        below = np.maximum(scores, _FLOOR)
        below = below - below.max(axis=1, keepdims=True)
        parts, middle = np.exp(below), np.exp(np.median(below, axis=0))
        weights = np.array([view.weight for view in views])
        return Mixture(keys, middle / middle.sum(), parts / parts.sum(axis=1, keepdims=True), weights)


class Weighting(Protocol):
    """Says how much each model counts at one token."""

    def weigh(self, views: Sequence[NextTokenView]) -> list[NextTokenView]:
        """The same views with other weights, which add up to 1."""
        ...


@dataclass(frozen=True)
class EntropyWeights:
    """Each model counts by its weight times exp(-entropy), so that the surer one leads (DaWin, arXiv 2410.03782)."""

    def weigh(self, views: Sequence[NextTokenView]) -> list[NextTokenView]:
        shares = [view.weight * math.exp(-entropy_of(view.distribution)) for view in views]
        total = math.fsum(shares)
        return [replace(view, weight=share / total) for view, share in zip(views, shares, strict=True)]


def entropy_of(distribution: Distribution) -> float:
    """Entropy in nats; of what is known, taken for the whole, where a server tells the likeliest few only."""
    row = distribution.row()
    logs = np.array([value for _, value in distribution.top(1 << 20)]) if row is None else row.astype(np.float64)
    shares = _softmax(logs, 1.0)
    return float(-(shares * np.log(np.maximum(shares, 1e-300))).sum())


def _score_union(views: Sequence[NextTokenView], k: int, temperature: float) -> tuple[list[bytes], Any]:
    """The keys of every model's k likeliest tokens, and each model's scores of all of them, [models, keys]."""
    found = {view.token_bytes.key_of(token) for view in views for token, _ in view.distribution.top(k)}
    keys = sorted(key for key in found if key is not None) or [END]
    return keys, np.array([[_score(key, view) for key in keys] for view in views]) / temperature


def _score(key: bytes, view: NextTokenView) -> float:
    logprob = view.token_bytes.logprob(key, view.distribution)
    if logprob is None:
        token = view.token_bytes.first_token_of(key)
        logprob = -np.inf if token is None else view.distribution.logprob(token)
    return logprob


class GaC:
    """The mean over the union of all vocabularies; of what is known where a server tells the best few only."""

    name = "gac"

    def __init__(self, k: int = 20) -> None:
        """`k`: tokens asked of a model that tells no more than the best few."""
        self.k = k
        self._unions: dict[tuple[int, ...], _VocabularyUnion] = {}

    def __repr__(self) -> str:
        return f"GaC(k={self.k})"

    def merge(self, views: Sequence[NextTokenView], temperature: float = 1.0) -> Mixture:
        rows = [view.distribution.row() for view in views]
        if any(row is None for row in rows):
            return self._merge_top(views, temperature)
        members = [view.token_bytes for view in views]
        name = tuple(map(id, members))
        if name not in self._unions:
            self._unions[name] = _VocabularyUnion(members)
        union = self._unions[name]
        parts = np.stack([union.spread(n, _softmax(row, temperature)) for n, row in enumerate(rows)])
        return _average(union.keys, parts, views, whole=True)

    def _merge_top(self, views: Sequence[NextTokenView], temperature: float) -> Mixture:
        found = {view.token_bytes.key_of(token) for view in views for token, _ in view.distribution.top(self.k)}
        keys = sorted(key for key in found if key is not None) or [END]
        parts = np.array([[_share(key, view) for key in keys] for view in views]) ** (1 / temperature)
        return _average(keys, parts / np.maximum(parts.sum(axis=1, keepdims=True), 1.0), views)


def _share(key: bytes, view: NextTokenView) -> float:
    logprob = view.token_bytes.logprob(key, view.distribution)
    return 0.0 if logprob is None else float(np.exp(logprob))


def _softmax(logprobs: Any, temperature: float) -> Any:
    scaled = logprobs.astype(np.float64) / temperature
    scaled = np.exp(scaled - scaled.max())
    return scaled / scaled.sum()


class _VocabularyUnion:
    """All keys of several vocabularies, and where each model's tokens stand among them."""

    def __init__(self, members: Sequence[TokenBytes]) -> None:
        self.members = tuple(members)  # keeps them alive, since the union is kept under their addresses
        self.keys: list[bytes] = sorted({key for member in members for key in member.keys if key is not None})
        places = {key: place for place, key in enumerate(self.keys)}
        nowhere = len(self.keys)
        self._maps = [np.array([nowhere if key is None else places[key] for key in member.keys]) for member in members]

    def spread(self, model: int, shares: Any) -> Any:
        """A model's probabilities by id as probabilities by key; tokens without a key are left out."""
        targets = self._maps[model][: len(shares)]
        return np.bincount(targets, weights=shares, minlength=len(self.keys) + 1)[:-1]


class Sharpening(Protocol):
    """Makes a mixture more sure where no token has half of its mass."""

    def sharpen(self, mixture: Mixture, drafter: TokenBytes) -> Mixture: ...


@dataclass(frozen=True)
class PrefixMass:
    """SAFE's heuristic: what goes on from a likely token of the drafter counts for it."""

    threshold: float = 0.1
    """Mass that a token of the drafter needs to gather more (lambda)."""

    def sharpen(self, mixture: Mixture, drafter: TokenBytes) -> Mixture:
        if mixture.mass.max() >= SURE:
            return mixture
        mass = mixture.mass.copy()
        for place in np.flatnonzero(mixture.mass > self.threshold).tolist():
            key = mixture.keys[place]
            if key != END and drafter.has_token(key):
                mass[place] = mixture.mass_of_prefix(key)
        return mixture.with_mass(mass / mass.sum())


@dataclass(frozen=True)
class Geometric:
    """The geometric mean, which lets a model that rules a token out keep it out."""

    def sharpen(self, mixture: Mixture, drafter: TokenBytes) -> Mixture:  # noqa: ARG002
        if mixture.mass.max() >= SURE:
            return mixture
        logs = np.log(np.maximum(mixture.parts, TINY)) * mixture.weights[:, None]
        mass = np.exp(np.sort(logs, axis=0).sum(axis=0))
        return mixture.with_mass(mass / mass.sum())
