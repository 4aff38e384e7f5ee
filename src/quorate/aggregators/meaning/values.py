"""Value or prose, decided once for a set of answers; and the values where it is values.

The decision reads the answers: do they lead with yes or no, with a letter, with a number or a date, or do short
answers recur inside the longer ones (anchors)? The form of the question is a hint beside that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from ..extraction import Boxed, Choices, Hashes, LoneLetter
from ..markup import visible
from .evidence import Evidence, Kind, Reading, share
from .form import QuestionForm
from .measures import read_measures
from .names import read_names
from .polar import read_polar
from .texts import MAX_CHARACTERS, Statement, words_of

__all__ = ["Kind", "Reading", "is_bare", "read_values"]

Sign = Literal["number", "letter", "marked", "working", ""]

_BARE_NUMBER = re.compile(r"\s*[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?\.?\s*")
_BARE_LETTER = re.compile(r"\s*\(?[A-H]\)?\.?\s*")
_BOXED, _HASHES = Boxed(), Hashes()
MAX_BARE = 40
"""Characters of a text that can be a number or a letter and nothing else."""


def read_values(question: str, sources: Sequence[str]) -> Reading:
    """What the answers to a question are compared by, and their values.

    Args:
        question: its text; may be empty.
        sources: the answers, none of which is silent. The reading does not depend on their order.
    """
    form = QuestionForm.of(question)
    if (form.sum and not form.prose) or _are_marked(sources):
        return Reading("marked")
    texts = [Evidence(Statement.of(source), form) for source in sources]
    if not texts:
        return Reading("prose")
    for attempt in (_read_marked, _read_letters, read_polar, read_measures, read_names):
        reading = attempt(texts, form)
        if reading is not None:
            return reading
    return Reading("prose")


def is_bare(source: str) -> bool:
    """Whether a text is a number or the letter of an option, and nothing else."""
    return find_sign(source) in ("number", "letter")


def find_sign(source: str) -> Sign:
    """How a text shows its value at first sight; that of a text that is not long is remembered."""
    return _sign_of(source) if len(source) <= MAX_CHARACTERS else _look(source)


@lru_cache(maxsize=512)
def _sign_of(source: str) -> Sign:
    return _look(source)


def _look(source: str) -> Sign:
    if len(source) <= MAX_BARE:
        if _BARE_NUMBER.fullmatch(source):
            return "number"
        if _BARE_LETTER.fullmatch(source):
            return "letter"
    shown = visible(source)
    if ("\\" in shown and _BOXED.find(shown) is not None) or ("####" in shown and _HASHES.find(shown) is not None):
        return "marked"
    return "working" if "=" in shown and sum(map(shown.count, "0123456789")) > 2 else ""


def _are_marked(sources: Sequence[str]) -> bool:
    """Whether a set is values without a closer look: bare ones, or marks and calculations as in story problems."""
    signs = [find_sign(source) for source in sources]
    kinds = set(signs)
    return kinds in ({"number"}, {"letter"}) or (
        bool(kinds & {"marked", "working"}) and share([sign in ("marked", "working") for sign in signs]) >= 0.5
    )


def _read_marked(texts: Sequence[Evidence], form: QuestionForm) -> Reading | None:
    """Answers that are said to be the answer, and calculations: the reading of story problems."""
    values = [
        find_sign(t.said.source) in ("marked", "working")
        or (t.marked_answer is not None and any(map(str.isdigit, t.marked_answer)))
        for t in texts
    ]
    if share(values) >= 0.5 or (form.sum and share([bool(t.quantities) for t in texts]) >= 0.5):
        return Reading("marked")
    return None


def _read_letters(texts: Sequence[Evidence], form: QuestionForm) -> Reading | None:
    """A letter of multiple choice, or the words of its option."""
    letters = "".join(form.options) or "ABCDEFGH"
    choices, lone = Choices(letters), LoneLetter()
    found = [_letter(t, choices, lone, form) for t in texts]
    if share([f is not None for f in found]) < (0.5 if form.options else 0.75):
        return None
    return Reading("letter", tuple(found), tuple(None if f is None else ord(f) for f in found))


_LETTERED = re.compile(r"^\W*(?:(?:option|choice|answer)\W+)?\(?([A-Ha-h])(?:[).:]|\W*$)")


def _letter(text: Evidence, choices: Choices, lone: LoneLetter, form: QuestionForm) -> str | None:
    source = text.said.text
    if (match := _LETTERED.match(source)) and (form.options or len(source) < 4):
        return match[1].upper()
    if (form.options or len(source) < 200) and (letter := lone.extract(source) or choices.extract(source)) is not None:
        return letter
    if form.options:
        said = f" {' '.join(text.said.lead_words)} "
        places = {k: said.find(f" {' '.join(words_of(v))} ") for k, v in form.options.items()}
        named = {k: p for k, p in places.items() if p >= 0 and not text.is_aside(p)}
        if named:
            return min(named, key=lambda k: (named[k], k))
    return None
