"""Value or prose, decided once for a set of answers; and the values where it is values.

The decision reads the answers: do they lead with yes or no, with a letter, with a number or a date, or do short
answers recur inside the longer ones (anchors)? The form of the question is a hint beside that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..extraction import Boxed, Choices, Hashes, LoneLetter
from .evidence import Evidence, Kind, Reading, share
from .form import QuestionForm
from .measures import read_measures
from .names import read_names
from .polar import read_polar
from .texts import Statement, words_of

__all__ = ["Kind", "Reading", "read_values"]


def read_values(question: str, sources: Sequence[str]) -> Reading:
    """What the answers to a question are compared by, and their values.

    Args:
        question: its text; may be empty.
        sources: the answers, none of which is silent. The reading does not depend on their order.
    """
    form = QuestionForm(question)
    texts = [Evidence(Statement.of(source), form) for source in sources]
    if not texts:
        return Reading("prose")
    for attempt in (_read_marked, _read_letters, read_polar, read_measures, read_names):
        reading = attempt(texts, form)
        if reading is not None:
            return reading
    return Reading("prose")


def _read_marked(texts: Sequence[Evidence], form: QuestionForm) -> Reading | None:
    """Answers marked as such, and calculations: the reading of story problems."""
    boxes = [
        ("\\" in t.said.text and Boxed().find(t.said.text) is not None)
        or ("####" in t.said.text and Hashes().find(t.said.text) is not None)
        for t in texts
    ]
    working = [
        ("=" in t.said.text and sum(map(t.said.text.count, "0123456789")) > 2)
        or (t.marked_answer is not None and any(map(str.isdigit, t.marked_answer)))
        for t in texts
    ]
    if share(boxes) >= 0.5 or (share([a or b for a, b in zip(boxes, working, strict=True)]) >= 0.5):
        return Reading("marked")
    if form.sum and share([bool(t.quantities) for t in texts]) >= 0.5:
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
