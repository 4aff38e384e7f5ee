"""One verifier's reading of an answer that another model writes.

The text is encoded anew, but not from its beginning: a tail from an *anchor* on, which moves up once
encoding from there gives the tokens that encoding from further back gave. What is settled is one
list of ids that only grows, so the verifier's cache is cut at the first token that came out otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .token_bytes import END, TokenBytes, ends_with_character, to_characters

TAIL = 32
"""Bytes that stay ahead of the anchor, so that what comes cannot change how the text before it is read."""
SLACK = 64
"""Bytes ahead of the anchor at which it is moved."""


@dataclass(frozen=True, slots=True)
class AlignedToken:
    """A drafted token as a verifier meets it."""

    place: int
    """Length of the verifier's context before it."""
    own: int
    """The verifier's token that begins it; -1 where none does."""
    finishing: bool = False
    """Whether the ensemble has just taken a token of the verifier's own, which the verifier may go on from."""


@dataclass(frozen=True, slots=True)
class AlignedDraft:
    """A draft as a verifier reads it."""

    context: list[int]
    """The verifier's context up to the last token that was aligned."""
    tokens: list[AlignedToken | None]
    """By token of the draft; None where the verifier would not have put a boundary.

    The draft's token before is then OOV-like for it.
    """
    reach: int
    """Tokens of the draft that one context can judge; those from there on wait for the next cycle."""


class VerifierContext:
    """Reads what is written, as one model's tokens.

    Args:
        token_bytes: the model's.
        prompt: its own prompt.
        same: whether it has the drafter's tokenizer, and takes its ids as they are.
    """

    def __init__(self, token_bytes: TokenBytes, prompt: Sequence[int], *, same: bool) -> None:
        self.token_bytes = token_bytes
        self.same = same
        self._settled = list(prompt)
        self._anchor = 0
        self._known: dict[int, tuple[list[int], int] | None] = {}
        self._taken = False
        self.last_context: list[int] = []
        """The context asked for last."""

    def read_all(self, text: bytes, ids: Sequence[int]) -> list[int]:
        """The whole text (drafter's ids: `ids`) as the verifier reads it, boundary or not."""
        if self.same:
            return [*self._settled, *ids]
        while not ends_with_character(text):
            text = text[:-1]
        tail = self._encode_tail(text, len(text))
        return [*self._settled, *(tail[0] if tail else ())]

    def align(
        self, text: bytes, ids: Sequence[int], draft: Sequence[int], keys: Sequence[bytes | None]
    ) -> AlignedDraft:
        """The draft after the text so far.

        A token is judged from the text up to its own end alone, so that it does not depend on how far the
        draft goes: reading that text must give the tokens before it, and more.

        Args:
            text: all that is written.
            ids: the same in the drafter's tokens.
            draft: the drafter's next tokens.
            keys: what these say; None for a token without text.
        """
        if self.same:
            base = len(self._settled) + len(ids)
            aligned = [None if key is None else AlignedToken(base + n, draft[n]) for n, key in enumerate(keys)]
            return AlignedDraft([*self._settled, *ids, *draft[:-1]], list(aligned), len(draft))
        return self._align(text, keys)

    def _align(self, text: bytes, keys: Sequence[bytes | None]) -> AlignedDraft:
        whole = text + b"".join(key or b"" for key in keys)
        aligned: list[AlignedToken | None] = []
        line: list[int] = []
        size = len(text)
        before = self._encode_tail(whole, size)
        for number, key in enumerate(keys):
            after = self._encode_tail(whole, size + len(key or b""))
            token = self._align_token(key, before, after, size)
            if token is None and number == 0 and self._taken and key and before is not None and before[1] == size:
                own = self.token_bytes.vocabulary.id_of(key)
                token = AlignedToken(len(self._settled) + len(before[0]), -1 if own is None else own, finishing=True)
            if token is not None and before is not None:
                if before[0][: len(line)] != line:
                    return AlignedDraft(self._settled + line, aligned, number)
                line = before[0]
            aligned.append(token)
            before, size = after, size + len(key or b"")
        return AlignedDraft(self._settled + line, aligned, len(keys))

    def _align_token(
        self, key: bytes | None, before: tuple[list[int], int] | None, after: tuple[list[int], int] | None, size: int
    ) -> AlignedToken | None:
        if key is None or before is None or before[1] != size:
            return None
        place = len(self._settled) + len(before[0])
        if key == END:
            return AlignedToken(place, self.token_bytes.spell(END)[0])
        if after is None:  # the token ends inside a character
            own = self.token_bytes.vocabulary.id_of(key)
            return None if own is None else AlignedToken(place, own)
        ids, known = after[0], len(before[0])
        return AlignedToken(place, ids[known]) if len(ids) > known and ids[:known] == before[0] else None

    def _encode_tail(self, text: bytes, size: int) -> tuple[list[int], int] | None:
        """Ids of the first `size` bytes from the anchor on, and where they end; None inside a character."""
        if size not in self._known:
            part = text[self._anchor : size]
            if ends_with_character(part):
                ids, ends = self.token_bytes.vocabulary.encode(to_characters(part))
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
        self._taken = bool(chosen) and not self.same and self._is_own_token(text, size, chosen or b"")
        if not self.same and len(text) - self._anchor > SLACK:
            self._move_anchor(text)

    def _is_own_token(self, text: bytes, size: int, chosen: bytes) -> bool:
        """Whether the verifier would have written the chosen text as this one token."""
        before, after = self._encode_tail(text, size), self._encode_tail(text, size + len(chosen))
        if before is None or after is None or before[1] != size:
            return False
        return after[0] == [*before[0], self.token_bytes.vocabulary.id_of(chosen)]

    def _move_anchor(self, text: bytes) -> None:
        """Moves the anchor to a boundary from which on encoding gives the same."""
        tail = self._encode_tail(text, len(text))
        if tail is None:
            return
        ids, _ = tail
        encode = self.token_bytes.vocabulary.encode
        part = to_characters(text[self._anchor :])
        _, ends = encode(part)
        for number in range(len(ids) - 1, 0, -1):
            end = self._anchor + ends[number - 1]
            if len(text) - end < TAIL or not ends_with_character(text[:end]):
                continue
            again, _ = encode(to_characters(text[end:]))
            if again == ids[number:]:
                self._settled += ids[:number]
                self._anchor = end
                self._known.clear()
                return
