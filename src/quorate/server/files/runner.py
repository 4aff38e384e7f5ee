"""Works on batches: those of one key one after the other, behind all requests that somebody waits for.

Of the servers that share a folder, one does: whoever holds its lock, which the system takes back from a process that
dies. A batch goes on where its output ends, and draws through a sample bank of its own where the server was given a
way to open one, so that a kill costs no sample twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from starlette.types import ASGIApp, Receive, Scope, Send

from quorate.config.server_settings import ApiKey
from quorate.orchestrator.errors import BadInput, QuorateError, Unwritable
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.usage import Usage

from ..access.keys import ANYONE
from ..batch import Batch, BatchProgress, BatchReply, lock_file
from ..context import BATCH_KEY, ServerContext
from .store import FileStore, StoredBatch, StoredFile

__all__ = ["BatchRunner", "OpenBank", "forget"]

log = logging.getLogger("quorate.server")

LOOK = 1.0
"""Seconds between two looks at what other processes may have changed."""
PAUSE = 10.0
"""Seconds until a batch is gone on with for which the disk had no room."""
SWEEP = 600.0
"""Seconds between two searches for what has expired."""
EXPIRED = "was not answered before the batch expired"
OpenBank = Callable[[Path], AbstractContextManager[Callable[[Model], Model]]]
"""Opens a sample bank in a file: gives each model one that draws through it."""


def forget(_: Path) -> AbstractContextManager[Callable[[Model], Model]]:
    """No bank."""
    return nullcontext(lambda model: model)


@dataclass
class _RunningBatch:
    """A batch that is worked on here."""

    key: str
    expires_at: int
    task: asyncio.Task[None] = field(init=False)
    progress: BatchProgress | None = None
    saved: tuple[int, int] = (0, 0)
    cancelled: bool = False

    @property
    def counts(self) -> tuple[int, int]:
        """Lines that have an answer, and lines that failed."""
        done = self.progress
        if done is None:
            return self.saved
        return done.before - done.failed_before + done.answered, done.failed_before + done.failed

    @property
    def expired(self) -> bool:
        return time.time() >= self.expires_at

    def stop(self) -> bool:
        """Whether no more lines shall be asked."""
        return self.cancelled or self.expired


class BatchRunner:
    """See the module.

    Args:
        context: of the server.
        store: its files and batches.
        make: the application of a context.
        banks: where samples are kept until a batch is over; with `forget` those of lines under way are lost with the
            process.
    """

    def __init__(
        self, context: ServerContext, store: FileStore, make: Callable[[ServerContext], ASGIApp], banks: OpenBank
    ) -> None:
        self._context, self._store, self._make, self._banks = context, store, make, banks
        self._running: dict[str, _RunningBatch] = {}
        self._news = asyncio.Event()
        self._places = asyncio.Semaphore(max(1, context.settings.max_concurrent // 2))
        """For lines of all batches together, so that other requests need not wait for them."""

    def wake(self) -> None:
        """There is something new to do."""
        self._news.set()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        """Works while it is open."""
        working = asyncio.create_task(self._work())
        try:
            yield
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            self._store.close()

    async def _work(self) -> None:
        with self._store.place("runner.lock").open("ab") as lock:
            while not lock_file(lock):  # noqa: ASYNC110  another process has it
                await asyncio.sleep(LOOK)
            swept = 0.0
            try:
                while True:
                    self._news.clear()
                    try:
                        if time.monotonic() - swept > SWEEP:
                            swept = time.monotonic()
                            self._store.sweep()
                        self._look()
                    except (QuorateError, OSError) as error:  # such as a full disk, which may have room again
                        log.error("batches: %s", error)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK):
                            await self._news.wait()
            finally:
                tasks = [running.task for running in self._running.values()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _look(self) -> None:
        """Begins what is new, tells of what is under way, and hears what is cancelled."""
        busy = {running.key for running in self._running.values()}
        for batch in self._store.open_batches():
            running = self._running.get(batch.id)
            if running is not None:
                running.cancelled = batch.status == "cancelling"
                if running.counts != running.saved:
                    self._save_counts(batch.id, running)
            elif batch.key not in busy:
                busy.add(batch.key)
                running = self._running[batch.id] = _RunningBatch(batch.key, batch.expires_at)
                running.cancelled = batch.status == "cancelling"
                running.task = asyncio.create_task(self._run(batch, running))

    def _save_counts(self, identity: str, running: _RunningBatch) -> None:
        running.saved = completed, failed = running.counts
        self._store.change_batch(
            identity, lambda batch: batch.model_copy(update={"completed": completed, "failed": failed})
        )

    async def _run(self, batch: StoredBatch, running: _RunningBatch) -> None:
        """One batch to its end, whichever it is, or as far as the disk has room for it."""
        try:
            words = await self._find_fault(batch, running)
            if words:
                self._store.change_batch(batch.id, lambda batch: batch.to("failed", errors=(words,)))
            shutil.rmtree(self._store.place(batch.id), ignore_errors=True)
        except (QuorateError, OSError) as error:
            log.error("batch %s: %s; it goes on as soon as it can be written", batch.id, error)
            await asyncio.sleep(PAUSE)
        finally:
            del self._running[batch.id]
        self.wake()

    async def _find_fault(self, batch: StoredBatch, running: _RunningBatch) -> str:
        """Answers it; says why it fails as a whole, where it does.

        Raises:
            Unwritable: there is no room for its answers, which is none of its faults.
            OSError: the same.
        """
        try:
            self._store.check_disk()
            await self._answer(batch, running)
        except (Unwritable, OSError):
            raise
        except QuorateError as error:
            return str(error).replace(f"{self._store.settings.folder}/", "")
        except Exception:
            log.exception("batch %s failed", batch.id)
            return "the server failed; its log has the cause"
        return ""

    async def _answer(self, batch: StoredBatch, running: _RunningBatch) -> None:
        store, context = self._store, self._context
        key = self._find_key(batch.key)
        folder, source = store.place(batch.id), store.place(batch.input_file_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        most = min(store.settings.concurrency, key.concurrency or store.settings.concurrency)
        with self._banks(folder / "bank.sqlite") as wrap:
            app = self._make(context.for_batch(context.names.catalog.wrap_models(wrap)))
            work = Batch(source, folder / "replies.jsonl", url=batch.endpoint)
            await asyncio.to_thread(work.__enter__)
            try:
                running.progress = work.progress
                store.change_batch(batch.id, lambda now: _begin(now, work.progress.total))
                await work.run(self._ask_as(key, app), concurrency=most, stop=running.stop)
                running.progress, running.saved = None, running.counts
                await self._finish(batch, running, work, folder / "replies.jsonl")
            finally:
                work.__exit__(None, None, None)

    def _find_key(self, name: str) -> ApiKey:
        keys = self._context.settings.keys
        key = next((key for key in keys if key.name == name), None) if keys else ANYONE
        if key is None or key.name != name:
            raise BadInput(f"the key {name!r}, whose batch it is, is none of this server's any more")
        return key

    def _ask_as(self, key: ApiKey, app: ASGIApp) -> ASGIApp:
        """The application, asked by a key's batch."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async with self._places:
                await app({**scope, BATCH_KEY: key}, receive, send)

        return answer

    async def _finish(self, batch: StoredBatch, running: _RunningBatch, work: Batch, replies: Path) -> None:
        """Makes files of the replies: one of answers, one of errors."""
        store, expired = self._store, running.expired and not running.cancelled
        if not running.stop():
            store.change_batch(batch.id, lambda now: now.to("finalizing") if now.status == "in_progress" else now)
        left = (BatchReply(line, fault=f"line {line.number}: {EXPIRED}") for line in work.left()) if expired else ()
        parts = [_FilePart(*store.create()) for _ in range(2)]
        try:
            usage = await asyncio.to_thread(_split, replies, parts[0].file, parts[1].file, left)
            with store.transaction():
                ids = [self._add(batch, part, name) for part, name in zip(parts, ("output", "error"), strict=True)]
                completed, failed = running.saved
                store.change_batch(
                    batch.id,
                    lambda now: now.to(
                        "cancelled" if now.status == "cancelling" else "expired" if expired else "completed",
                        output_file_id=ids[0],
                        error_file_id=ids[1],
                        usage=usage,
                        completed=completed,
                        failed=failed,
                    ),
                )
        except BaseException:
            for part in parts:
                store.drop(part.id)
            raise
        finally:
            for part in parts:
                part.file.close()

    def _add(self, batch: StoredBatch, part: _FilePart, name: str) -> str | None:
        size, now = part.file.tell(), int(time.time())
        if not size:
            self._store.drop(part.id)
            return None
        part.file.flush()
        self._store.add_file(
            StoredFile(
                id=part.id,
                key=batch.key,
                filename=f"{batch.id}_{name}.jsonl",
                purpose="batch_output",
                bytes=size,
                created_at=now,
                expires_at=now + batch.output_seconds,
            )
        )
        return part.id


@dataclass(frozen=True)
class _FilePart:
    """A file that is being written."""

    id: str
    file: BinaryIO


def _begin(batch: StoredBatch, total: int) -> StoredBatch:
    if batch.status == "validating":
        return batch.to("in_progress", total=total)
    return batch.model_copy(update={"total": total})


def _split(replies: Path, output: BinaryIO, errors: BinaryIO, left: Iterable[BatchReply]) -> Usage:
    """Writes each reply to its file, and the lines that are left to that of errors; the usage of all answers."""
    usage = Usage()
    with replies.open("rb") as lines:
        for text in lines:
            response = json.loads(text)["response"]
            good = response is not None and 200 <= response["status_code"] < 300
            (output if good else errors).write(text)
            if good:
                usage += _read_usage(response["body"])
    for reply in left:
        errors.write(reply.encode("batch_expired"))
    return usage


def _read_usage(body: dict[str, Any]) -> Usage:
    told = body["quorate"]["usage"]
    return Usage(**{name: told[name] for name in Usage.model_fields if name in told})
