"""Candidate sets and questions, read from a bank as they are needed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from quorate.orchestrator.types import CandidateSet, Question, SamplingParams
from quorate.storage.candidate_columns import candidate_of

from .store import Store
from .values import BankedItem

__all__ = ["Group", "groups", "items"]

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


def items(store: Store, task: str | None) -> Iterator[BankedItem]:
    for row in store.execute(_ITEMS, (task,)):
        yield BankedItem(
            question=_question(row["content"]),
            **{name: row[name] for name in ("task", "item", "gold", "cluster", "split", "revision", "prompt")},
        )


class Group(NamedTuple):
    """Candidates of one question from one agent with one set of sampling settings."""

    agent: str
    """Its id."""
    name: str
    kind: str
    sampling: str
    facts: tuple[str | None, ...]
    """What else is known of each, as JSON."""
    candidates: CandidateSet


def groups(store: Store, task: str | None, agent: str | None) -> Iterator[Group]:
    for item in store.rows(_ITEMS, (task,)):
        asked = {"item": item["id"], "question": item["question"], "agent": agent}
        samples = store.execute(_SAMPLES, asked).fetchall()
        for (by, sampling), found in groupby(samples, key=lambda row: (row["by"], row["sampling"])):
            rows = list(found)
            facts = tuple(row["facts"] for row in rows)
            name, kind = rows[0]["name"], rows[0]["kind"]
            yield Group(by, name, kind, sampling or "{}", facts, _set(item, sampling, rows))


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
