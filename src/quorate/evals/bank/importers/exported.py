"""What `quorate eval bank export` wrote, and banks themselves, into a bank."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quorate.evals.answer_files import JsonLine, lines_of
from quorate.evals.outcome import Outcome
from quorate.orchestrator.errors import BadInput, DataError, MissingExtra
from quorate.orchestrator.frozen import first_fault
from quorate.orchestrator.types import Question, SamplingParams
from quorate.storage.sqlite import LATER, PARTS, candidate_of

from ..bank import Bank
from ..export import NESTED, flat_rows
from ..ingest import Incoming
from ..values import BankedAgent, BankedItem, RunRecord

__all__ = ["copy_runs", "exported_files", "exported_samples", "import_runs", "parquet_rows", "samples_of"]


def exported_files(folder: Path) -> list[Path]:
    """The shards of an export; none where the folder is something else."""
    shards = [*folder.glob("*-[0-9][0-9][0-9][0-9][0-9].parquet"), *folder.glob("*-[0-9][0-9][0-9][0-9][0-9].jsonl")]
    return sorted(shards)


def exported_samples(file: Path) -> Iterator[Incoming]:
    """Every row of a Parquet or JSONL file.

    Raises:
        DataError: it is cut off, or a row is broken; names file, row and column.
        MissingExtra: Parquet needs pyarrow.
    """
    if file.suffix == ".parquet":
        for number, row in parquet_rows(file):
            yield incoming_of(row, lambda what, column, n=number: DataError(what, file=file, line=n, field=column))  # type: ignore[misc]
    else:
        for line in lines_of(file):
            yield incoming_of(line.data, line.fault)


def samples_of(bank: Bank) -> Iterator[Incoming]:
    """Every sample of another bank."""
    return (
        incoming_of(row, lambda what, column: DataError(what, file=bank.path, field=column))
        for row in flat_rows(bank.store)
    )


def copy_runs(bank: Bank, other: Bank) -> None:
    """The runs of another bank with their answers, but for those that are here already."""
    for run in other.runs():
        _keep(bank, run, list(other.outcomes(run.id)))


def import_runs(bank: Bank, folder: Path) -> None:
    """The runs of an export with their answers, but for those that are here already.

    Raises:
        DataError: a line is broken.
    """
    for file in sorted(folder.glob("*-runs.jsonl")):
        runs: dict[int, tuple[RunRecord, list[Outcome]]] = {}
        for line in lines_of(file):
            try:
                _take(line, runs)
            except (KeyError, ValueError, TypeError) as error:
                raise line.fault(f"is no run of an export: {error!r}") from None
        for run, outcomes in runs.values():
            _keep(bank, run, outcomes)


def _take(line: JsonLine, runs: dict[int, tuple[RunRecord, list[Outcome]]]) -> None:
    if "run" in line.data:
        run = RunRecord.model_validate(line.data["run"])
        runs[run.id] = (run, [])
    else:
        runs[line.data["of"]][1].append(Outcome.model_validate(line.data["outcome"]))


def _keep(bank: Bank, run: RunRecord, outcomes: list[Outcome]) -> None:
    if any(there.model_copy(update={"id": run.id}) == run for there in bank.runs()):
        return
    with bank.store.transaction():
        number = bank.take_run(run)
        for outcome in outcomes:
            bank.add_outcome(number, outcome)


def parquet_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("eval", f"reading {file.name}") from error
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(file) as content:
            for batch in content.iter_batches(batch_size=2000):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"is no Parquet file, or cut off: {error}", file=file) from error


def incoming_of(row: Mapping[str, Any], fault: Callable[[str, str | None], BadInput]) -> Incoming:
    """What a row says; texts of JSON or values in the nested columns.

    Args:
        fault: makes the error that names the place, from a message and a column.

    Raises:
        BadInput: a column is missing or holds nonsense.
    """
    try:
        row = {**dict.fromkeys(LATER), **dict.fromkeys(PARTS, 0), **row}
        texts = {name: _text(row[name]) for name in NESTED}
        item = None
        if row["task"] is not None:
            facts = tuple(row[name] or "" for name in ("cluster", "split", "revision", "prompt"))
            item = _item_of(row["task"], row["item"], texts["question"], row["gold"], *facts)
        logprobs = texts["logprobs"]
        packed = {**row, **texts, "logprobs": None if logprobs is None else zlib.compress(logprobs.encode())}
        return Incoming(
            agent=_agent_of(row["asker"], row["name"], row["kind"], row["asked_model"], row["fingerprint"]),
            candidate=candidate_of(packed, row["idx"]).model_copy(update={"prompt_counted": bool(row["own_prompt"])}),
            item=item,
            current=row["current"] is not False,
            question=None if item is not None or texts["question"] is None else _parse_question(texts["question"]),
            sampling=None if texts["sampling"] is None else _parse_sampling(texts["sampling"]),
            seed=row["run_seed"],
            key=row["key"],
            graded=row["correct"] is not None,
            extracted=row["extracted"],
            correct=bool(row["correct"]),
            facts=json.loads(texts["facts"]) if texts["facts"] else {},
        )
    except KeyError as error:
        raise fault("is missing: this is no export of a sample bank", str(error.args[0])) from None
    except ValidationError as error:
        field, words = first_fault(error)
        raise fault(words, field) from None
    except (TypeError, ValueError, IndexError) as error:
        raise fault(f"is no row of a sample bank: {error}", None) from None


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


@lru_cache(maxsize=4096)
def _parse_question(text: str) -> Question:
    return Question.model_validate_json(text)


@lru_cache(maxsize=4096)
def _parse_sampling(text: str) -> SamplingParams:
    return SamplingParams.model_validate_json(text)


@lru_cache(maxsize=4096)
def _agent_of(key: str, name: str | None, kind: str | None, model: str | None, fingerprint: str | None) -> BankedAgent:
    known = BankedAgent.of(key)
    return BankedAgent(
        id=key, name=name or known.name, kind=kind or "", model=model or known.model, fingerprint=fingerprint
    )


@lru_cache(maxsize=65536)
def _item_of(
    task: str, item: str, question: str | None, gold: str | None, cluster: str, split: str, revision: str, prompt: str
) -> BankedItem:
    return BankedItem(
        task=task,
        item=item,
        question=Question(messages=()) if question is None else _parse_question(question),
        gold=gold,
        cluster=cluster,
        split=split,
        revision=revision,
        prompt=prompt,
    )
