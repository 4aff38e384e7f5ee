"""A chat server on a loopback socket that answers, fails, hangs or lies as told."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from .script import Fault, Raw, Reply, Step, error_body
from .wire import (
    OTHERS,
    SCORING,
    TEXT,
    count_tokens,
    models_body,
    plain_body,
    says_something,
    score_body,
    sse,
    stream_chunks,
    text_body,
    text_chunks,
)


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: dict[str, Any]
    disconnected: bool = False
    """The client went away before its reply was complete."""
    left: float | None = None
    """When it did, on the loop's clock."""
    prompt_tokens: int = 0
    """What the server has counted for this chat request, as far as it has got."""
    completion_tokens: int = 0


OK = Reply("ok")


class ScriptedUpstream:
    """An OpenAI-compatible server for tests: `/v1/chat/completions` (plain and streamed) and `/v1/models`.

    Also `/v1/completions`, and vLLM's `/pooling`, `/v1/score` and `/v1/rerank`, where the text of a `Reply` is
    the score, and its `/tokenize`, which is there for a script that gives a `Raw`.

    Use it with `async with` in the running event loop, or with `with` from code that has none.

    Args:
        script: what to do with each request in turn, the last step for all further ones; or a
            function from the request to a step.
        models: what `/v1/models` lists.
        about: further fields of every model there, such as vLLM's `root` and `max_model_len`.
        refuses: fields of the body (`n`, `max_tokens`, `stream_options.continuous_usage_stats`, ...)
            that are answered with a 400 that names them; such requests use up no step. `n=1` is fine.
        ignores: fields that have no effect, such as `n`, `stream` or `stream_options`.
        api_key: where given, requests without it get a 401.
    """

    def __init__(
        self,
        script: Step | Sequence[Step] | Callable[[Received], Step] = OK,
        *,
        models: Sequence[str] = ("scripted",),
        about: Mapping[str, Any] | None = None,
        refuses: Collection[str] = (),
        ignores: Collection[str] = (),
        api_key: str | None = None,
    ) -> None:
        self._script = script if callable(script) else [script] if isinstance(script, Step) else list(script)
        self._models = tuple(models)
        self._about = about or {}
        self._refuses = refuses
        self._ignores = ignores
        self._key = api_key
        self._steps = 0
        self._change = asyncio.Event()
        self._closing = False
        self.requests: list[Received] = []
        """All chat requests, in the order in which they came."""
        self.in_flight = 0
        self.most_in_flight = 0
        self.peers: set[tuple[str, int]] = set()
        """Addresses at the other end of all connections that chat requests came over."""
        self.url = ""
        """Where it listens, with `/v1`."""

    @property
    def token_counts(self) -> tuple[int, int]:
        """Prompt and generated tokens of all chat requests, as far as they have got."""
        return sum(r.prompt_tokens for r in self.requests), sum(r.completion_tokens for r in self.requests)

    async def wait_until(self, condition: Callable[[Self], bool]) -> None:
        """Waits until something holds of this server: `await up.wait_until(lambda up: up.in_flight == 0)`."""
        while not condition(self):
            await self._change.wait()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**27)
        for path in ("/v1/chat/completions", TEXT, *SCORING, *OTHERS):
            app.router.add_post(path, self._chat)
        app.router.add_get("/v1/models", self._list)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}/v1".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        await self._runner.cleanup()

    def __enter__(self) -> Self:
        ready = threading.Event()

        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            async with self:
                ready.set()
                await self._stop.wait()

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="scripted-upstream", daemon=True)
        self._thread.start()
        ready.wait(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if not self._admits(request):
            return _json(401, error_body(401, "Incorrect API key provided"))
        return _json(200, models_body(self._models, self._about))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
        except ValueError as error:
            return _json(400, error_body(400, f"the body is not JSON: {error}"))
        received = Received(request.path, {name.lower(): value for name, value in request.headers.items()}, body)
        self._note_arrival(received, request)
        try:
            return await self._answer(request, received)
        except asyncio.CancelledError:
            received.disconnected = not self._closing
            received.left = asyncio.get_running_loop().time()
            raise
        except ConnectionError:
            received.disconnected = True
            return web.Response()
        finally:
            self.in_flight -= 1
            self._note_change()

    def _note_arrival(self, received: Received, request: web.Request) -> None:
        self.requests.append(received)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if request.transport is not None:
            self.peers.add(request.transport.get_extra_info("peername"))
        self._note_change()

    async def _answer(self, request: web.Request, received: Received) -> web.StreamResponse:
        if not self._admits(request):
            return _json(401, error_body(401, f"Incorrect API key provided: {request.headers.get('Authorization')}"))
        for field in self._refuses:
            if _holds(received.body, field):
                return _json(400, error_body(400, _refusal(field), param=field))
        body = received.body
        for field in self._ignores:
            body = _without(body, field)
        step = self._next(received)
        if isinstance(step, Raw):
            return await _raw(request, step)
        if isinstance(step, Reply):
            await asyncio.sleep(step.delay)
            return await self._good(request, step, body, received)
        assert isinstance(step, Fault)
        return await self._fault(request, step, body, received)

    def _next(self, received: Received) -> Step:
        if callable(self._script):
            return self._script(received)
        self._steps += 1
        return self._script[min(self._steps, len(self._script)) - 1]

    async def _good(
        self, request: web.Request, reply: Reply, body: dict[str, Any], received: Received
    ) -> web.StreamResponse:
        if request.path in OTHERS:
            return _json(404, error_body(404, "Not Found"))
        if request.path in SCORING:
            return _json(200, score_body(request.path, reply, body))
        whole, chunks = (text_body, text_chunks) if request.path == TEXT else (plain_body, stream_chunks)
        received.prompt_tokens, completion = count_tokens(reply, body)
        if not body.get("stream"):
            received.completion_tokens = completion
            return _json(200, whole(reply, body))
        response = await _stream(request)
        for chunk in chunks(reply, body):
            received.completion_tokens += says_something(chunk)
            await response.write(sse(chunk))
            await asyncio.sleep(reply.gap)
            if reply.hold is not None and says_something(chunk):
                await reply.hold.wait()
        received.completion_tokens = completion
        await response.write(sse("[DONE]"))
        return response

    async def _fault(
        self, request: web.Request, fault: Fault, body: dict[str, Any], received: Received
    ) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        if fault.after is not None or fault.then == "hang":
            received.prompt_tokens, _ = count_tokens(fault.reply, body)
        if fault.after is not None and body.get("stream"):
            response = await _stream(request)
            left = fault.after
            for chunk in (text_chunks if request.path == TEXT else stream_chunks)(fault.reply, body):
                left -= says_something(chunk)
                if left < 0:
                    break
                received.completion_tokens += says_something(chunk)
                await response.write(sse(chunk))
        elif fault.after is not None and fault.then == "close":
            data = plain_body(fault.reply, body)
            response = web.StreamResponse(
                headers={"Content-Type": "application/json", "Content-Length": str(len(data))}
            )
            await response.prepare(request)
            await response.write(data[: len(data) // 2])
        if fault.then == "hang":
            await asyncio.Event().wait()
        if fault.then == "error":
            if response is None:
                return _json(500, error_body(500, "scripted failure"))
            await response.write(sse(json.loads(error_body(500, "scripted failure"))) + sse("[DONE]"))
        elif request.transport is not None:
            # What was written has to be on its way before the connection ends, for the client to have got it.
            await asyncio.sleep(0.01)
            _close(request.transport, reset=fault.then == "reset")
        return response or web.Response()

    def _admits(self, request: web.Request) -> bool:
        return self._key is None or request.headers.get("Authorization") == f"Bearer {self._key}"

    def _note_change(self) -> None:
        self._change.set()
        self._change = asyncio.Event()


def _close(connection: asyncio.Transport, *, reset: bool) -> None:
    """Closes a connection in the ordinary way, or with a RST."""
    if reset:
        linger = struct.pack("ii", 1, 0)
        connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.abort()
    else:
        connection.close()


def _json(status: int, data: bytes) -> web.Response:
    return web.Response(status=status, body=data, content_type="application/json")


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    return response


async def _raw(request: web.Request, raw: Raw) -> web.StreamResponse:
    headers = {"Content-Type": raw.content_type, **raw.headers}
    response = web.StreamResponse(status=raw.status, headers=headers)
    await response.prepare(request)
    for chunk in raw.chunks:
        await response.write(chunk)
        # Lets the client read this chunk before the next one joins it on the way.
        await asyncio.sleep(0.005)
    return response


def _refusal(field: str) -> str:
    if field == "max_tokens":
        return (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
    return f"Unsupported parameter: '{field}' is not supported."


def _holds(body: dict[str, Any], field: str) -> bool:
    first, _, rest = field.partition(".")
    value = body.get(first)
    if rest:
        return isinstance(value, dict) and _holds(value, rest)
    return value is not None and (field, value) != ("n", 1)


def _without(body: dict[str, Any], field: str) -> dict[str, Any]:
    first, _, rest = field.partition(".")
    kept = {name: value for name, value in body.items() if name != first}
    value = body.get(first)
    return kept | {first: _without(value, rest)} if rest and isinstance(value, dict) else kept
