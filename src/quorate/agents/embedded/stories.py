"""What the shipped models know, and whether a question is of that kind.

They learned generated word problems, and answer anything else with made-up arithmetic. Such a problem is told from
other questions by its form: a bare calculation, or whole numbers, a question for a quantity, and words that the
default model's tokenizer, which was made from these problems, writes in hardly more than one token each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from quorate.orchestrator.errors import BadInput, MissingExtra
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.types import Question

from .weights import FAMILY, FIRST, locate

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["FAMILY", "BeyondModel", "count_tokens_a_word", "is_story", "refuse_strange"]

_OPERATION = r"(?:[-+*/x\u00d7\u00f7\u2212]|plus|minus|times|divided by)"
CALCULATION = re.compile(
    rf"(?:what is|how much is|compute|calculate)?\s*\d+(?:\s*{_OPERATION}\s*\d+)+\s*(?:=\s*)?[?.]?", re.IGNORECASE
)
QUANTITY = re.compile(r"\bhow (?:many|much)\b|\bwhat is the (?:number|total)\b", re.IGNORECASE)
STRANGE = re.compile(r"\d[.,:]\d|\d\s*%|[{}\\^|<>]")
"""What no problem holds: numbers that are not whole, formulas, markup."""
WORD = re.compile(r"(?<![\w'-])[a-z]+")
"""Names, which begin with a capital letter, may be any."""
MOST_TOKENS = 1.9
"""A word, on average. Of 30,000 problems none with a question for a quantity needs more."""


class BeyondModel(BadInput):
    """A question of another kind than the model has learned."""

    code = "beyond_model"


def refuse_strange(question: Question, asked: Iterable[Identity]) -> None:
    """Refuses a question that none of these models can know, where all of them ship with the package.

    Raises:
        BeyondModel: what they know, and what to do.
    """
    models = list(asked)
    if not models or any(model.family != FAMILY for model in models) or is_story(question.text):
        return
    names = ", ".join(dict.fromkeys(model.model for model in models))
    raise BeyondModel(
        f"{names} can do story problems and sums with whole numbers, and this question is neither: ask a real model "
        "(quorate models add smollm2-135m fetches a small one; --upstream URL asks a server's)"
    )


def is_story(text: str) -> bool:
    """Whether a text has the form of a problem that the shipped models have learned."""
    text = text.strip()
    if CALCULATION.fullmatch(text):
        return True
    if STRANGE.search(text) or not re.search(r"\d", text) or not QUANTITY.search(text):
        return False
    return count_tokens_a_word(text) <= MOST_TOKENS


def count_tokens_a_word(text: str) -> float:
    """Tokens that the default model needs for a word, on average; names left out."""
    words = WORD.findall(text)
    encoded = _load_tokenizer().encode_batch([f" {word}" for word in words], add_special_tokens=False)
    return sum(len(one.ids) for one in encoded) / max(len(words), 1)


@cache
def _load_tokenizer() -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("local", f"the model {FIRST[0]}") from error
    return Tokenizer.from_file(str(locate(FIRST[0]) / "tokenizer.json"))
