"""Token models that say what they are told to each question, and how sure they are of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quorate.testing import FormulaTokens
from tests.aggregators.token_level.writers import vocabulary

__all__ = ["SURE", "UNSURE", "Saying", "saying"]

SURE, UNSURE = 0.9, 0.4


class Saying(FormulaTokens):
    """Says one text to each question, each token with the same probability, the others equally likely.

    Args:
        name: of the model.
        said: by question, the text and the probability of each of its tokens.
    """

    def __init__(self, name: str, said: Mapping[str, tuple[str, float]]) -> None:
        super().__init__(vocabulary("bytes"), name=name)
        encode, end = self.vocabulary.encode, min(self.vocabulary.ends)
        self._said = {tuple(encode(asked)[0]): ([*encode(text)[0], end], sure) for asked, (text, sure) in said.items()}

    def row(self, tokens: Sequence[int]) -> Any:
        """See `FormulaTokens`; after what is no beginning of its text, all is equally likely."""
        import numpy as np

        target, sure = 0, 1 / self.vocabulary.size
        for prompt, (answer, told) in self._said.items():
            rest = list(tokens[len(prompt) :])
            if tuple(tokens[: len(prompt)]) == prompt and answer[: len(rest)] == rest and len(rest) < len(answer):
                target, sure = answer[len(rest)], told
        shares = np.full(self.vocabulary.size, (1 - sure) / (self.vocabulary.size - 1))
        shares[target] = sure
        return np.log(shares).astype(np.float32)


def saying(name: str, right: Sequence[bool], *, error: int = 10) -> Saying:
    """Answers question n (`Number n?`) with n, or unsurely with n + error where it is not right."""
    told = {
        f"Number {n}?": (f"Answer: {n if known else n + error}", SURE if known else UNSURE)
        for n, known in enumerate(right)
    }
    return Saying(name, told)
