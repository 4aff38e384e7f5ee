"""A form with one file in it (multipart/form-data), whose bytes go to the disk as they come."""

from __future__ import annotations

import asyncio
import re
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive, Scope

from quorate.orchestrator.errors import Unwritable

from ..http.body import TooLarge, TooSlow
from ..http.errors import BadField, ClientGone
from ..http.routing import read_header

__all__ = ["Upload", "read_upload"]

FIELD_BYTES = 4096
"""Of one field that is no file."""
MOST_FIELDS = 16
FRAME = 2**16
"""Bytes of a body beside the file's."""


class Upload:
    """What has come of a form.

    Args:
        boundary: between its parts.
        into: where the bytes of `file` go.
        most: how many those may be.
    """

    def __init__(self, boundary: bytes, into: BinaryIO, most: int) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        """None as long as there was no file."""
        self.size = 0
        self.ended = False
        self._into, self._most = into, most
        self._header, self._value = b"", b""
        self._name = ""
        self._is_file = False
        self._text = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._read_header_field,
                "on_header_value": self._read_header_value,
                "on_header_end": self._end_header,
                "on_part_data": self._read_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def write(self, data: bytes) -> None:
        """Takes in some of the body.

        Raises:
            BadField: it is no such form, or one with a field that cannot be.
            TooLarge: the file has too many bytes.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadField(f"the body is no multipart/form-data: {error}", None) from None

    def _begin_part(self) -> None:
        self._name, self._text, self._is_file = "", b"", False
        if len(self.fields) >= MOST_FIELDS:
            raise BadField(f"the form has more than {MOST_FIELDS} fields", None)

    def _read_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _read_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value.decode("latin-1"))
            self._name = options.get(b"name", b"").decode(errors="replace")
            if self._name == "file" and self.filename is not None:
                raise BadField("occurs more than once", "file")
            if self._name == "file":
                self._is_file = True
                # Without folders: somebody may save it under this name.
                name = options.get(b"filename", b"").decode(errors="replace")
                self.filename = re.split(r"[/\\]", name)[-1][:255] or "upload"
        self._header, self._value = b"", b""

    def _read_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.size += end - start
            if self.size > self._most:
                raise _too_large(self._most)
            try:
                self._into.write(memoryview(data)[start:end])
            except OSError as error:
                raise Unwritable(f"the file cannot be written: {error.strerror}") from error
            return
        self._text += data[start:end]
        if len(self._text) > FIELD_BYTES:
            raise BadField(f"is longer than {FIELD_BYTES} bytes", self._name or None)

    def _end_part(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._text.decode(errors="replace")

    def _end(self) -> None:
        self.ended = True


async def read_upload(scope: Scope, receive: Receive, into: BinaryIO, *, most: int, seconds: float) -> Upload:
    """The whole form.

    Args:
        scope: the request's.
        receive: the request's.
        into: where the bytes of the field `file` go.
        most: of those.
        seconds: in which the next piece has to come: how long a large file takes is its line's matter.

    Raises:
        BadField: it is no form, or has no file.
        TooLarge: the file is larger, or the body says so.
        TooSlow: nothing came for too long.
        ClientGone: it ended before its end.
    """
    kind, options = parse_options_header(read_header(scope, b"content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadField("send the file as multipart/form-data, in the field 'file', beside 'purpose'", "file")
    declared = read_header(scope, b"content-length")
    if declared.isdecimal() and int(declared) > most + FRAME:
        raise _too_large(most)
    upload, more = _start(options[b"boundary"], into, most), True
    while more:
        try:
            async with asyncio.timeout(seconds):
                message = await receive()
        except TimeoutError:
            raise TooSlow(f"nothing more of the body came for {seconds:g} s") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        upload.write(message.get("body", b""))
        more = message.get("more_body", False)
    if upload.filename is None:
        raise BadField("is missing", "file")
    if not upload.ended:
        raise BadField("the body ends within the form", "file")
    return upload


def _start(boundary: bytes, into: BinaryIO, most: int) -> Upload:
    try:
        return Upload(boundary, into, most)
    except FormParserError as error:
        raise BadField(f"the body is no multipart/form-data: {error}", None) from None


def _too_large(most: int) -> TooLarge:
    return TooLarge(
        f"the file is larger than the {most} bytes that are left for it (server.files: max_bytes of one file, "
        "key_bytes of all of a key's)"
    )
