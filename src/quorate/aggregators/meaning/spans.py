"""The values that a statement may give: dates, quantities, and runs of words that the question does not have."""

# ruff: noqa: SIM905 - lists of words are read as text
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ..equivalence.keys import key_of
from ..equivalence.rationals import parse_words
from ..equivalence.units import factor_and_dimension
from .texts import FUNCTION_WORDS, WORD, fold, stem

_MONTH_NAMES = (
    "january januar janvier enero jan",
    "february februar fevrier febrero feb",
    "march marz mars marzo mar",
    "april avril abril apr",
    "may mai mayo",
    "june juni juin junio jun",
    "july juli juillet julio jul",
    "august aout agosto aug",
    "september septembre septiembre sept sep",
    "october oktober octobre octubre oct",
    "november novembre noviembre nov",
    "december dezember decembre diciembre dec",
)
MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, 1) for name in names.split()}
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DATE = re.compile(
    rf"""\b(?: (?P<iso_y>[12][0-9]{{3}})-(?P<iso_m>[01]?[0-9])-(?P<iso_d>[0-3]?[0-9])\b
      | (?:(?P<d1>[0-3]?[0-9])(?:st|nd|rd|th|\.|er)?\s(?:of\s|de\s)?)?\b(?P<m1>{_MONTH})\b\.?
        (?:\s(?P<d2>[0-3]?[0-9])(?:st|nd|rd|th)?\b(?![:.,]?[0-9]{{2,3}}\b(?!\s*[0-9])))?
        (?:,?\s(?:of\s|de\s|in\s)?(?P<y1>[12][0-9]{{3}}))?\b
      | (?P<era>[0-9]{{1,4}})\s(?:b\.?c\.?(?:e\.?)?)(?=\W|$)
      | (?P<year>1[0-9]{{3}}|20[0-9]{{2}})s?\b(?!\s?(?:%|\$|km|m|kg|miles|feet|people|meters|metres|calories
      |dollars)\b)(?![,.][0-9])
    )""",
    re.VERBOSE,
)
_NUMBER_WORD = (
    "zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen"
    "|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|(?:a|one)\\s(?:hundred|thousand|million|billion)"
)
NUMBER_WORDS = frozenset(word for word in _NUMBER_WORD.split("|") if word.isalpha())
_QUANTITY = re.compile(
    rf"""(?<![\w.,/^-])(?: [-−]?[$€£]?\s?[0-9]{{1,3}}(?:,[0-9]{{3}})+(?:\.[0-9]+)?
        | [-−]?[$€£]?\s?[0-9]+(?:\.[0-9]+)?(?:/[0-9]+)?
        | \b(?:one|{_NUMBER_WORD})\b(?:[\s-](?:and\s)?(?:a\shalf|hundred|thousand|million|billion|one
        |{_NUMBER_WORD})\b)* )
        (?:\s?(?:million|billion|trillion|thousand|hundred|dozen)\b)?
        (?P<tail>\s?(?:%|°\s?[CFK]?)|\s(?:percent|per\scent|degrees(?:\s(?:celsius|fahrenheit))?)\b
        |[-\s]?[A-Za-z]{{1,12}}\b(?:/[a-z]{{1,2}}\b)?)?""",
    re.VERBOSE | re.IGNORECASE,
)
_CLOCK = re.compile(
    r"\b([0-2]?[0-9])[:.]([0-5][0-9])(?:\s?[ap]\.?m\b\.?|\s?o['’]clock|(?=\W|$)(?!\s?(?:%|[a-z]?[mg]\b|km"
    r"|miles|dollars|percent|million|billion)))"
    r"|\b([0-1]?[0-9])\s?(?:[ap]\.?m\b\.?|o['’]clock)|\b(?:noon|midday|midnight)\b",
    re.IGNORECASE,
)
_DURATION = re.compile(
    r"(?<![\w.,/:-])([0-9]{1,3})(?:\s?h(?:rs?)?\s?|[\s-]hours?,?\s(?:and\s)?(?=[0-9]{1,2}[\s-]?m))"
    r"([0-5]?[0-9])(?:\s?m(?:ins?)?|[\s-]minutes?)?(?![\w.,:]?[0-9]|\w)",
    re.IGNORECASE,
)
_TOKEN = re.compile(rf"{WORD}|[,;:.!?()\"“”«»—–]|\s-\s|[^\s\w]")
_JOINTS = frozenset("of da de di del della van von der den the la le el al bin ibn and & y e du des".split())
_CONTRAST = re.compile(
    r"""\b(?:not(?!\sonly)|n['’]t|nor|rather\sthan|instead\sof|unlike|compared\s(?:to|with)|as\sopposed\sto|than|although
    |even\sthough|though|while|whereas|wrongly|mistak\w+|confus\w+|replac\w+|formerly|previously|before\sthat
    |former|between
    |used\sto\sbe|despite|except|contrary\sto|some\s(?:people\s)?(?:say|think|attribute|believe|claim)
    |many\s(?:people\s)?(?:say|think|believe|assume)
    |people\s(?:often\s)?(?:think|believe|assume)|once\scalled|followed\sby|next\sto|near|nicht|sondern|pas
    |anders\sals|statt|nachbar\w*)\b
    [^,;.()\n]*+ | \([^()\n]{0,200}\)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Date:
    """A day, or as much of it as was said."""

    year: int | None
    month: int | None
    day: int | None
    start: int
    text: str

    @property
    def key(self) -> tuple[int | None, int | None, int | None]:
        return (self.year, self.month, self.day)


@dataclass(frozen=True)
class Quantity:
    """A number, in the base unit of its dimension where it has a unit."""

    value: Fraction
    error: Fraction
    """Half of its last place, where it is a decimal."""
    dimension: str
    start: int
    text: str
    noun: str
    """The stem of the word behind it."""
    number: Fraction
    """As it stands, in its own unit."""


@dataclass(frozen=True)
class Run:
    """Words next to each other, none of which the question has."""

    stems: tuple[str, ...]
    """Of its words, folded, without function words at the ends."""
    start: int
    text: str
    capital: bool
    """A name by its capital letters."""


def contrast_zones(text: str) -> list[tuple[int, int]]:
    """Where a text says what the answer is not, or something beside it."""
    return [match.span() for match in _CONTRAST.finditer(fold_ascii(text))]


def find_dates(text: str) -> list[Date]:
    """Dates in the order of the text; a year and a day of one sentence are one date."""
    found = []
    for match in _DATE.finditer(fold_ascii(text)):
        g = match.groupdict()
        parts: tuple[int | None, int | None, int | None]
        if g["iso_y"]:
            parts = (int(g["iso_y"]), int(g["iso_m"]), int(g["iso_d"]))
        elif g["m1"]:
            day = g["d1"] or g["d2"]
            named = (
                match.start() > 0
                and text[match.start()].isupper()
                and text[match.start() - 1] == " "
                and text[match.start() - 2] not in ".!?"
            )
            if not day and not g["y1"] and not named and (g["m1"] in ("may", "march", "mar", "mars", "mai")):
                continue
            parts = (int(g["y1"]) if g["y1"] else None, MONTHS[g["m1"]], int(day) if day else None)
        elif g["era"]:
            parts = (-int(g["era"]), None, None)
        else:
            parts = (int(g["year"]), None, None)
        year, month, date_day = parts
        found.append(Date(year, month, date_day, match.start(), text[match.start() : match.end()].strip()))
    return _with_years(text, found)


def _with_years(text: str, dates: list[Date]) -> list[Date]:
    """Dates in which a day without a year has that of the only year in its sentence."""
    years = [date for date in dates if date.month is None]
    days = [date for date in dates if date.year is None and date.day is not None]
    if len(years) == 1 and len(days) == 1 and abs(years[0].start - days[0].start) < 60:
        low, high = sorted((years[0], days[0]), key=lambda date: date.start)
        if not re.search(r"[.;!?]\s", text[low.start + len(low.text) : high.start]):
            joined = Date(years[0].year, days[0].month, days[0].day, low.start, f"{days[0].text} {years[0].text}")
            return [joined if date is low else date for date in dates if date is not high]
    return dates


def fold_ascii(text: str) -> str:
    """The text folded letter by letter, so that places in it stay."""
    return text.lower() if text.isascii() else "".join((fold(c) or c)[0] for c in text)


@lru_cache(maxsize=512)
def find_quantities(text: str) -> tuple[Quantity, ...]:
    """Numbers in digits or words with what stands behind them, in the order of the text."""
    if text.strip(" .!*").lower() in ("half", "a half", "one half"):
        return (Quantity(Fraction(1, 2), Fraction(0), "", 0, text.strip(" .!*"), "", Fraction(1, 2)),)
    clocks = [_duration(match) for match in _DURATION.finditer(text)]
    known = [(q.start, q.start + len(q.text)) for q in clocks]
    clocks += [_clock(match) for match in _CLOCK.finditer(text) if not any(a <= match.start() < b for a, b in known)]
    taken = [(q.start, q.start + len(q.text)) for q in clocks]
    others = (_quantity(m) for m in _QUANTITY.finditer(text) if not any(a <= m.start() < b for a, b in taken))
    return tuple(sorted([*clocks, *(q for q in others if q is not None)], key=lambda q: q.start))


def _duration(match: re.Match[str]) -> Quantity:
    """Hours with minutes."""
    seconds = Fraction(3600 * int(match[1]) + 60 * int(match[2]))
    return Quantity(seconds, Fraction(0), "s", match.start(), match[0].strip(), "", seconds)


def _clock(match: re.Match[str]) -> Quantity:
    """A time of day, in minutes after midnight or noon: what is left of it where somebody leaves out which."""
    word = match[0].lower()
    minutes = 0 if word in ("noon", "midday", "midnight") else int(match[1] or match[3]) % 12 * 60 + int(match[2] or 0)
    return Quantity(Fraction(minutes), Fraction(0), "clock", match.start(), match[0].strip(), "", Fraction(minutes))


def _quantity(match: re.Match[str]) -> Quantity | None:
    tail = match["tail"] or ""
    bare = match[0][: len(match[0]) - len(tail)].strip().replace("−", "-")
    if bare.lower() == "one" and stem(fold(tail.strip())) in (
        "of",
        "is",
        "can",
        "wa",
        "another",
        "should",
        "and",
        "or",
        "",
    ):
        return None
    key = key_of(bare)
    if key.number is None:
        spelled = parse_words(bare)
        if spelled is None or spelled[1].strip():
            return None
        number = spelled[0]
    else:
        number = key.number
    dimension, factor = key.unit.partition(" ")[2], Fraction(1)
    whole = key_of(match[0]) if tail and not tail.strip().isupper() else key
    text = bare
    if whole.unit and whole.number is not None:
        factor, dimension = factor_and_dimension(whole.unit)
        text = match[0].strip()
    decimals = re.search(r"\.([0-9]+)", bare)
    error = Fraction(1, 2 * 10 ** len(decimals[1])) if decimals and len(re.sub(r"\D", "", bare)) >= 3 else Fraction(0)
    noun = stem(fold(tail.strip(" -"))) if tail else ""
    if tail == "k" and not whole.unit:
        return Quantity(number * 1000, Fraction(0), "", match.start(), match[0].strip(), "", number * 1000)
    scale = re.match(r"\s*°?\s*(c|f)(?:elsius|ahrenheit)?\b|\s*degrees\s(c|f)", tail, re.IGNORECASE)
    if scale and ("°" in tail or "degrees" in tail):
        fahrenheit = (scale[1] or scale[2]).lower() == "f"
        kelvin = Fraction(5, 9) * (number - 32) if fahrenheit else number
        return Quantity(
            kelvin, Fraction(1, 2) if fahrenheit else error, "celsius", match.start(), match[0].strip(), "", number
        )
    return Quantity(number * factor, error * factor, dimension, match.start(), text, noun, number)


def find_runs(text: str, known: frozenset[str]) -> list[Run]:
    """Runs of content words in the order of the text.

    Args:
        text: of one or more sentences.
        known: stems of the words that the question has.
    """
    return list(_runs(text, known))


def _runs(text: str, known: frozenset[str]) -> Iterator[Run]:  # noqa: PLR0912 - one state machine
    open_run: list[re.Match[str]] = []
    pending: list[re.Match[str]] = []
    for token in _TOKEN.finditer(text):
        word = fold(token[0])
        if not word[0].isalnum():
            if token[0] == "." and open_run and token.end() < len(text) and len(open_run[-1][0]) <= 2:
                continue
            if token[0] in "'’-":
                continue
            if open_run:
                yield _run(open_run, text)
            open_run, pending = [], []
        elif _is_content(word, known, token[0]) or (_is_inner(token, text) and stem(word) not in known):
            if pending and open_run and not (open_run[-1][0][0].isupper() and token[0][0].isupper()):
                yield _run(open_run, text)
                open_run = []
            elif pending and open_run:
                open_run += pending
            elif open_run and _splits(open_run[-1][0], token[0], text, open_run[0].start()):
                yield _run(open_run, text)
                open_run = []
            pending = []
            open_run.append(token)
        elif open_run and word in _JOINTS and len(pending) < 2:
            pending.append(token)
        else:
            if open_run:
                yield _run(open_run, text)
            open_run, pending = [], []
    if open_run:
        yield _run(open_run, text)


def _splits(before: str, word: str, text: str, start: int) -> bool:
    """Whether a name ends or begins between two words, such as in `Fleming discovered`."""
    upper, next_upper = before[0].isupper(), word[0].isupper()
    first = start == 0 or text[max(0, start - 2) : start] in (". ", "\n")
    return (
        upper != next_upper
        and not (first and next_upper)
        and not (before.isupper() and len(before) < 5)
        and not word[0].isdigit()
        and not before[0].isdigit()
    )


def _is_content(word: str, known: frozenset[str], original: str) -> bool:
    if word in FUNCTION_WORDS and not (original.isupper() and len(original) > 1):
        return False
    return stem(word) not in known


def _is_inner(token: re.Match[str], text: str) -> bool:
    """A capital letter inside a sentence makes any word a name, such as gold's symbol."""
    before = text[: token.start()].rstrip(" (\"'“")
    return (
        token[0][0].isupper()
        and token[0] != "I"
        and bool(before)
        and (before[-1].isalnum() or before[-1] in ",;")
        and before[-1] != "."
    )


def _run(tokens: Sequence[re.Match[str]], text: str) -> Run:
    start, end = tokens[0].start(), tokens[-1].end()
    stems = tuple(stem(fold(token[0]).removesuffix("'s")) for token in tokens)
    first = start == 0 or text[max(0, start - 2) : start] in (". ", "\n") or text[max(0, start - 1) : start] == "\n"
    capitals = [token[0][0].isupper() for token in tokens]
    capital = any(capitals[1:]) if first and len(tokens) > 1 else capitals[0] and not first
    shown = text[start:end]
    return Run(stems, start, shown[:-2] if shown.endswith(("'s", "’s")) else shown, capital)
