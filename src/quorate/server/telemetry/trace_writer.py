"""The trace store's writer: a thread of its own, so that the event loop never waits for a disk.

The loop hands over the records that it has anyway; traces are made, compressed and written here, many a transaction.
The queue is bounded: where the disk cannot keep up, traces are lost and counted, never requests. While it is full the
latest traces wait for room.
"""

from __future__ import annotations

import logging
import string
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from quorate.orchestrator.ensembling import Ensembling
from quorate.orchestrator.errors import DataError, QuorateError
from quorate.orchestrator.events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    Event,
    NodeEnded,
    NodeStarted,
    StoppedEarly,
    TallyChanged,
)
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Failure
from quorate.storage.traces import Moment, Trace, TracedCall, TracedChoice, TraceStore

from .record import ANSWER, CallRecord, ChoiceRecord, RequestRecord

__all__ = ["TraceWriter", "make_trace"]

log = logging.getLogger("quorate.server")

MOST_WAITING = 10_000
"""Traces in memory."""
WINDOW = 0.05
"""Seconds that traces wait for others to be written with: what a killed server can forget."""
PRUNE_INTERVAL = 60.0
"""Seconds between looks at age and size."""
KEPT = 1_000
"""Traces that wait for a disk that takes none."""
PAUSE = 5.0
"""Seconds until what could not be written is tried again."""
COMPLAINT_INTERVAL = 60.0
"""Seconds between two lines about the same trouble."""


class TraceWriter:
    """Writes traces to a file.

    Args:
        path: of the file.
        texts: whether traces hold what was asked and answered.
        days: after which traces are deleted.
        megabytes: beyond which the oldest are.
        on_lost: is told how many traces were not written.

    Raises:
        BadInput: the file cannot be used.
        DataError: it is something else, or broken.
    """

    def __init__(
        self, path: Path, *, texts: bool, days: float, megabytes: float, on_lost: Callable[[int], object]
    ) -> None:
        self._store = TraceStore(path)
        self._texts = texts
        self._seconds = days * 86400
        self._bytes = int(megabytes * 2**20)
        self._on_lost = on_lost
        self._waiting: deque[RequestRecord] = deque()
        self._unwritten: list[Trace] = []
        self._some_waiting = threading.Event()
        self._closing = threading.Event()
        self._stuck = False
        self._last_pruned = self._last_complaint = -float("inf")
        self._thread = threading.Thread(target=self._write, name="quorate-traces", daemon=True)
        self._thread.start()

    def put(self, record: RequestRecord) -> None:
        """Takes one request to be written; never waits."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(record)
            self._some_waiting.set()
        else:
            self._on_lost(1)

    def close(self) -> None:
        """Writes what is left."""
        self._closing.set()
        self._some_waiting.set()
        self._thread.join()
        self._store.close()

    def _write(self) -> None:
        while not self._closing.is_set():
            self._some_waiting.wait(PRUNE_INTERVAL)
            self._closing.wait(WINDOW)
            self._some_waiting.clear()
            self._flush()
            if self._unwritten:
                self._closing.wait(PAUSE)
                self._some_waiting.set()
        self._flush()
        if self._unwritten:
            self._on_lost(len(self._unwritten))
            log.error("%d traces are lost: there was no room for them until the end", len(self._unwritten))

    def _flush(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self._unwritten += [make_trace(record, texts=self._texts) for record in batch]
            batch = []
            if self._unwritten:
                self._store.add(self._unwritten)
                self._unwritten = []
                if self._stuck:
                    log.warning("%s: traces are written again", self._store.path)
                self._stuck = False
            if time.monotonic() - self._last_pruned > PRUNE_INTERVAL:
                self._last_pruned = time.monotonic()
                self._store.prune(before=time.time() - self._seconds, most_bytes=self._bytes)
        except DataError as error:
            self._on_lost(len(self._unwritten[:-KEPT]))
            self._unwritten, self._stuck = self._unwritten[-KEPT:], True
            self._complain(f"{error}; the latest {KEPT} traces wait to be written", None)
        except Exception as error:
            # A trace that cannot be made must not end the thread, which would end all traces.
            lost, self._unwritten = len(batch) + len(self._unwritten), []
            self._on_lost(lost)
            self._complain(f"{lost} traces could not be written", error)

    def _complain(self, words: str, error: Exception | None) -> None:
        if time.monotonic() - self._last_complaint > COMPLAINT_INTERVAL:
            self._last_complaint = time.monotonic()
            log.error(words, exc_info=error)


def make_trace(record: RequestRecord, *, texts: bool) -> Trace:
    """The whole record of a request.

    Args:
        texts: whether it holds what was asked and answered. Else answers are told apart by letters, and a
            question is known by its hash.
    """
    return Trace(
        id=record.id,
        began=record.began,
        seconds=record.seconds,
        first_byte=record.first_byte,
        queued=record.queued,
        route=record.route,
        model=record.model,
        pipeline=record.pipeline,
        key=record.key,
        status=record.status,
        streamed=record.streamed,
        error=_failure(record.error, texts=texts),
        question_key=None if record.question is None else record.question.key,
        question=record.question if texts else None,
        usage=record.usage,
        nodes=record.ledger.nodes,
        choices=tuple(_trace_choice(choice, texts=texts) for _, choice in sorted(record.choices.items())),
    )


def _trace_choice(choice: ChoiceRecord, *, texts: bool) -> TracedChoice:
    ended = [e.candidate for _, e in choice.events if isinstance(e, CandidateFinished | CandidateFailed)]
    ended += [e.candidate for _, e in choice.events if isinstance(e, CandidateCancelled)]
    answer, candidates = choice.answer, choice.answer.candidates if choice.answer is not None else tuple(ended)
    hidden = None if texts else _TextRemover(choice)
    if hidden is not None:
        answer, candidates = hidden.strip_answer(answer), tuple(hidden.strip_candidate(each) for each in candidates)
    return TracedChoice(
        answer=answer,
        error=_failure(choice.error, texts=texts),
        candidates=candidates,
        moments=tuple(sorted(_moments(choice, hidden), key=lambda moment: moment.at)),
        calls=tuple(_trace_call(call) for call in choice.calls.values()),
    )


def _moments(choice: ChoiceRecord, hidden: _TextRemover | None) -> list[Moment]:
    moments = [
        Moment(at=at, what="writing")
        if (node, index) == ANSWER
        else Moment(at=at, what="first_token", node=node, index=index)
        for (node, index), at in choice.first_tokens.items()
    ]
    if choice.answered is not None:
        moments.append(Moment(at=choice.answered, what="done"))
    return moments + [moment for at, event in choice.events if (moment := _moment(at, event, hidden)) is not None]


def _moment(at: float, event: Event, hidden: _TextRemover | None) -> Moment | None:
    told: dict[str, Any]
    match event:
        case NodeStarted(thread=thread, node=node):
            told = {"what": "node", "thread": thread, "text": node}
        case NodeEnded(thread=thread, node=node):
            told = {"what": "node_ended", "thread": thread, "text": node}
        case CandidateStarted(node=node, index=index, model=model):
            told = {"what": event.type, "node": node, "index": index, "text": model}
        case CandidateFinished() | CandidateFailed() | CandidateCancelled():
            told = {"what": event.type, "node": event.node, "index": event.candidate.index}
        case TallyChanged(node=node, tally=tally):
            tally = tally if hidden is None else hidden.strip_tally(tally)
            told = {"what": "tally", "node": node, "text": ", ".join(f"{c.answer} x{c.votes}" for c in tally[:4])}
        case StoppedEarly(node=node, reason=reason):
            told = {"what": "stopped", "node": node, "text": reason}
        case _:
            return None
    return Moment(at=at, **told)


def _trace_call(record: CallRecord) -> TracedCall:
    call, started = record.call, record.started
    sent = record.sent or ([started + record.end.waited] if record.end is not None and record.end.tries else [])
    return TracedCall(
        thread=call.thread,
        node=call.node,
        agent=call.agent,
        model=call.model,
        server=call.server,
        indices=call.indices,
        started=started,
        sent=tuple(sent),
        failures=tuple(record.failures),
        answered=record.answered,
        ended=started if record.ended is None else record.ended,
        outcome=record.outcome,
        usage=record.usage,
    )


def _failure(error: QuorateError | None, *, texts: bool) -> Failure | None:
    if error is None:
        return None
    words = str(error) if texts else ""
    return Failure(code=error.code, message=words, status=error.status, retry_after=error.retry_after)


class _TextRemover:
    """Takes the texts out of one choice; equal answers get the same letter."""

    def __init__(self, choice: ChoiceRecord) -> None:
        tallies: list[Sequence[Cluster]] = [e.tally for _, e in choice.events if isinstance(e, TallyChanged)]
        if choice.answer is not None:
            tallies.insert(0, choice.answer.tally)
        answers = dict.fromkeys(cluster.answer for tally in tallies for cluster in tally)
        self._names: Mapping[str, str] = {answer: _letter(place) for place, answer in enumerate(answers)}
        self._of: Mapping[int, str] = {
            voter: self._names[cluster.answer]
            for tally in reversed(tallies)
            for cluster in tally
            for voter in cluster.voters
        }

    def strip_tally(self, tally: Sequence[Cluster]) -> tuple[Cluster, ...]:
        return tuple(each.model_copy(update={"answer": self._names[each.answer]}) for each in tally)

    def strip_candidate(self, candidate: Candidate) -> Candidate:
        error = candidate.error and candidate.error.model_copy(update={"message": ""})
        changes: dict[str, Any] = {"text": "", "reasoning": None, "tool_calls": (), "logprobs": None, "error": error}
        changes |= {"ensembling": _strip_ensembling(candidate.ensembling), "degraded": _mute(candidate.degraded)}
        return candidate.model_copy(update={**changes, "answer": self._of.get(candidate.index)})

    def strip_answer(self, answer: Answer | None) -> Answer | None:
        if answer is None:
            return None
        return answer.replace(
            text="",
            reasoning=None,
            tool_calls=(),
            answer=self._names.get(answer.answer or ""),
            candidates=(),
            tally=self.strip_tally(answer.tally),
            route=answer.route and answer.route.partition(":")[0],
            degraded=_mute(answer.degraded),
            path=tuple(visit.model_copy(update={"outcome": "", "edges": {}}) for visit in answer.path),
        )


def _mute(notes: Sequence[Degradation]) -> tuple[Degradation, ...]:
    return tuple(each.model_copy(update={"detail": ""}) for each in notes)


def _strip_ensembling(told: Ensembling | None) -> Ensembling | None:
    """The counts without what was written."""
    return told and told.model_copy(update={"steps": (), "lost": ("",) * len(told.lost)})


def _letter(place: int) -> str:
    """A, B, ..., Z, A1, B1, ..."""
    round_, letter = divmod(place, len(string.ascii_uppercase))
    return string.ascii_uppercase[letter] + (str(round_) if round_ else "")
