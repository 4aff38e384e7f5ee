"""A bank as files that other tools read: Parquet shards or JSON lines, with its runs beside them.

Workers of a cluster that share no file system with locks keep a bank of their own each, in memory,
and export it into one folder under names of their own (`prefix`); importing that folder joins them.

Rows are flat and stand for themselves, one a sample (and question, where several tasks ask the same): the
question with its right answer, who was asked with which settings and seed, the sample, and its grade. `question`,
`sampling`, `logprobs`, `tool_calls`, `facts`, `ensembling` and `degraded` are JSON: text in Parquet, values in
JSON lines.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self

from quorate.orchestrator.errors import BadInput, MissingExtra
from quorate.storage.sqlite import CANDIDATE, LATER, PARTS

from .bank import Bank
from .provenance import dump_json
from .store import Store

Format = Literal["parquet", "jsonl"]
SHARD = 100_000
"""Rows a file."""
GROUP = 5_000
"""Rows that are in memory at once."""
RUNS = "runs.jsonl"
_FLOATS = ("cost", "latency", "mean_logprob", "added")
_FLAGS = ("own_prompt", "estimated", "current", "correct")
_NUMBERS = ("run_seed", "idx", "seed", "prompt_tokens", "completion_tokens", "reasoning_tokens", "requests", *PARTS)
NESTED = ("question", "sampling", "logprobs", "tool_calls", "facts", *LATER)
_ITEM = ("task", "item", "cluster", "split", "revision", "prompt", "current", "gold")
_SAMPLE = ("idx", "own_prompt", "facts", "added")
_AGENT = ("name", "kind", "fingerprint")
COLUMNS = (
    *_ITEM,
    *("question", "asker", *_AGENT, "asked_model", "sampling", "run_seed", "key"),
    *_SAMPLE,
    *CANDIDATE,
    *("extracted", "correct"),
)
"""Names of the columns of a row, in order. `asker` is the agent's id, `key` and `run_seed` those of the request."""

_ROWS = f"""
SELECT {", ".join(f"i.{n}" for n in _ITEM)}, q.question, r.agent AS asker, {", ".join(f"a.{n}" for n in _AGENT)},
    a.model AS asked_model, r.sampling, r.seed AS run_seed, r.key,
    {", ".join(f"s.{n}" for n in (*_SAMPLE, *CANDIDATE))}, g.extracted, g.correct
FROM samples s CROSS JOIN requests r ON r.id = s.request LEFT JOIN agents a ON a.id = r.agent
LEFT JOIN questions q ON q.key = r.question LEFT JOIN items i ON i.question = r.question
LEFT JOIN grades g ON g.sample = s.id AND g.item = i.id
WHERE (:task IS NULL OR i.task = :task) AND (:agent IS NULL OR a.id = :agent OR a.name = :agent) ORDER BY s.id
"""


class Exported(NamedTuple):
    """What was written."""

    samples: int
    files: tuple[Path, ...]


class _RowWriter(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def write(self, rows: list[dict[str, Any]]) -> None: ...


def export_bank(
    bank: Bank,
    out: Path,
    *,
    form: Format = "parquet",
    task: str | None = None,
    agent: str | None = None,
    prefix: str = "samples",
) -> Exported:
    """Writes the samples into `PREFIX-00000.parquet`, ... of a folder, and its runs with their answers.

    Args:
        out: the folder, made if there is none; a name that ends in `.parquet` or `.jsonl` is one file.
        form: of the files in a folder.
        task: only samples of this task.
        agent: only samples of this agent, by name or id.

    Raises:
        BadInput: it cannot be written, or there is an export already.
        MissingExtra: Parquet needs pyarrow.
    """
    single = out.suffix in (".parquet", ".jsonl")
    kind = out.suffix if single else f".{form}"
    rows, count = flat_rows(bank.store, task, agent), 0
    files: list[Path] = []
    try:
        (out.parent if single else out).mkdir(parents=True, exist_ok=True)
        while True:
            file = out if single else out / f"{prefix}-{len(files):05}{kind}"
            if file.exists():
                raise BadInput(f"{file} exists: choose another place, or remove it first")
            written = _write(file, rows, None if single else SHARD)
            if written or not files:
                files.append(file)
            else:
                file.unlink()
            count += written
            if single or written < SHARD:
                break
        if not single:
            files.append(_write_runs(bank, out / f"{prefix}-{RUNS}"))
    except OSError as error:
        raise BadInput(f"{out}: cannot be written: {error.strerror}") from error
    return Exported(count, tuple(files))


def _write(file: Path, rows: Iterator[dict[str, Any]], most: int | None) -> int:
    """Writes so many rows, under another name until they are complete."""
    part, count = file.with_name(file.name + ".part"), 0
    writer: _RowWriter = _ParquetWriter(part) if file.suffix == ".parquet" else _JsonLinesWriter(part)
    with writer:
        while (most is None or count < most) and (group := list(islice(rows, GROUP))):
            writer.write(group)
            count += len(group)
    part.rename(file)
    return count


def _write_runs(bank: Bank, file: Path) -> Path:
    """A line a run, with what its pipelines answered."""
    with file.open("w", encoding="utf-8") as lines:
        for run in bank.runs():
            lines.write(json.dumps({"run": json.loads(dump_json(run))}) + "\n")
            for outcome in bank.outcomes(run.id):
                lines.write(json.dumps({"of": run.id, "outcome": json.loads(dump_json(outcome))}) + "\n")
    return file


def flat_rows(store: Store, task: str | None = None, agent: str | None = None) -> Iterator[dict[str, Any]]:
    """Every sample, in the order in which they came, as it is needed."""
    for row in store.rows(_ROWS, {"task": task, "agent": agent}):
        flat = dict(row)
        flat["logprobs"] = None if flat["logprobs"] is None else zlib.decompress(flat["logprobs"]).decode()
        for name in ("own_prompt", "estimated", "current", "correct"):
            flat[name] = None if flat[name] is None else bool(flat[name])
        yield flat


class _JsonLinesWriter:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            nested = {name: json.loads(row[name]) for name in NESTED if row[name] is not None}
            self._file.write(json.dumps({**row, **nested}, ensure_ascii=False) + "\n")


class _ParquetWriter:
    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtra("eval", "writing Parquet (JSON lines need nothing: --format jsonl)") from error
        kinds = dict.fromkeys(COLUMNS, pyarrow.string())
        kinds.update(dict.fromkeys(_FLOATS, pyarrow.float64()))
        kinds.update(dict.fromkeys(_FLAGS, pyarrow.bool_()))
        kinds.update(dict.fromkeys(_NUMBERS, pyarrow.int64()))
        self._schema = pyarrow.schema(list(kinds.items()))
        self._table = pyarrow.Table
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, rows: list[dict[str, Any]]) -> None:
        self._writer.write_table(self._table.from_pylist(rows, schema=self._schema))
