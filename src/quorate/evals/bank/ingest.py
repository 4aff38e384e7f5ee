"""Samples of any origin into a bank, a few thousand a transaction, whatever their number."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from quorate.aggregators.extraction import read_answer
from quorate.orchestrator.types import Candidate, Question, SamplingParams
from quorate.storage.sqlite import CANDIDATE, columns_of

from . import provenance
from .bank import Bank
from .values import BankedAgent, BankedItem, SampleRequest, content_key

if TYPE_CHECKING:
    from ..task import Item, Task


BATCH = 2000
"""Samples a transaction."""
_ADD = (
    f"INSERT OR IGNORE INTO samples (request, idx, own_prompt, facts, added, {', '.join(CANDIDATE)}) "
    f"VALUES (:request, :idx, :own_prompt, :facts, :added, {', '.join(f':{name}' for name in CANDIDATE)})"
)
_UNGRADED = (
    "SELECT s.id, s.text, s.reasoning, s.finish_reason, i.id AS item FROM items i "
    "CROSS JOIN requests r ON r.question = i.question CROSS JOIN samples s ON s.request = r.id "
    "LEFT JOIN grades g ON g.sample = s.id AND g.item = i.id "
    "WHERE i.task = ? AND i.item = ? AND i.question = ? AND i.current AND g.sample IS NULL"
)


@dataclass(frozen=True, slots=True)
class Incoming:
    """One sample with all that its source knows."""

    agent: BankedAgent
    candidate: Candidate
    item: BankedItem | None = None
    """None where no question of a task fits; the sample is kept for whoever asks the same again."""
    current: bool = True
    """False for the earlier wording of a question."""
    question: Question | None = None
    """What was asked, where it is no question of a task."""
    sampling: SamplingParams | None = None
    seed: int | None = None
    """Of its request: the run's, or a number made from its source, so that several sources do not collide."""
    key: str | None = None
    """Of its request, where the source tells it; else it follows from the question and the settings."""
    graded: bool = False
    extracted: str | None = None
    correct: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


class LeftOut(NamedTuple):
    """Samples of a source that are not taken in."""

    reason: str
    samples: int = 1


class Remark(NamedTuple):
    """What whoever reads the samples of a source should know of them."""

    text: str


Found = Incoming | LeftOut | Remark
"""What a source gives: samples, and what there is to say of them."""


@dataclass
class ImportReport:
    """What an import did; `read` and `left_out` together are the samples that the source holds."""

    read: int = 0
    """Samples taken from the source."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Samples that were not, by the reason."""
    new: int = 0
    """Those that were not in the bank."""
    unmatched: int = 0
    """Samples of no known question."""
    items: int = 0
    """Questions in the source."""
    ungraded: int = 0
    """Samples of known questions that came without a grade."""
    notes: list[str] = field(default_factory=list)


def ingest(bank: Bank, incoming: Iterable[Found]) -> ImportReport:
    """Adds samples, their questions, agents and grades; what is there already stays as it is.

    Raises:
        DataError: as the source raises; what came before the broken place is kept.
    """
    ingestor = _Ingestor(bank)
    source = iter(incoming)
    while True:
        taken, broken = 0, None
        with bank.store.transaction():
            try:
                for one in islice(source, BATCH):
                    ingestor.take(one)
                    taken += 1
            except Exception as error:
                broken = error
        if broken is not None:
            raise broken
        if not taken:
            break
    ingestor.done.notes += [
        note for task, changes in ingestor.changes.items() for note in provenance.describe_changes(task, changes)
    ]
    return ingestor.done


class _Ingestor:
    """Where samples are taken in; remembers the numbers of questions and requests."""

    def __init__(self, bank: Bank) -> None:
        self.done = ImportReport()
        self.changes: dict[str, Counter[str]] = {}
        self._store = bank.store
        self._items: dict[tuple[str, str], tuple[int, str, BankedItem]] = {}
        self._requests: dict[tuple[Any, ...], int] = {}
        self._agents: set[str] = set()

    def take(self, one: Found) -> None:
        if isinstance(one, Incoming):
            self._take_sample(one)
        elif isinstance(one, LeftOut):
            self.done.left_out[one.reason] = self.done.left_out.get(one.reason, 0) + one.samples
        elif one.text not in self.done.notes:
            self.done.notes.append(one.text)

    def _take_sample(self, one: Incoming) -> None:
        number, content = self._item(one.item, current=one.current) if one.item is not None else (None, None)
        request = self._request(one, content)
        row = columns_of(one.candidate)
        row |= {
            "request": request,
            "idx": one.candidate.index,
            "own_prompt": one.candidate.prompt_counted,
            "added": time.time(),
        }
        row["facts"] = json.dumps(dict(one.facts)) if one.facts else None
        added = self._store.execute(_ADD, row)
        self.done.read += 1
        self.done.new += added.rowcount
        self.done.unmatched += number is None
        self.done.ungraded += number is not None and not one.graded
        if number is not None and one.graded:
            sample = added.lastrowid if added.rowcount else self._find_sample(request, one.candidate.index)
            grade = (sample, number, one.extracted, one.correct)
            self._store.execute("INSERT OR IGNORE INTO grades VALUES (?, ?, ?, ?)", grade)

    def _item(self, item: BankedItem, *, current: bool) -> tuple[int, str]:
        known = self._items.get((item.task, item.item))
        if known is None or known[2] is not item:
            number, key, change = provenance.note_item(self._store, item, current=current)
            if known is None:
                self.done.items += 1
                self.changes.setdefault(item.task, Counter())[change] += 1
            known = self._items[item.task, item.item] = number, key, item
        return known[:2]

    def _request(self, one: Incoming, content: str | None) -> int:
        known = (one.agent.id, one.seed, content, one.key or repr(one.sampling))
        if known not in self._requests:
            self._requests[known] = self._note_request(one, content)
        return self._requests[known]

    def _note_request(self, one: Incoming, content: str | None) -> int:
        if one.agent.id not in self._agents:
            self.done.notes += provenance.note_agent(self._store, one.agent)
            self._agents.add(one.agent.id)
        sampling = one.sampling or SamplingParams()
        question = one.item.question if one.item is not None else one.question or Question(messages=())
        if content is None and question.messages:
            content = provenance.note_question(self._store, question)
        key = one.key or question.model_copy(update={"sampling": sampling}).key
        if one.key is None and not question.messages:
            key = f"{content}-{key[:8]}"
        return provenance.note_request(self._store, SampleRequest(one.agent.id, key, one.seed), content, sampling)

    def _find_sample(self, request: int, index: int) -> int:
        found = self._store.value("SELECT id FROM samples WHERE request = ? AND idx = ?", (request, index))
        assert isinstance(found, int), "it was there a moment ago"
        return found


async def grade(bank: Bank, task: Task, item: Item, known: Mapping[str | None, bool] | None = None) -> int:
    """Grades the samples of a noted question that nobody has graded, drawn now or before; how many.

    Args:
        known: extracted answers of which it is known whether they are right.
    """
    rows = bank.store.execute(_UNGRADED, (task.name, item.id, content_key(item.question))).fetchall()
    if not rows:
        return 0
    found = [read_answer(task.extractor, row["text"], row["reasoning"], row["finish_reason"]) for row in rows]
    right = dict(known or {})
    for answer in found:
        if answer not in right:
            right[answer] = await task.correct(answer, item.gold)
    grades = [(row["id"], row["item"], answer, right[answer]) for row, answer in zip(rows, found, strict=True)]
    with bank.store.transaction():
        bank.store.many("INSERT OR IGNORE INTO grades VALUES (?, ?, ?, ?)", grades)
    return len(grades)
