"""Server-sent events, decoded from bytes as they come (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["DONE", "Decoder"]

DONE = b"[DONE]"
"""What the last event of a chat stream holds."""


class Decoder:
    """Bytes in, the data of complete events out.

    Lines end in LF, CRLF or CR, wherever the chunks are cut; several `data` lines of one event are
    joined; comments (keep-alives) and other fields are skipped. The data stays bytes, so that a
    character cut in two by a chunk is whole again. Two things that servers send beside the standard are
    data too: llama.cpp's field `error`, and a line of bare JSON.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[bytes] = []

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """The data of each event that is complete with this chunk; an empty one ends the stream.

        Some servers leave out the blank line after the last event.
        """
        if not chunk:
            yield from self.end()
            return
        if not self._rest and not self._data and b"\r" not in chunk and chunk.endswith(b"\n\n"):
            for event in chunk[:-2].split(b"\n\n"):  # whole events, as most servers write them
                if event.startswith(b"data: ") and b"\n" not in event:
                    yield event[6:]
                else:
                    for line in (*event.split(b"\n"), b""):
                        yield from self._line(line)
            return
        self._rest.append(chunk)
        if b"\n" not in chunk and b"\r" not in chunk:
            return
        lines = b"".join(self._rest).splitlines(keepends=True)
        # An LF may follow a CR at the very end, so the line waits with what is not yet a line.
        self._rest = [] if lines[-1].endswith(b"\n") else [lines.pop()]
        for line in lines:
            yield from self._line(line.rstrip(b"\r\n"))

    def end(self) -> Iterator[bytes]:
        """What is left when the stream is over."""
        yield from self._line(b"".join(self._rest).rstrip(b"\r\n"))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[bytes]:
        if not line and self._data:
            yield b"\n".join(self._data)
            self._data = []
        elif line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif line.startswith(b"error:"):
            self._data.append(line[6:].removeprefix(b" "))
        elif line.startswith(b"{"):
            self._data.append(line)
