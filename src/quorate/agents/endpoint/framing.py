"""The JSON objects in a reply's body, however they are framed: an event stream, one document, or several.

What a server says of itself (the content type, whether a stream was asked for) does not count, only what it sends:
gateways answer a plain request with events and a streaming one with a document, put `[DONE]` behind a document,
comments and `null` into events, and a byte-order mark before everything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic_core import from_json

from .sse import DONE, Decoder

__all__ = ["Frames", "Malformed", "describe_kind", "parse_json", "parse_object"]

BOM = b"\xef\xbb\xbf"
QUOTED = 80
"""Bytes of what cannot be read that an error quotes."""
_SPACE = re.compile(r"\s*")


class Malformed(ValueError):
    """A reply that is not what the protocol says; the message names the place."""


class Frames:
    """Bytes in, the objects that are complete out.

    An event that is no JSON object says nothing: no answer is made of it, and a sample that misses its end fails.
    Half an object is an error, because the text in it is lost.
    """

    def __init__(self) -> None:
        self.done = False
        """The server has said that nothing follows."""
        self.stray = b""
        """What was left out last, for the error of who misses something."""
        self._decoder: Decoder | None = None
        """Once it has turned out to be a stream."""
        self._pieces: list[bytes] = []
        """Of what may be a document."""
        self.is_document = False
        """It is one JSON document, or several in a row, and no stream of events."""

    def take(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """The objects that are complete with this piece; an empty one is the end.

        Raises:
            Malformed: an object is broken.
        """
        if self._decoder is None:
            if not self._pieces and piece.startswith(b"{") and (whole := _object(piece)) is not None:
                self.is_document = True  # which nearly always comes in one piece
                yield whole
                return
            events = self._begin(piece)
        else:
            events = self._decoder.decode(piece)
        for data in events:
            if data == DONE:
                self.done = True
                return
            if (found := _object(data)) is not None:
                yield found
            else:
                yield from self._read_odd(data)
                if self.done:
                    return

    def _begin(self, piece: bytes) -> Iterable[bytes]:
        """The events in what has come so far, by its first byte that says something; a document is one, at its end."""
        self._pieces.append(piece)
        if not self.is_document:
            start = b"".join(self._pieces).removeprefix(BOM).lstrip()
            if piece and (not start or BOM.startswith(start)):
                return ()
            self._pieces = [start]
            self.is_document = start.startswith((b"{", b"["))
            if not self.is_document:
                if b"data:" not in start:
                    self.stray = start[:QUOTED]
                self._decoder = Decoder()
                return [*self._decoder.decode(start), *(() if piece else self._decoder.end())]
        return () if piece or not any(self._pieces) else (b"".join(self._pieces),)

    def _read_odd(self, data: bytes) -> Iterator[dict[str, Any]]:
        """An event that is not just an object."""
        data = data.strip().removeprefix(b"data:").lstrip()  # a gateway that frames what is framed
        if data.strip(b'"') == DONE:
            self.done = True
        elif data.startswith((b"{", b"[")):
            yield from self._read_documents(data)
        elif data and data != b"null" and not data.startswith(b":"):
            self.stray = data[:QUOTED]

    def _read_documents(self, data: bytes) -> Iterator[dict[str, Any]]:
        """One JSON document or several in a row, in lists or not; events may follow."""
        try:
            yield from _objects(from_json(data))
            return
        except ValueError:
            pass
        text, place = _decode(data), 0
        while text.startswith(("{", "["), place) and not text.startswith("[DONE]", place):
            try:
                value, place = json.JSONDecoder().raw_decode(text, place)
            except (ValueError, RecursionError):
                raise Malformed(f"not JSON: {text[place : place + QUOTED]!r}") from None
            yield from _objects(value)
            if space := _SPACE.match(text, place):
                place = space.end()
        self.done = text.startswith(("[DONE]", "data: [DONE]", "data:[DONE]"), place)


def parse_json(data: bytes) -> Any:
    """A JSON document.

    Raises:
        Malformed: it is none.
    """
    data = data.removeprefix(BOM)
    try:
        try:
            return from_json(data)
        except ValueError:  # lone halves of surrogate pairs among others, which Python's own decoder takes
            return json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed(f"not JSON: {data[:QUOTED].decode(errors='replace')!r}") from None


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Malformed: it is none.
    """
    value = parse_json(data)
    if not isinstance(value, dict):
        raise Malformed(f"{describe_kind(value)} where an object belongs")
    return value


def describe_kind(value: object) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _object(data: bytes) -> dict[str, Any] | None:
    """The object that the data is, if it is just that."""
    try:
        found = from_json(data)
    except ValueError:
        return None
    return found if type(found) is dict else None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            yield each


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Malformed(f"not JSON: {data[:QUOTED]!r}") from None
