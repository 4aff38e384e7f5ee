"""Files of requests, in OpenAI's form of a batch, answered by an application as if each had come over HTTP.

A line of the input is `{"custom_id": "a", "url": "/v1/chat/completions", "body": {...}}` (`url` may be left out), a
line of the output `{"id": ..., "custom_id": "a", "response": {"status_code": 200, "request_id": ..., "body": {...}},
"error": null}`, in the order of the input. The output is all that is known of how far a batch has come: what stands
in it is not asked again. That what was under way when a process was killed is not paid for again is the business of
the application's models (`quorate batch` gives it ones that draw through a sample bank): a line without a seed gets
one of its own, the same each time.
"""

from __future__ import annotations

import asyncio
import json
import os
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import httpx
from pydantic_core import from_json
from starlette.types import ASGIApp

from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import BadInput, DataError, Unwritable

from .http.errors import encode_json

__all__ = ["URLS", "Batch", "BatchLine", "BatchProgress", "BatchReply", "lock_file"]

SAMPLED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
"""Where a seed makes sense."""
URLS = (*SAMPLED, "/v1/embeddings")
AHEAD = 4
"""Lines that are begun before an earlier one has ended, in times of those that may be under way."""
TRIES = 6
"""For a line that an upstream or the server itself had no time for."""
LONGEST = 60.0
"""Seconds between two of them at most."""
AGAIN = {429, 502, 503, 504}
WAITING = {"queue_full", "overloaded", "insufficient_quota", "state_unavailable"}
"""Codes of refusals that are this server's own and say nothing about the line: it waits for its turn, or for money."""


@dataclass(frozen=True)
class BatchLine:
    """One line of the input."""

    number: int
    """In the file, from 1, empty lines included."""
    custom_id: str | None
    url: str = ""
    body: Mapping[str, Any] | None = None
    fault: str = ""
    """Why it cannot be asked."""

    @classmethod
    def read(cls, number: int, text: bytes, *, model: str | None, seed: int, url: str | None = None) -> Self:
        """The line, of which a fault is a part.

        Args:
            number: its place in the file.
            text: as it stands in the file.
            model: is asked in place of the one that it names.
            seed: of the batch; a line without a seed has one that follows from it and its id.
            url: the only one that it may name.
        """
        try:
            given = from_json(text.removeprefix(BOM_UTF8), allow_inf_nan=False)
        except ValueError as error:
            told = str(error).replace("line 1 column", "column")
            return cls(number, None, fault=f"line {number} is not valid JSON: {told}")
        custom_id = given.get("custom_id") if isinstance(given, dict) else None
        if not isinstance(custom_id, str) or not custom_id:
            return cls(number, None, fault=f"line {number}: custom_id must be text")
        told, body = given.get("url", url or URLS[0]), given.get("body")
        if (fault := _find_fault(given.get("method", "POST"), told, body, URLS if url is None else (url,))) is not None:
            return cls(number, custom_id, fault=f"line {number}: {fault}")
        own = {} if model is None else {"model": model}
        seeded = {"seed": derive_seed(seed, "batch", custom_id)} if told in SAMPLED else {}
        return cls(number, custom_id, told, {**seeded, **body, **own})


def _find_fault(method: Any, url: Any, body: Any, urls: Sequence[str]) -> str | None:
    if url not in urls:
        return f"url must be {'one of ' * (len(urls) > 1)}{', '.join(urls)}"
    if method != "POST":
        return "method must be POST"
    if not isinstance(body, dict):
        return "body must be an object"
    return "body.stream: a batch does not stream" if body.get("stream") else None


@dataclass(frozen=True)
class BatchReply:
    """What became of a line."""

    line: BatchLine
    status: int = 0
    """Of HTTP; 0 where it was not asked."""
    body: Any = None
    request_id: str = ""
    fault: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def encode(self, code: str = "bad_line") -> bytes:
        """The line of the output, with the code of its fault, where that is why it was not asked."""
        response = {"status_code": self.status, "request_id": self.request_id, "body": self.body}
        error = {"code": code, "message": self.fault}
        record = {
            "id": f"batch_req_{self.line.number:08}",
            "custom_id": self.line.custom_id,
            "response": response if self.status else None,
            "error": None if self.status else error,
        }
        return encode_json(record) + b"\n"


@dataclass
class BatchProgress:
    """How far a batch has come."""

    total: int
    """Lines of the input, but empty ones."""
    before: int = 0
    """Lines that stood in the output at the start."""
    failed_before: int = 0
    """Of them."""
    answered: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return self.before + self.answered + self.failed


class Batch:
    """`with`: one input and its output, which nobody else may write meanwhile.

    Args:
        source: the input.
        out: the output; what stands in it is gone on with.
        model: is asked in place of those that the lines name.
        seed: of the batch.
        url: the only API that its lines may ask.

    Raises:
        BadInput: a file cannot be used, or another batch is writing the output.
        DataError: the output is of another input.
    """

    def __init__(
        self, source: Path, out: Path, *, model: str | None = None, seed: int = 0, url: str | None = None
    ) -> None:
        self._source, self._out, self._model, self._seed, self._url = source, out, model, seed, url

    def __enter__(self) -> Self:
        if self._source.resolve() == self._out.resolve():
            raise BadInput(f"{self._out}: is the input, too; name another file for the output")
        for path in (self._source, self._out):
            if path.exists() and not path.is_file():
                raise BadInput(f"{path}: is no plain file, and a batch reads its files more than once")
        self.progress = BatchProgress(sum(1 for _ in self._texts()))
        if not self.progress.total:
            raise BadInput(f"{self._source}: has no lines")
        try:
            self._file: BinaryIO = self._out.open("a+b")
        except OSError as error:
            raise BadInput(f"{self._out}: {error.strerror}") from error
        try:
            if not lock_file(self._file):
                raise BadInput(f"{self._out}: another batch is writing it")
            self._check()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    async def run(
        self,
        app: ASGIApp,
        *,
        concurrency: int,
        note: Callable[[BatchReply], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> BatchProgress:
        """Asks the lines that are left, so many at a time.

        Args:
            app: the server's application.
            concurrency: lines under way.
            note: is told of each reply as it is written.
            stop: whether no more lines shall be asked; those under way end.

        Raises:
            BadInput: lines of the input are gone.
            Unwritable: the output takes nothing more, or what samples are kept in.
        """
        places, window = asyncio.Semaphore(concurrency), AHEAD * concurrency
        pending: deque[asyncio.Task[BatchReply]] = deque()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=None) as client:
            try:
                # What somebody adds meanwhile, maybe half a line, is the next run's.
                for line in islice(self._lines(), self.progress.before, self.progress.total):
                    if stop():
                        break
                    pending.append(asyncio.create_task(_ask(client, line, places, stop)))
                    while pending and (pending[0].done() or len(pending) >= window):
                        self._write(await pending.popleft(), note)
                while pending:
                    self._write(await pending.popleft(), note)
            except _Stopped:
                pass  # so are all lines after it: places are given in their order
            finally:
                for task in pending:
                    task.cancel()
                await asyncio.gather(*pending, return_exceptions=True)
        if (missing := self.progress.total - self.progress.done) and not stop():
            raise BadInput(f"{self._source}: {missing} of its {self.progress.total} lines are gone since the start")
        return self.progress

    def left(self) -> Iterator[BatchLine]:
        """The lines that have no reply."""
        return islice(self._lines(), self.progress.done, self.progress.total)

    def _texts(self) -> Iterator[tuple[int, bytes]]:
        """Lines with their numbers, but empty ones."""
        try:
            with self._source.open("rb") as file:
                yield from ((number, text) for number, text in enumerate(file, 1) if text.strip())
        except OSError as error:
            raise BadInput(f"{self._source}: {error.strerror}") from error

    def _lines(self) -> Iterator[BatchLine]:
        seen: set[str] = set()
        for number, text in self._texts():
            line = BatchLine.read(number, text, model=self._model, seed=self._seed, url=self._url)
            if line.custom_id is not None and line.custom_id in seen:
                line = BatchLine(number, line.custom_id, fault=f"line {number}: custom_id occurs more than once")
            seen |= set() if line.custom_id is None else {line.custom_id}
            yield line

    def _check(self) -> None:
        """Counts what stands in the output, and drops a line that was cut off when it was written."""
        self._file.seek(0)
        end = 0
        for text, line in zip_longest(self._file, self._lines()):
            if text is None or not text.endswith(b"\n"):
                break
            try:
                record = from_json(text)
                there, response = record["custom_id"], record["response"]
                good = response is not None and 200 <= response["status_code"] < 300
            except (ValueError, KeyError, TypeError):
                raise DataError("is no output of a batch", file=self._out, line=self.progress.before + 1) from None
            if line is None or there != line.custom_id:
                raise DataError(
                    f"is of another input ({there!r} stands where {line and line.custom_id!r} belongs)",
                    file=self._out,
                    line=self.progress.before + 1,
                )
            self.progress.before += 1
            self.progress.failed_before += not good
            end += len(text)
        self._file.truncate(end)

    def _write(self, reply: BatchReply, note: Callable[[BatchReply], None]) -> None:
        try:
            self._file.write(reply.encode())
            self._file.flush()
        except OSError as error:
            words = f"cannot be written: {error.strerror}; everything before is kept"
            raise Unwritable(words, file=self._out) from error
        self.progress.answered += reply.ok
        self.progress.failed += not reply.ok
        note(reply)


def lock_file(file: BinaryIO) -> bool:
    """Takes the file until it is closed, or the process ends; False where somebody else has it."""
    if os.name != "posix":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class _Stopped(Exception):
    """The line is not asked any more."""


async def _ask(
    client: httpx.AsyncClient, line: BatchLine, places: asyncio.Semaphore, stop: Callable[[], bool]
) -> BatchReply:
    """The reply to a line; where there was no time for it, it is asked again."""
    if line.fault:
        return BatchReply(line, fault=line.fault)
    tried = 0
    async with places:
        while not stop():
            reply = await client.post(line.url, content=json.dumps(line.body))
            body = from_json(reply.content)
            if reply.status_code == Unwritable.status and body["error"].get("code") == Unwritable.code:
                # What is drawn now cannot be kept, and would be paid for again.
                raise Unwritable(body["error"]["message"])
            again = reply.status_code in AGAIN
            tried += not (again and body["error"].get("code") in WAITING)
            if not again or tried == TRIES:
                return BatchReply(line, reply.status_code, body, reply.headers.get("x-request-id", ""))
            told = reply.headers.get("retry-after", "")
            await asyncio.sleep(min(LONGEST, float(told) if told.isdecimal() else 2.0 ** max(0, tried - 1)))
    raise _Stopped
