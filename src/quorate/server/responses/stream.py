"""A response as a sequence of typed events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..pieces import Piece
from ..sse import frame
from .output import call_item, identity, message_item, reasoning_item

__all__ = ["Writer"]


class Writer:
    """Numbers the events, and opens and closes the items that they belong to."""

    def __init__(self) -> None:
        self._sequence = 0
        self.output: list[dict[str, Any]] = []
        """Items that are complete."""
        self._item: _Message | _Reasoning | None = None

    def event(self, kind: str, **fields: Any) -> bytes:
        """One event."""
        value = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return frame(value, kind)

    def piece(self, piece: Piece) -> Iterator[bytes]:
        """The events of a piece of the answer."""
        match piece.kind:
            case "text":
                yield from self._into(_Message, piece)
            case "progress" | "reasoning":
                yield from self._into(_Reasoning, piece)
            case "calls":
                yield from self.close()
                for call in piece.calls:
                    yield from self._call(call)

    def close(self, logprobs: list[dict[str, Any]] | None = None, *, status: str = "completed") -> Iterator[bytes]:
        """Ends the item that is open; of a message the log-probabilities are known at its end."""
        if self._item is None:
            return
        item, self._item = self._item, None
        whole, place = item.whole(logprobs, status), len(self.output)
        for kind, fields in item.ends(whole):
            yield self.event(kind, item_id=item.name, output_index=place, **fields)
        self.output.append(whole)
        yield self.event("response.output_item.done", output_index=place, item=whole)

    def empty(self) -> Iterator[bytes]:
        """A message without text, where a model said nothing."""
        yield from self._into(_Message, Piece(0, "text"))

    def _into(self, kind: type[_Message | _Reasoning], piece: Piece) -> Iterator[bytes]:
        if not isinstance(self._item, kind):
            yield from self.close()
            self._item = kind()
            yield self.event("response.output_item.added", output_index=len(self.output), item=self._item.begun())
        for event, fields in self._item.take(piece):
            yield self.event(event, item_id=self._item.name, output_index=len(self.output), **fields)

    def _call(self, call: Mapping[str, Any]) -> Iterator[bytes]:
        name, place = identity("fc"), len(self.output)
        whole = call_item(name, call)
        begun = {**whole, "arguments": "", "status": "in_progress"}
        said = {"item_id": name, "output_index": place}
        yield self.event("response.output_item.added", output_index=place, item=begun)
        yield self.event("response.function_call_arguments.delta", **said, delta=whole["arguments"])
        yield self.event(
            "response.function_call_arguments.done", **said, name=whole["name"], arguments=whole["arguments"]
        )
        self.output.append(whole)
        yield self.event("response.output_item.done", output_index=place, item=whole)


Told = Iterator[tuple[str, dict[str, Any]]]
"""Kinds of events with the fields that are their own."""


class _Message:
    """The answer's text."""

    def __init__(self) -> None:
        self.name = identity("msg")
        self._texts: list[str] = []

    def begun(self) -> dict[str, Any]:
        return {**message_item(self.name, "", None, status="in_progress"), "content": []}

    def take(self, piece: Piece) -> Told:
        if not self._texts:
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield "response.content_part.added", {"content_index": 0, "part": part}
        self._texts.append(piece.text)
        if piece.text:
            yield "response.output_text.delta", {"content_index": 0, "delta": piece.text, "logprobs": []}

    def whole(self, logprobs: list[dict[str, Any]] | None, status: str) -> dict[str, Any]:
        return message_item(self.name, "".join(self._texts), logprobs, status=status)

    def ends(self, whole: dict[str, Any]) -> Told:
        part = whole["content"][0]
        done = {"content_index": 0, "text": part["text"], "logprobs": part["logprobs"]}
        yield "response.output_text.done", done
        yield "response.content_part.done", {"content_index": 0, "part": part}


class _Reasoning:
    """Progress and thinking, each a part of the summary for as long as it goes on."""

    def __init__(self) -> None:
        self.name = identity("rs")
        self._parts: list[tuple[str, list[str]]] = []

    def begun(self) -> dict[str, Any]:
        return reasoning_item(self.name, [])

    def take(self, piece: Piece) -> Told:
        if not self._parts or self._parts[-1][0] != piece.kind:
            yield from self._part_ends()
            self._parts.append((piece.kind, []))
            part = {"type": "summary_text", "text": ""}
            yield "response.reasoning_summary_part.added", {"summary_index": len(self._parts) - 1, "part": part}
        self._parts[-1][1].append(piece.text)
        yield "response.reasoning_summary_text.delta", {"summary_index": len(self._parts) - 1, "delta": piece.text}

    def whole(self, _: list[dict[str, Any]] | None, __: str) -> dict[str, Any]:
        return reasoning_item(self.name, ["".join(texts) for _, texts in self._parts])

    def ends(self, _: dict[str, Any]) -> Told:
        yield from self._part_ends()

    def _part_ends(self) -> Told:
        if self._parts:
            index, text = len(self._parts) - 1, "".join(self._parts[-1][1])
            yield "response.reasoning_summary_text.done", {"summary_index": index, "text": text}
            part = {"type": "summary_text", "text": text}
            yield "response.reasoning_summary_part.done", {"summary_index": index, "part": part}
