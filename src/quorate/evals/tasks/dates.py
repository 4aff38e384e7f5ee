"""`dates`: days counted forwards and backwards, weekdays and spans; checked by Python's calendar.

In the spirit of BIG-bench's date_understanding, without its options. Gregorian calendar, years 1990 to 2040.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cached_property
from random import Random

from quorate.aggregators.extraction import Boxed, Finder, FirstOf, Phrase
from quorate.orchestrator.protocols import Equivalence, Extractor

from .base import GeneratedProblem, GeneratedTask, SameWords

__all__ = ["Dates"]

_SPAN = {"easy": (2, 20), "medium": (21, 120), "hard": (121, 1500)}
_START, _DAYS = date(1990, 1, 1), 50 * 365
_MONTHS = (
    *("", "January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Dates(GeneratedTask):
    """Tiers differ in how many days are counted: up to 20, 120, 1,500."""

    name = "dates"

    def draw(self, tier: str, rng: Random) -> GeneratedProblem:
        """See `GeneratedTask.draw`."""
        start, days = _START + timedelta(rng.randrange(_DAYS)), rng.randint(*_SPAN[tier])
        end = start + timedelta(days)
        kind = rng.choice(("after", "before", "weekday", "between"))
        question, answer = _word(kind, start, end, days)
        # Every kind asks for one of the same three facts, so they share a split.
        return GeneratedProblem(question, answer, kind, (start.isoformat(), days))

    @cached_property
    def extractor(self) -> Extractor:
        """A box, else "Answer: x", else the last date or weekday."""
        return FirstOf(Boxed(), Phrase(), _LastDate())

    @cached_property
    def equivalence(self) -> Equivalence:
        """By words; a date is no subtraction."""
        return SameWords()


def _word(kind: str, start: date, end: date, days: int) -> tuple[str, str]:
    """Question and answer."""
    match kind:
        case "after":
            return f"Which date is {days} days after {_long(start)}? Write it as YYYY-MM-DD.", end.isoformat()
        case "before":
            return f"Which date was {days} days before {_long(end)}? Write it as YYYY-MM-DD.", start.isoformat()
        case "weekday":
            told = f"{_long(start)} is a {_weekday(start)}. Which day of the week is {days} days later?"
            return told, _weekday(end)
    return f"How many days is it from {_long(start)} to {_long(end)}?", str(days)


def _long(day: date) -> str:
    """Such as `March 3, 2021`, in English wherever this runs."""
    return f"{_MONTHS[day.month]} {day.day}, {day.year}"


def _weekday(day: date) -> str:
    return _WEEKDAYS[day.weekday()]


class _LastDate(Finder):
    _any = re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b")

    def find(self, text: str) -> str | None:
        found = self._any.findall(text)
        return found[-1] if found else None
