"""An observation as the record that the trace store keeps."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    Done,
    Event,
    StoppedEarly,
    TallyChanged,
)
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Ensembling, Failure
from quorate.storage.traces import Moment, Trace, TracedCall, TracedChoice

from .observation import ANSWER, Choice, Observation, ObservedCall

__all__ = ["trace_of"]


def trace_of(seen: Observation, *, texts: bool) -> Trace:
    """The whole record of a request.

    Args:
        texts: whether it holds what was asked and answered. Else answers are told apart by letters, and a
            question is known by its hash.
    """
    asking = seen.asking
    return Trace(
        id=seen.id,
        began=seen.began,
        seconds=seen.seconds,
        first_byte=seen.first_byte,
        queued=seen.queued,
        route=seen.route,
        model=asking.model.name if asking is not None else "",
        pipeline=seen.pipeline,
        key=seen.key,
        status=seen.status,
        streamed=seen.streamed,
        error=_failure(seen.error, texts=texts),
        question_key=asking.question(0).key if asking is not None else None,
        question=asking.question(0) if asking is not None and texts else None,
        usage=seen.usage,
        stages=asking.ledger.nodes if asking is not None else (),
        choices=tuple(_choice(choice, texts=texts) for _, choice in sorted(seen.choices.items())),
    )


def _choice(choice: Choice, *, texts: bool) -> TracedChoice:
    ended = [e.candidate for _, e in choice.events if isinstance(e, CandidateFinished | CandidateFailed)]
    ended += [e.candidate for _, e in choice.events if isinstance(e, CandidateCancelled)]
    answer, candidates = choice.answer, choice.answer.candidates if choice.answer is not None else tuple(ended)
    hidden = None if texts else _Hidden(choice)
    if hidden is not None:
        answer, candidates = hidden.answer(answer), tuple(hidden.candidate(each) for each in candidates)
    return TracedChoice(
        answer=answer,
        error=_failure(choice.error, texts=texts),
        candidates=candidates,
        moments=tuple(sorted(_moments(choice, hidden), key=lambda moment: moment.at)),
        calls=tuple(_call(call) for call in choice.calls),
    )


def _moments(choice: Choice, hidden: _Hidden | None) -> list[Moment]:
    moments = [Moment(at=at, what="stage", thread=thread, text=stage) for at, thread, stage in choice.stages]
    for index, at in choice.first_tokens.items():
        if index == ANSWER:
            moments.append(Moment(at=at, what="writing"))
        else:
            moments.append(Moment(at=at, what="first_token", index=index))
    return moments + [moment for at, event in choice.events if (moment := _moment(at, event, hidden)) is not None]


def _moment(at: float, event: Event, hidden: _Hidden | None) -> Moment | None:
    match event:
        case CandidateStarted(index=index, model=model):
            return Moment(at=at, what=event.type, index=index, text=model)
        case CandidateFinished() | CandidateFailed() | CandidateCancelled():
            return Moment(at=at, what=event.type, index=event.candidate.index)
        case TallyChanged(tally=tally):
            tally = tally if hidden is None else hidden.tally(tally)
            return Moment(at=at, what="tally", text=", ".join(f"{each.answer} x{each.votes}" for each in tally[:4]))
        case StoppedEarly(reason=reason):
            return Moment(at=at, what="stopped", text=reason)
        case Done():
            return Moment(at=at, what="done")
        case _:
            return None


def _call(call: ObservedCall) -> TracedCall:
    asked = call.call
    return TracedCall(
        thread=asked.thread,
        stage=asked.stage,
        agent=asked.agent,
        model=asked.model,
        server=asked.server,
        indices=asked.indices,
        started=call.started,
        sent=tuple(call.sent_at),
        failures=tuple(call.failures),
        answered=call.answered_at,
        ended=call.started if call.ended_at is None else call.ended_at,
        outcome=call.outcome,
        usage=call.usage,
    )


def _failure(error: QuorateError | None, *, texts: bool) -> Failure | None:
    if error is None:
        return None
    words = str(error) if texts else ""
    return Failure(code=error.code, message=words, status=error.status, retry_after=error.retry_after)


class _Hidden:
    """Takes the texts out of one choice; equal answers get the same letter."""

    def __init__(self, choice: Choice) -> None:
        tallies: list[Sequence[Cluster]] = [e.tally for _, e in choice.events if isinstance(e, TallyChanged)]
        if choice.answer is not None:
            tallies.insert(0, choice.answer.tally)
        answers = dict.fromkeys(cluster.answer for tally in tallies for cluster in tally)
        self._names: Mapping[str, str] = {answer: _letters(place) for place, answer in enumerate(answers)}
        self._of: Mapping[int, str] = {
            voter: self._names[cluster.answer]
            for tally in reversed(tallies)
            for cluster in tally
            for voter in cluster.voters
        }

    def tally(self, tally: Sequence[Cluster]) -> tuple[Cluster, ...]:
        return tuple(each.model_copy(update={"answer": self._names[each.answer]}) for each in tally)

    def candidate(self, candidate: Candidate) -> Candidate:
        error = candidate.error and candidate.error.model_copy(update={"message": ""})
        changes: dict[str, Any] = {"text": "", "reasoning": None, "tool_calls": (), "logprobs": None, "error": error}
        changes |= {"ensembling": _counted(candidate.ensembling), "degraded": _mute(candidate.degraded)}
        return candidate.model_copy(update={**changes, "answer": self._of.get(candidate.index)})

    def answer(self, answer: Answer | None) -> Answer | None:
        if answer is None:
            return None
        return answer.replace(
            text="",
            reasoning=None,
            tool_calls=(),
            answer=self._names.get(answer.answer or ""),
            candidates=(),
            tally=self.tally(answer.tally),
            route=answer.route and answer.route.partition(":")[0],
            degraded=_mute(answer.degraded),
        )


def _mute(notes: Sequence[Degradation]) -> tuple[Degradation, ...]:
    return tuple(each.model_copy(update={"detail": ""}) for each in notes)


def _counted(told: Ensembling | None) -> Ensembling | None:
    """The counts without what was written."""
    return told and told.model_copy(update={"steps": (), "lost": ("",) * len(told.lost)})


def _letters(place: int) -> str:
    """A, B, ..., Z, A1, B1, ..."""
    round_, letter = divmod(place, len(string.ascii_uppercase))
    return string.ascii_uppercase[letter] + (str(round_) if round_ else "")
