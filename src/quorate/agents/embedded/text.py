"""The text of tokens as they come: no half characters, and nothing that a stop string may still take away."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["Text"]

UNFINISHED = "\ufffd"
"""How a decoder writes bytes that are no character (yet)."""


class Text:
    """Grows token by token; the pieces that `push` and `end` return join to `whole`.

    A token is decoded together with the piece before it, because some decoders write the first
    token of a text differently.

    Args:
        decode: text of a list of tokens.
        stop: strings before which the text ends.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = tuple(stop)
        self._before: list[int] = []
        self._waiting: list[int] = []
        self._said = 0
        self.whole = ""
        self.stopped = False
        """Whether a stop string was met."""

    def push(self, token: int) -> str:
        """One more token; returns the text that is now certain."""
        self._waiting.append(token)
        piece = self._piece()
        if piece.endswith(UNFINISHED):
            return ""
        self._before, self._waiting = self._waiting, []
        self._append(piece)
        return self._say(len(self.whole) if self.stopped else len(self.whole) - self._held())

    def end(self) -> str:
        """No more tokens; returns what was held back, broken characters included."""
        if self._waiting and not self.stopped:
            self._append(self._piece())
            self._waiting = []
        return self._say(len(self.whole))

    def _piece(self) -> str:
        return self._decode([*self._before, *self._waiting])[len(self._decode(self._before)) :]

    def _append(self, piece: str) -> None:
        start = len(self.whole)
        self.whole += piece
        found = [self.whole.find(stop, max(0, start - len(stop) + 1)) for stop in self._stop]
        if places := [place for place in found if place >= 0]:
            self.whole, self.stopped = self.whole[: min(places)], True

    def _held(self) -> int:
        """Characters at the end that may be the beginning of a stop string."""
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        for size in range(min(longest, len(self.whole) - self._said), 0, -1):
            if any(stop.startswith(self.whole[-size:]) for stop in self._stop):
                return size
        return 0

    def _say(self, end: int) -> str:
        said, self._said = self._said, max(self._said, end)
        return self.whole[said : self._said]
