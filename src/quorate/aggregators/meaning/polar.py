"""Yes or no, led with or said in a sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from .evidence import Evidence, Reading, share
from .form import QuestionForm
from .texts import FUNCTION_WORDS, NEGATIONS, stem, words_of

_DENIES = re.compile(
    r"n['’]t\b|\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|hardly|myth|misconception|false"
    r"|untrue|incorrect|wrong|fails?|failed|unable"
    r"|impossible|unlikely|lacks?|without|avoid|illegal|forbidden|prohibited|banned|unsafe|against"
    r"|refused?|den(?:y|ied|ies)|far from|nicht|kein\w*|ne|pas|jamais|nunca)\b",
    re.IGNORECASE,
)

_FALSE_DENIAL = re.compile(
    r"\bnot only\b|\bno (?:doubt|question|problem|matter)\b|\bwithout (?:a )?doubt\b|\bnot (?:just"
    r"|merely)\b|\b(?:never|not) (?:a|in) doubt\b",
    re.I,
)


def read_polar(texts: Sequence[Evidence], form: QuestionForm) -> Reading | None:
    """Yes or no; texts that lead with neither are read by their negations and by whom they resemble."""
    led = share([t.polarity is not None for t in texts])
    if form.options or led < (0.2 if form.polar else 0.5):  # noqa: SIM102
        if not (form.polar and not form.prose and led == 0 and share([_echoes(t, form) for t in texts]) > 0.5):
            return None
    if not form.polar and led < 0.75 and (form.name or form.number or form.date or form.prose):
        return None
    sides = [t.polarity if t.polarity is not None else None for t in texts]
    echo = {
        side: Counter(w for t, s in zip(texts, sides, strict=True) if s is side for w in set(_own_words(t, form)))
        for side in (True, False)
    }
    sizes = {side: max(1, sum(s is side for s in sides)) for side in (True, False)}
    answers = []
    for text, side in zip(texts, sides, strict=True):
        if side is None:
            denies = _denies(text, form)
            if not denies:
                own = set(_own_words(text, form))
                lean = sum(echo[True][w] / sizes[True] - echo[False][w] / sizes[False] for w in own)
                denies = lean < -0.3
            side = not denies  # noqa: PLW2901
        answers.append("yes" if side else "no")
    return Reading("polar", tuple(answers), tuple(int(a == "yes") for a in answers))


def _echoes(text: Evidence, form: QuestionForm) -> bool:
    """Whether a sentence states what the question asks."""
    stems = [stem(w) for w in text.said.lead_words[:25] if w not in FUNCTION_WORDS]
    return bool(stems) and len(form.stems) > 0 and len({s for s in stems if s in form.stems}) >= 0.5 * len(form.stems)


def _own_words(text: Evidence, form: QuestionForm) -> list[str]:
    return [
        s
        for w in text.said.first_words[:60]
        if w not in FUNCTION_WORDS and w not in NEGATIONS and (s := stem(w)) not in form.stems
    ]


def _denies(text: Evidence, form: QuestionForm) -> bool:
    asked = len(_DENIES.findall(re.sub(r"n['’]t\b", "", form.last)))
    clauses = re.split(r"[;:]|,\s(?:but|because|since|so)\b|[.!?]\s", _FALSE_DENIAL.sub("", text.said.text[:400]))
    for place, clause in enumerate(clauses[:4]):
        repeated = sum(stem(w) in form.stems for w in words_of(clause))
        if place == 0 or repeated >= min(2, len(form.stems)) or (repeated and place == 1):
            denials = len(_DENIES.findall(clause))
            if denials and (denials - min(asked, denials)) % 2 == 1:
                return True
    return False
