"""The sample bank: every sample drawn once, kept with everything that determines it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from quorate.orchestrator.context import Ledger
from quorate.orchestrator.types import CandidateSet, Question
from quorate.storage.sqlite import CANDIDATE, candidate_of, columns_of

from ..outcome import Outcome
from . import provenance, queries
from .store import Holder, Store
from .values import BankedAgent, BankedItem, BankedSample, RunRecord, SampleRequest

if TYPE_CHECKING:
    from ..records import RecordedBank
    from ..task import Item

_ADD = (
    f"INSERT OR IGNORE INTO samples (request, idx, own_prompt, added, {', '.join(CANDIDATE)}) "
    f"VALUES (:request, :idx, :own_prompt, :added, {', '.join(f':{name}' for name in CANDIDATE)})"
)
_PROMPT = "SELECT max(prompt_tokens) FROM samples s JOIN requests r ON s.request = r.id WHERE r.agent = ? AND r.key = ?"
_OF_REQUEST = "SELECT * FROM requests WHERE agent = ? AND key = ? AND ifnull(seed, 'none') = ifnull(?, 'none')"


class Bank:
    """Samples by request and index; the questions they belong to; who drew them; what pipelines answered.

    Several processes may share one. Used by one thread at a time.

    Args:
        path: its folder (`DIR` means `DIR/bank.sqlite`) or file; without one the bank lives in memory.
        create: make it if there is none.

    Raises:
        BadInput: it cannot be opened, or there is none and it shall not be made.
        DataError: the file is no bank, or broken; says what saves the rest.
    """

    def __init__(self, path: Path | None = None, *, create: bool = True) -> None:
        self.store = Store(path, create=create)
        self.path = self.store.path
        """The file; None in memory."""
        self.spent = Ledger()
        """Everything that was really generated since the bank was opened, failed requests included."""
        self._notes: list[str] = []
        self._holder = Holder(self.path) if self.path is not None else None
        self._locks: WeakValueDictionary[SampleRequest, asyncio.Lock] = WeakValueDictionary()
        self._ids: dict[SampleRequest, int] = {}
        self._prompts: dict[tuple[str, str], int] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What changed under its name, and what was repaired: whoever goes on with it should know."""
        return tuple(self._notes)

    @property
    def caveats(self) -> tuple[str, ...]:
        """The notes, and which questions have samples of mixed requests: whoever reads the results should know."""
        return (*self._notes, *provenance.describe_company(self.store))

    # Samples

    def get(self, request: SampleRequest, index: int) -> BankedSample | None:
        return self.find(request, [index]).get(index)

    def find(self, request: SampleRequest, indices: Sequence[int]) -> dict[int, BankedSample]:
        """Those of the samples that are there."""
        number = self._number(request)
        if number is None:
            return {}
        marks = ",".join("?" * len(indices)) if len(indices) <= 500 else "SELECT value FROM json_each(?)"
        wanted: tuple[Any, ...] = tuple(indices) if len(indices) <= 500 else (str(list(indices)),)
        rows = self.store.rows(f"SELECT * FROM samples WHERE request = ? AND idx IN ({marks})", (number, *wanted))
        return {row["idx"]: _sample_of(request, row) for row in rows}

    def add(self, sample: BankedSample) -> None:
        """Keeps one sample for good; one that is there already stays as it is.

        Raises:
            DataError: it cannot be written.
        """
        self.add_all([sample])

    def add_all(self, samples: Iterable[BankedSample]) -> int:
        """Keeps samples in one transaction; how many of them are new."""
        added = 0
        with self._transaction():
            for sample in samples:
                row = {
                    **columns_of(sample.candidate),
                    "own_prompt": sample.candidate.prompt_counted,
                    "added": time.time(),
                }
                number = self._number_or_make(sample.request)
                added += self.store.execute(_ADD, {**row, "request": number, "idx": sample.index}).rowcount
                self.store.execute("DELETE FROM claims WHERE request = ? AND idx = ?", (number, sample.index))
        return added

    def note_request(self, request: SampleRequest, question: Question, agent: BankedAgent) -> None:
        """Takes note of what stands behind a request's hashes: to be called before its samples are drawn."""
        number = self._number(request)
        if number is not None and self.store.value("SELECT question FROM requests WHERE id = ?", (number,)):
            return
        with self._transaction():
            self._notes += provenance.note_agent(self.store, agent)
            key = provenance.note_question(self.store, question)
            self._ids[request] = provenance.note_request(self.store, request, key, question.sampling)

    def claim(self, request: SampleRequest, indices: Sequence[int]) -> list[int]:
        """Those of the samples that are now this bank's user's to draw.

        The others are in the bank, or another process is drawing them: it adds them, or gives them up
        by `release` or by its end.
        """
        if self._holder is None:
            there = self.find(request, indices)
            return [index for index in indices if index not in there]
        self._holder.hold()
        with self._transaction():
            number = self._number_or_make(request)
            there = self.find(request, indices)
            claims = dict(self.store.execute("SELECT idx, holder FROM claims WHERE request = ?", (number,)).fetchall())
            gone = {name for name in set(claims.values()) if not self._holder.alive(name)}
            free = [
                i for i in indices if i not in there and (i not in claims or claims[i] in {*gone, self._holder.name})
            ]
            self.store.many(
                "INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", [(number, i, self._holder.name) for i in free]
            )
        return free

    def release(self, request: SampleRequest) -> None:
        """Gives up what was claimed of a request and not drawn."""
        if self._holder is not None and (number := self._number(request)) is not None:
            own = (number, self._holder.name)
            if self.store.value("SELECT 1 FROM claims WHERE request = ? AND holder = ?", own):
                self.store.execute("DELETE FROM claims WHERE request = ? AND holder = ?", own)

    def prompt_tokens(self, request: SampleRequest) -> int:
        """Tokens of the request's prompt, 0 while no reply has told."""
        key = (request.agent, request.question)
        if key not in self._prompts:
            self._prompts[key] = self.store.value(_PROMPT, key) or 0
        return self._prompts[key]

    def note_prompt(self, request: SampleRequest, tokens: int) -> None:
        """Takes note of what a reply, failed ones included, counted for the prompt."""
        self._prompts[request.agent, request.question] = max(tokens, self.prompt_tokens(request))

    def lock(self, request: SampleRequest) -> asyncio.Lock:
        """Held while a request's missing samples are drawn, so that two pipelines never draw the same."""
        return self._locks.setdefault(request, asyncio.Lock())

    # Questions, runs and outcomes

    def note_items(
        self,
        task: str,
        items: Iterable[Item | BankedItem],
        *,
        revision: str = "",
        split: str = "",
        prompt: str = "",
    ) -> str:
        """Takes note of a task's questions; a hash of their content and right answers.

        Where a question of the task has another content or another right answer than before, that is
        said in `notes`: samples of the earlier wording stay under their own key and are not used for
        the new one.

        Args:
            prompt: name and content hash of the template that the questions were put into.
        """
        with self.store.transaction():
            content, notes = provenance.note_items(
                self.store, task, items, revision=revision, split=split, prompt=prompt
            )
        self._notes += notes
        return content

    def start_run(
        self,
        task: str,
        *,
        pipelines: Sequence[str] = (),
        questions: int = 0,
        revision: str = "",
        content: str = "",
        settings: Mapping[str, Any] | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> int:
        """Takes note that a run begins; its number."""
        record = RunRecord(
            id=0,
            task=task,
            started=provenance.now(),
            revision=revision,
            content=content,
            questions=questions,
            pipelines=tuple(pipelines),
            settings=settings or {},
            versions=provenance.versions() if versions is None else versions,
        )
        return provenance.add_run(self.store, record)

    def take_run(self, run: RunRecord) -> int:
        """Keeps a run of another bank; its number here."""
        return provenance.add_run(self.store, run)

    def finish_run(self, run: int) -> None:
        """Takes note that a run ended by itself."""
        self.store.execute("UPDATE runs SET finished = ? WHERE id = ?", (provenance.now(), run))

    def runs(self) -> list[RunRecord]:
        """All runs, the first one first."""
        return list(provenance.runs(self.store))

    def add_outcome(self, run: int, outcome: Outcome) -> None:
        """Keeps what a pipeline answered."""
        self.store.execute(
            "INSERT INTO outcomes (run, pipeline, item, correct, outcome) VALUES (?, ?, ?, ?, ?)",
            (run, outcome.pipeline, outcome.item, outcome.correct, provenance.dump_json(outcome)),
        )

    def count_outcomes(self, run: int) -> int:
        """Answers of pipelines to questions in a run."""
        return int(self.store.value("SELECT count(*) FROM outcomes WHERE run = ?", (run,)))

    def outcomes(self, run: int | None = None) -> Iterator[Outcome]:
        """What was answered in a run, the latest one if none is given, in the order of arrival."""
        number = self.store.value("SELECT max(id) FROM runs") if run is None else run
        for (text,) in self.store.rows("SELECT outcome FROM outcomes WHERE run = ? ORDER BY id", (number,)):
            yield Outcome.model_validate_json(text)

    # What the samples are for

    def sets(self, task: str | None = None, agent: str | None = None) -> Iterator[CandidateSet]:
        """The candidates of every question, a set an agent and sampling settings; read as they are needed.

        Candidates of several seeds stand together, renumbered from 0. Questions come as they were
        noted first; those that have changed since are left out.

        Args:
            task: a task's name; all tasks if not given.
            agent: an agent's name, or its id where several had the name; all agents if not given.
        """
        return (group.candidates for group in queries.sample_groups(self.store, task, agent))

    async def records(
        self, task: str | None = None, agent: str | None = None, *, models: Mapping[str, str] | None = None
    ) -> RecordedBank:
        """The same, graded and with classes of equal answers, as metrics and replays read them; all in memory.

        Args:
            models: of these, only samples that were drawn thus, such as `RunRecord.models`.

        Raises:
            DataError: no sample belongs to a question.
        """
        return await queries.records_of(self.store, task, agent, models)

    def items(self, task: str | None = None) -> Iterator[BankedItem]:
        """The questions of a task, or of all, as they read now."""
        return queries.list_items(self.store, task)

    def agents(self) -> list[BankedAgent]:
        return [BankedAgent(**row) for row in self.store.rows("SELECT * FROM agents ORDER BY id")]

    def tasks(self) -> list[str]:
        return [row[0] for row in self.store.rows("SELECT DISTINCT task FROM items ORDER BY task")]

    def close(self) -> None:
        if self._holder is not None:
            if self.store.value("SELECT 1 FROM claims WHERE holder = ?", (self._holder.name,)):
                self.store.execute("DELETE FROM claims WHERE holder = ?", (self._holder.name,))
            self._holder.close()
        self.store.close()

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return int(self.store.value("SELECT count(*) FROM samples"))

    def __iter__(self) -> Iterator[BankedSample]:
        rows = self.store.rows(
            "SELECT s.*, r.agent AS by, r.key AS key, r.seed AS asked "
            "FROM samples s JOIN requests r ON s.request = r.id ORDER BY s.id"
        )
        return (_sample_of(SampleRequest(row["by"], row["key"], row["asked"]), row) for row in rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self.store.transaction():
                yield
        except BaseException:
            self._ids.clear()  # some may be of requests that were not kept
            raise

    def _number(self, request: SampleRequest) -> int | None:
        if request not in self._ids:
            number = self.store.value(_OF_REQUEST, request)
            if number is None:
                return None
            self._ids[request] = number
        return self._ids[request]

    def _number_or_make(self, request: SampleRequest) -> int:
        """The request's number; made inside a transaction if there is none."""
        number = self._number(request)
        if number is None:
            made = self.store.execute("INSERT INTO requests (agent, key, seed) VALUES (?, ?, ?)", request).lastrowid
            assert made is not None
            return made
        return number


def _sample_of(request: SampleRequest, row: Any) -> BankedSample:
    candidate = candidate_of(row, row["idx"])
    # Written together, every answer reads its prompts by itself.
    alone = bool(row["own_prompt"]) or candidate.ensembling is not None
    return BankedSample.model_construct(
        **request._asdict(),
        index=row["idx"],
        candidate=candidate.model_copy(update={"prompt_counted": True}) if alone else candidate,
    )
