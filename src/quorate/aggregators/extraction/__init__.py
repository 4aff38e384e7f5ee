r"""From a text to the answer that it gives, or to none, which abstains.

    AnswerExtractor()                       the default: all of the general ones, in order
    FirstOf(Boxed(), Choices("ABCD"))       a chain of one's own

| extractor | finds |
|---|---|
| `Boxed` | the last `\boxed{x}` or `\fbox{x}`, braces matched; of boxes side by side all |
| `Tagged` | `<answer>x</answer>` |
| `Hashes` | GSM8K's `#### x` |
| `JsonField` | `{"answer": x}`, with whatever stands around it |
| `Phrase` | "the answer is x", `**Answer:** x`, a heading "Final answer", answer lines of other languages |
| `LoneLetter` | a last line that is one capital letter, settles on one, or is a letter with its option |
| `LastNumber` | the last number that is no confidence, count, reference or correction |
| `Choices` | the letter of multiple choice that a text settles on |

All skip what a model thinks aloud, and all take time linear in the text. `LoneLetter` and `LastNumber` guess: they
find nothing in a refusal or in an answer's form that was left empty. `read_answer` reads a whole sample, where it also
matters whether the text was cut.
"""

from __future__ import annotations

from .choices import Choices, LoneLetter
from .finders import (
    Boxed,
    Finder,
    FirstOf,
    Hashes,
    JsonField,
    LastNumber,
    Phrase,
    Tagged,
    is_only_reasoned,
    read_answer,
)

__all__ = [
    "AnswerExtractor",
    "Boxed",
    "Choices",
    "Finder",
    "FirstOf",
    "Hashes",
    "JsonField",
    "LastNumber",
    "LoneLetter",
    "Phrase",
    "Tagged",
    "is_only_reasoned",
    "read_answer",
]


class AnswerExtractor(FirstOf):
    """The default: the first of a box, `<answer>`, `####`, JSON, "the answer is", a letter alone, the last number."""

    def __init__(self) -> None:
        super().__init__(Boxed(), Tagged(), Hashes(), JsonField(), Phrase(), LoneLetter(), LastNumber())

    def __repr__(self) -> str:
        return "AnswerExtractor()"
