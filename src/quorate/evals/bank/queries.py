"""What is read of a bank: candidate sets, questions, records for metrics and replays, and an inventory."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from quorate.aggregators.extraction import read_answer
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.types import CandidateSet, Question, SamplingParams
from quorate.storage.sqlite import candidate_of

from ..records import AnswerRow, RecordedBank, assemble
from ..registry import reader_of
from .alike import describe_draws
from .store import Store
from .values import BankedItem

if TYPE_CHECKING:
    from quorate.orchestrator.reading import Equivalence, Extractor

OF_QUESTION = "of the question"
"""Under which the first sample of a question has what was recorded of the question itself."""
RECORDED = "recorded"
"""Kind of agents whose answers were extracted elsewhere, where equal answers are spelled alike."""

_ITEMS = (
    "SELECT i.*, q.question AS content FROM items i LEFT JOIN questions q ON q.key = i.question "
    "WHERE i.current AND ifnull(i.task = ?, 1) ORDER BY i.id"
)
# CROSS JOIN fixes the order: by question first, since a bank has many of them and few agents.
_SAMPLES = (
    "SELECT s.*, g.extracted, g.correct, r.sampling, a.id AS by, a.name, a.kind FROM requests r "
    "CROSS JOIN agents a ON a.id = r.agent CROSS JOIN samples s ON s.request = r.id "
    "LEFT JOIN grades g ON g.sample = s.id AND g.item = :item "
    "WHERE r.question = :question AND "
    "(:agent IS NULL OR a.id = :agent OR a.name = :agent) "
    "ORDER BY r.agent, length(r.sampling), r.sampling, r.id, s.idx"
)
_INVENTORY = """
SELECT i.task, i.split, a.id AS agent, a.name, a.fingerprint, r.sampling, i.revision, i.prompt,
    max(i.current) AS current, count(DISTINCT i.id) AS questions, count(*) AS samples,
    count(g.sample) AS graded, avg(g.correct) AS right, sum(s.completion_tokens) AS tokens
FROM items i CROSS JOIN requests r ON r.question = i.question CROSS JOIN agents a ON a.id = r.agent
CROSS JOIN samples s ON s.request = r.id LEFT JOIN grades g ON g.sample = s.id AND g.item = i.id
GROUP BY i.task, i.split, i.current, a.id, r.sampling ORDER BY i.task, i.split, i.current DESC, a.id, r.sampling
"""
_LOOSE = """
SELECT count(*) FROM samples s JOIN requests r ON r.id = s.request
WHERE r.question IS NULL OR r.question NOT IN (SELECT question FROM items)
"""


def list_items(store: Store, task: str | None) -> Iterator[BankedItem]:
    """The questions of a task, or of all, as they read now."""
    for row in store.execute(_ITEMS, (task,)):
        yield BankedItem(
            question=_question(row["content"]),
            **{name: row[name] for name in ("task", "item", "gold", "cluster", "split", "revision", "prompt")},
        )


class SampleGroup(NamedTuple):
    """Candidates of one question from one agent with one set of sampling settings."""

    agent: str
    """Its id."""
    name: str
    kind: str
    sampling: str
    facts: tuple[str | None, ...]
    """What else is known of each, as JSON."""
    candidates: CandidateSet

    def drawn_by(self, models: Mapping[str, str]) -> bool:
        """Whether these runs' models drew them, or one that they do not know (see `RunRecord.models`)."""
        draws = describe_draws(self.agent, self.sampling)
        return models.get(self.name, draws) == draws


def sample_groups(store: Store, task: str | None, agent: str | None) -> Iterator[SampleGroup]:
    """The candidates of every question as it reads now, a group an agent and sampling settings."""
    for item in store.rows(_ITEMS, (task,)):
        asked = {"item": item["id"], "question": item["question"], "agent": agent}
        samples = store.execute(_SAMPLES, asked).fetchall()
        for (by, sampling), found in groupby(samples, key=lambda row: (row["by"], row["sampling"])):
            rows = list(found)
            facts = tuple(row["facts"] for row in rows)
            name, kind = rows[0]["name"], rows[0]["kind"]
            yield SampleGroup(by, name, kind, sampling or "{}", facts, _set(item, sampling, rows))


def _set(item: sqlite3.Row, sampling: str | None, rows: list[sqlite3.Row]) -> CandidateSet:
    candidates = [candidate_of(row, index) for index, row in enumerate(rows)]
    found = [
        c.model_copy(update={"answer": row["extracted"]}) if c.answer is None and row["extracted"] is not None else c
        for c, row in zip(candidates, rows, strict=True)
    ]
    settings = SamplingParams.model_validate_json(sampling) if sampling else SamplingParams()
    return CandidateSet(
        task=item["task"],
        item=item["item"],
        cluster=item["cluster"],
        question=_question(item["content"]).model_copy(update={"sampling": settings}),
        gold=item["gold"],
        candidates=tuple(found),
        correct=tuple(None if row["correct"] is None else bool(row["correct"]) for row in rows),
    )


def _question(content: str | None) -> Question:
    """What was asked; without any messages where an import did not know."""
    return Question(messages=()) if content is None else Question.model_validate_json(content)


async def records_of(
    store: Store, task: str | None = None, agent: str | None = None, models: Mapping[str, str] | None = None
) -> RecordedBank:
    """See `Bank.records`."""
    found = await answer_rows(store, task, agent, models)
    name = store.path.parent.name if store.path is not None else "bank"
    if not found:
        wanted = "".join(f" of {kind} {name!r}" for kind, name in (("task", task), ("agent", agent)) if name)
        raise DataError(f"holds no samples of a known question{wanted}", file=store.path)
    return assemble(name, found)


async def answer_rows(
    store: Store, task: str | None = None, agent: str | None = None, models: Mapping[str, str] | None = None
) -> list[AnswerRow]:
    """A row for every question, agent and sampling settings.

    Answers are those that the grading found, read by the task's extractor where there was none; classes
    those of the task's equivalence, as in a live vote. Answers recorded elsewhere are taken as they are.
    """
    found = [group for group in sample_groups(store, task, agent) if group.drawn_by(models or {})]
    names = _names(found)
    several = len({group.candidates.task for group in found}) > 1
    # Once a task: finding one that is not built in looks through all installed packages.
    readers = {name: reader_of(name) for name in {group.candidates.task for group in found}}
    made: list[AnswerRow] = []
    for (name, _), of_question in groupby(found, key=lambda g: (g.candidates.task, g.candidates.item)):
        asked = list(of_question)
        voters = [names[group.agent, group.sampling] for group in asked]
        made += await _question_rows(asked, readers[name], voters, several=several)
    return made


async def _question_rows(
    asked: list[SampleGroup], reader: tuple[Extractor, Equivalence], models: list[str], *, several: bool
) -> list[AnswerRow]:
    """The rows of one question, whose classes mean the same in all of them."""
    answers = [_answers(group, reader[0]) for group in asked]
    golds = {group.candidates.gold for group in asked}
    told = sorted({a for given in answers for a in given if a is not None} | {g for g in golds if g is not None})
    same = all(group.kind == RECORDED for group in asked)
    numbers = dict(zip(told, range(len(told)) if same else await reader[1].classes(told), strict=True))
    return [
        _row(group, model, given, numbers, several=several)
        for group, model, given in zip(asked, models, answers, strict=True)
    ]


def _answers(group: SampleGroup, extractor: Extractor) -> list[str | None]:
    same, candidates = group.kind == RECORDED, group.candidates.candidates
    return [
        (c.answer if same or c.answer is not None else read_answer(extractor, c.text, c.reasoning, c.finish_reason))
        or None
        for c in candidates
    ]


def _row(
    group: SampleGroup, model: str, answers: list[str | None], numbers: dict[str, int], *, several: bool
) -> AnswerRow:
    these = group.candidates
    gold = None if these.gold is None else numbers[these.gold]
    classes = [None if a is None else numbers[a] for a in answers]
    facts = [json.loads(text) if text else {} for text in group.facts]
    of_question = {**facts[0].get(OF_QUESTION, {}), **({"cluster": these.cluster} if these.cluster else {})}
    return AnswerRow(
        question=f"{these.task}/{these.item}" if several else these.item,
        model=model,
        answers=answers,
        right=[
            (number is not None and number == gold) if known is None else known
            for number, known in zip(classes, these.correct, strict=True)
        ],
        columns=_columns(group, facts),
        facts=of_question,
        # Answers that are spelled alike need no numbers; those of labels are then the same in every question.
        classes=None if group.kind == RECORDED else list(classes),
    )


def _columns(group: SampleGroup, facts: list[dict[str, Any]]) -> dict[str, list[Any]]:
    candidates = group.candidates.candidates
    columns: dict[str, list[Any]] = {"candidates": list(candidates)}
    if group.kind != RECORDED or any(c.usage.completion_tokens for c in candidates):
        columns["tokens"] = [c.usage.completion_tokens for c in candidates]
    spent = {"cost": [c.usage.cost for c in candidates], "seconds": [c.latency for c in candidates]}
    columns |= {name: each for name, each in spent.items() if None not in each}
    if all(c.logprobs is not None for c in candidates):
        columns["logprobs"] = [c.logprobs for c in candidates]
    for name in sorted(set.intersection(*map(set, facts)) - {OF_QUESTION}):
        columns[name] = [fact[name] for fact in facts]
    return columns


def _names(found: list[SampleGroup]) -> dict[tuple[str, str], str]:
    """What each agent with its settings is called: no longer than tells them apart."""
    ids: dict[str, set[str]] = defaultdict(set)
    settings: dict[str, set[str]] = defaultdict(set)
    for group in found:
        ids[group.name].add(group.agent)
        settings[group.agent].add(group.sampling)
    names = {}
    for group in found:
        name = group.name if len(ids[group.name]) == 1 else group.agent
        several = len(settings[group.agent]) > 1
        names[group.agent, group.sampling] = f"{name} {group.sampling}" if several else name
    return names


class InventoryLine(Frozen):
    """Samples of one task from one agent with one set of sampling settings."""

    task: str
    split: str
    agent: str
    """Its id."""
    name: str
    fingerprint: str | None
    sampling: str | None
    """As JSON; None where an import did not know."""
    revision: str
    prompt: str
    current: bool
    """False for questions that read differently since."""
    questions: int
    samples: int
    graded: int
    right: float | None
    """Share of the graded ones, each sample counting alike."""
    tokens: int


def inventory(store: Store) -> tuple[list[InventoryLine], int]:
    """What the samples are of, and how many are of no task's question, such as later layers of a pipeline."""
    found: list[Any] = store.execute(_INVENTORY).fetchall()
    return [InventoryLine.model_validate(dict(row)) for row in found], int(store.value(_LOOSE))
