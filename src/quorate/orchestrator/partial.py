"""A candidate while it is written. Its owner holds it, so that a cancelled call loses nothing.

A model writes into it and ends it; a sampling stage, an agent or a hedge owns it. Whatever happens in between,
it ends once, and there its tokens are booked and its end is told: in one place.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from .context import RunContext
from .errors import QuorateError
from .events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    CandidateToken,
    Event,
)
from .types import Candidate, Failure, FinishReason, TokenLogprob
from .usage import Usage

log = logging.getLogger("quorate")

NOTHING = Usage()
_CONTENT = tuple(Candidate.model_fields.keys() - {"index", "finish_reason", "error", "usage"})

Writer = Callable[[str, bool, Sequence[TokenLogprob]], None]


class PartialCandidate:
    """One candidate from its first token to its end.

    Args:
        index: of the candidate among those of its stage.
        run: where its tokens are booked and its events are told.
        on_end: is told once, when it has ended.
        extract: finds the answer that it votes for, where it does not come with one.
        quiet: tells nobody of its events; an owner that keeps it to itself does that.
    """

    def __init__(
        self,
        index: int,
        run: RunContext,
        *,
        on_end: Callable[[PartialCandidate], None] | None = None,
        extract: Callable[[Candidate], str | None] | None = None,
        quiet: bool = False,
    ) -> None:
        self.index = index
        self.result: Candidate | None = None
        """The candidate, once it has ended."""
        self.on_write: Writer | None = None
        """Is told of every piece: its text, whether it is thinking, and its log-probabilities."""
        self.review: asyncio.Event | None = None
        """Set by an owner once it has looked at the end and wants the others all the same."""
        self.pieces = 0
        """Written so far; about as many as tokens."""
        self._run = run
        self._on_end = [] if on_end is None else [on_end]
        self._extract = extract
        self._emit = None if quiet or not run.observed else run.emit
        self._fields: dict[str, Any] = {"index": index, "model": "", "agent": ""}
        self._marks: dict[str, Any] = {}
        self._prefix = ""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._left: Usage | None = None
        self._left_fields: dict[str, Any] = {}
        self._booked = False
        self._charge: Usage | None = None
        self._started = False
        self._tells_pieces = run.live
        self._begun = time.monotonic()

    @property
    def done(self) -> bool:
        return self.result is not None

    @property
    def untouched(self) -> bool:
        """Nobody has begun to write it, and nothing was spent on it."""
        return not self._started and self._left is None

    @property
    def is_followed(self) -> bool:
        """Whether somebody is told of its pieces as they come; else they may be written when it ends or is left."""
        return self.on_write is not None or (self._tells_pieces and self._emit is not None)

    @property
    def text(self) -> str:
        """What is written so far, without the thinking."""
        return self._left_fields.get("text", "") or "".join(self._text)

    @property
    def reasoning(self) -> str:
        """The thinking so far."""
        return "".join(self._reasoning)

    def mark(self, *, prefix: str = "", **fields: Any) -> None:
        """Says what holds for it whoever writes it, before it is begun.

        Args:
            prefix: text that it begins with, before what its model writes.
            fields: of the candidate, such as the name of the agent that it shall be known by.
        """
        self._prefix, self._marks = self._prefix + prefix, fields | self._marks

    def start(self, model: str, agent: str, **fields: Any) -> None:
        """Says who writes it.

        Args:
            model: as its server names it.
            agent: its name in the configuration.
            fields: what else is known of the candidate, such as its `seed` and `prompt_version`.
        """
        self._fields |= {"model": model, "agent": agent, **fields}
        if not self._started:
            self._started = True
            self._tell(CandidateStarted, model=model)

    def write(self, text: str, *, reasoning: bool = False, logprobs: Sequence[TokenLogprob] | None = None) -> None:
        """Adds a piece of text or thinking; nothing any more once it has ended."""
        if self.result is not None:
            return
        if self._prefix and not self.pieces:  # not before: a model that fails without a token has said nothing
            self._hand_on(self._prefix, False, ())
        self.pieces += 1
        if text:
            (self._reasoning if reasoning else self._text).append(text)
        if logprobs:
            self._logprobs.extend(logprobs)
        if self._tells_pieces or self.on_write is not None:
            self._hand_on(text, reasoning, logprobs or ())

    def _hand_on(self, text: str, reasoning: bool, logprobs: Sequence[TokenLogprob]) -> None:
        if self._tells_pieces and self._emit is not None:
            self._tell_piece(text, reasoning, logprobs)
        if self.on_write is not None:
            self.on_write(text, reasoning, logprobs)

    def finish(
        self,
        reason: FinishReason | None = "stop",
        usage: Usage = NOTHING,
        *,
        charge: Usage | None = None,
        **fields: Any,
    ) -> None:
        """It is complete.

        Args:
            reason: why it ended.
            usage: its own part of what the call used.
            charge: what is booked where that differs: an exact total of which this is a guessed part.
            fields: of the candidate where they are not what was written: `text`, `reasoning`, `logprobs`,
                `tool_calls`, `answer`, `latency`, ...
        """
        self._charge = charge
        self._end(usage, finish_reason=reason, **fields)

    def fail(
        self, error: Exception | Failure, usage: Usage = NOTHING, *, charge: Usage | None = None, **fields: Any
    ) -> None:
        """It is not to be had; what was written stays in it. The arguments are those of `finish`."""
        failure = error if isinstance(error, Failure) else failure_of(error)
        self._charge = charge
        self._end(usage, error=failure, **fields)

    def adopt(self, candidate: Candidate) -> None:
        """Ends as this candidate, whose tokens were booked where it was made."""
        self._booked = True
        self._end(candidate.usage, candidate=candidate)

    def leave(self, usage: Usage, *, booked: bool = False, charge: Usage | None = None, **fields: Any) -> None:
        """The one who writes it was cancelled; says what it cost so far, and leaves its end to the owner.

        Args:
            usage: as far as it is known.
            booked: the ledger has it already.
            charge: see `finish`.
            fields: of the candidate, see `finish`.
        """
        if self.result is None:
            self._left, self._booked, self._charge, self._left_fields = usage, booked, charge, fields

    def leave_as(self, candidate: Candidate) -> None:
        """Like `leave`, with what a candidate holds that was written elsewhere and whose tokens are booked."""
        self.leave(candidate.usage, booked=True, **{name: getattr(candidate, name) for name in _CONTENT})

    def cancel(self) -> None:
        """Nobody needs it any more: what is written stands, marked as cancelled. Nothing, if it has ended."""
        self._end(finish_reason="cancelled")

    def cut(self) -> None:
        """Its time is over, and it is the best there is: what is written stands, as cut by its length."""
        self._end(finish_reason="length")

    def _end(self, usage: Usage | None = None, *, candidate: Candidate | None = None, **fields: Any) -> None:
        """The one place where tokens are booked and an end is told."""
        if self.result is not None:
            return
        fresh = candidate is None
        if candidate is None:
            if usage is None:
                usage = self._left or Usage()
            given = self._fields
            given |= {"text": self.text, "reasoning": self.reasoning or None, "usage": usage, "latency": self.seconds}
            if self._logprobs:
                given["logprobs"] = tuple(self._logprobs)
            candidate = Candidate(**(given | self._left_fields | fields))
        elif candidate.index != self.index:
            candidate = candidate.model_copy(update={"index": self.index})
        if self._marks or self._prefix:
            candidate = self._marked(candidate)
        if self._extract is not None and candidate.answer is None and candidate.ok:
            candidate = _with_answer(candidate, self._extract(candidate), fresh=fresh)
        self.result = candidate
        if not self._booked:
            for model, spent in candidate.charges if self._charge is None else ((candidate.model, self._charge),):
                if spent is not NOTHING and (spent.requests or spent.total_tokens or spent.cost):
                    self._run.record(model, spent)
        if self._emit is not None:
            kind = CandidateFailed if candidate.error is not None else CandidateFinished
            self._tell(CandidateCancelled if candidate.finish_reason == "cancelled" else kind, candidate=candidate)
        for listener in self._on_end:
            listener(self)

    def _marked(self, candidate: Candidate) -> Candidate:
        said = candidate.text or candidate.error is None
        return candidate.model_copy(
            update={**self._marks, "text": self._prefix + candidate.text if said else candidate.text}
        )

    async def reviewed(self) -> None:
        """Waits until its owner has looked at its end, for who writes one after the other: it may want no more."""
        if self.review is not None:
            await self.review.wait()

    def add_listener(self, listener: Callable[[PartialCandidate], None]) -> None:
        """Tells one more of its end, after those before."""
        self._on_end.append(listener)

    @property
    def seconds(self) -> float:
        """Since it was asked for."""
        return time.monotonic() - self._begun

    def _tell_piece(self, text: str, reasoning: bool, logprobs: Sequence[TokenLogprob]) -> None:
        told = tuple(logprobs) if logprobs else None
        self._tell(CandidateToken, text=text, reasoning=reasoning, logprobs=told)
        self._tells_pieces = self._run.follow_candidates

    def _tell(self, kind: Callable[..., Event], **fields: Any) -> None:
        if self._emit is not None:
            self._emit(kind(node=self._run.node, **({} if "candidate" in fields else {"index": self.index}), **fields))


def _with_answer(candidate: Candidate, answer: str | None, *, fresh: bool) -> Candidate:
    """The candidate with its answer; one that nobody else has seen is completed, since a copy costs as much as it."""
    if answer is None:
        return candidate
    if not fresh:
        return candidate.model_copy(update={"answer": answer})
    candidate.__dict__["answer"] = answer
    candidate.__pydantic_fields_set__.add("answer")
    return candidate


def failure_of(error: Exception) -> Failure:
    """An error as a value; what is not ours is named by its type and logged with its traceback."""
    if isinstance(error, QuorateError):
        return Failure(code=error.code, message=str(error), status=error.status, retry_after=error.retry_after)
    log.error("a model raised %s", type(error).__name__, exc_info=error)
    return Failure(code="model_crashed", message=f"{type(error).__name__}: {error}", status=500)
