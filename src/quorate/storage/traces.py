"""Requests that a server answered, kept in one SQLite file.

A trace is the request's answers with their candidates, in the very columns that the sample bank has for them,
and a timeline of what happened when. `quorate.server` writes them, `quorate trace` and the evals read them.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.types import Answer, Candidate, Failure, Question
from quorate.orchestrator.usage import NodeUsage, Usage

from .sqlite import CANDIDATE, PARTS, USAGE, Database, candidate_of, columns_of

V = TypeVar("V", bound=Frozen)

SCHEMA = f"""
CREATE TABLE traces (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, began REAL NOT NULL, seconds REAL NOT NULL, first_byte REAL,
    queued REAL, route TEXT NOT NULL, model TEXT NOT NULL, pipeline TEXT NOT NULL, key TEXT NOT NULL,
    status INTEGER NOT NULL, streamed INTEGER NOT NULL, error TEXT, question_key TEXT, question TEXT,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    requests INTEGER NOT NULL, cost REAL, estimated INTEGER NOT NULL, nodes TEXT NOT NULL,
    {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in PARTS)}
);
CREATE INDEX traces_by_id ON traces (id);
CREATE INDEX traces_by_time ON traces (began);
CREATE TABLE choices (
    trace INTEGER, choice INTEGER, answer TEXT, error TEXT, timeline BLOB NOT NULL, PRIMARY KEY (trace, choice)
) WITHOUT ROWID;
CREATE TABLE samples (
    trace INTEGER, choice INTEGER, idx INTEGER, error TEXT, {", ".join(CANDIDATE)}, PRIMARY KEY (trace, choice, idx)
) WITHOUT ROWID;
"""
PLAIN = (
    *("id", "began", "seconds", "first_byte", "queued", "route", "model", "pipeline", "key", "status", "streamed"),
    "question_key",
)
SHOWN = 200
"""Characters of a question in a list."""
LINE = ("id", "began", "seconds", "route", "model", "key", "status", "prompt_tokens", "completion_tokens", "cost")
LAST = "question, '$.messages[#-1].content'"
BEGINNING = f"iif(json_type({LAST}) = 'text', substr(json_extract({LAST}), 1, {SHOWN}), NULL)"
UPGRADES = {103: [f"ALTER TABLE {t} ADD COLUMN {n} DEFAULT 0" for t in ("traces", "samples") for n in PARTS]}
"""What makes a file of an older format one of the next."""
SHARE = 0.1
"""Part of all traces that is deleted at once where the file is too large."""


class Moment(Frozen):
    """Something that happened, in seconds since the request came."""

    at: float
    what: str
    """`node`, `node_ended`, `candidate_started`, `first_token`, `candidate_finished`, `candidate_failed`,
    `candidate_cancelled`, `tally`, `stopped`, `writing` (the first token of the answer itself) or `done`."""
    thread: str = ""
    """Of a node: which nested pipeline or asked model."""
    node: str = ""
    """In which it happened to a candidate, or to the votes."""
    index: int | None = None
    """Of the candidate."""
    text: str = ""
    """The node's name, the votes, or why sampling stopped."""


class TracedCall(Frozen):
    """One call to an upstream; times are seconds since the request came."""

    thread: str
    node: str
    agent: str
    model: str
    server: str
    indices: tuple[int, ...]
    started: float
    sent: tuple[float, ...]
    """When each try was sent."""
    failures: tuple[tuple[float, str, int], ...]
    """When a try failed, its error's code and HTTP status."""
    answered: float | None
    ended: float
    outcome: str
    """`ok`, `cancelled` or an error's code."""
    usage: Usage


class TracedChoice(Frozen):
    """One choice of a request."""

    answer: Answer | None = None
    """With all its candidates; None where there is none."""
    error: Failure | None = None
    candidates: tuple[Candidate, ...] = ()
    moments: tuple[Moment, ...] = ()
    calls: tuple[TracedCall, ...] = ()


class _Timeline(Frozen):
    """How the file holds what happened in a choice."""

    moments: tuple[Moment, ...] = ()
    calls: tuple[TracedCall, ...] = ()


class Trace(Frozen):
    """One request."""

    id: str
    began: float
    """By the wall clock, in seconds since 1970."""
    seconds: float
    first_byte: float | None = None
    queued: float | None = None
    route: str = ""
    model: str = ""
    """As it was asked for, in full."""
    pipeline: str = ""
    """As metrics call it."""
    key: str = ""
    """Name of the caller's key."""
    status: int
    streamed: bool = False
    error: Failure | None = None
    question_key: str | None = None
    question: Question | None = None
    """None where the server was not to keep texts."""
    usage: Usage = Usage()
    nodes: tuple[NodeUsage, ...] = ()
    choices: tuple[TracedChoice, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether some choice has an answer."""
        return any(choice.answer is not None for choice in self.choices)


class TraceLine(Frozen):
    """A trace in a list."""

    id: str
    began: float
    seconds: float
    route: str
    model: str
    key: str
    status: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    text: str | None = None
    """How the last message begins, where the server keeps texts."""


def sum_up(trace: Trace) -> TraceLine:
    """A trace as a line of a list."""
    fields = {name: getattr(trace, name) for name in ("id", "began", "seconds", "route", "model", "key", "status")}
    spent = {name: getattr(trace.usage, name) for name in ("prompt_tokens", "completion_tokens", "cost")}
    return TraceLine(**fields, **spent, text=None if trace.question is None else trace.question.text[:SHOWN])


class TraceStore(Database):
    """The file. Written by one thread at a time; read by whoever likes, meanwhile too."""

    kind = "file of traces"
    format = 104
    upgrades = UPGRADES
    schema = SCHEMA
    made_by = "`quorate serve --traces FILE` makes one"
    rescue = "move it away and a new one is made (`sqlite3 {file} .recover` saves what can still be read)"

    def add(self, traces: Iterable[Trace]) -> None:
        """Keeps them, all in one transaction."""
        with self.transaction():
            for trace in traces:
                self._add(trace)

    def find(self, identity: str) -> list[Trace]:
        """The traces of this id, the latest first; clients may send an id twice."""
        rows = self.execute("SELECT * FROM traces WHERE id = ? ORDER BY number DESC", (identity,)).fetchall()
        return [self._read(row) for row in rows]

    def latest(
        self,
        limit: int,
        *,
        model: str | None = None,
        status: int | None = None,
        since: float | None = None,
        key: str | None = None,
    ) -> list[TraceLine]:
        """The latest requests first.

        Args:
            limit: how many.
            model: in whose name this text stands.
            status: of the reply; a hundred stands for all its statuses, as in 500.
            since: seconds since 1970.
            key: the name of the caller's key.
        """
        rows = self.rows(
            f"SELECT {', '.join(LINE)}, {BEGINNING} AS text FROM traces "
            "WHERE ifnull(:key, key) = key AND instr(model, :model) > 0 "
            "AND status BETWEEN :low AND :high AND began >= :since ORDER BY number DESC LIMIT :limit",
            {
                "key": key,
                "model": model or "",
                "low": status or 0,
                "high": status + 99 if status and status % 100 == 0 else status or 999,
                "since": since or 0.0,
                "limit": limit,
            },
        )
        return [TraceLine.model_validate(dict(row)) for row in rows]

    def all(self) -> Iterator[Trace]:
        """Every trace, the oldest first, as it is needed."""
        for row in self.rows("SELECT * FROM traces ORDER BY number"):
            yield self._read(row)

    def prune(self, *, before: float, most_bytes: int) -> int:
        """Deletes traces from before a time (seconds since 1970), and the oldest while there is too much.

        Returns:
            How many are gone.
        """
        gone = self._delete("began < ?", before)
        while self.size > most_bytes and (count := self.value("SELECT count(*) FROM traces")):
            oldest = self.value(
                "SELECT number FROM traces ORDER BY number LIMIT 1 OFFSET ?", (min(count - 1, int(count * SHARE)),)
            )
            gone += self._delete("number <= ?", oldest)
        if gone:
            with self._translate_errors():
                self.db.executescript("PRAGMA incremental_vacuum")  # `execute` gives back a single page
        return gone

    @property
    def size(self) -> int:
        """Bytes in use."""
        pages = self.value("PRAGMA page_count") - self.value("PRAGMA freelist_count")
        return int(pages * self.value("PRAGMA page_size"))

    def _make(self) -> None:
        # So that a file from which traces were deleted can get smaller.
        self.db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        super()._make()

    def _delete(self, where: str, value: float) -> int:
        with self.transaction():
            chosen = f"SELECT number FROM traces WHERE {where}"
            for table in ("samples", "choices"):
                self.execute(f"DELETE FROM {table} WHERE trace IN ({chosen})", (value,))
            return self.execute(f"DELETE FROM traces WHERE {where}", (value,)).rowcount

    def _add(self, trace: Trace) -> None:
        row = {name: getattr(trace, name) for name in PLAIN}
        row |= {name: getattr(trace.usage, name) for name in USAGE}
        row["nodes"] = f"[{','.join(map(_dump, trace.nodes))}]"
        row["error"], row["question"] = _json(trace.error), _json(trace.question)
        number = self.execute(_insert("traces", *row), row).lastrowid
        for place, choice in enumerate(trace.choices):
            timeline = _Timeline(moments=choice.moments, calls=choice.calls)
            kept = {
                "trace": number,
                "choice": place,
                "answer": _json(choice.answer and choice.answer.replace(candidates=())),
                "error": _json(choice.error),
                "timeline": zlib.compress(_dump(timeline).encode(), 1),
            }
            self.execute(_insert("choices", *kept), kept)
            if choice.candidates:
                self.many(
                    _insert("samples", "trace", "choice", "idx", "error", *CANDIDATE),
                    [
                        {"trace": number, "choice": place, "idx": c.index, "error": _json(c.error), **columns_of(c)}
                        for c in {candidate.index: candidate for candidate in choice.candidates}.values()
                    ],
                )

    def _read(self, row: Any) -> Trace:
        number = row["number"]
        choices = self.execute("SELECT * FROM choices WHERE trace = ? ORDER BY choice", (number,)).fetchall()
        return Trace(
            **{name: row[name] for name in PLAIN},
            error=_parse(Failure, row["error"]),
            question=_parse(Question, row["question"]),
            usage=Usage(**{name: row[name] for name in USAGE}),
            nodes=json.loads(row["nodes"]),
            choices=tuple(self._choice(number, each) for each in choices),
        )

    def _choice(self, number: int, row: Any) -> TracedChoice:
        found = "SELECT * FROM samples WHERE trace = ? AND choice = ? ORDER BY idx"
        candidates = tuple(
            candidate_of(each, each["idx"]).model_copy(update={"error": _parse(Failure, each["error"])})
            for each in self.execute(found, (number, row["choice"])).fetchall()
        )
        answer = _parse(Answer, row["answer"])
        timeline = _Timeline.model_validate(json.loads(zlib.decompress(row["timeline"])))
        return TracedChoice(
            answer=answer and answer.replace(candidates=candidates),
            error=_parse(Failure, row["error"]),
            candidates=candidates,
            moments=timeline.moments,
            calls=timeline.calls,
        )


def is_store(path: Path) -> bool:
    """Whether this is a file of traces."""
    if not path.is_file():
        return False
    with closing(sqlite3.connect(path)) as db:
        try:
            return bool(db.execute("PRAGMA user_version").fetchone()[0] == TraceStore.format)
        except sqlite3.Error:
            return False


@lru_cache
def _insert(table: str, *names: str) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"


def _json(value: Frozen | None) -> str | None:
    return None if value is None else _dump(value)


def _dump(value: Frozen) -> str:
    """Without what is as it is by default."""
    try:
        return value.model_dump_json(exclude_defaults=True)
    except (UnicodeError, ValueError):
        # Half a surrogate pair, which only escapes can hold.
        return json.dumps(value.model_dump(mode="json", exclude_defaults=True))


def _parse(kind: type[V], text: str | None) -> V | None:
    return None if text is None else kind.model_validate(json.loads(text))
