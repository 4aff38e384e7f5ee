"""Recorded answers of other tools as labelled candidate sets, with their texts where those lie beside them.

`answers.jsonl` is read as `quorate eval replay` reads it. Texts stand in `samples.jsonl` (or `.gz`)
beside it, lines in the same order: `id`, `model`, `samples` (or `text`), and `variant` if several prompts
were used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from quorate.evals.answer_files import read_bank
from quorate.evals.records import Recorded, RecordedBank
from quorate.evals.answer_files import Line, lines_of
from quorate.evals.records import POOLED
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Candidate, CandidateSet, Question

__all__ = ["Labelled", "recorded_sets"]


class Labelled(NamedTuple):
    """A labelled set, a verifier's scores where there are some, and the recorded answers behind them."""

    candidates: CandidateSet
    scores: tuple[float | None, ...]
    recorded: Recorded


@dataclass(frozen=True)
class _Sample:
    text: str
    variant: str | None


_Texts = Mapping[tuple[str, str], Sequence[_Sample]]


async def recorded_sets(path: Path, *, model: str | None = None, without: Sequence[str] = ()) -> list[Labelled]:
    """A set for each question: of a panel's models, or of one model's samples.

    Args:
        model: whose samples, where several models were sampled; all of them, apart, if not given.
        without: models to leave out.

    Raises:
        DataError: nothing readable is there.
        BadInput: there is no such model.
    """
    bank = await read_bank(path, without=without)
    texts, questions = _texts(path), _questions(path)
    return [
        _labelled(record, bank.name, texts, questions) for name in _groups(bank, model) for record in bank.groups[name]
    ]


def _groups(bank: RecordedBank, model: str | None) -> list[str]:
    names = [name for name in bank.groups if name != POOLED]
    if model is None:
        return names
    if bank.panel or model not in names:
        has = "one answer a model, which is a panel" if bank.panel else ", ".join(names)
        raise BadInput(f"--model {model}: {bank.name} has no samples of it; it has: {has}")
    return [model]


def _labelled(record: Recorded, task: str, texts: _Texts, questions: Mapping[str, str]) -> Labelled:
    seen: dict[str, int] = defaultdict(int)
    candidates = []
    for place, (voter, answer) in enumerate(zip(record.voters, record.answers, strict=True)):
        told, nth = texts.get((record.id, voter)) or texts.get((record.id, ""), ()), seen[voter]
        seen[voter] += 1
        sample = told[nth] if len(told) == record.voters.count(voter) else _Sample("", None)
        candidates.append(
            Candidate(
                index=place,
                model=voter,
                text=sample.text,
                answer=answer or "",
                prompt_version=sample.variant,
                finish_reason="stop",
            )
        )
    labelled = CandidateSet(
        task=task,
        item=record.id,
        question=Question.of(questions.get(record.id) or record.id),
        candidates=tuple(candidates),
        correct=record.right,
    )
    return Labelled(labelled, tuple(record.columns.get("scores", ())), record)


def _texts(path: Path) -> dict[tuple[str, str], list[_Sample]]:
    """By question and model; a line without a model is of the only one."""
    found: dict[tuple[str, str], list[_Sample]] = defaultdict(list)
    for line in _lines(path, "samples"):
        given = line.entries("samples") if "samples" in line.data else [line.data.get("text", "")]
        variant = line.data.get("variant")
        name = str(variant) if isinstance(variant, str) else None
        samples = [_Sample(text if isinstance(text, str) else "", name) for text in given]
        found[line.text("id"), str(line.data.get("model", ""))] += samples
    return found


def _questions(path: Path) -> dict[str, str]:
    rows = [*_lines(path, "questions"), *_lines(path, "answers")]
    return {line.text("id"): text for line in rows if isinstance(text := line.data.get("question"), str) and text}


def _lines(path: Path, name: str) -> Iterator[Line]:
    """The lines of such a file in the folder, or beside the file, if there is one."""
    folder = path if path.is_dir() else path.parent
    for file in (folder / f"{name}.jsonl", folder / f"{name}.jsonl.gz"):
        if file.is_file():
            yield from lines_of(file)
