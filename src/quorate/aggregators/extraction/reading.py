"""From a sample to the answer that it votes for."""

from __future__ import annotations

import re

from quorate.orchestrator.protocols import Extractor

from ..markup import thoughts, visible
from .finders import Finder, FirstOf

__all__ = ["is_only_reasoned", "read_answer"]

_LAST_WORD = re.compile(r"\S++(?<![}>$])\Z")


def read_answer(
    extractor: Extractor, text: str, reasoning: str | None = None, finish_reason: str | None = None
) -> str | None:
    """The answer that a sample gives; None abstains.

    A text that ran out of tokens counts with an answer that it marks as one (a box, an answer line), never with a
    number from its middle, and its last word may be half of one
    if nothing closes it. Where nothing stands outside the reasoning, what the
    reasoning says counts, if it came to an end. What a filter cut off gives no answer.

    Args:
        extractor: finds the answer in a text.
        text: what was said.
        reasoning: thinking that the backend kept apart.
        finish_reason: why the sample ended, where that is known.
    """
    if finish_reason == "content_filter":
        return None
    if is_only_reasoned(text, reasoning):
        return None if finish_reason == "length" else extractor.extract(reasoning or thoughts(text)) or None
    if finish_reason != "length":
        return extractor.extract(text) or None
    whole = _LAST_WORD.sub("", text)
    find = extractor.extract_marked if isinstance(extractor, Finder | FirstOf) else extractor.extract
    return find(whole) or None


def is_only_reasoned(text: str, reasoning: str | None) -> bool:
    """Whether a sample says nothing outside its reasoning."""
    return not visible(text).strip() and bool((reasoning or "").strip() or thoughts(text))
