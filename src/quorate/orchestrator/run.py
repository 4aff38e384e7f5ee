"""What travels with a call: its budget, its ledger of tokens, its seed and its place in the pipeline."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydantic import Field

from .halt import Halt
from .types import Candidate, Code, Degradation, Frozen, StageUsage, Usage
from .watch import UNWATCHED, Watch

if TYPE_CHECKING:
    from .checkpoints import Checkpoints

__all__ = ["Budget", "Ledger", "Run", "cut_short", "derive_seed"]

NESTED_EARLIER = 0.05
"""Of the time left, by which a nested pipeline has to end before the stage that waits for it..."""
NESTED_MOST = 0.1
"""...but never more seconds than these."""
_STAGE = "deadline:"
_HALT = "halted:"


class Budget(Frozen):
    """Hard limits of one call; out of budget means the best answer so far, marked as such."""

    tokens: int | None = Field(default=None, ge=1)
    """Prompt and generated tokens of all stages together."""
    money: float | None = Field(default=None, gt=0)
    """In the currency of the configured prices; models without a price count as free."""
    seconds: float | None = Field(default=None, gt=0)
    samples: int | None = Field(default=None, ge=1)
    """Candidates drawn by each sampling stage."""


class Ledger:
    """Counts every upstream token once: finished, failed, retried, cancelled and judge calls alike.

    A nested pipeline gets a ledger of its own whose entries also reach its parent's.
    """

    def __init__(self, parent: Ledger | None = None) -> None:
        self._parent = parent
        self._entries: dict[tuple[str, str], Usage] = {}

    def record(self, stage: str, model: str, usage: Usage) -> None:
        known = self._entries.get((stage, model))
        self._entries[stage, model] = usage if known is None else known + usage
        if self._parent is not None:
            self._parent.record(stage, model, usage)

    @property
    def usage(self) -> Usage:
        return Usage.total(self._entries.values())

    @property
    def stages(self) -> tuple[StageUsage, ...]:
        return tuple(StageUsage(stage=s, model=m, usage=u) for (s, m), u in self._entries.items())

    @property
    def root(self) -> Ledger:
        return self if self._parent is None else self._parent.root


def derive_seed(seed: int | None, *path: str | int) -> int | None:
    """A 31-bit seed for one part of a run; None stays None (the backend draws its own)."""
    if seed is None:
        return None
    return int.from_bytes(hashlib.sha256(repr((seed, *path)).encode()).digest()[:4]) >> 1


@dataclass(frozen=True)
class Run:
    """The context of one call. Made by `answer` and `events`; stages receive narrowed copies."""

    seed: int | None = None
    budget: Budget = field(default_factory=Budget)
    ledger: Ledger = field(default_factory=Ledger)
    stage: str = "answer"
    live: bool = True
    """Somebody reads tokens as they come, so upstream calls must stream."""
    started: float = field(default_factory=time.monotonic)
    checkpoints: Checkpoints | None = None
    thread: str = ""
    """Name under which checkpoints of this run are kept."""
    until: float | None = None
    """When the stage has to end, on the monotonic clock; the budget may end before."""
    cut: list[Candidate] = field(default_factory=list)
    """Where an agent leaves the part of a candidate that it had when it was cancelled."""
    halt: Halt | None = None
    """Ends this run and others when it is pulled."""
    watch: Watch = UNWATCHED
    """Is told of stages and upstream calls, of nested pipelines and judges too."""

    def at(self, stage: str, *, live: bool | None = None, seconds: float | None = None) -> Run:
        """The same run inside one stage, which begins now, with a fresh list of cut candidates."""
        self.watch.stage(self.thread, stage)
        until = self.until if seconds is None else _earliest(self.until, time.monotonic() + seconds)
        return replace(self, stage=stage, live=self.live if live is None else live, until=until, cut=[])

    def nested(self, index: int) -> Run:
        """The run of a pipeline that serves as proposer: its own ledger page, seed and thread.

        Its deadline lies a little before that of this run, so that it can hand up the best answer so far.
        """
        left = self.seconds_left
        return replace(
            self,
            until=None if left is None else time.monotonic() + left - min(NESTED_MOST, NESTED_EARLIER * left),
            seed=derive_seed(self.seed, "nested", index),
            ledger=Ledger(self.ledger),
            thread=f"{self.thread}/{self.stage}.{index}",
            cut=[],
        )

    def sample_seed(self, index: int) -> int | None:
        """Seed of one sample: the first has the caller's own, so a vote's first sample is the plain answer."""
        return self.seed if index == 0 else derive_seed(self.seed, "sample", index)

    def request_seed(self, indices: Sequence[int]) -> int | None:
        """Seed of one request for several samples.

        Servers count on from it (vLLM: seed + i), so it lies on a path of its own: with the run's seed,
        neighbouring runs would repeat each other's samples.
        """
        if len(indices) == 1:
            return self.sample_seed(indices[0])
        return derive_seed(self.seed, "request", indices[0], len(indices))

    def rng(self, purpose: str) -> random.Random:
        """The seeded generator for one purpose; without a seed it is the same every time."""
        return random.Random(repr((self.seed, self.stage, purpose)))

    def record(self, model: str, usage: Usage) -> None:
        self.ledger.record(self.stage, model, usage)

    @property
    def deadline(self) -> float | None:
        """Of the request or the stage, whichever comes first, on the monotonic clock."""
        until, seconds = self.until, self.budget.seconds
        if seconds is not None:
            until = _earliest(until, self.started + seconds)
        if self.halt is not None and self.halt.at is not None:
            until = _earliest(until, self.halt.at)
        return until

    @property
    def seconds_left(self) -> float | None:
        deadline = self.deadline
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    def tokens_left(self, unrecorded: int = 0) -> int | None:
        """Tokens still allowed when `unrecorded` have arrived that no ledger entry holds yet."""
        if self.budget.tokens is None:
            return None
        return max(0, self.budget.tokens - self.ledger.root.usage.total_tokens - unrecorded)

    def exhausted(self, unrecorded: int = 0) -> str | None:
        """Which limit of the budget is used up, in words; None while none is."""
        return next(self._exhausted(unrecorded), None)

    def _exhausted(self, unrecorded: int) -> Iterator[str]:
        if self.tokens_left(unrecorded) == 0:
            yield f"budget: {self.budget.tokens} tokens used"
        if self.budget.money is not None and (self.ledger.root.usage.cost or 0.0) >= self.budget.money:
            yield f"budget: {self.budget.money} of money spent"
        if self.seconds_left == 0:
            yield self.timed_out()

    def timed_out(self) -> str:
        """That the deadline has passed, in the words of `exhausted`."""
        if self.halt is not None and self.halt.reason is not None:
            return f"{_HALT} {self.halt.reason}"
        seconds = self.budget.seconds
        if seconds is not None and (self.until is None or self.started + seconds <= self.until):
            return f"budget: {seconds} seconds passed"
        return f"{_STAGE} the time of stage {self.stage!r} is over"


def cut_short(reason: str, where: str) -> Degradation:
    """What `Run.exhausted` says, as it is told of an answer."""
    code: Code = "budget_exhausted"
    if reason.startswith(_STAGE):
        code = "deadline_passed"
    elif reason.startswith(_HALT):
        code = "halted"
    return Degradation(code=code, where=where, detail=reason)


def _earliest(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
