"""The files and batches that a server keeps: rows of an SQLite file, and the files' bytes beside it.

A file is there once its row is; bytes without a row are left over from somebody who was killed. Every look-up is by
key, so that nobody learns of another's.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, Literal

from quorate.config.server_settings import FileSettings
from quorate.orchestrator.errors import BadInput, Unwritable
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.usage import Usage
from quorate.storage.sqlite import Database

__all__ = ["FileInUse", "FileStore", "StoredBatch", "StoredFile", "UnknownObject"]

OPEN = ("validating", "in_progress", "finalizing", "cancelling")
"""Of batches that are not over."""
ROOM = 2**24
"""Bytes on the disk with which a batch is worked on: samples that cannot be kept would be paid for twice."""
LEFT_OVER = 86_400.0
"""Seconds after which bytes without a row are nobody's any more."""
Kind = Literal["File", "Batch"]
TABLES: dict[Kind, str] = {"File": "files", "Batch": "batches"}
Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]


class UnknownObject(BadInput):
    """There is no such file or batch, or it is another key's."""

    status = 404
    code = "not_found"


class FileInUse(BadInput):
    """A batch that is not over reads the file."""

    code = "file_in_use"


class StoredFile(Frozen):
    """One file; times are seconds since 1970."""

    id: str
    key: str
    filename: str
    purpose: Literal["batch", "batch_output"]
    bytes: int
    created_at: int
    expires_at: int

    def describe(self) -> dict[str, Any]:
        """In OpenAI's form."""
        return {**self.model_dump(exclude={"key"}), "object": "file", "status": "processed", "status_details": None}


class BatchTimes(Frozen):
    """When a batch came to each state that it has been in."""

    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None


class StoredBatch(Frozen):
    """One batch."""

    id: str
    key: str
    endpoint: str
    input_file_id: str
    status: Status = "validating"
    created_at: int
    expires_at: int
    times: BatchTimes = BatchTimes()
    total: int = 0
    completed: int = 0
    failed: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: tuple[str, ...] = ()
    """Why it failed as a whole."""
    metadata: dict[str, str] | None = None
    output_seconds: int
    """For which its output is kept."""
    usage: Usage | None = None
    """Of all its answers, once it is over."""

    @property
    def over(self) -> bool:
        return self.status not in OPEN

    def to(self, status: Status, **changes: Any) -> StoredBatch:
        """The batch in its next state."""
        times = self.times.model_copy(update={f"{status}_at": int(time.time())})
        return self.model_copy(update={"status": status, "times": times, **changes})

    def describe(self) -> dict[str, Any]:
        """In OpenAI's form; what it has cost is ours."""
        own = {"key", "times", "total", "completed", "failed", "errors", "output_seconds", "usage"}
        faults = [{"code": "batch_failed", "message": words, "param": None, "line": None} for words in self.errors]
        usage = self.usage
        return {
            **self.model_dump(exclude=own),
            **self.times.model_dump(),
            "object": "batch",
            "completion_window": "24h",
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
            "errors": {"object": "list", "data": faults} if faults else None,
            "usage": None if usage is None else _describe_usage(usage),
            "quorate": {"usage": None if usage is None else usage.model_dump()},
        }


def _describe_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


class FileStore(Database):
    """One folder of a server, or of several that share it.

    Raises:
        BadInput: the folder cannot be used.
        DataError: its `files.sqlite` is something else, or broken.
    """

    kind = "store of files"
    format = 1
    schema = """CREATE TABLE files (number INTEGER PRIMARY KEY, id TEXT UNIQUE, key TEXT, purpose TEXT, bytes INTEGER,
        expires_at INTEGER, document TEXT);
CREATE TABLE batches (number INTEGER PRIMARY KEY, id TEXT UNIQUE, key TEXT, open INTEGER, input TEXT,
        expires_at INTEGER, document TEXT);
CREATE INDEX open_batches ON batches (number) WHERE open"""
    made_by = "a server with `server.files` makes one"
    rescue = "move {file} away: the server begins a new one, and forgets which files are whose"

    def __init__(self, settings: FileSettings) -> None:
        self.settings = settings
        super().__init__(settings.folder / "files.sqlite")
        with suppress(OSError):  # the folder may be somebody else's, such as a volume's
            settings.folder.chmod(0o700)

    def place(self, identity: str) -> Path:
        """Where the bytes of a file are, or what a batch keeps for itself."""
        return self.settings.folder / identity

    def create(self) -> tuple[str, BinaryIO]:
        """A new file's id and where its bytes go; for the server's eyes only."""
        identity = f"file-{token_hex(16)}"
        try:
            return identity, os.fdopen(os.open(self.place(identity), os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600), "wb")
        except OSError as error:
            raise Unwritable(f"no file can be made in it: {error.strerror}", file=self.settings.folder) from error

    def check_disk(self) -> None:
        """Whether there is room to work on a batch.

        Raises:
            Unwritable: no.
        """
        if (free := shutil.disk_usage(self.settings.folder).free) < ROOM:
            raise Unwritable(f"{free} bytes are free, and {ROOM} are needed", file=self.settings.folder)

    def drop(self, identity: str) -> None:
        """Removes the bytes."""
        self.place(identity).unlink(missing_ok=True)

    # Files

    def add_file(self, file: StoredFile) -> None:
        """The file is there from now on."""
        self.execute(
            "INSERT INTO files (id, key, purpose, bytes, expires_at, document) VALUES (?, ?, ?, ?, ?, ?)",
            (file.id, file.key, file.purpose, file.bytes, file.expires_at, file.model_dump_json()),
        )

    def find_file(self, identity: str, key: str) -> StoredFile:
        """One of the key's files.

        Raises:
            UnknownObject: it has no such file.
        """
        return StoredFile.model_validate_json(self._find("File", identity, key))

    def list_files(
        self, key: str, *, limit: int, after: str | None, purpose: str | None, oldest_first: bool
    ) -> list[StoredFile]:
        """The key's files, the latest first unless told otherwise, after one of them."""
        rows = self._list("File", key, limit, after, oldest_first, "AND ifnull(?, purpose) = purpose", purpose)
        return [StoredFile.model_validate_json(row) for row in rows]

    def delete_file(self, file: StoredFile) -> None:
        """Row and bytes.

        Raises:
            FileInUse: a batch reads it.
        """
        with self.transaction():
            user = self.value("SELECT id FROM batches WHERE open AND input = ?", (file.id,))
            if user is not None:
                raise FileInUse(f"{file.id} is read by {user}: wait for its end, or cancel it first")
            self.execute("DELETE FROM files WHERE id = ?", (file.id,))
        self.drop(file.id)

    def count_bytes(self, key: str) -> int:
        """Of all files of a key."""
        return int(self.value("SELECT ifnull(sum(bytes), 0) FROM files WHERE key = ?", (key,)))

    def check_room(self, key: str, more: int = 0) -> None:
        """Whether a key may have so many bytes more.

        Raises:
            BadInput: its files would fill more than it has.
        """
        if self.count_bytes(key) + more > self.settings.key_bytes:
            raise BadInput(f"the files of the key {key!r} fill its {self.settings.key_bytes} bytes: delete some")

    # Batches

    def add_batch(self, batch: StoredBatch) -> None:
        """The batch is to be worked on from now on.

        Raises:
            UnknownObject: its input has been deleted.
        """
        with self.transaction():
            self.find_file(batch.input_file_id, batch.key)
            self.execute(
                "INSERT INTO batches (id, key, open, input, expires_at, document) VALUES (?, ?, 1, ?, ?, ?)",
                (
                    batch.id,
                    batch.key,
                    batch.input_file_id,
                    batch.created_at + int(86_400 * self.settings.days),
                    batch.model_dump_json(),
                ),
            )

    def find_batch(self, identity: str, key: str) -> StoredBatch:
        """One of the key's batches.

        Raises:
            UnknownObject: it has no such batch.
        """
        return StoredBatch.model_validate_json(self._find("Batch", identity, key))

    def list_batches(self, key: str, *, limit: int, after: str | None) -> list[StoredBatch]:
        """The key's batches, the latest first, after one of them."""
        return [StoredBatch.model_validate_json(row) for row in self._list("Batch", key, limit, after)]

    def open_batches(self) -> list[StoredBatch]:
        """Those of all keys that are not over, the oldest first."""
        rows = self.rows("SELECT document FROM batches WHERE open ORDER BY number")
        return [StoredBatch.model_validate_json(row[0]) for row in rows]

    def change_batch(self, identity: str, change: Callable[[StoredBatch], StoredBatch]) -> StoredBatch:
        """Replaces a batch by what `change` makes of it as it is now."""
        with self.transaction():
            found = self.value("SELECT document FROM batches WHERE id = ?", (identity,))
            batch = change(StoredBatch.model_validate_json(found))
            self.execute(
                "UPDATE batches SET open = ?, document = ? WHERE id = ?",
                (not batch.over, batch.model_dump_json(), identity),
            )
        return batch

    def sweep(self) -> None:
        """Deletes what has expired, but for what an open batch needs, and bytes that nobody owns."""
        now = time.time()
        unused = "id NOT IN (SELECT input FROM batches WHERE open)"
        gone = self.rows(f"DELETE FROM files WHERE expires_at < ? AND {unused} RETURNING id", (now,))
        for row in list(gone):
            self.drop(row["id"])
        self.execute("DELETE FROM batches WHERE NOT open AND expires_at < ?", (now,))
        owned = {row["id"] for table in ("files", "batches") for row in self.rows(f"SELECT id FROM {table}")}
        for path in self.settings.folder.iterdir():
            if path.name.startswith(("file-", "batch_")) and path.name.partition(".")[0] not in owned:
                with suppress(OSError):
                    if path.stat().st_mtime < now - LEFT_OVER:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _find(self, kind: Kind, identity: str, key: str) -> str:
        """Its document; raises UnknownObject in OpenAI's words."""
        found = self.value(f"SELECT document FROM {TABLES[kind]} WHERE id = ? AND key = ?", (identity, key))
        if found is None:
            raise UnknownObject(f"No such {kind} object: {identity[:80]}")
        return str(found)

    def _list(
        self, kind: Kind, key: str, limit: int, after: str | None, rising: bool = False, more: str = "", *values: Any
    ) -> list[str]:
        if after is not None:
            self._find(kind, after, key)
        table = TABLES[kind]
        sign, order, end = (">", "", "0") if rising else ("<", "DESC", "1 << 62")
        rows = self.rows(
            f"SELECT document FROM {table} WHERE key = ? "
            f"AND number {sign} ifnull((SELECT number FROM {table} WHERE id = ?), {end}) {more} "
            f"ORDER BY number {order} LIMIT ?",
            (key, after, *values, limit),
        )
        return [row[0] for row in rows]
