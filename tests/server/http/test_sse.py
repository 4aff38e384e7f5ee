"""The body of a stream: what is sent when, and together."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from quorate.server.http.sse import EventStream, encode_event

from ..conftest import wait_until


class Sent:
    """What a server was told to send."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(dict(message))

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages if message["type"] == "http.response.body"]


async def test_frames_of_one_turn_go_out_together() -> None:
    """The reply begins with the first, and ends with the last ones in one piece."""
    sent = Sent()
    async with EventStream(sent, keep_alive=60) as body:
        assert not body.started
        body.write(b"a")
        body.write(b"b")
        await wait_until(lambda: bool(sent.bodies))
        assert sent.bodies == [b"ab"]
        body.write(b"c")
    assert sent.bodies == [b"ab", b"c"]
    assert [message.get("more_body") for message in sent.messages] == [None, True, False]


async def test_an_error_before_the_first_frame_sends_nothing() -> None:
    """So that it can still be a status; and no task is left."""
    sent, before = Sent(), len(asyncio.all_tasks())
    with pytest.raises(RuntimeError, match="early"):
        async with EventStream(sent, keep_alive=60):
            raise RuntimeError("early")
    assert sent.messages == []
    assert len(asyncio.all_tasks()) == before


async def test_quiet_is_filled_with_comments() -> None:
    """Whenever nothing was written for so long."""
    sent = Sent()
    async with EventStream(sent, keep_alive=0.05) as body:
        await wait_until(lambda: len(sent.bodies) >= 2)
        body.write(b"a")
    assert set(sent.bodies[:-1]) == {b": keep-alive\n\n"}
    assert sent.bodies[-1] == b"a"


def test_events_are_utf_8_whatever_a_model_writes() -> None:
    """Half a surrogate pair is replaced; a kind is named where the API has kinds."""
    assert encode_event({"a": "é\ud800"}, "x") == 'event: x\ndata: {"a":"é?"}\n\n'.encode()
