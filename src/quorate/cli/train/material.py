"""What a selector learns from: a sample bank, or recorded answers with their texts where those lie beside them.

`answers.jsonl` is read as `quorate eval replay` reads it. Texts stand in `samples.jsonl` (or `.gz`)
beside it, lines in the same order: `id`, `model`, `samples` (or `text`), and `variant` if several prompts
were used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

from quorate.aggregators.equivalence import default_equivalence
from quorate.aggregators.learned.selector import Example, Spelled, build_example, cut_sets
from quorate.aggregators.routing.router_training import RoutedQuestion
from quorate.evals.answer_files import JsonLine, lines_of, read_bank
from quorate.evals.bank import Bank
from quorate.evals.records import POOLED, AnswerRecord, RecordedBank
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Candidate, CandidateSet, Question
from quorate.orchestrator.usage import Usage


async def bank_examples(
    path: Path, *, task: str | None, agent: str | None, size: int | None, seed: int
) -> list[Example]:
    """The candidates of every question of a bank, those of several agents together.

    Raises:
        BadInput: there is no bank, or nothing in it.
    """
    with Bank(path, create=False) as bank:
        sets = join_sets(bank.sets(task, agent))
        known = ", ".join(bank.tasks()) or "none"
    if not sets:
        wanted = "".join([f" of task {task!r}" if task else "", f" of agent {agent!r}" if agent else ""])
        raise BadInput(f"{path}: holds no samples{wanted}; its tasks: {known}")
    equivalence = default_equivalence()
    try:
        return [await build_example(one, equivalence) for one in (cut_sets(sets, size, seed) if size else sets)]
    finally:
        await equivalence.aclose()


async def replay_examples(
    path: Path, *, model: str | None, without: Sequence[str], size: int | None, seed: int
) -> list[Example]:
    """Recorded answers; equal strings are one class, as in `quorate eval replay`.

    Raises:
        BadInput: there is no such model.
        DataError: the file is broken.
    """
    found = await recorded_sets(path, model=model, without=without)
    if size is None:
        return [await build_example(one.candidates, Spelled(), one.scores) for one in found]
    if any(one.scores for one in found):
        raise BadInput("--candidates cannot cut sets with recorded scores: leave it out")
    return [await build_example(one, Spelled()) for one in cut_sets([one.candidates for one in found], size, seed)]


async def panel_examples(path: Path) -> list[Example]:
    """Recorded answers of all models together, a set a question; equal strings are one class.

    Raises:
        DataError: the file is broken.
    """
    sets = join_sets([one.candidates for one in await recorded_sets(path)])
    return [await build_example(one, Spelled()) for one in sets]


def outcome_questions(path: Path, task: str | None, prices: Mapping[str, float]) -> list[RoutedQuestion]:
    """What each pipeline of a bank's runs made of each question; of several runs the latest answer counts.

    Args:
        path: of the bank.
        task: only this one.
        prices: by pipeline, of a million tokens, where the runs knew none.

    Raises:
        BadInput: there is no such task, or no pipeline was asked.
    """
    with Bank(path, create=False) as bank:
        runs = [run for run in bank.runs() if task in (None, run.task)]
        asked = {(run.task, o.item, o.pipeline): o for run in runs for o in bank.outcomes(run.id)}
        items = {(name, item.item): item for name in bank.tasks() for item in bank.items(name)}
    found: dict[tuple[str, str], RoutedQuestion] = {}
    for (name, item, pipeline), outcome in asked.items():
        if (known := items.get((name, item))) is None:
            continue
        group = f"{name}/{known.cluster or item}"
        one = found.setdefault((name, item), RoutedQuestion(f"{name}/{item}", group, known.question, {}, {}, {}))
        cost = prices[pipeline] * outcome.tokens / 1e6 if pipeline in prices else outcome.cost
        cast(dict[str, float], one.right)[pipeline] = float(outcome.correct)
        cast(dict[str, float | None], one.money)[pipeline] = cost
        cast(dict[str, float | None], one.seconds)[pipeline] = outcome.seconds
    if not found:
        raise BadInput(f"{path}: no pipeline was asked anything{f' of task {task!r}' if task else ''}")
    return list(found.values())


def join_sets(sets: Iterable[CandidateSet]) -> list[CandidateSet]:
    """One set a question: candidates of all agents and settings, so that who said it can be learned."""
    found: dict[tuple[str, str], list[CandidateSet]] = defaultdict(list)
    for one in sets:
        found[one.task, one.item].append(one)
    return [
        group[0].model_copy(
            update={
                "candidates": tuple(c for one in group for c in one.candidates),
                "correct": tuple(mark for one in group for mark in one.correct),
            }
        )
        for group in found.values()
    ]


class LabelledSet(NamedTuple):
    """A labelled set, a verifier's scores where there are some, and the recorded answers behind them."""

    candidates: CandidateSet
    scores: tuple[float | None, ...]
    recorded: AnswerRecord


@dataclass(frozen=True)
class _RecordedText:
    text: str
    variant: str | None


_Texts = Mapping[tuple[str, str], Sequence[_RecordedText]]


async def recorded_sets(path: Path, *, model: str | None = None, without: Sequence[str] = ()) -> list[LabelledSet]:
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
        _label_record(record, bank.name, texts, questions)
        for name in _groups(bank, model)
        for record in bank.groups[name]
    ]


def _groups(bank: RecordedBank, model: str | None) -> list[str]:
    names = [name for name in bank.groups if name != POOLED]
    if model is None:
        return names
    if bank.panel or model not in names:
        has = "one answer a model, which is a panel" if bank.panel else ", ".join(names)
        raise BadInput(f"--model {model}: {bank.name} has no samples of it; it has: {has}")
    return [model]


def _label_record(record: AnswerRecord, task: str, texts: _Texts, questions: Mapping[str, str]) -> LabelledSet:
    seen: dict[str, int] = defaultdict(int)
    candidates = []
    spent = [record.take([place]).spend(1) for place in range(len(record))]
    for place, (voter, answer) in enumerate(zip(record.voters, record.answers, strict=True)):
        told, nth = texts.get((record.id, voter)) or texts.get((record.id, ""), ()), seen[voter]
        seen[voter] += 1
        sample = told[nth] if len(told) == record.voters.count(voter) else _RecordedText("", None)
        candidates.append(
            Candidate(
                index=place,
                model=voter,
                text=sample.text,
                answer=answer or "",
                prompt_version=sample.variant,
                finish_reason="stop",
                usage=Usage(completion_tokens=int(spent[place].tokens or 0), cost=spent[place].money),
                latency=spent[place].seconds,
            )
        )
    labelled = CandidateSet(
        task=task,
        item=record.id,
        question=Question.of(questions.get(record.id) or record.id),
        candidates=tuple(candidates),
        correct=record.right,
    )
    return LabelledSet(labelled, tuple(record.columns.get("scores", ())), record)


def _texts(path: Path) -> dict[tuple[str, str], list[_RecordedText]]:
    """By question and model; a line without a model is of the only one."""
    found: dict[tuple[str, str], list[_RecordedText]] = defaultdict(list)
    for line in _lines(path, "samples"):
        given = line.entries("samples") if "samples" in line.data else [line.data.get("text", "")]
        variant = line.data.get("variant")
        name = str(variant) if isinstance(variant, str) else None
        samples = [_RecordedText(text if isinstance(text, str) else "", name) for text in given]
        found[line.text("id"), str(line.data.get("model", ""))] += samples
    return found


def _questions(path: Path) -> dict[str, str]:
    rows = [*_lines(path, "questions"), *_lines(path, "answers")]
    return {line.text("id"): text for line in rows if isinstance(text := line.data.get("question"), str) and text}


def _lines(path: Path, name: str) -> Iterator[JsonLine]:
    """The lines of such a file in the folder, or beside the file, if there is one."""
    folder = path if path.is_dir() else path.parent
    for file in (folder / f"{name}.jsonl", folder / f"{name}.jsonl.gz"):
        if file.is_file():
            yield from lines_of(file)
