"""One verifier's reading of an answer that another model writes.

The text is encoded anew, but not from its beginning: a tail from an *anchor* on, which moves up once
encoding from there gives the tokens that encoding from further back gave. What is settled is one
list of ids that only grows, so the verifier's cache is cut at the first token that came out otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .lexicon import END, Lexicon, readable, whole_characters

__all__ = ["Follower", "Reading", "Spot", "shared"]

TAIL = 32
"""Bytes that stay ahead of the anchor, so that what comes cannot change how the text before it is read."""
SLACK = 64
"""Bytes ahead of the anchor at which it is moved."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A drafted token as a verifier meets it."""

    place: int
    """Length of the verifier's context before it."""
    own: int
    """The verifier's token that begins it; -1 where none does."""
    finishing: bool = False
    """Whether the ensemble has just taken a token of the verifier's own, which the verifier may go on from."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A draft as a verifier reads it."""

    tokens: list[int]
    """The context up to the last spot; empty if there is none."""
    spots: list[Spot | None]
    """None where the verifier would not have put a boundary (the draft's token before is OOV-like for it)."""
    reach: int
    """Tokens of the draft that one context can judge; those from there on wait for the next cycle."""


class Follower:
    """Reads what is written, as one model's tokens.

    Args:
        lexicon: the model's.
        prompt: its own prompt.
        same: whether it has the drafter's tokenizer, and takes its ids as they are.
    """

    def __init__(self, lexicon: Lexicon, prompt: Sequence[int], *, same: bool) -> None:
        self.lexicon = lexicon
        self.same = same
        self._settled = list(prompt)
        self._anchor = 0
        self._known: dict[int, tuple[list[int], int] | None] = {}
        self._taken = False
        self.read: list[int] = []
        """The context asked for last."""

    def context(self, text: bytes, ids: Sequence[int]) -> list[int]:
        """The whole text (drafter's ids: `ids`) as the verifier reads it, boundary or not."""
        if self.same:
            return [*self._settled, *ids]
        while not whole_characters(text):
            text = text[:-1]
        tail = self._tail(text, len(text))
        return [*self._settled, *(tail[0] if tail else ())]

    def reading(self, text: bytes, ids: Sequence[int], draft: Sequence[int], keys: Sequence[bytes | None]) -> Reading:
        """The draft after the text so far.

        A spot is judged from the text up to the end of its token alone, so that it does not depend on how
        far the draft goes: reading that text must give the tokens before the spot, and more.

        Args:
            text: all that is written.
            ids: the same in the drafter's tokens.
            draft: the drafter's next tokens.
            keys: what these say; None for a token without text.
        """
        if self.same:
            base = len(self._settled) + len(ids)
            spots = [None if key is None else Spot(base + n, draft[n]) for n, key in enumerate(keys)]
            return Reading([*self._settled, *ids, *draft[:-1]], list(spots), len(draft))
        return self._read(text, keys)

    def _read(self, text: bytes, keys: Sequence[bytes | None]) -> Reading:
        whole = text + b"".join(key or b"" for key in keys)
        spots: list[Spot | None] = []
        line: list[int] = []
        size = len(text)
        before = self._tail(whole, size)
        for number, key in enumerate(keys):
            after = self._tail(whole, size + len(key or b""))
            spot = self._spot(key, before, after, size)
            if spot is None and number == 0 and self._taken and key and before is not None and before[1] == size:
                own = self.lexicon.vocabulary.id_of(key)
                spot = Spot(len(self._settled) + len(before[0]), -1 if own is None else own, finishing=True)
            if spot is not None and before is not None:
                if before[0][: len(line)] != line:
                    return Reading(self._settled + line, spots, number)
                line = before[0]
            spots.append(spot)
            before, size = after, size + len(key or b"")
        return Reading(self._settled + line, spots, len(keys))

    def _spot(
        self, key: bytes | None, before: tuple[list[int], int] | None, after: tuple[list[int], int] | None, size: int
    ) -> Spot | None:
        if key is None or before is None or before[1] != size:
            return None
        place = len(self._settled) + len(before[0])
        if key == END:
            return Spot(place, self.lexicon.spelled(END)[0])
        if after is None:  # the token ends inside a character
            own = self.lexicon.vocabulary.id_of(key)
            return None if own is None else Spot(place, own)
        ids, known = after[0], len(before[0])
        return Spot(place, ids[known]) if len(ids) > known and ids[:known] == before[0] else None

    def _tail(self, text: bytes, size: int) -> tuple[list[int], int] | None:
        """Ids of the first `size` bytes from the anchor on, and where they end; None inside a character."""
        if size not in self._known:
            part = text[self._anchor : size]
            if whole_characters(part):
                ids, ends = self.lexicon.vocabulary.encode(readable(part))
                self._known[size] = (ids, self._anchor + ends[-1] if ends else self._anchor)
            else:
                self._known[size] = None
        return self._known[size]

    def settle(self, text: bytes, size: int, chosen: bytes | None) -> None:
        """The text is written up to its end, and what was read beyond its first `size` bytes may be otherwise.

        Args:
            text: all that is written.
            size: of what has stayed as it was.
            chosen: what the ensemble put after that in place of the draft's token.
        """
        for known in [known for known in self._known if known > size]:
            del self._known[known]
        self._taken = bool(chosen) and not self.same and self._own(text, size, chosen or b"")
        if not self.same and len(text) - self._anchor > SLACK:
            self._move(text)

    def _own(self, text: bytes, size: int, chosen: bytes) -> bool:
        """Whether the verifier would have written the chosen text as this one token."""
        before, after = self._tail(text, size), self._tail(text, size + len(chosen))
        if before is None or after is None or before[1] != size:
            return False
        return after[0] == [*before[0], self.lexicon.vocabulary.id_of(chosen)]

    def _move(self, text: bytes) -> None:
        """Moves the anchor to a boundary from which on encoding gives the same."""
        tail = self._tail(text, len(text))
        if tail is None:
            return
        ids, _ = tail
        encode = self.lexicon.vocabulary.encode
        part = readable(text[self._anchor :])
        _, ends = encode(part)
        for number in range(len(ids) - 1, 0, -1):
            end = self._anchor + ends[number - 1]
            if len(text) - end < TAIL or not whole_characters(text[:end]):
                continue
            again, _ = encode(readable(text[end:]))
            if again == ids[number:]:
                self._settled += ids[:number]
                self._anchor = end
                self._known.clear()
                return


def shared(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    both = min(len(ours), len(theirs))
    if ours[:both] == theirs[:both]:
        return both
    return next(place for place in range(both) if ours[place] != theirs[place])
