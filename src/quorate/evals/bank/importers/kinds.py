"""What kind of file this is, by what stands in it: names are anybody's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quorate.evals.answer_files import lines_of
from quorate.orchestrator.errors import DataError

from ..ingest import Found
from .batches import batch_samples
from .exported import exported_samples
from .inspect_log import inspect_samples
from .lighteval import is_details, lighteval_samples
from .lm_eval import is_samples, lm_eval_samples
from .programs import evalplus_samples, human_eval_samples
from .promptfoo import promptfoo_samples
from .recorded import recorded_answers
from .source import ImportOptions, Reader

__all__ = ["READ", "reader_of"]

READ = (
    "What is read: a bank, an export of one, a server's traces, recorded answers (JSON lines with id, model and "
    "answers), Inspect's .eval and .json, lm-eval's samples_*.jsonl, lighteval's details_*.parquet, promptfoo's .json "
    "and .jsonl, evalplus's *_eval_results.json, HumanEval's *_results.jsonl, and the output of OpenAI's batches and "
    "vLLM's run-batch"
)
HEAD = 65_536
"""Bytes of a JSON document by which it is known."""


def reader_of(file: Path, *, among_others: bool = False) -> Reader | None:
    """Who reads this file; None where nobody does.

    Args:
        file: a file.
        among_others: it stands in a folder, where recorded answers and files that cannot be read do not count.

    Raises:
        DataError: it is known, and holds no samples; says which file does.
    """
    if not file.is_file():
        return None
    if file.suffix == ".json":
        return _reader_of_document(file, among_others=among_others)
    if file.suffix == ".parquet":
        return lighteval_samples if is_details(file) else None if among_others else _exported
    if file.name.endswith((".jsonl", ".jsonl.gz")):
        return lm_eval_samples if is_samples(file) else _reader_of_lines(file, among_others=among_others)
    return inspect_samples if file.suffix == ".eval" else None


def _reader_of_document(file: Path, *, among_others: bool) -> Reader | None:
    with file.open("rb") as content:
        head = content.read(HEAD).decode(errors="replace")
    keys = _first_keys(head)
    if "eval" in keys:
        if "hash" in keys:
            return evalplus_samples
        return inspect_samples if "version" in keys or not among_others else None
    if "evalId" in keys or ("results" in keys and "shareableUrl" in keys):
        return promptfoo_samples
    if among_others:
        return None
    if "results" in keys and {"config_general", "configs", "versions"} & keys:
        raise DataError(
            "holds results of whole tasks, and no samples: import lm-eval's samples_*.jsonl (--log_samples) or "
            "lighteval's details_*.parquet (--save-details)",
            file=file,
        )
    return None


def _first_keys(head: str) -> set[str]:
    """The keys of a document's outermost object that stand in its beginning; those inside of it do not count."""
    keys, depth = set[str](), 0
    for mark in re.finditer(r'"(?:[^"\\]|\\.)*"(\s*:)?|[{}\[\]]', head):
        token = mark[0]
        if token[0] in "{[":
            depth += 1
        elif token[0] in "}]":
            depth -= 1
        elif mark[1] and depth == 1:
            keys.add(token[1 : token.rindex('"')])
    return keys


def _reader_of_lines(file: Path, *, among_others: bool) -> Reader | None:
    try:
        first = next(lines_of(file), None)
    except DataError:
        if among_others:
            return None
        raise
    keys: Mapping[str, Any] = {} if first is None else first.data
    for names, reader in _LINES:
        if names <= keys.keys():
            return reader
    if first is not None and "task_id" in keys and {"solution", "completion"} & keys.keys() and not among_others:
        raise first.fault(
            "holds solutions and no results: run evalplus.evaluate or evaluate_functional_correctness on it, and "
            "import its *_eval_results.json or *_results.jsonl"
        )
    if {"asker", "key", "idx"} <= keys.keys():
        return _exported
    recorded = {"id", "item", "model", "worker", "answers", "answer"} & keys.keys()
    return _recorded if recorded and not among_others else None


def _exported(file: Path, options: ImportOptions) -> Iterator[Found]:  # noqa: ARG001 - an export says it all
    return exported_samples(file)


def _recorded(file: Path, options: ImportOptions) -> Iterator[Found]:
    return recorded_answers(file, options.task)


_LINES: tuple[tuple[set[str], Reader], ...] = (
    ({"resps"}, lm_eval_samples),
    ({"custom_id", "response"}, batch_samples),
    ({"custom_id", "error"}, batch_samples),
    ({"task_id", "completion", "passed"}, human_eval_samples),
    ({"promptIdx", "testCase"}, promptfoo_samples),
)
"""Fields by which the lines of a file are known."""
