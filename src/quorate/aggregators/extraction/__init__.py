r"""From a text to the answer that it gives, or to none, which abstains.

    AnswerExtractor()                       the default: all of the general ones, in order
    FirstOf(Boxed(), Choices("ABCD"))       a chain of one's own

| extractor | finds |
|---|---|
| `Boxed` | the last `\boxed{x}` or `\fbox{x}`, braces matched |
| `Hashes` | GSM8K's `#### x` |
| `Phrase` | "the answer is x", `**Answer:** x`, a heading "Final answer" |
| `LoneLetter` | a last line that is one capital letter |
| `LastNumber` | the last number |
| `Choices` | a letter of multiple choice |

All skip what a model thinks aloud (up to the last `</think>`), and all take time linear in the text.
"""

from __future__ import annotations

from .choices import Choices, LoneLetter
from .finders import Boxed, Finder, FirstOf, Hashes, JsonField, LastNumber, Phrase, Tagged
from .reading import is_only_reasoned, read_answer

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
    """The default: a box, else `####`, else "the answer is", else a letter alone, else the last number."""

    def __init__(self) -> None:
        super().__init__(Boxed(), Tagged(), Hashes(), JsonField(), Phrase(), LoneLetter(), LastNumber())

    def __repr__(self) -> str:
        return "AnswerExtractor()"
