"""Problems that are generated, so that there are always fresh ones, and checked by computing.

`modular`: sums, products, powers and chains of them modulo a small number; checked by computing.

`last-letters`: the last letters of names, in order. After Wei et al. 2022, arXiv 2201.11903, section 5.

`relations`: who is how many people's sister, brother, friend, niece or cousin.

The problems of Alice in Wonderland (Nezhurina et al. 2024, arXiv 2406.02061) with numbers and names drawn
afresh. What models get wrong is whether the person herself counts.

`dates`: days counted forwards and backwards, weekdays and spans; checked by Python's calendar.

In the spirit of BIG-bench's date_understanding, without its options. Gregorian calendar, years 1990 to 2040.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cached_property
from random import Random

from quorate.aggregators.extraction import Boxed, Finder, FirstOf, Phrase
from quorate.orchestrator.reading import Equivalence, Extractor

from .base import GeneratedProblem, GeneratedTask, SameWords

_SIZE = {"easy": (12, 99), "medium": (100, 999), "hard": (1000, 9999)}


class Modular(GeneratedTask):
    """Tiers differ in the size of the numbers; hard ones have powers and congruences to solve."""

    name = "modular"

    def draw(self, tier: str, rng: Random) -> GeneratedProblem:
        kinds = {"easy": (_sum, _product), "medium": (_product, _mix, _power), "hard": (_mix, _power, _solve)}
        return rng.choice(kinds[tier])(_SIZE[tier], rng)


def _sum(size: tuple[int, int], rng: Random) -> GeneratedProblem:
    a, b, m = rng.randint(*size), rng.randint(*size), rng.randint(5, 29)
    question = f"What is the remainder when {a} + {b} is divided by {m}?"
    return GeneratedProblem(question, str((a + b) % m), "sum", (*sorted((a, b)), m))


def _product(size: tuple[int, int], rng: Random) -> GeneratedProblem:
    a, b, m = rng.randint(*size), rng.randint(*size), rng.randint(5, 29)
    question = f"What is the remainder when {a} * {b} is divided by {m}?"
    return GeneratedProblem(question, str(a * b % m), "product", (*sorted((a, b)), m))


def _mix(size: tuple[int, int], rng: Random) -> GeneratedProblem:
    a, b, c, m = rng.randint(*size), rng.randint(*size), rng.randint(*size), rng.randint(11, 97)
    question = f"What is the remainder when {a} * {b} + {c} is divided by {m}?"
    return GeneratedProblem(question, str((a * b + c) % m), "mixed", (*sorted((a, b)), c, m))


def _power(size: tuple[int, int], rng: Random) -> GeneratedProblem:
    base, exponent, m = rng.randint(2, 49), rng.randint(*size), rng.randint(7, 61)
    question = f"What is the remainder when {base}^{exponent} is divided by {m}?"
    return GeneratedProblem(question, str(pow(base, exponent, m)), "power", (base, exponent, m))


def _solve(size: tuple[int, int], rng: Random) -> GeneratedProblem:
    """a x = b modulo a prime, which has one solution."""
    m = rng.choice((31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97))
    a, b = rng.randint(2, m - 1), rng.randint(*size)
    question = (
        f"Which whole number x from 0 to {m - 1} makes {a} * x leave the same remainder as {b} when divided by {m}?"
    )
    return GeneratedProblem(question, str(b * pow(a, -1, m) % m), "solve", (a, b, m))


_LISTED = (
    "Ada Amir Anna Ben Bruno Carl Clara Dana Diego Ella Emil Eva Felix Flora Gita Greg Hanna Hugo Ida Igor Ines Ivan "
    "Jack Jorge Julia Karim Katya Kofi Laura Leon Lily Luis Marco Maya Mila Nadia Nils Noor Olga Omar Oscar Pablo "
    "Petra Quinn Rafael Rosa Ruth Samuel Selma Sven Tamar Tariq Tess Uma Ursula Victor Vivian Walid Wendy Xavier "
    "Yara Yusuf Zoe Zlatan"
)
_NAMES = tuple(_LISTED.split())
_WORDS = {"easy": (3, 4), "medium": (5, 7), "hard": (8, 12)}


class LastLetters(GeneratedTask):
    """Tiers differ in how many names there are: 3-4, 5-7, 8-12."""

    name = "last-letters"
    cite = "after Wei et al. 2022, arXiv 2201.11903"

    def draw(self, tier: str, rng: Random) -> GeneratedProblem:
        names = rng.sample(_NAMES, rng.randint(*_WORDS[tier]))
        answer = "".join(name[-1] for name in names).lower()
        question = (
            f'Take the last letter of each word in "{" ".join(names)}" and join them, in order and in lower case.'
        )
        return GeneratedProblem(question, answer, f"{len(names)}-words", tuple(names))

    @cached_property
    def equivalence(self) -> Equivalence:
        """The same letters, whatever their case and whether spaced or not."""
        return Letters()


class Letters(SameWords):
    """Letters alone count."""

    def key(self, answer: str) -> str:
        return "".join(character for character in answer.casefold() if character.isalnum())


_WOMEN = ("Alice", "Bea", "Carmen", "Daria", "Elif", "Fatima", "Grace", "Hilde", "Ingrid", "Joana")
_MEN = ("Adam", "Boris", "Chen", "David", "Enzo", "Farid", "Georg", "Hiro", "Ismail", "Jonas")


class Relations(GeneratedTask):
    """Tiers: siblings and friends with small numbers; larger ones and nieces; two families at once."""

    name = "relations"
    cite = "after Nezhurina et al. 2024, arXiv 2406.02061"

    def draw(self, tier: str, rng: Random) -> GeneratedProblem:
        kinds = {"easy": (_siblings, _friends), "medium": (_nieces, _reunion), "hard": (_cousins,)}
        return rng.choice(kinds[tier])(rng)


def _siblings(rng: Random) -> GeneratedProblem:
    """How many sisters a brother has, or brothers a sister; one more where the person is of that sex."""
    woman = rng.random() < 0.5
    name, she = (rng.choice(_WOMEN), "she") if woman else (rng.choice(_MEN), "he")
    brothers, sisters = rng.randint(1, 20), rng.randint(1, 20)
    asked, of = rng.choice((("sisters", "brother"), ("brothers", "sister")))
    count = sisters + woman if asked == "sisters" else brothers + (not woman)
    if of == asked.removesuffix("s"):
        count -= 1
    told = _both(f"{name} has", brothers, "brother", f"{she} also has", sisters, "sister", rng)
    question = f"{told} They all have the same parents. How many {asked} does {name}'s {of} have?"
    own, other = (sisters, brothers) if woman else (brothers, sisters)
    return GeneratedProblem(question, str(count), "siblings", ("siblings", own, other, woman == (asked == "sisters")))


def _friends(rng: Random) -> GeneratedProblem:
    """In a circle of friends nobody is a friend of her own."""
    woman = rng.random() < 0.5
    name, she = (rng.choice(_WOMEN), "she") if woman else (rng.choice(_MEN), "he")
    women, men = rng.randint(1, 20), rng.randint(1, 20)
    sex, of = rng.choice(("female", "male")), rng.choice(("female", "male"))
    count = women + woman if sex == "female" else men + (not woman)
    count -= sex == of
    told = _both(f"{name} has", women, "female friend", f"{she} also has", men, "male friend", rng)
    question = (
        f"{told} They all are friends with each other and have no other friends. "
        f"How many {sex} friends does a {of} friend of {name} have?"
    )
    own, other, same = (women, men, "female") if woman else (men, women, "male")
    return GeneratedProblem(question, str(count), "friends", ("friends", own, other, sex == same, of == same))


def _nieces(rng: Random) -> GeneratedProblem:
    """The children of one's brothers and sisters are the nieces and nephews of each of the others."""
    name = rng.choice(_WOMEN)
    brothers, sisters = rng.randint(2, 9), rng.randint(2, 9)
    daughters, sons = rng.randint(1, 6), rng.randint(1, 6)
    kind, whose = rng.choice((("nieces", "sisters"), ("nephews", "brothers")))
    question = (
        f"{name} has {brothers} brothers and {sisters} sisters, all of the same parents, and no children. Each of her "
        f"brothers has {daughters} {_s('daughter', daughters)} and no sons, each of her sisters has {sons} "
        f"{_s('son', sons)} and no daughters. How many {kind} does one of {name}'s {whose} have?"
    )
    count = brothers * daughters if kind == "nieces" else sisters * sons
    return GeneratedProblem(question, str(count), "nieces", ("nieces", brothers, sisters, daughters, sons, kind))


def _reunion(rng: Random) -> GeneratedProblem:
    """Several families of one shape meet, and one child is asked about girls that are not her sisters."""
    families, girls, boys = rng.randint(2, 12), rng.randint(2, 9), rng.randint(1, 9)
    name = rng.choice(_WOMEN)
    sex, count = rng.choice((("girls", girls * (families - 1)), ("boys", boys * (families - 1))))
    question = (
        f"{families} families meet. Each has {girls} girls and {boys} {_s('boy', boys)}, and {name} is one of the "
        f"girls. How many of the {sex} at the meeting are neither {name} nor her brothers and sisters?"
    )
    return GeneratedProblem(question, str(count), "meeting", ("meeting", families, girls, boys, sex))


def _cousins(rng: Random) -> GeneratedProblem:
    """AIW+: cousins on both sides, from what aunts and uncles have of nephews and nieces."""
    name = rng.choice(_WOMEN)
    sisters, brothers = rng.randint(1, 6), rng.randint(0, 5)
    own = sisters + brothers + 1
    mothers, fathers, uncle = rng.randint(1, 8), rng.randint(1, 8), rng.randint(1, 5)
    told = f"{sisters} {_s('sister', sisters)}" + (f" and {brothers} {_s('brother', brothers)}" if brothers else "")
    question = (
        f"{name} has {told}, all of the same parents. Her mother has brothers and one sister, who has no children "
        f"herself and {own + mothers} nephews and nieces in total. Her father has sisters and one brother, who has "
        f"{own + fathers} nephews and nieces in total and {uncle} {_s('child', uncle)} of his own. Nephews and nieces "
        f"by marriage are not counted, and nobody is related to {name} on both sides. "
        f"How many cousins does {name}'s sister have?"
    )
    return GeneratedProblem(
        question, str(mothers + fathers + uncle), "cousins", ("cousins", sisters, brothers, mothers, fathers, uncle)
    )


def _both(first: str, n: int, one: str, second: str, m: int, other: str, rng: Random) -> str:
    """Two numbers in either order."""
    told = [f"{n} {_s(one, n)}", f"{m} {_s(other, m)}"]
    if rng.random() < 0.5:
        told.reverse()
    return f"{first} {told[0]} and {second} {told[1]}."


def _s(word: str, count: int) -> str:
    if count == 1:
        return word
    return "children" if word == "child" else f"{word}s"


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
