"""The code in a model's text."""

from __future__ import annotations

import re

from ..markup import visible

__all__ = ["CodeExtractor", "code_blocks"]

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*$", re.MULTILINE)


def code_blocks(text: str) -> list[str]:
    """What stands between fences, in order; a fence that is never closed holds the rest of the text."""
    blocks, start, python = [], None, True
    for fence in _FENCE.finditer(text):
        if start is None:
            start, python = fence.end(), fence[1].lower() in ("", "py", "python", "python3")
        else:
            blocks += [text[start : fence.start()]] if python else []
            start = None
    if start is not None and python:
        blocks.append(text[start:])
    return [block.strip("\n") for block in blocks if block.strip()]


class CodeExtractor:
    """The longest Python block after the thinking; the whole text where there is no fence."""

    def extract(self, text: str) -> str | None:
        """See `protocols.Extractor`."""
        shown = visible(text)
        blocks = code_blocks(shown) or [shown]
        code = "\n".join(line.rstrip() for line in max(blocks, key=len).splitlines()).strip("\n")
        return code if code.strip() else None
