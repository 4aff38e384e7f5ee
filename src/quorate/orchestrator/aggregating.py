"""The node that makes one answer of the candidates before it, and what stands in where its aggregator fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from typing import Self

from .checks import check_aggregator
from .context import RunContext, explain_cut
from .errors import BadInput, Misconfigured, NoAnswer, TimedOut
from .events import AnswerToken, Event
from .nodes import check_read
from .partial import failure_of
from .protocols import Aggregator, Model, VoteCounter
from .sampling import note_undecided
from .state import Node, State
from .types import Answer, Candidate, Degradation, Question, Sampled

SLACK = 0.03
"""Seconds beyond a deadline in which an aggregator may end by itself, with the best that it has."""


@dataclass(frozen=True)
class AggregateNode(Node):
    """Makes one answer of the candidates before it; where that fails, a vote stands in."""

    aggregator: Aggregator
    _: KW_ONLY
    stand_in: Aggregator | None = None
    """Answers where the aggregator fails; its own fallback if not given, and the vote as it stood where it has none."""
    recount: bool = False
    """Counts the votes anew, because the tally that it reads is another aggregator's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_aggregator(f"node {self.name!r}", self.aggregator)
        if self.stand_in is not None:
            check_aggregator(f"node {self.name!r}: stand_in", self.stand_in)

    @property
    def models(self) -> tuple[Model, ...]:
        """Those that it asks itself."""
        more = () if self.stand_in is None else self.stand_in.models
        return (*self.aggregator.models, *more)

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        stand_in = None if self.stand_in is None else self.stand_in.map_models(change)
        return replace(self, aggregator=self.aggregator.map_models(change), stand_in=stand_in)

    @property
    def available(self) -> bool:
        """Its models can be asked, or another aggregator or the vote stands in."""
        stand_in = self.stand_in or self.aggregator.fallback
        return stand_in is not None or all(model.available for model in self.aggregator.models)

    def calls_for(self, n: int) -> int:
        """Most answers of its models for n candidates."""
        most = max((model.calls for model in self.models), default=0)
        return most * (self.aggregator.calls(n) + (self.stand_in.calls(n) if self.stand_in is not None else 0))

    @property
    def reads(self) -> bool:
        return True

    @property
    def label(self) -> str:
        return self.aggregator.name

    @property
    def answers(self) -> bool:
        return True

    async def run(self, state: State, run: RunContext) -> Answer:
        sampled = state.sampled
        check_read(self.aggregator.name, sampled)
        answer = await _aggregate(self, state.question, sampled, run)
        counted = sampled.tally is not None and not self.recount
        notes = () if counted else note_undecided(answer.tally, f"{run.node}: {self.aggregator.name}")
        return answer.replace(
            candidates=sampled.candidates,
            stopped=sampled.stopped,
            tally=answer.tally or sampled.tally or (),
            degraded=(*answer.degraded, *notes),
            analysis=answer.analysis or sampled.analysis,
        )


class _Told:
    """What was told of an answer that is being written, which cannot be taken back.

    Leading white space is held until there is more, since it might stay all that there is; nothing is told where
    nobody reads tokens as they come.
    """

    def __init__(self, run: RunContext) -> None:
        self.text = ""
        self.reasoning = ""
        self._emit, self._live = run.emit, run.live
        self._held: list[Event] = []

    def __call__(self, event: Event) -> None:
        if type(event) is not AnswerToken:
            self._emit(event)
        elif not self._live:
            return
        elif event.reasoning:
            self.reasoning += event.text
            self._emit(event)
        else:
            self._held.append(event)
            if self.text or event.text.strip():
                self.release()

    def release(self) -> None:
        """Tells what was held."""
        held, self._held = self._held, []
        for event in held:
            if isinstance(event, AnswerToken):
                self.text += event.text
            self._emit(event)

    def keep(self, answer: Answer, counter: VoteCounter | None) -> Answer:
        """The answer of whoever stands in, with what has been read of the other one in its place."""
        if self.text:
            said = Candidate(index=0, model=answer.model, text=self.text)
            return answer.replace(
                text=self.text,
                answer=None if counter is None else counter.extract(said),
                reasoning=self.reasoning or None,
                tool_calls=(),
                prompt_version=None,
                finish_reason="error",
                selected=None,
            )
        return answer.replace(reasoning=self.reasoning) if self.reasoning else answer


async def _aggregate(node: AggregateNode, question: Question, sampled: Sampled, run: RunContext) -> Answer:
    """The aggregator's answer; if it fails or overruns, its stand-in's or the vote's, marked so.

    What has been read of a text that breaks off stays the answer, with the finish reason `error`.
    """
    aggregator, stand_in = node.aggregator, node.stand_in or node.aggregator.fallback
    uncounted = sampled.model_copy(update={"tally": None}) if node.recount else sampled
    told = _Told(run) if run.observed else None
    inner = run if told is None else run.replace(emit=told)
    where = f"{run.node}: {aggregator.name}"
    notes: tuple[Degradation, ...] = ()
    try:
        if stand_in is not None and (reason := run.exhausted()) is not None and aggregator.models:
            raise TimeoutError(reason)
        async with run.time_limit(slack=SLACK):
            answer = await aggregator.aggregate(question, uncounted, inner)
        if not isinstance(answer, Answer):
            raise TypeError(f"{aggregator.name} gave {answer!r:.80}: give an Answer, such as Answer.of(candidate)")
        if node.stand_in is not None and not answer.text.strip() and not answer.tool_calls:
            raise NoAnswer("it gave an empty answer", degraded=answer.degraded)
        if told is not None:
            told.release()
        return answer
    except (BadInput, Misconfigured):
        raise
    except Exception as error:
        cut = run.exhausted() or (run.timed_out() if isinstance(error, TimeoutError) else None)
        if not sampled.tally and not (told is not None and told.text) and stand_in is None:
            if isinstance(error, TimeoutError):
                raise TimedOut(f"{aggregator.name}: no answer in time, and no vote that could stand in") from error
            raise
        if isinstance(error, NoAnswer):
            notes = error.degraded
        note = (
            explain_cut(cut, where)
            if cut is not None
            else Degradation(code="aggregator_failed", where=where, detail=failure_of(error).message)
        )
    answer = await _standing_in(stand_in, question, sampled, run, quiet=told is not None and bool(told.text))
    if told is not None:
        answer = told.keep(answer, aggregator.counter(question, run))
    return answer.replace(degraded=(note, *notes, *answer.degraded))


async def _standing_in(
    stand_in: Aggregator | None, question: Question, sampled: Sampled, run: RunContext, *, quiet: bool
) -> Answer:
    if stand_in is not None:
        run = run.asking("fallback", emit=None if quiet else run.emit)
        return await stand_in.aggregate(question, sampled, run.replace(seed=run.seed))
    if not sampled.tally:
        return Answer(text="", model="")
    first = sampled.tally[0]
    winner = min(
        (c for c in sampled.candidates if c.index in first.voters), key=lambda c: _representative(c, first.answer)
    )
    return Answer.of(winner, answer=first.answer, tally=sampled.tally)


def _representative(candidate: Candidate, answer: str) -> tuple[bool, bool, int, str]:
    """Least for the one that spells the answer like most, ended by itself, and is short."""
    return candidate.answer != answer, candidate.finish_reason == "length", len(candidate.text), candidate.text
