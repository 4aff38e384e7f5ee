"""Recorded answers (JSON lines as `quorate.evals.answer_files` describes them), with texts where there are some.

Texts stand in `samples.jsonl` or `samples.jsonl.gz` beside the answers (`samples` or `text` a line,
joined by `id`, `model` and `variant`), or in the line itself; questions in the line or in
`questions.jsonl`. Answers count as extracted and graded there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quorate.evals.answer_files import JsonLine, answer_files, lines_of, rows_of
from quorate.evals.records import AnswerRow
from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.types import Candidate, Question
from quorate.orchestrator.usage import Usage

from ..ingest import Incoming
from ..queries import OF_QUESTION, RECORDED
from ..store import Store
from ..values import BankedAgent, BankedItem
from .source import join_accepted

__all__ = ["parse_question", "recorded_agent", "recorded_answers"]

_SAMPLES = ("samples.jsonl", "samples.jsonl.gz")
_WORDINGS = ("question", "prompt", "input")


def recorded_answers(path: Path, task: str | None = None) -> Iterator[Incoming]:
    """Every answer of a file, or of those of a folder.

    Args:
        task: what the questions are noted under; the name of the folder or file if not given.

    Raises:
        DataError: nothing readable is there, or a line is broken; names file, line and field.
    """
    name = task or (path.name if path.is_dir() else path.name.split(".")[0])
    for file in answer_files(path):
        reader = _Reader(file, name)
        for line, row in rows_of(file):
            yield from reader.parse_row(line, row)


def recorded_agent(model: str) -> BankedAgent:
    """A model whose answers were recorded elsewhere."""
    return BankedAgent(id=f"{model}~{RECORDED}", name=model, kind=RECORDED, model=model)


def parse_question(text: Any) -> Question | None:
    """The question of this text; None for what is no text."""
    return Question.of(text) if isinstance(text, str) and text.strip() else None


class _Reader:
    """One file with what stands beside it."""

    def __init__(self, file: Path, task: str) -> None:
        self._task = task
        self._seed = derive_seed(0, file.parent.name, file.name)
        self._texts = _Texts(file)
        self._questions = _questions(file.with_name("questions.jsonl"))
        self._items: dict[str, BankedItem] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._agents: dict[str, BankedAgent] = {}

    def parse_row(self, line: JsonLine, row: AnswerRow) -> Iterator[Incoming]:
        item = self._items.setdefault(row.question, self._item(line, row))
        agent = self._agents.setdefault(row.model, recorded_agent(row.model))
        texts = self._texts.of(line, len(row.answers))
        tokens = row.columns.get("tokens")
        first = self._counts[row.question, row.model]
        self._counts[row.question, row.model] += len(row.answers)
        variant = line.data.get("variant")
        for position, (answer, right) in enumerate(zip(row.answers, row.right, strict=True)):
            programs = row.classes is not None  # whose texts stand in place of the answers
            behaviour = f"behaviour {row.classes[position]}" if row.classes is not None else answer
            candidate = Candidate(
                index=first + position,
                model=row.model,
                agent=row.model,
                text=(answer or "") if programs else texts[position],
                answer=behaviour,
                prompt_version=None if variant is None else str(variant),
                usage=Usage(completion_tokens=round(tokens[position] or 0) if tokens else 0),
            )
            facts = {name: column[position] for name, column in row.columns.items() if name != "tokens"}
            if first + position == 0 and row.facts:
                facts[OF_QUESTION] = row.facts
            yield Incoming(
                agent=agent,
                candidate=candidate,
                item=item,
                seed=self._seed,
                graded=True,
                extracted=behaviour,
                correct=right,
                facts=facts,
            )

    def _item(self, line: JsonLine, row: AnswerRow) -> BankedItem:
        worded = next((q for name in _WORDINGS if (q := parse_question(line.data.get(name)))), None)
        question, gold = self._questions.get(row.question, (None, None))
        own = line.data.get("gold")
        return BankedItem(
            task=self._task,
            item=row.question,
            question=worded or question or Question(messages=()),
            gold=gold if own is None else join_accepted(own),
            cluster=str(line.data.get("cluster") or ""),
        )


class _Texts:
    """The texts of a file of answers, from the file beside it; in a table, since they may be many."""

    def __init__(self, answers: Path) -> None:
        self._store = Store()
        self._store.execute("CREATE TABLE texts (key TEXT PRIMARY KEY, texts TEXT NOT NULL) WITHOUT ROWID")
        beside = [answers.with_name(name) for name in _SAMPLES if answers.name.startswith("answers.")]
        for file in beside:
            if file.is_file():
                with self._store.transaction():
                    self._store.many("INSERT OR IGNORE INTO texts VALUES (?, ?)", map(_texts, lines_of(file)))

    def of(self, line: JsonLine, count: int) -> list[str]:
        """A text an answer; empty ones where they are not known."""
        own = _texts_in(line)
        if own is None:
            found = self._store.value("SELECT texts FROM texts WHERE key = ?", (_key(line, line.data.get("model")),))
            found = found or self._store.value("SELECT texts FROM texts WHERE key = ?", (_key(line, None),))
            own = json.loads(found) if found else []
        return own if len(own) == count else [""] * count


def _texts(line: JsonLine) -> tuple[str, str]:
    return _key(line, line.data.get("model")), json.dumps(_texts_in(line) or [])


def _texts_in(line: JsonLine) -> list[str] | None:
    for name in ("samples", "text", "response"):
        value = line.data.get(name)
        if value is not None:
            return [str(text or "") for text in (value if isinstance(value, list) else [value])]
    return None


def _key(line: JsonLine, model: Any) -> str:
    return json.dumps([line.data.get("id"), model, line.data.get("variant")])


def _questions(file: Path) -> dict[str, tuple[Question | None, str | None]]:
    if not file.is_file():
        return {}
    return {
        line.text("id"): (
            parse_question(line.data.get("question")),
            join_accepted(line.data.get("gold")) or None,
        )
        for line in lines_of(file)
    }
