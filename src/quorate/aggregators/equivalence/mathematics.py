"""Which answers say the same: canonical keys first, algebra where keys leave it open.

Policies, where people differ:

- Units. Equal quantities are one answer (`5 m`, `500 cm`), different ones never (`5 kW`, `5 MW`; `20°C`, `20°F`).
  A bare number belongs to the quantity that has it, `18` to `$18`, unless several quantities have it (`18 cm`, `18 m`),
  or the quantity has several such numbers (`5` and `500`).
- Words. Some make another quantity of the same number: `3 May`, `3 June`; `5 east`, `5 west`; a gain and a loss. Others
  name what is counted: `5 boys`, `5 girls` and `5 kg` differ, but where somebody answers `5`, the number is what was
  asked, and such words are decoration.
- Names. `x = 5` and `5` likewise: one answer, unless there is a `y = 5` too.
- Per cent. `50%` goes with `50` if somebody answered that, else with `0.5`; so `50` and `0.5` are
  never one class.
- Scales. `100k` goes with `100000` if somebody answered that; alone its k may be a variable.
- Rounding. A decimal of six or more significant digits equals the endless fraction or irrational that it
  rounds; `0.33` is not `1/3`. Everything else is exact, however small: 1/20! is not 1/52!.
- Numbers of other places. `1 234`, `12'500`, `１２`, `1.234,56`, `0,75` and `3,5 kg` are read as they are meant; `1,2`
  alone is a list, `2 3` no number.
- Angles. `60°` goes with `60` if somebody answered that, else with pi/3.
- Case. `X^2 + 1` is `x^2 + 1`, but where an answer has both letters they are two: `M/(M+m)` is not 1/2.
- Order. It counts in brackets, not in a bare list or a set. `(1, 2)` is not `1, 2`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import combinations, product
from typing import Self

from quorate.orchestrator.reading import Equivalence

from .algebra import Algebra, shared_algebra
from .keys import MAX_LENGTH, Key, key_of
from .rationals import agrees
from .units import POUND_WEIGHT, factor_and_dimension

__all__ = ["MathEquivalence", "undecided_answers"]

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,14}")
MAX_PAIRS = 500
"""Pairs of different expressions, in sorted order, that are compared by algebra for one partition."""
MAX_CUT_OFF = 3
"""Questions that take too long, after which algebra is asked no more for one partition."""

Group = tuple[str, ...]


class MathEquivalence:
    """Equivalence of short answers: numbers, fractions, percentages, units, intervals, letters, words, TeX.

    The classes are the connected components over sorted distinct keys, so they do not depend on the
    order of the answers. Equal keys and different numbers cost microseconds; only where an expression
    must be compared is computer algebra asked, in a worker process of its own, for at most a second a pair.
    A pair that takes longer is not equivalent; see `undecided`.

    Args:
        algebra: what decides on expressions; by default one that the whole process shares.
        caller: whose answers they are; callers take turns at the workers.
    """

    def __init__(self, algebra: Algebra | None = None, caller: Hashable = None) -> None:
        self._algebra, self._caller = algebra, caller
        self.undecided: frozenset[str] = frozenset()
        """Answers of the last partition that may be equivalent to others of it, but that took too long to compare."""

    def for_caller(self, caller: str) -> Self:
        """The same for one vote of a caller; without a name the vote is a caller of its own."""
        bound = copy(self)
        bound._caller, bound.undecided = caller or object(), frozenset()
        return bound

    @property
    def algebra(self) -> Algebra:
        return self._algebra or shared_algebra()

    async def classes(self, answers: Sequence[str]) -> list[int]:
        """See `protocols.Equivalence`; numbered by first appearance."""
        self.undecided = frozenset()
        if all(_WHOLE.fullmatch(answer) for answer in answers):  # as most are: equal where they are spelt alike
            spelt: dict[str, int] = {}
            return [spelt.setdefault(answer, len(spelt)) for answer in answers]
        keys = [key_of(answer) for answer in answers]
        group_of, open_values = await self._groups(sorted(set(keys)))
        if open_values:
            self.undecided = frozenset(a for a, key in zip(answers, keys, strict=True) if key.value in open_values)
        numbers: dict[Group, int] = {}
        return [numbers.setdefault(group_of[key], len(numbers)) for key in keys]

    async def same(self, a: str, b: str) -> bool:
        """Whether two answers are equivalent with no others around."""
        return len(set(await self.classes([a, b]))) == 1

    async def aclose(self) -> None:
        """Ends the worker process; the next question that needs it starts it again."""
        await self.algebra.aclose()

    async def _groups(self, keys: Sequence[Key]) -> tuple[dict[Key, Group], set[str]]:
        """Each key's class, and the values of those that could not be compared with all others."""
        values: dict[str, Key] = {}
        for key in keys:
            values.setdefault(key.value, key)
        is_expression = any(key.kind == "maths" for key in keys)
        for reading in (key_of(key.reading) for key in keys if key.reading):
            if is_expression or reading.kind == "exact":
                values.setdefault(reading.value, reading)
        partition = Partition(values)
        for a, b in _rounded_pairs(values.values()):
            partition.join(a.value, b.value)
        given = {key.value for key in keys}
        for key in keys:
            if key.reading and not key.unit and (value := key_of(key.reading).value) in given:
                partition.join(key.value, value)
        open_values = await self._join_expressions(values.values(), partition)
        return _Quantities(keys, partition).groups(), open_values

    async def _join_expressions(self, keys: Iterable[Key], partition: Partition) -> set[str]:
        """Joins what algebra finds equivalent: expressions with each other and with exact values.

        Returns the values of which it is not known whether they should have been joined.
        """
        short = [key for key in keys if len(key.latex) <= MAX_LENGTH]
        maths = [key for key in short if key.kind == "maths"]
        exact = [key for key in short if key.kind == "exact" or (key.kind == "words" and len(key.value) == 1)]
        if not maths or len(maths) + len(exact) < 2:
            return set()
        queries = _AlgebraQueries(self.algebra, self._caller)
        maths = [key for key in maths if await queries.comparable(key)]
        pairs = [*combinations(maths, 2), *product(maths, exact)]
        for a, b in pairs[:MAX_PAIRS]:
            if not partition.are_joined(a.value, b.value) and await queries.same(a, b):
                partition.join(a.value, b.value)
        return queries.open | {key.value for pair in pairs[MAX_PAIRS:] for key in pair}


def undecided_answers(equivalence: Equivalence) -> frozenset[str]:
    """Those of the last partition; none where an equivalence does not compute."""
    return equivalence.undecided if isinstance(equivalence, MathEquivalence) else frozenset()


class Partition:
    """A union-find whose representative is the smallest member: the classes do not depend on the order of joins."""

    def __init__(self, members: Iterable[str]) -> None:
        self._parent = {member: member for member in members}

    def __contains__(self, member: str) -> bool:
        return member in self._parent

    def root(self, member: str) -> str:
        while self._parent[member] != member:
            self._parent[member] = self._parent[self._parent[member]]
            member = self._parent[member]
        return member

    def join(self, a: str, b: str) -> None:
        low, high = sorted((self.root(a), self.root(b)))
        self._parent[high] = low

    def are_joined(self, a: str, b: str) -> bool:
        return self.root(a) == self.root(b)


class _AlgebraQueries:
    """Questions to algebra for one partition; none are asked after too many were cut off."""

    def __init__(self, algebra: Algebra, caller: Hashable) -> None:
        self._algebra, self._caller = algebra, caller
        self._cut_off = 0
        self.open: set[str] = set()
        """Values about which something was asked that has no answer."""

    async def comparable(self, key: Key) -> bool:
        return self._note(await self._algebra.comparable(key.latex, self._caller) if self._patient else None, key)

    async def same(self, a: Key, b: Key) -> bool:
        return self._note(await self._algebra.same(a.latex, b.latex, self._caller) if self._patient else None, a, b)

    @property
    def _patient(self) -> bool:
        return self._cut_off < MAX_CUT_OFF

    def _note(self, reply: bool | None, *keys: Key) -> bool:
        if reply is None:
            self._cut_off += 1
            self.open |= {key.value for key in keys}
        return bool(reply)


def _rounded_pairs(keys: Iterable[Key]) -> Iterator[tuple[Key, Key]]:
    numbers = [(key, number) for key in keys if (number := key.number) is not None]
    endless = [(key, number) for key, number in numbers if number.denominator not in (1, 2, 5)]
    return ((a, b) for a, exact in endless for b, rounded in numbers if agrees(exact, rounded))


class _Quantities:
    """Classes of keys by their values, with what the keys say about them.

    A value with a unit is a quantity; equal quantities are one class, whatever their units. A bare value belongs to the
    quantity that has it, where exactly one has, and that one has no other bare value. Then senses, labels and names
    split what is left.
    """

    def __init__(self, keys: Sequence[Key], partition: Partition) -> None:
        self._keys, self._partition = keys, partition
        self._numbers = {partition.root(key.value): number for key in keys if (number := key.number) is not None}
        dimensions = {factor_and_dimension(key.unit)[1] for key in keys if key.unit}
        self._pound = "1 gbp" if "kg" not in dimensions else POUND_WEIGHT

    def groups(self) -> dict[Key, Group]:
        """Each key's class."""
        quantity_of = {key: self._quantity(key) for key in self._keys}
        groups = self._with_bare_values(quantity_of)
        for split in (_senses, _labels, _names):
            groups = split(groups)
        return groups

    def _quantity(self, key: Key) -> Group:
        root = self._partition.root(key.value)
        if not key.unit:
            return (root,)
        factor, dimension = factor_and_dimension(self._pound if key.unit == "1 pound" else key.unit)
        number = self._numbers.get(root)
        return (root, str(factor), dimension) if number is None else (str(number * factor), dimension)

    def _with_bare_values(self, quantity_of: Mapping[Key, Group]) -> dict[Key, Group]:
        bare = {quantity_of[key] for key in self._keys if not (key.unit or key.label)}
        claims: dict[Group, set[Group]] = defaultdict(set)
        readings: dict[Group, set[Group]] = defaultdict(set)
        for key in self._keys:
            if key.unit:
                root = (self._partition.root(key.value),)
                claims[quantity_of[key]] |= {root} & bare
                if key.reading and (value := key_of(key.reading).value) in self._partition:
                    readings[quantity_of[key]] |= {(self._partition.root(value),)} & bare
        for quantity, values in readings.items():
            claims[quantity] = claims[quantity] or values
        claimed = Counter(value for values in claims.values() for value in values)
        moved: dict[Group, Group] = {}
        for quantity, values in claims.items():
            only = next(iter(values)) if len(values) == 1 else None
            if only is not None and (claimed[only] == 1 or only in readings[quantity]):
                moved[quantity] = only
        return {key: moved.get(group, group) for key, group in quantity_of.items()}


def _split(groups: Mapping[Key, Group], part_of: Callable[[Key], str]) -> dict[Key, Group]:
    """Splits each class whose keys say different things; those that say nothing are then a class of their own."""
    said: dict[Group, set[str]] = defaultdict(set)
    for key, group in groups.items():
        said[group] |= {part_of(key)} - {""}
    return {key: (*group, part_of(key)) if len(said[group]) > 1 else group for key, group in groups.items()}


def _senses(groups: Mapping[Key, Group]) -> dict[Key, Group]:
    return _split(groups, lambda key: key.sense)


def _names(groups: Mapping[Key, Group]) -> dict[Key, Group]:
    return _split(groups, lambda key: key.name)


def _labels(groups: Mapping[Key, Group]) -> dict[Key, Group]:
    """Splits classes of `5 boys` and `5 girls`, but not where somebody answers 5: then the number is what was asked."""
    labels: dict[Group, set[str]] = defaultdict(set)
    for key, group in groups.items():
        labels[group].add(key.label)
    roots: dict[tuple[Group, str], str] = {}
    for group, present in labels.items():
        counted = Partition(present)
        for a, b in combinations(sorted(present), 2):
            if "" in present or set(a.split()) <= set(b.split()) or set(b.split()) <= set(a.split()):
                counted.join(a, b)
        roots |= {(group, label): counted.root(label) for label in present}
    return {key: (*group, "of", roots[group, key.label]) for key, group in groups.items()}
