"""Dates and quantities: which of those in a text is its answer, and which of them are one."""

# ruff: noqa: SIM905 - lists of words are read as text
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import partial

from ..equivalence.mathematics import Partition
from .evidence import Evidence, Reading, share
from .form import QuestionForm
from .spans import Date, Quantity, find_dates, find_quantities
from .texts import FUNCTION_WORDS, stem, words_of

_ROUGHLY = frozenset(
    "exactly roughly approximately around nearly almost circa ca only total altogether old long percent degrees".split()
)


def read_measures(texts: Sequence[Evidence], form: QuestionForm) -> Reading | None:
    """Dates or quantities."""
    dated = [bool(t.dates) for t in texts]
    counted = [bool(t.quantities) for t in texts]
    is_date = [t.short and bool(t.dates) and _is_pure(t, form) for t in texts]
    is_number = [t.short and bool(t.quantities) and not t.dates and _is_pure(t, form) for t in texts]
    if form.date and share(dated) >= 0.5 and not form.number:
        return _choose_dates(texts, form)
    if form.number and share([a or (b and not f) for a, b, f in zip(counted, dated, counted, strict=True)]) >= 0.5:
        return _choose_quantities(texts, form)
    if form.prose and not form.name and max(share(is_date), share(is_number)) < 0.5:
        return None
    if share(is_date) >= 0.34 and share(dated) >= 0.7:
        return _choose_dates(texts, form)
    if share(is_number) >= 0.34 and share([a or b for a, b in zip(counted, dated, strict=True)]) >= 0.7:
        return _choose_quantities(texts, form)
    return None


def _is_pure(text: Evidence, form: QuestionForm) -> bool:
    """Nothing but dates or numbers, and words of the question."""
    told = " ".join([*(d.text for d in text.dates), *(q.text for q in text.quantities)])
    told_words = {*words_of(told), *(w for q in text.quantities for w in [q.noun])}
    return not any(
        w not in told_words
        and stem(w) not in told_words
        and w not in FUNCTION_WORDS
        and w not in _ROUGHLY
        and not w[0].isdigit()
        and stem(w) not in form.stems
        for w in text.said.first_words
    )


def _choose_dates(texts: Sequence[Evidence], form: QuestionForm) -> Reading:
    asked = {d.key for d in find_dates(form.last)}
    offered = [[d for d in t.dates if d.key not in asked] or t.dates for t in texts]
    support: Counter[tuple[int | None, int | None, int | None]] = Counter()
    for dates in offered:
        for key in {d.key for d in dates}:
            support[key] += 1
    keys = sorted(support, key=repr)
    backing = {k: sum(any(_agree(k, d.key) for d in dates) for dates in offered) for k in keys}

    def rank(text: Evidence, date: Date) -> tuple[float, ...]:
        alone = len(offered[texts.index(text)]) == 1
        return (
            -alone,
            text.is_aside(date.start),
            -backing[date.key],
            -sum(p is not None for p in date.key),
            date.start,
        )

    chosen: list[Date | None] = []
    for t, dates in zip(texts, offered, strict=True):
        ranked = sorted(dates, key=partial(rank, t))
        chosen.append(ranked[0] if ranked else None)
    present = sorted({d.key for d in chosen if d is not None}, key=lambda k: (-sum(p is not None for p in k), repr(k)))
    numbers: dict[tuple[int | None, int | None, int | None], int] = {}
    for key in present:
        above = {numbers[k] for k in numbers if _agree(k, key)}
        numbers[key] = above.pop() if len(above) == 1 else len(present) + len(numbers)
    return Reading(
        "date", tuple(d.text if d else None for d in chosen), tuple(numbers[d.key] if d else None for d in chosen)
    )


def _agree(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True)) and any(
        a is not None and b is not None for a, b in zip(one, other, strict=True)
    )


def _choose_quantities(texts: Sequence[Evidence], form: QuestionForm) -> Reading:
    asked = {q.value for q in find_quantities(form.last)}
    offered = [[q for q in t.quantities if q.value not in asked] or t.quantities for t in texts]
    flat = sorted({(q.value, q.error, q.dimension, q.number) for quantities in offered for q in quantities})
    partition = Partition(map(str, range(len(flat))))
    for i, one in enumerate(flat):
        for j, other in enumerate(flat[:i]):
            if _close(one, other):
                partition.join(str(i), str(j))
    root = {key: partition.root(str(i)) for i, key in enumerate(flat)}
    backing = Counter(
        r for quantities in offered for r in {root[q.value, q.error, q.dimension, q.number] for q in quantities}
    )
    short = Counter(
        root[q.value, q.error, q.dimension, q.number]
        for t, quantities in zip(texts, offered, strict=True)
        if t.short and len(quantities) == 1
        for q in quantities
    )

    def rank(text: Evidence, first: Sequence[Quantity], q: Quantity) -> tuple[float, ...]:
        r = root[q.value, q.error, q.dimension, q.number]
        named = q.noun in form.stems and q.noun != ""
        return (
            text.is_aside(q.start),
            -(1.5 * named + 1.0 * (short[r] > 0) + backing[r] / len(texts) + 0.6 * (q is first[0])),
            q.start,
        )

    chosen: list[Quantity | None] = []
    for t, quantities in zip(texts, offered, strict=True):
        ranked = sorted(quantities, key=partial(rank, t, quantities[:1]))
        chosen.append(ranked[0] if ranked else None)
    roots = sorted({root[q.value, q.error, q.dimension, q.number] for q in chosen if q})
    return Reading(
        "number",
        tuple(q.text if q else None for q in chosen),
        tuple(roots.index(root[q.value, q.error, q.dimension, q.number]) if q else None for q in chosen),
    )


_Measure = tuple[Fraction, Fraction, str, Fraction]


def _close(one: _Measure, other: _Measure) -> bool:
    """Equal in the unit that both have, or as bare numbers where one has none; a decimal is as exact as it is told."""
    (a, e, d, raw), (b, f, g, other_raw) = one, other
    if d == g:
        return abs(a - b) <= e + f
    return (not d or not g) and raw == other_raw
