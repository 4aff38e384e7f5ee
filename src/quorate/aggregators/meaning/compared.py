"""One of two things that the question names, by what the answers say of which is more or less."""

# ruff: noqa: SIM905 - lists of words are read as text
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .evidence import ARTICLES, SHORT, Evidence, Reading, share, stems_of
from .form import QuestionForm
from .texts import FUNCTION_WORDS, stem, words_of

_SAME = re.compile(
    r"\b(?:(?:the )?same|equal(?:ly|s)?|neither|identical(?:ly)?|both (?:are|weigh|have|cost|take|travel"
    r"|fall|hit|land|arrive|were|of)|no difference|a? ?(?:tie|draw)|as \w+ as)\b",
    re.I,
)

_HIGH = frozenset(
    stem(w)
    for w in """
    large larger largest big bigger biggest great greater greatest heavy heavier heaviest old older oldest fast
    faster fastest
    tall taller tallest long longer longest high higher highest more most strong stronger strongest hot hotter
    hottest warm warmer
    warmest wide wider widest deep deeper deepest far farther further rich richer bright brighter loud louder hard
    harder hardest thick
    thicker expensive late later latest after newer new newest many dense denser quicker quick quickest outweigh
    outweighs exceed exceeds
    followed""".split()
)

_LOW = frozenset(
    stem(w)
    for w in """
    small smaller smallest little less least light lighter lightest young younger youngest slow slower slowest short
    shorter
    shortest low lower lowest fewer few weak weaker cold colder coldest cool cooler narrow narrower shallow
    shallower near nearer close closer poor
    poorer dark darker quiet quieter soft softer thin thinner cheap cheaper cheapest early earlier earliest before
    first preceded precedes predates
    predate""".split()
)

_BETWEEN_SIDES = re.compile(
    r"\bbetween\s([^,?]{2,60}?)\sand\s([^,?]{2,60}?)(?=[,?]|\s(?:which|who|what|is)\b|$)", re.IGNORECASE
)

_EITHER_SIDES = re.compile(
    r"(?:[,:]|\b(?:than|is|are|was|were|of|between|first|faster|larger|more|do|does|use|prefer|as|in|a|an"
    r"|the)\b)?\s*([^,:?]+?),?\s+or\s+([^,?.;]+)",
    re.IGNORECASE,
)


def read_compared(texts: Sequence[Evidence], form: QuestionForm) -> Reading | None:
    """One of two things that the question names, or neither."""
    sides = _alternatives(form)
    if len(sides) < 2:
        return None
    wanted = _direction(form.words)
    answers = [_side(t, sides, wanted) for t in texts]
    told = share([a is not None for a in answers])
    plain = share([t.short for t in texts])
    if told < 0.6 or (form.prose and not plain and told < 1 and wanted is None) or (wanted is None and form.prose):
        return None
    numbers = {a: i for i, a in enumerate(sorted({a for a in answers if a}))}
    return Reading("name", tuple(answers), tuple(None if a is None else numbers[a] for a in answers))


def _alternatives(form: QuestionForm) -> dict[str, tuple[str, ...]]:
    """Names of the two things, each with the stems that tell it from the other."""
    match = _BETWEEN_SIDES.search(form.last) or _EITHER_SIDES.search(
        re.sub(r",\s(?:who|which|that)\s[^,?]*", "", form.last)
    )
    if match is None:
        return {}
    right = words_of(match[2])
    left = words_of(match[1])
    while right and right[0] in ARTICLES:
        right = right[1:]
    if not right:
        return {}
    content_right = [w for w in right if w not in FUNCTION_WORDS][: max(1, SHORT)]
    content_left = [w for w in left if w not in FUNCTION_WORDS]
    if not content_left or not content_right:
        return {}
    content_left = content_left[-len(content_right) :]
    one, other = stems_of(content_left), stems_of(content_right)
    own_one = tuple(w for w in one if w not in other)
    own_other = tuple(w for w in other if w not in one)
    if not own_one or not own_other:
        return {}
    return {" ".join(content_left): own_one, " ".join(content_right): own_other}


def _direction(words: Sequence[str]) -> int | None:
    for w in words:
        if stem(w) in _HIGH:
            return 1
        if stem(w) in _LOW:
            return -1
    return None


def _side(text: Evidence, sides: Mapping[str, tuple[str, ...]], wanted: int | None) -> str | None:
    if _SAME.search(text.said.lead) and not re.search(r"\bthan\b", text.said.lead):
        return "the same"
    lead = text.lead_stems
    stems = [s for s, _ in lead]
    places = {}
    for name, own in sides.items():
        at = [stems.index(w) for w in own if w in stems]
        if at:
            places[name] = min(at)
    if not places:
        return None
    order = sorted(places, key=lambda name: places[name])
    first = order[0]
    if len(order) == 1:
        return first
    clause = re.split(r"[.;]\s|\s(?:because|since)\s", text.lead)[-1 if re.search(r"\bso\b", text.lead) else 0]
    words = words_of(clause)
    pivot = next(
        (
            i
            for i, w in enumerate(words)
            if w in ("than", "before", "after", "precedes", "preceded", "predates", "outweighs")
        ),
        None,
    )
    if pivot is not None and wanted is not None:
        window = words[max(0, pivot - 4) : pivot + 1]
        said = next((d for w in reversed(window) if (d := _direction([w])) is not None), None)
        if said is not None and said != wanted and any(stem(w) in _words_of_sides(sides) for w in words[pivot + 1 :]):
            return order[1] if order else None
    return first


def _words_of_sides(sides: Mapping[str, tuple[str, ...]]) -> set[str]:
    return {w for own in sides.values() for w in own}
