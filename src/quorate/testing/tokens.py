"""A token model that is a formula: every mechanism of token-level ensembling in microseconds a token."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any

from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.tokens import (
    DenseDistribution,
    Distribution,
    Draft,
    DraftAsk,
    ScoreAsk,
    Scores,
    TopDistribution,
    Vocabulary,
)
from quorate.orchestrator.types import Question


class FormulaTokens:
    """A `TokenModel` whose distributions follow from its seeds and the context.

    Models of the same `mind` like the same bytes after the same byte, whatever their tokenizers; what they
    think by themselves comes from their own seed and the last two tokens.

    Args:
        vocabulary: of its tokens.
        seed: its own.
        mind: shared with other models.
        together: how much the shared part counts, in logits.
        apart: how much its own part counts.
        k: tells the k likeliest tokens only, as servers do; all if not given.
        dies: fails as a verifier from this call on.
        context: see `TokenModel`.
        in_process: see `TokenModel`.
        name: of the model.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        seed: int = 0,
        *,
        mind: int = 0,
        together: float = 3.0,
        apart: float = 1.0,
        k: int | None = None,
        dies: int | None = None,
        context: int = 1 << 20,
        in_process: bool = True,
        name: str = "formula",
    ) -> None:
        import numpy as np

        self.vocabulary, self.context, self.in_process, self.name = vocabulary, context, in_process, name
        self._seed, self._k, self._dies = seed, k, dies
        self.calls = 0
        """Drafts and scores asked for."""
        self.rows: set[Hashable] = set()
        """Rows that have not been released."""
        said = [vocabulary.bytes_of(token) for token in range(vocabulary.size)]
        firsts = np.array([text[0] if text else 256 for text in said])
        self._last = [text[-1] if text else 257 for text in said]
        shared = np.random.default_rng(mind).normal(size=(258, 257)) * together
        self._shared, self._apart = shared[:, firsts], apart
        self.identity = Identity(kind="formula", model=name, capabilities=frozenset({"tokens"}))
        silent = [text is None and token not in vocabulary.ends for token, text in enumerate(said)]
        self._silent = np.where(silent, -30.0, 0.0)

    async def open(self) -> None:
        """Nothing to do."""

    def prompt(self, question: Question) -> list[int]:
        """The question's text, read as one."""
        return self.vocabulary.encode(question.text)[0] or [0]

    def row(self, tokens: Sequence[int]) -> Any:
        """Log-probabilities after a context."""
        import numpy as np

        own = np.random.default_rng([self._seed, *tokens[-2:]]).normal(size=self.vocabulary.size) * self._apart
        logits = self._shared[self._last[tokens[-1]]] + own + self._silent
        return (logits - _logsumexp(logits)).astype(np.float32)

    async def draft(self, asks: Sequence[DraftAsk]) -> list[Draft]:
        self._note_call(asks)
        return [self._draft_one(ask) for ask in asks]

    async def score(self, asks: Sequence[ScoreAsk]) -> list[Scores]:
        """See `TokenModel`.

        Raises:
            UpstreamError: it has died.
        """
        self._note_call(asks)
        if self._dies is not None and self.calls >= self._dies:
            raise UpstreamError("the connection was lost")
        return [Scores([self._distribution_of(self.row(ask.tokens[:place])) for place in ask.places]) for ask in asks]

    def release(self, rows: Sequence[Hashable]) -> None:
        self.rows -= set(rows)

    async def aclose(self) -> None:
        """Nothing to do."""

    def _note_call(self, asks: Sequence[DraftAsk | ScoreAsk]) -> None:
        self.calls += 1
        self.rows |= {ask.row for ask in asks}

    def _draft_one(self, ask: DraftAsk) -> Draft:
        tokens: list[int] = []
        distributions: list[Distribution] = []
        while len(tokens) < ask.limit:
            row = self.row([*ask.tokens, *tokens])
            token = int(row.argmax())
            if ask.draw is not None:
                token = _draw(row, ask.draw.temperature, ask.draw.uniforms[len(tokens)])
            tokens.append(token)
            distributions.append(self._distribution_of(row, token))
            if token in self.vocabulary.ends or math.exp(row[token]) < ask.until:
                break
        return Draft(tokens, distributions)

    def _distribution_of(self, row: Any, chosen: int | None = None) -> Distribution:
        if self._k is None:
            return DenseDistribution(row)
        best = row.argsort()[::-1][: self._k].tolist()
        listed = set(chain(best, () if chosen is None else (chosen,)))
        return TopDistribution([(token, float(row[token])) for token in listed], self._k)


def _logsumexp(logits: Any) -> float:
    import numpy as np

    return float(logits.max() + np.log(np.exp(logits - logits.max()).sum()))


def _draw(row: Any, temperature: float, uniform: float) -> int:
    import numpy as np

    cumulative = np.exp(row.astype(np.float64) / temperature).cumsum()
    return min(int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right")), len(row) - 1)
