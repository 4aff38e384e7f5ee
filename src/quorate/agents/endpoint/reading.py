"""What comes of one request, turned into candidates as it arrives; knows nothing of HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, CandidateToken, Event
from quorate.orchestrator.types import Candidate, Failure, Usage

from .accounts import Bill
from .faults import Faults
from .reply import Choice, Counts, Malformed

__all__ = ["Reading"]

NOTHING = Usage()


class Reading:
    """The samples of one request.

    Every candidate ends once, and with it its part of the bill goes to the ledger; so the ledger
    holds what the server counted, whether the request succeeds, breaks off or is cancelled.

    Args:
        blank: what all candidates have in common.
        indices: of the candidates.
        run: the run they belong to.
        bill: of this request.
        faults: makes the errors.
        ended: takes the candidates that have ended, by index.
    """

    def __init__(
        self,
        blank: Candidate,
        indices: Sequence[int],
        run: RunContext,
        *,
        bill: Bill,
        faults: Faults,
        ended: dict[int, Candidate],
    ) -> None:
        self._blank = blank
        self._run = run
        self._faults = faults
        self._all_ended = ended
        self.bill = bill
        self.choices = [Choice(index) for index in indices]
        self.begun = time.monotonic()

    @property
    def left(self) -> list[Choice]:
        """Choices whose candidates have not ended."""
        return [choice for choice in self.choices if not choice.ended]

    def whole(self, reply: dict[str, Any]) -> Iterator[Event]:
        """A reply in one piece."""
        self._unless_error(reply)
        self.bill.total = Counts.of(reply)
        raws = reply.get("choices")
        if not isinstance(raws, list) or not raws:
            raise Malformed("a reply without choices")
        for choice, raw in zip(self.choices, _in_order(raws), strict=False):
            yield from self._taken(choice, raw, "message")
        yield from self.end()

    def chunk(self, chunk: dict[str, Any]) -> Iterator[Event]:
        """A piece of a streamed reply; a candidate ends as soon as its tokens are known."""
        self._unless_error(chunk)
        raws, counts = chunk.get("choices"), Counts.of(chunk)
        if not isinstance(raws, list | None):
            raise Malformed("choices is not a list")
        if counts is not None and not raws:
            self.bill.total = counts
        for raw in raws or ():
            choice = self._choice(raw)
            if choice is None or choice.ended:
                continue
            self._count(choice, counts)
            yield from self._taken(choice, raw, "delta")
            if choice.finish is not None and choice.counts is not None and len(self.left) > 1:
                usage = self.bill.part(choice, first=choice is self.choices[0])
                yield self._ended(choice, usage, None)

    def close(self, *, done: bool) -> Iterator[Event]:
        """The stream is over; `done` if the server said so."""
        if not any(choice.seen for choice in self.choices):
            raise Malformed("a stream without choices")
        for choice in self.left:
            if choice.seen and choice.finish is None and not done:
                choice.broken = choice.broken or "the stream ended before the answer did"
        yield from self.end()

    def end(self, error: UpstreamError | None = None) -> Iterator[Event]:
        """Ends all candidates; without an error only those that the server has sent.

        What came to its finish is good, whatever happened after.
        """
        ending = [choice for choice in self.left if choice.seen or error is not None]
        for choice, usage in zip(ending, self.bill.rest(ending), strict=True):
            yield self._ended(choice, usage, error)

    def cut(self) -> None:
        """Leaves what there is of the others to the run."""
        left = self.left
        for choice, usage in zip(left, self.bill.rest(left), strict=True):
            self._run.cut.append(self._candidate(choice, usage, finish_reason="cancelled"))

    def _unless_error(self, reply: dict[str, Any]) -> None:
        if reply.get("error"):
            raise self._faults.reported(reply["error"])

    def _choice(self, raw: Any) -> Choice | None:
        place = raw.get("index", 0) if isinstance(raw, dict) else None
        if not isinstance(place, int):
            raise Malformed("a choice is not an object with an index")
        return self.choices[place] if 0 <= place < len(self.choices) else None

    def _count(self, choice: Choice, counts: Counts | None) -> None:
        """Usage beside a choice is its own where it comes from the first chunk on, else the request's."""
        if counts is None:
            return
        if len(self.choices) == 1 or choice.counts is not None or not choice.seen:
            choice.counts = counts
        else:
            self.bill.total = counts

    def _taken(self, choice: Choice, raw: Any, part: str) -> Iterator[Event]:
        """Adds to a choice; what is malformed breaks this one alone."""
        try:
            if not isinstance(raw, dict):
                raise Malformed("a choice is not an object")
            for text, reasoning in choice.take(raw, part):
                if self._run.live:
                    yield CandidateToken(index=choice.index, text=text, reasoning=reasoning, logprobs=choice.fresh())
        except Malformed as error:
            choice.seen, choice.broken = True, choice.broken or str(error)
        if choice.finish is not None and choice.seconds is None:
            choice.seconds = time.monotonic() - self.begun

    def _ended(self, choice: Choice, usage: Usage, error: UpstreamError | None) -> Event:
        if choice.broken is not None:
            error = self._faults.bad_reply(choice.broken)
        elif choice.finish is not None:
            error = None
        candidate = self._candidate(
            choice, usage, **(_failure(error) if error else {"finish_reason": choice.finish or "stop"})
        )
        self._all_ended[candidate.index] = candidate
        return CandidateFailed(candidate=candidate) if error else CandidateFinished(candidate=candidate)

    def _candidate(self, choice: Choice, usage: Usage, **end: Any) -> Candidate:
        """The candidate as it stands; its usage goes to the ledger here and nowhere else."""
        choice.ended = True
        if usage != NOTHING:
            guessed = self.bill.guessed
            booked = usage if usage.estimated == guessed else usage.model_copy(update={"estimated": guessed})
            self._run.record(self._blank.model, booked)
        return self._blank.model_copy(
            update={
                "index": choice.index,
                "text": choice.text,
                "reasoning": choice.reasoning or None,
                "tool_calls": choice.tool_calls,
                "seed": self._run.request_seed([c.index for c in self.choices]) if choice is self.choices[0] else None,
                "usage": usage,
                "logprobs": tuple(choice.logprobs) if choice.logprobs is not None else None,
                "latency": choice.seconds if choice.seconds is not None else time.monotonic() - self.begun,
                **end,
            }
        )


def _failure(error: UpstreamError) -> dict[str, Any]:
    failure = Failure(code=error.code, message=str(error), status=error.status, retry_after=error.retry_after)
    return {"finish_reason": "error", "error": failure}


def _in_order(raws: list[Any]) -> list[Any]:
    """Choices by index, or as they come where the indices are not worth their name."""
    placed = {raw["index"]: raw for raw in raws if isinstance(raw, dict) and isinstance(raw.get("index"), int)}
    return [placed[index] for index in sorted(placed)] if len(placed) == len(raws) else raws
