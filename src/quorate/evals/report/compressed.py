"""Many JSON objects, compressed in blocks that a page unpacks one at a time.

A block is a JSON array, compressed by zlib (`deflate` to a browser's DecompressionStream) and written
in base64, which holds nothing that HTML could take for markup.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

BLOCK = 192 * 1024
"""Bytes of JSON after which a block is closed: some twenty questions of sixteen samples, unpacked in milliseconds."""
LEVEL = 6


def pack(value: Any) -> str:
    """Any JSON value as one compressed text; the same value gives the same text."""
    return _compress(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


@dataclass(frozen=True)
class CompressedBlocks:
    """Objects in order, by blocks."""

    texts: tuple[str, ...] = ()
    """Compressed, base64."""
    starts: tuple[int, ...] = ()
    """The number of the first object of each block."""
    count: int = 0

    @classmethod
    def of(cls, objects: Iterable[Any]) -> Self:
        """All of these."""
        packer = BlockPacker()
        for value in objects:
            packer.add(value)
        return cls(*packer.parts())


class BlockPacker:
    """Takes objects as they come, of which only an open block is in memory as text."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._starts: list[int] = []
        self._waiting: list[str] = []
        self._size = self._count = 0

    def add(self, value: Any) -> None:
        """Packs one more.

        Raises:
            ValueError: a NaN or an infinity is among the numbers, which no browser's JSON knows.
        """
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._waiting.append(text)
        self._size, self._count = self._size + len(text), self._count + 1
        if self._size >= BLOCK:
            self._close()

    def blocks(self) -> CompressedBlocks:
        """What was added so far."""
        return CompressedBlocks(*self.parts())

    def parts(self) -> tuple[tuple[str, ...], tuple[int, ...], int]:
        if self._waiting:
            self._close()
        return tuple(self._texts), tuple(self._starts), self._count

    def _close(self) -> None:
        self._texts.append(_compress(f"[{','.join(self._waiting)}]"))
        self._starts.append(self._count - len(self._waiting))
        self._waiting, self._size = [], 0


def _compress(text: str) -> str:
    # A lone surrogate, which JSON may carry, has no UTF-8; a question mark stands for it.
    return b64encode(zlib.compress(text.encode("utf-8", "replace"), LEVEL)).decode("ascii")
