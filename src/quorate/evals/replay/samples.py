"""The samples of `quorate eval run --out DIR`, as rows of a recorded bank.

A line of `samples.jsonl` knows its question by a hash and the seed of its run; that seed follows from
the question's id, which stands with its gold answer in `answers.jsonl`. Samples of nested pipelines
have seeds of their own and are left out. Answers are read by the default extractor, and classes are
those of the default equivalence, as in a live vote.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from quorate.aggregators.equivalence import default_equivalence
from quorate.aggregators.extraction import AnswerExtractor
from quorate.evals.bank import Drawn
from quorate.evals.faults import first_fault
from quorate.evals.runner import Outcome
from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import Candidate, Frozen

from .reading import Row

__all__ = ["own_samples"]

Row_ = TypeVar("Row_", bound=Frozen)


async def own_samples(folder: Path) -> list[Row]:
    """A row for every question and agent; agents asked with several settings are told apart.

    Raises:
        DataError: a file is missing or broken, or no sample belongs to a question of `answers.jsonl`.
    """
    golds = {outcome.item: outcome.gold for outcome in _read(folder / "answers.jsonl", Outcome)}
    item_of = {derive_seed(_seed(folder / "results.json"), item): item for item in golds}
    found: dict[tuple[str, str, str], dict[int, Candidate]] = defaultdict(dict)
    for drawn in _read(folder / "samples.jsonl", Drawn):
        if drawn.seed in item_of:
            found[drawn.agent, item_of[drawn.seed], drawn.question][drawn.index] = drawn.candidate
    if not found:
        raise DataError("no sample belongs to a question of answers.jsonl", file=folder / "samples.jsonl")
    names = _names({agent for agent, _, _ in found})
    return [
        await _row(item, names[agent], golds[item], [c for _, c in sorted(candidates.items())])
        for (agent, item, _), candidates in found.items()
    ]


async def _row(item: str, model: str, gold: str, candidates: list[Candidate]) -> Row:
    extract = AnswerExtractor().extract
    answers = [(c.answer if c.answer is not None else extract(c.text)) or None for c in candidates]
    told = sorted({a for a in answers if a is not None} | {gold})
    classes = dict(zip(told, await default_equivalence().classes(told), strict=True))
    numbers = [None if a is None else classes[a] for a in answers]
    columns: dict[str, list[Any]] = {
        "tokens": [c.usage.completion_tokens for c in candidates],
        "candidates": list(candidates),
    }
    if all(c.logprobs is not None for c in candidates):
        columns["logprobs"] = [c.logprobs for c in candidates]
    right = [n == classes[gold] for n in numbers]
    return Row(item, model, list(answers), right, columns, classes=numbers)


def _names(agents: set[str]) -> dict[str, str]:
    """Agents without the hash of their settings, where that tells them apart."""
    short = [agent.rpartition("~")[0] or agent for agent in agents]
    return {a: a if short.count(s) > 1 else s for a in agents if (s := a.rpartition("~")[0] or a)}


def _seed(path: Path) -> int:
    try:
        seed = json.loads(path.read_text(encoding="utf-8"))["seed"]
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=path) from error
    except (ValueError, KeyError, TypeError):
        seed = None
    if not isinstance(seed, int):
        raise DataError("holds no seed of the run", file=path, field="seed")
    return seed


def _read(path: Path, row: type[Row_]) -> list[Row_]:
    """The journal's rows, read without taking it from a run in progress; a torn last line is left out."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=path) from error
    rows: list[Row_] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(row.model_validate_json(line))
        except ValidationError as error:
            if number == len(lines) and not line.endswith(b"\n"):
                break
            message, field = first_fault(error)
            raise DataError(message, file=path, line=number, field=field) from None
    return rows
