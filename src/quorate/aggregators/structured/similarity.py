"""How alike two texts are, from 0 to 1: what minimum-Bayes-risk selection takes as its utility.

All here are symmetric, and depend on the two texts alone.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

from quorate.orchestrator.errors import BadInput

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Similarity(Protocol):
    """All pairs at once, so that a model of embeddings is asked once."""

    async def between(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Row i, column j: how alike texts i and j are; shape (len(texts), len(texts))."""
        ...


class Pairwise(ABC):
    """A similarity of two texts by themselves: `similarity(a, b)`."""

    @abstractmethod
    def features(self, text: str) -> Any:
        """What is compared of a text; taken once for each."""

    @abstractmethod
    def alike(self, a: Any, b: Any) -> float:
        """From 0 to 1, from the features of both."""

    def __call__(self, a: str, b: str) -> float:
        return self.alike(self.features(a), self.features(b))

    async def between(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Similarity`; other tasks get their turn between rows."""
        features = [self.features(text) for text in texts]
        rows = [[1.0] * len(texts) for _ in texts]
        for i, feature in enumerate(features):
            for j in range(i):
                rows[i][j] = rows[j][i] = self.alike(feature, features[j])
            await asyncio.sleep(0)
        return rows

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PairSimilarity(Pairwise):
    """A function of two texts as a similarity; it must be symmetric."""

    def __init__(self, function: Callable[[str, str], float]) -> None:
        self.function = function

    def features(self, text: str) -> str:
        return text

    def alike(self, a: str, b: str) -> float:
        return self.function(a, b)


class TokenF1(Pairwise):
    """F1 of the tokens in common, counted as often as both have them (SQuAD's F1, arXiv 1606.05250, section 6.1).

    Tokens are words and single signs, in any case; nothing is left out.
    """

    def features(self, text: str) -> Counter[Hashable]:
        """How often each token occurs."""
        return Counter(_tokens(text))

    def alike(self, a: Counter[Hashable], b: Counter[Hashable]) -> float:
        return _f1(_common(a, b), a.total(), b.total())


class ChrF(Pairwise):
    """Mean F1 of character n-grams, n from 1 to 6 (chrF: Popovic 2015), white space left out.

    Different from the paper: recall counts no more than precision (beta is 1), which makes it
    symmetric. Orders that neither text is long enough for are left out of the mean.
    """

    def __init__(self, order: int = 6) -> None:
        if order < 1:
            raise BadInput(f"ChrF(order={order}): the longest n-gram has at least 1 character")
        self.order = order

    def features(self, text: str) -> list[Counter[Hashable]]:
        """How often each n-gram occurs, by n."""
        text = "".join(text.split())
        return [Counter(text[i : i + n] for i in range(len(text) - n + 1)) for n in range(1, self.order + 1)]

    def alike(self, a: list[Counter[Hashable]], b: list[Counter[Hashable]]) -> float:
        scores = [_f1(_common(x, y), x.total(), y.total()) for x, y in zip(a, b, strict=True) if x or y]
        return sum(scores) / len(scores) if scores else 1.0


class RougeL(Pairwise):
    """F1 of the longest common subsequence of tokens (ROUGE-L with beta 1: Lin 2004, section 3)."""

    def features(self, text: str) -> list[str]:
        return _tokens(text)

    def alike(self, a: list[str], b: list[str]) -> float:
        return _f1(_subsequence(a, b), len(a), len(b))


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.casefold())


def _common(a: Counter[Hashable], b: Counter[Hashable]) -> int:
    small, large = sorted((a, b), key=len)
    return sum(min(count, large[item]) for item, count in small.items() if item in large)


def _f1(common: int, a: int, b: int) -> float:
    return 2 * common / (a + b) if a + b else 1.0


def _subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence: the table's rows as bits of one number (Hyyro 2004)."""
    places: dict[str, int] = {}
    for i, token in enumerate(a):
        places[token] = places.get(token, 0) | 1 << i
    full = row = (1 << len(a)) - 1
    for token in b:
        matched = row & places.get(token, 0)
        row = ((row + matched) | (row - matched)) & full
    return len(a) - row.bit_count()
