"""Which answers say the same: canonical keys first, algebra where keys leave it open.

Policies, where people differ:

- Units. `18`, `$18` and `18 dollars` are one answer, unless answers of the same number name
  different units (`18 cm`, `18 m`): then each unit is a class, and the bare number another.
  Words that are no known unit (`18 apples`) are decoration.
- Names. `x = 5` and `5` likewise: one answer, unless there is a `y = 5` too.
- Per cent. `50%` goes with `50` if somebody answered that, else with `0.5`; so `50` and `0.5` are
  never one class.
- Rounding. A decimal of six or more significant digits equals the endless fraction or root that it
  rounds; `0.33` is not `1/3`.
- Order. It counts in brackets, not in a bare list or a set. `(1, 2)` is not `1, 2`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product

from .algebra import Algebra, shared_algebra
from .keys import MAX_LENGTH, Key, key_of
from .rationals import agrees

__all__ = ["MathEquivalence"]

MAX_PAIRS = 500
"""Pairs of different expressions, in sorted order, that are compared by algebra for one partition."""
MAX_CUT_OFF = 3
"""Questions that take too long, after which algebra is asked no more for one partition."""

Group = tuple[str, str, str]


class MathEquivalence:
    """Equivalence of short answers: numbers, fractions, percentages, units, intervals, letters, words, TeX.

    The classes are the connected components over sorted distinct keys, so they do not depend on the
    order of the answers. Equal keys and different numbers cost microseconds; only where an expression
    must be compared is math-verify asked, in a worker process of its own, for at most a second a pair.
    A pair that takes longer is not equivalent.

    Args:
        algebra: what decides on expressions; by default one that the whole process shares.
    """

    def __init__(self, algebra: Algebra | None = None) -> None:
        self._algebra = algebra

    @property
    def algebra(self) -> Algebra:
        return self._algebra or shared_algebra()

    async def classes(self, answers: Sequence[str]) -> list[int]:
        """See `protocols.Equivalence`; numbered by first appearance."""
        keys = [key_of(answer) for answer in answers]
        group_of = await self._groups(sorted(set(keys)))
        numbers: dict[Group, int] = {}
        return [numbers.setdefault(group_of[key], len(numbers)) for key in keys]

    async def same(self, a: str, b: str) -> bool:
        """Whether two answers are equivalent with no others around."""
        return len(set(await self.classes([a, b]))) == 1

    async def aclose(self) -> None:
        """Ends the worker process; the next question that needs it starts it again."""
        await self.algebra.aclose()

    async def _groups(self, keys: Sequence[Key]) -> dict[Key, Group]:
        values: dict[str, Key] = {}
        for key in keys:
            values.setdefault(key.value, key)
        partition = Partition(values)
        for a, b in _rounded_pairs(values.values()):
            partition.join(a.value, b.value)
        await self._join_expressions(values.values(), partition)
        return _with_percentages(_split_by_unit(keys, partition))

    async def _join_expressions(self, keys: Iterable[Key], partition: Partition) -> None:
        """Joins what algebra finds equivalent: expressions with each other and with exact values."""
        short = [key for key in keys if len(key.latex) <= MAX_LENGTH]
        maths = [key for key in short if key.kind == "maths"]
        exact = [key for key in short if key.kind == "exact"]
        if not maths or len(maths) + len(exact) < 2:
            return
        queries = _AlgebraQueries(self.algebra)
        maths = [key for key in maths if await queries.comparable(key)]
        pairs = [*combinations(maths, 2), *product(maths, exact)]
        for a, b in pairs[:MAX_PAIRS]:
            if not partition.are_joined(a.value, b.value) and await queries.same(a, b):
                partition.join(a.value, b.value)


class Partition:
    """A union-find whose representative is the smallest member: the classes do not depend on the order of joins."""

    def __init__(self, members: Iterable[str]) -> None:
        self._parent = {member: member for member in members}

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

    def __init__(self, algebra: Algebra) -> None:
        self._algebra = algebra
        self._cut_off = 0

    async def comparable(self, key: Key) -> bool:
        return self._open() and self._count(await self._algebra.comparable(key.latex))

    async def same(self, a: Key, b: Key) -> bool:
        return self._open() and self._count(await self._algebra.same(a.latex, b.latex))

    def _open(self) -> bool:
        return self._cut_off < MAX_CUT_OFF

    def _count(self, reply: bool | None) -> bool:
        self._cut_off += reply is None
        return bool(reply)


def _rounded_pairs(keys: Iterable[Key]) -> Iterator[tuple[Key, Key]]:
    numbers = [(key, number) for key in keys if (number := key.number) is not None]
    endless = [(key, number) for key, number in numbers if number.denominator not in (1, 2, 5)]
    return ((a, b) for a, exact in endless for b, rounded in numbers if agrees(exact, rounded))


def _split_by_unit(keys: Sequence[Key], partition: Partition) -> dict[Key, Group]:
    """Equal values, split where they name different units or different variables."""
    units: dict[str, set[str]] = defaultdict(set)
    names: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        root = partition.root(key.value)
        units[root] |= {key.unit} - {""}
        names[root] |= {key.name} - {""}

    def group(key: Key) -> Group:
        root = partition.root(key.value)
        return root, key.unit if len(units[root]) > 1 else "", key.name if len(names[root]) > 1 else ""

    return {key: group(key) for key in keys}


def _with_percentages(groups: dict[Key, Group]) -> dict[Key, Group]:
    """`p%` joins p/100 where nobody answered p alone."""
    bare = {key.value: group for key, group in groups.items() if not key.unit}
    percentages = {key: key.number / 100 for key in groups if key.unit == "%" and key.number is not None}
    moved = {
        groups[key]: bare[str(share)]
        for key, share in percentages.items()
        if key.value not in bare and str(share) in bare
    }
    return {key: moved.get(group, group) for key, group in groups.items()}
