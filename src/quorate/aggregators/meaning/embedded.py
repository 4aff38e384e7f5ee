"""Classes of prose by sentence embeddings, in a mix with shared words and behind the same guards; approximate.

Cosines tell topics apart, not truth: "benign" and "not benign" are closer than two wordings of one answer. So they only
help to find wordings that share no words, and never make classes certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import fsum, isfinite, sqrt
from typing import Protocol, Self

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Question

from .form import QuestionForm
from .grouping import ProseClasses
from .lexical import Profile, lexical_classes, link, similarities
from .texts import Statement

COSINE, OVERLAP = 0.6, 0.4
"""Weights of the mix, from the pilot on 126 labelled sets."""
THRESHOLD = 0.56
MOST = 64


class Embedder(Protocol):
    """Turns texts into vectors."""

    name: str

    async def embed(self, texts: Sequence[str], run: RunContext) -> list[list[float]]:
        """A vector for each text; what it spends goes to the run's ledger.

        Raises:
            QuorateError: there are none.
        """
        ...

    async def aclose(self) -> None:
        """Closes connections."""
        ...


class EmbeddedGrouping:
    """Groups texts by the cosine of question and answer together with shared words.

    Args:
        embedder: of texts.
    """

    models: tuple[Model, ...] = ()
    calls = 0

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def map_models(self, change: Callable[[Model], Model]) -> Self:  # noqa: ARG002
        return self

    def bind(self, question: Question, run: RunContext) -> ProseClasses:
        return _EmbeddedClasses(self.embedder, question.text, run)

    async def aclose(self) -> None:
        """Closes the embedder."""
        await self.embedder.aclose()

    def __repr__(self) -> str:
        return f"EmbeddedGrouping({self.embedder.name!r})"


class _EmbeddedClasses:
    def __init__(self, embedder: Embedder, question: str, run: RunContext) -> None:
        self._embedder, self._question, self._run = embedder, question, run
        self._vectors: dict[str, list[float]] = {}
        self.certain, self.problem, self.complete = False, "", False

    async def classes(self, answers: Sequence[str]) -> list[int]:
        """See `protocols.Equivalence`; by shared words alone where there are no vectors."""
        texts = sorted(set(answers), key=lambda s: (len(s), s))
        if len(texts) > MOST or not await self._embed([t for t in texts if t not in self._vectors]):
            return lexical_classes(self._question, answers)
        asked = QuestionForm.of(self._question).stems
        matrix = similarities([Profile(Statement.of(t), asked) for t in texts])
        for i, one in enumerate(texts):
            for j, other in enumerate(texts):
                if i != j and matrix[i][j] >= 0:
                    cosine = max(0.0, _cosine(self._vectors[one], self._vectors[other]))
                    matrix[i][j] = COSINE * cosine + OVERLAP * matrix[i][j]
        number = dict(zip(texts, link(matrix, THRESHOLD), strict=True))
        return [number[a] for a in answers]

    async def _embed(self, texts: Sequence[str]) -> bool:
        if not texts:
            return True
        question = self._question[-500:]
        try:
            vectors = await self._embedder.embed(
                [f"{question}\n{Statement.of(t).text[:1000]}" for t in texts], self._run
            )
        except QuorateError as error:
            self.problem = f"{self._embedder.name}: {error}"
            return False
        sizes = {len(v) for v in (*vectors, *self._vectors.values())}
        if (
            len(vectors) != len(texts)
            or len(sizes) != 1
            or 0 in sizes
            or not all(isfinite(x) for v in vectors for x in v)
        ):
            self.problem = f"{self._embedder.name}: its vectors are not one a text, of one size and finite"
            return False
        self._vectors.update(zip(texts, vectors, strict=True))
        self.problem = ""
        return True


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    size = sqrt(fsum(x * x for x in a)) * sqrt(fsum(x * x for x in b))
    return fsum(x * y for x, y in zip(a, b, strict=True)) / size if size else 0.0
