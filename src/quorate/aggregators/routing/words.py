"""What a router sees of a question: which of the frequent words it holds, and what kind of task it looks like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import log1p, sqrt

WORD = re.compile(r"\w+")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SENTENCE = re.compile(r"[.!?](?:\s|$)")
OPTION = re.compile(r"^[^\S\n]*\(?[A-J1-9][).:]\s", re.MULTILINE)
CODE = re.compile(r"\bdef |\breturn\b|[{};]|\w\(\w*\)|```")
MOST_READ = 20_000
"""Characters of a question that are looked at."""


def list_words(text: str) -> list[str]:
    """Its words in small letters, in order."""
    return WORD.findall(text[:MOST_READ].lower())


def count_words(texts: Iterable[str], most: int) -> tuple[str, ...]:
    """The words that occur in most texts, and in three at least; equal ones by the alphabet."""
    counts = Counter(word for text in texts for word in set(list_words(text)))
    ranked = sorted((word for word, count in counts.items() if count >= 3), key=lambda word: (-counts[word], word))
    return tuple(ranked[:most])


def weigh_words(text: str, known: Mapping[str, int]) -> dict[int, float]:
    """The places of the known words that occur, all with the same weight, together of length 1."""
    places = {known[word] for word in list_words(text) if word in known}
    return dict.fromkeys(sorted(places), 1 / sqrt(len(places))) if places else {}


def length(text: str) -> float:
    """Logarithm of the number of words."""
    return log1p(len(list_words(text)))


def numbers(text: str) -> float:
    """Logarithm of how many numbers it holds."""
    return log1p(len(NUMBER.findall(text)))


def decimals(text: str) -> float:
    """Logarithm of how many of them have a point."""
    return log1p(sum("." in number for number in NUMBER.findall(text)))


def sentences(text: str) -> float:
    """Logarithm of the number of sentences."""
    return log1p(len(SENTENCE.findall(text)))


def word_length(text: str) -> float:
    """Mean length of its words."""
    words = list_words(text)
    return sum(map(len, words)) / max(1, len(words))


def lines(text: str) -> float:
    """Logarithm of the number of line breaks."""
    return log1p(text.count("\n"))


def questions(text: str) -> float:
    """How many question marks, up to three."""
    return float(min(3, text.count("?")))


def money(text: str) -> float:
    """Whether it is about dollars, euros or pounds."""
    return float(any(sign in text for sign in "$€£"))


def percents(text: str) -> float:
    """Whether it holds a percent sign."""
    return float("%" in text)


def formulas(text: str) -> float:
    """Logarithm of how many signs of formulas it holds."""
    return log1p(sum(map(text.count, "=+*/^\\")))


def options(text: str) -> float:
    """How many lines begin like an option, up to ten."""
    return float(min(10, len(OPTION.findall(text))))


def code(text: str) -> float:
    """Logarithm of how much looks like a program."""
    return log1p(len(CODE.findall(text)))


FEATURES: Mapping[str, Callable[[str], float]] = {
    f.__name__: f
    for f in (
        length,
        numbers,
        decimals,
        sentences,
        word_length,
        lines,
        questions,
        money,
        percents,
        formulas,
        options,
        code,
    )
}
"""What kind of task it looks like, by name."""


def compute_features(text: str) -> dict[str, float]:
    """Every feature of a question."""
    return {name: feature(text[:MOST_READ]) for name, feature in FEATURES.items()}
