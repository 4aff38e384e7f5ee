"""A SQLite file of ours, with every error of it told as one of ours.

Written with a write-ahead log and `synchronous=NORMAL`: what a transaction wrote is in the system's
hands when it ends, so killing a process loses nothing of it; only a power cut may lose the latest
transactions, and never breaks the file.

A candidate as columns of a table, and back without loss.

The sample bank and the server's traces keep candidates in the same columns, so that what was served can be
replayed, graded and learned from.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from quorate.orchestrator.ensembling import Ensembling
from quorate.orchestrator.errors import BadInput, DataError, QuorateError, Unwritable
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.types import Candidate, Degradation, TokenLogprob
from quorate.orchestrator.usage import Usage

PATIENCE = 60.0
"""Seconds to wait for another process's write, each of which takes milliseconds."""


class Database:
    """One connection; what kind of file it is, a subclass says.

    Args:
        path: the file; without one everything lives in memory.
        create: make it if there is none.

    Raises:
        BadInput: it cannot be opened, or there is none and it shall not be made.
        DataError: the file is of another kind, or broken.
    """

    kind: ClassVar[str]
    """How errors call it."""
    format: ClassVar[int]
    """`PRAGMA user_version` of its files."""
    schema: ClassVar[str]
    upgrades: ClassVar[Mapping[int, Sequence[str]]] = {}
    """By an older format, the statements that make the next one of it."""
    made_by: ClassVar[str]
    """What makes such a file."""
    rescue: ClassVar[str]
    """What saves the rest of a broken one; `{file}` stands for its name."""

    def __init__(self, path: Path | None = None, *, create: bool = True) -> None:
        self.path = path
        if self.path is not None:
            self._prepare(self.path, create)
        with self._translate_errors():
            self.db = sqlite3.connect(
                self.path or ":memory:", timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
        try:
            self._open()
        except BaseException:
            self.db.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside, or nothing of it; one process at a time. Inside another it is part of that one."""
        if self.db.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.rollback()
            raise

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> sqlite3.Cursor:
        with self._translate_errors():
            return self.db.execute(sql, values)

    def many(self, sql: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> int:
        """Runs it for every row; how many rows it changed."""
        with self._translate_errors():
            return self.db.executemany(sql, rows).rowcount

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Iterator[sqlite3.Row]:
        """Rows as they are needed."""
        with self._translate_errors():
            yield from self.db.execute(sql, values)

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first column of the first row; None where there is no row."""
        with self._translate_errors():
            row = self.db.execute(sql, values).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        self.db.close()

    def _prepare(self, path: Path, create: bool) -> None:
        if not path.exists() and not create:
            raise BadInput(f"{path}: there is no {self.kind}; {self.made_by}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{path.parent}: cannot be made a folder: {error.strerror}") from error

    def _open(self) -> None:
        self.db.row_factory = sqlite3.Row
        with self._translate_errors():
            version = self.value("PRAGMA user_version")
            if version == 0 and not self.value("SELECT count(*) FROM sqlite_master"):
                self._make()
            elif version in self.upgrades:
                self._upgrade()
            elif version != self.format:
                raise DataError(
                    f"is no {self.kind} of this version (format {version}, not {self.format})", file=self.path
                )
            self.db.execute("PRAGMA synchronous=NORMAL")
            self.db.execute("PRAGMA cache_size=-16384")

    def _make(self) -> None:
        self.db.execute("PRAGMA journal_mode=WAL")
        with self.transaction():
            if self.value("PRAGMA user_version") == 0:  # else another process was faster
                for statement in self.schema.split(";\n"):
                    self.db.execute(statement)
                self.db.execute(f"PRAGMA user_version={self.format}")

    def _upgrade(self) -> None:
        with self.transaction():
            version = self.value("PRAGMA user_version")  # another process may have been faster
            while version in self.upgrades:
                for statement in self.upgrades[version]:
                    self.db.execute(statement)
                version += 1
            self.db.execute(f"PRAGMA user_version={version}")

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> QuorateError:
        name, where = getattr(error, "sqlite_errorname", ""), self.path or f"the {self.kind} in memory"
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            fix = self.rescue.format(file=where)
            return DataError(f"is broken or cut off ({error}); {fix}", file=self.path)
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return Unwritable(f"cannot be written: {error}; everything before is kept", file=self.path)
        if name.startswith("SQLITE_BUSY"):
            return BadInput(f"{where}: another process has been writing for {PATIENCE:.0f} s; try again later")
        return BadInput(f"{where}: cannot be used as a {self.kind}: {error}")


_TEXTS = ("text", "reasoning", "answer")
_PLAIN = ("model", "agent", *_TEXTS, "finish_reason", "seed", "prompt_version", "latency")
USAGE = tuple(Usage.model_fields)
PARTS = ("cached_tokens", "cache_write_tokens", "prompt_audio_tokens", "completion_audio_tokens")
"""Numbers of it that the first tables and exports did not have."""
LATER = ("ensembling", "degraded")
"""Columns that the first tables and exports did not have."""
CANDIDATE = (*_PLAIN, *USAGE, "mean_logprob", "logprobs", "tool_calls", *LATER)
"""Names of the columns."""


def columns_of(candidate: Candidate) -> dict[str, Any]:
    """The columns of a candidate that came through; its index has a column elsewhere."""
    row = {name: getattr(candidate, name) for name in _PLAIN}
    row.update((name, replace_surrogates(row[name])) for name in _TEXTS)
    row.update((name, getattr(candidate.usage, name)) for name in USAGE)
    logprobs = candidate.logprobs
    row["mean_logprob"] = sum(t.logprob for t in logprobs) / len(logprobs) if logprobs else None
    row["logprobs"] = None if logprobs is None else pack_logprobs(logprobs)
    row["tool_calls"] = json.dumps(candidate.tool_calls, ensure_ascii=True) if candidate.tool_calls else None
    row["ensembling"] = None if candidate.ensembling is None else json.dumps(_lean(candidate.ensembling))
    row["degraded"] = json.dumps([_lean(each) for each in candidate.degraded]) if candidate.degraded else None
    return row


def candidate_of(row: Any, index: int) -> Candidate:
    """The candidate of these columns, a row or a mapping; pydantic's ValidationError where they hold nonsense."""
    logprobs = row["logprobs"]
    return Candidate(
        index=index,
        **{name: row[name] for name in _PLAIN},
        tool_calls=json.loads(row["tool_calls"]) if row["tool_calls"] else (),
        usage=Usage(**{name: row[name] for name in USAGE}),
        logprobs=None if logprobs is None else unpack_logprobs(logprobs),
        ensembling=Ensembling.model_validate(json.loads(row["ensembling"])) if row["ensembling"] else None,
        degraded=tuple(Degradation.model_validate(each) for each in json.loads(row["degraded"] or "[]")),
    )


def _lean(value: Frozen) -> dict[str, Any]:
    return value.model_dump(mode="json", exclude_defaults=True)


def pack_logprobs(logprobs: tuple[TokenLogprob, ...]) -> bytes:
    """Tokens with their probabilities in about a tenth of their size."""
    return zlib.compress(json.dumps([[t.token, t.logprob, t.top] for t in logprobs]).encode())


def unpack_logprobs(data: bytes) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(token=token, logprob=logprob, top=tuple((t, p) for t, p in top))
        for token, logprob, top in json.loads(zlib.decompress(data))
    )


def replace_surrogates(text: str | None) -> str | None:
    """The text, with halves of surrogate pairs, which no file can hold, replaced."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()
