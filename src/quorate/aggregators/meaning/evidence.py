"""What is found in one answer: its lead, and the dates, quantities, names and yes or no in it."""

# ruff: noqa: SIM905 - lists of words are read as text
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ..extraction import Phrase
from .form import QuestionForm
from .spans import Date, Quantity, Run, contrast_zones, find_dates, find_quantities, find_runs
from .texts import FUNCTION_WORDS, WORD, Statement, fold, stem

Kind = Literal["marked", "number", "date", "polar", "letter", "name", "prose"]

SHORT = 4
"""Content words of a short answer."""

_YES = re.compile(
    r"^\W*(?:(?:well|oh|hm+|so|answer|the answer is|short answer|i (?:think|believe|guess"
    r"|would say)(?: so| that)?)[\s,:;-]+)?"
    r"(?:(?P<yes>yes|yeah|yep|yup|yea|sure|absolutely|certainly|definitely|of course|indeed|true|correct"
    r"|right|affirmative"
    r"|that(?:['’]s| is) (?:right|correct|true)|it (?:is|does|can|was|did)(?=[\s,.!]*$)|they (?:do|are"
    r"|can)(?=[\s,.!]*$)|oui|ja|jawohl|si|sim|da|hai)"
    r"|(?P<no>no|nope|nah|not (?:correct|true|right|so|really|at all|exactly|quite|necessarily|yet"
    r"|anymore)|false|incorrect|never|wrong|negative|absolutely not|certainly not|definitely not"
    r"|of course not"
    r"|that(?:['’]s| is) (?:not (?:right|correct|true)|false|wrong|incorrect|a (?:common )?(?:myth"
    r"|misconception))|non|nein|nee|nej|nao|nie))(?![\w'’-])",
    re.IGNORECASE,
)

ARTICLES = frozenset("the a an der die das le la les el los il lo un une ein eine".split())


@dataclass(frozen=True)
class Reading:
    """What a set of answers was found to be."""

    kind: Kind
    answers: tuple[str | None, ...] = ()
    """By text; None abstains. Of prose they are not given."""
    classes: tuple[int | None, ...] | None = None
    """By text; None where the answers are to be compared by an equivalence of values."""


@dataclass(eq=False)
class Evidence:
    """One statement with what was found in it."""

    said: Statement
    form: QuestionForm
    strict: bool = True
    """Leaves out the words of the question."""

    @cached_property
    def lead(self) -> str:
        return self.marked_answer or self.said.lead

    @cached_property
    def marked_answer(self) -> str | None:
        """What stands behind "the answer is"."""
        if "nswer" not in self.said.text and "orrect" not in self.said.text:
            return None
        return Phrase().find(self.said.text[-1500:])

    @cached_property
    def zones(self) -> list[tuple[int, int]]:
        return contrast_zones(self.lead)

    def is_aside(self, place: int) -> bool:
        return any(start <= place < end for start, end in self.zones)

    @cached_property
    def dates(self) -> list[Date]:
        return find_dates(self.lead)

    @cached_property
    def quantities(self) -> list[Quantity]:
        spans = [(d.start, d.start + len(d.text)) for d in self.dates if d.month is not None]
        return [q for q in find_quantities(self.lead) if not any(a <= q.start < b for a, b in spans)]

    @cached_property
    def runs(self) -> list[Run]:
        return find_runs(self.lead, self.form.stems if self.strict else frozenset())

    @cached_property
    def spans(self) -> dict[tuple[str, ...], Run]:
        """Its runs by their stems, the first of equal ones."""
        return {r.stems: r for r in reversed(self.runs)}

    @cached_property
    def clause(self) -> int:
        """Where its main clause ends."""
        return len(main_clause(self.lead))

    @cached_property
    def lead_stems(self) -> list[tuple[str, int]]:
        """Stems of the words in the lead that may be answers, with their places."""
        return [
            (stem(fold(m[0]).removesuffix("'s")), m.start())
            for m in re.finditer(WORD, self.lead)
            if may_answer(m, self.lead)
        ]

    @cached_property
    def stem_list(self) -> list[str]:
        return [s for s, _ in self.lead_stems]

    @cached_property
    def polarity(self) -> bool | None:
        """What it leads with: yes, no, or neither."""
        match = _YES.match(self.said.text[:80])
        if match is None and self.marked_answer:
            match = _YES.match(self.marked_answer)
        return None if match is None else match["yes"] is not None

    @cached_property
    def content(self) -> list[str]:
        """Content words of all of it, up to where a short answer would have ended."""
        return [w for w in self.said.first_words[:60] if w not in FUNCTION_WORDS]

    @cached_property
    def short(self) -> bool:
        """It is hardly more than its answer."""
        return len(self.content) <= SHORT and len(self.said.first_words) <= SHORT + 4

    @cached_property
    def bare(self) -> str:
        """The text without article and full stop, as a short answer is told."""
        words = self.said.text.strip(" .!\"'“”\n").split()
        while len(words) > 1 and fold(words[0]) in ARTICLES:
            words = words[1:]
        return " ".join(words)


def share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)


def stems_of(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(stem(w) for w in words)


def main_clause(lead: str) -> str:
    """The main clause that a lead begins with."""
    return re.split(
        r"[.;:!?(\n]\s|\s[–—-]\s|\s\(|,\s(?:which|who|whose|where|when|because|since|although|though|not"
        r"|but|while|after|as|and|with|a|an|the|in|at|on)\b"
        r"|\s(?:which|who|because|since|although|though|but|while|where|when|after|before|until)\s",
        lead,
        maxsplit=1,
    )[0]


def may_answer(match: re.Match[str], lead: str) -> bool:
    word = match[0]
    return fold(word) not in FUNCTION_WORDS or (
        word[0].isupper() and word != "I" and (match.start() > 0 or len(word) == len(lead.strip(" .")))
    )
