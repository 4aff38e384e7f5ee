"""What travels with a call: its budget, its ledger of tokens, its seed, its observer and its place in the graph."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from pydantic import Field

from .events import Observer, UpstreamStarted
from .frozen import Frozen
from .observers import guard_observer, observe_inside, unobserved
from .reading import AnswerReader
from .types import Code, Degradation
from .usage import NodeUsage, Usage

NESTED_EARLIER = 0.05
"""Of the time left, by which a nested pipeline has to end before the node that waits for it..."""
NESTED_MOST = 0.1
"""...but never more seconds than these."""
DEEP, STEP = 3, 0.02
"""Levels of nesting that end one after the other when a switch is triggered, and the seconds between them."""
_NODE = "deadline:"
_STOPPED = "halted:"


class Budget(Frozen):
    """Hard limits of one call; out of budget means the best answer so far, marked as such."""

    tokens: int | None = Field(default=None, ge=1)
    """Prompt and generated tokens of all nodes together."""
    money: float | None = Field(default=None, gt=0)
    """In the currency of the configured prices; models without a price count as free."""
    seconds: float | None = Field(default=None, gt=0)
    samples: int | None = Field(default=None, ge=1)
    """Candidates drawn by each sampling stage."""


class _Sum:
    """Usage that is added up in place, since every candidate is counted on several pages."""

    __slots__ = tuple(Usage.model_fields)

    def __init__(self) -> None:
        self.prompt_tokens = self.completion_tokens = self.reasoning_tokens = self.requests = 0
        self.cached_tokens = self.cache_write_tokens = self.prompt_audio_tokens = self.completion_audio_tokens = 0
        self.cost: float | None = None
        self.estimated = False

    def add(self, usage: Usage | _Sum) -> None:
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens
        self.reasoning_tokens += usage.reasoning_tokens
        self.cached_tokens += usage.cached_tokens
        self.cache_write_tokens += usage.cache_write_tokens
        self.prompt_audio_tokens += usage.prompt_audio_tokens
        self.completion_audio_tokens += usage.completion_audio_tokens
        self.requests += usage.requests
        self.estimated = self.estimated or usage.estimated
        if usage.cost is not None:
            self.cost = usage.cost if self.cost is None else self.cost + usage.cost

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            reasoning_tokens=self.reasoning_tokens,
            cached_tokens=self.cached_tokens,
            cache_write_tokens=self.cache_write_tokens,
            prompt_audio_tokens=self.prompt_audio_tokens,
            completion_audio_tokens=self.completion_audio_tokens,
            requests=self.requests,
            cost=self.cost,
            estimated=self.estimated,
        )


class Ledger:
    """Counts every upstream token once: finished, failed, retried, cancelled and judge calls alike.

    A graph and a node of it each have a page of their own, whose entries also reach their parent's.

    Args:
        parent: the page that every entry reaches, too.
        budget: of this page alone; tokens and money count.
        node: books every entry under this node, whatever nodes the models inside have.
    """

    def __init__(self, parent: Ledger | None = None, *, budget: Budget | None = None, node: str | None = None) -> None:
        self.parent = parent
        self.budget = budget
        self._node = node
        self._entries: dict[tuple[str, str], _Sum] = {}
        self._usage: Usage | None = None
        self._nodes: tuple[NodeUsage, ...] | None = None

    def record(self, node: str, model: str, usage: Usage) -> None:
        node = self._node or node
        if (known := self._entries.get((node, model))) is None:
            known = self._entries[node, model] = _Sum()
        known.add(usage)
        self._usage = self._nodes = None
        if self.parent is not None:
            self.parent.record(node, model, usage)

    def booked_node(self, node: str) -> str:
        """The node under which the outermost page has what is recorded here under this one."""
        page: Ledger | None = self
        while page is not None:
            node, page = page._node or node, page.parent
        return node

    @property
    def usage(self) -> Usage:
        """Of all nodes and models."""
        if self._usage is None:
            total = _Sum()
            for entry in self._entries.values():
                total.add(entry)
            self._usage = total.usage
        return self._usage

    @property
    def nodes(self) -> tuple[NodeUsage, ...]:
        """By node and model, in the order in which they first spent something."""
        if self._nodes is None:
            self._nodes = tuple(NodeUsage(node=n, model=m, usage=e.usage) for (n, m), e in self._entries.items())
        return self._nodes

    @property
    def root(self) -> Ledger:
        return self if self.parent is None else self.parent.root


def derive_seed(seed: int | None, *path: str | int) -> int | None:
    """A 31-bit seed for one part of a run; None stays None (the backend draws its own)."""
    if seed is None:
        return None
    return int.from_bytes(hashlib.sha256(repr((seed, *path)).encode()).digest()[:4]) >> 1


class RequestLimit:
    """How many requests to models' servers a run may cause, whatever fails: all that it asks count in the same one.

    What a server refuses for its form (400, 422, ...) has cost nothing and does not count.

    Args:
        most: requests, see `amplification.requests_of`.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.sent = 0

    def take(self) -> bool:
        """Counts one more, if there may be one."""
        if self.sent >= self.most:
            return False
        self.sent += 1
        return True

    def give_back(self) -> None:
        """One has come to nothing."""
        self.sent -= 1


class StopSwitch:
    """Ends runs from outside, such as all of a server at its shutdown: what has come by then is their answer."""

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why it was triggered; None as long as it was not."""
        self.at: float | None = None
        """When it was triggered, on the monotonic clock."""
        self.limits: dict[asyncio.Timeout, float] = {}
        """What it ends, each so many seconds later; see `TimeLimit`."""

    def trigger(self, reason: str) -> None:
        """Ends all runs now; from the thread of their event loop."""
        if self.at is not None:
            return
        self.reason, self.at = reason, time.monotonic()
        now = asyncio.get_running_loop().time()
        for limit, delay in self.limits.items():
            limit.reschedule(now + delay)


class TimeLimit:
    """`async with`: raises TimeoutError inside at a time of the monotonic clock, or when the switch is triggered.

    Costs nothing where there is neither.
    """

    def __init__(self, at: float | None, switch: StopSwitch | None, delay: float = 0.0) -> None:
        self._switch = switch
        self._delay = delay
        self._timeout = asyncio.timeout_at(at)

    def move(self, at: float | None) -> None:
        """Another time, from inside."""
        if not self._timeout.expired() and (self._switch is None or self._switch.at is None):
            self._timeout.reschedule(at)

    async def __aenter__(self) -> TimeLimit:
        await self._timeout.__aenter__()
        if self._switch is not None:
            self._switch.limits[self._timeout] = self._delay
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._switch is not None:
            self._switch.limits.pop(self._timeout, None)
        await self._timeout.__aexit__(kind, error, trace)


class Saver(Protocol):
    """Where finished nodes are kept; `quorate.orchestrator.checkpoints.Checkpoints` is one."""

    async def execute(self, graph: Any, question: Any, run: RunContext) -> Any:
        """Runs a graph from the first node that is not finished; returns its last state."""
        ...


def _untraced(_: UpstreamStarted) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class RunContext:
    """The context of one call. Made by `answer` and `events`; nodes receive narrowed copies."""

    seed: int | None = None
    budget: Budget = field(default_factory=Budget)
    ledger: Ledger = field(default_factory=Ledger)
    node: str = "answer"
    live: bool = True
    """Somebody reads tokens as they come, so upstream calls must stream."""
    follow_candidates: bool = True
    """Where tokens are read as they come, those of candidates too; else of each candidate only the first is told."""
    token_stories: bool = False
    """Whether models that write together keep what each of them would have said at every token (`TokenStep`)."""
    started: float = field(default_factory=time.monotonic)
    checkpoints: Saver | None = None
    thread: str = ""
    """Which nested pipeline or asked model, `""` for the outermost; checkpoints are kept under it."""
    visit: int = 1
    """Which run of its node this is, in loops."""
    attempt: str = ""
    """Under which checkpoints keep all parts of one run, however often it is taken up again."""
    until: float | None = None
    """When the node has to end, on the monotonic clock; the budget may end before."""
    until_of: str = ""
    """The node whose time that is, this one or one around it."""
    switch: StopSwitch | None = None
    """Ends this run and others when it is triggered."""
    emit: Observer = unobserved
    """Is told of all that happens; never waits."""
    trace_headers: Callable[[UpstreamStarted], Mapping[str, str]] = _untraced
    """Headers that the next try of a call carries, such as the caller's trace context."""
    answer_reader: AnswerReader | None = None
    """What a vote counts where it was not told when it was made."""
    priority: float = 0.0
    """Of its samples where samples of several runs wait for a place; the lower, the sooner."""
    caller: str = ""
    """Whose run it is, such as an API key's name: the places of a busy server are shared between its callers, and what
    fails of one caller's requests refuses nobody else's. `""` is nobody in particular."""
    weight: float = 1.0
    """The caller's share of those places, in proportion to that of others."""
    requests: RequestLimit | None = None
    """Of all that this run and those around it ask."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "emit", guard_observer(self.emit))

    def replace(self, **changes: Any) -> RunContext:
        """The same context with other values in some fields: several times a node, so not by `dataclasses.replace`."""
        if not changes.keys() <= self.__dict__.keys():
            raise TypeError(f"RunContext has no field {', '.join(changes.keys() - self.__dict__.keys())}")
        copied = object.__new__(RunContext)
        copied.__dict__.update(self.__dict__, **changes)
        return copied

    def at_node(
        self, node: str, *, live: bool | None = None, seconds: float | None = None, budget: Budget | None = None
    ) -> RunContext:
        """The same run inside one node, which begins now; its limits hold beside those of the run."""
        until, until_of = self.until, self.until_of
        for limit in (seconds, budget.seconds if budget is not None else None):
            if limit is not None and (until is None or time.monotonic() + limit < until):
                until, until_of = time.monotonic() + limit, node
        ledger, whole = self.ledger, self.budget
        if budget is not None:
            ledger = Ledger(ledger, budget=budget)
            if budget.samples is not None:
                whole = whole.model_copy(update={"samples": min(budget.samples, whole.samples or budget.samples)})
        live = self.live if live is None else live
        return self.replace(node=node, live=live, until=until, until_of=until_of, ledger=ledger, budget=whole)

    def nested(self, purpose: int | str, *, emit: Observer | None = None) -> RunContext:
        """The run of a model that is asked inside this node: its own ledger page, seed and thread.

        Its deadline lies a little before that of this run, so that it can hand up the best answer so far.

        Args:
            purpose: the index of the candidate that it writes.
            emit: is told of the tokens of its answer; of what happens inside only nodes and upstream calls are told.
        """
        left = self.seconds_left
        return self.replace(
            until=None if left is None else time.monotonic() + left - min(NESTED_MOST, NESTED_EARLIER * left),
            seed=derive_seed(self.seed, "nested", purpose),
            ledger=Ledger(self.ledger),
            thread=self._thread_of(purpose),
            emit=observe_inside(self.emit, emit),
        )

    def asking(self, purpose: str, *, emit: Observer | None = None, live: bool | None = None) -> RunContext:
        """The run of a model that an aggregator asks: same budget, its own seed and thread.

        Whatever it spends belongs to this node, whatever nodes the model has itself.
        """
        return self.replace(
            seed=derive_seed(self.seed, self.node, purpose),
            ledger=Ledger(self.ledger, node=self.node),
            thread=self._thread_of(purpose),
            live=self.live if live is None else live,
            emit=observe_inside(self.emit, emit),
        )

    def _thread_of(self, purpose: int | str) -> str:
        again = "" if self.visit == 1 else f"{self.visit}~"
        return f"{self.thread}/{self.node}.{again}{purpose}"

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
        return random.Random(repr((self.seed, self.node, purpose)))

    def record(self, model: str, usage: Usage) -> None:
        self.ledger.record(self.node, model, usage)

    @property
    def observed(self) -> bool:
        """Whether anybody is told; events that cost something to make are made only then."""
        return self.emit is not unobserved

    @property
    def deadline(self) -> float | None:
        """Of the request or the node, whichever comes first, on the monotonic clock."""
        until, seconds = self.until, self.budget.seconds
        if seconds is not None:
            until = _earliest(until, self.started + seconds)
        if self.switch is not None and self.switch.at is not None:
            until = _earliest(until, self.switch.at)
        return until

    @property
    def seconds_left(self) -> float | None:
        deadline = self.deadline
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    def time_limit(self, at: float | None = None, *, slack: float = 0.0) -> TimeLimit:
        """Ends what is inside at this time, else at the deadline.

        Args:
            at: a time of the monotonic clock; the deadline, if not given.
            slack: seconds beyond the deadline, and at least these from now on.
        """
        deadline = self.deadline if at is None else at
        if slack and deadline is not None:
            deadline = max(deadline, time.monotonic()) + slack
        # What is nested deeper ends a little earlier, so that what is around it can take what it has.
        delay = slack + STEP * max(0, DEEP - self.thread.count("/"))
        return TimeLimit(deadline, self.switch, delay)

    def tokens_left(self, unrecorded: int = 0) -> int | None:
        """Tokens still allowed when `unrecorded` have arrived that no ledger entry holds yet."""
        left = [
            budget.tokens - ledger.usage.total_tokens for ledger, budget in self._limits() if budget.tokens is not None
        ]
        return max(0, min(left) - unrecorded) if left else None

    @property
    def frugal(self) -> bool:
        """Whether tokens or money are limited, so that little should be under way when the limit is reached."""
        return any(budget.tokens is not None or budget.money is not None for _, budget in self._limits())

    def exhausted(self, unrecorded: int = 0) -> str | None:
        """Which limit of the budget is used up, in words; None while none is."""
        return next(self._exhausted(unrecorded), None)

    def _exhausted(self, unrecorded: int) -> Iterator[str]:
        for ledger, budget in self._limits():
            if budget.tokens is not None and ledger.usage.total_tokens + unrecorded >= budget.tokens:
                yield f"budget: {budget.tokens} tokens used"
            if budget.money is not None and (ledger.usage.cost or 0.0) >= budget.money:
                yield f"budget: {budget.money} of money spent"
        if self.seconds_left == 0:
            yield self.timed_out()

    def _limits(self) -> Iterator[tuple[Ledger, Budget]]:
        """The run's budget, then that of each node around."""
        if self.budget.tokens is not None or self.budget.money is not None:
            yield self.ledger.root, self.budget
        page: Ledger | None = self.ledger
        while page is not None:
            if page.budget is not None:
                yield page, page.budget
            page = page.parent

    def timed_out(self) -> str:
        """That the deadline has passed, in the words of `exhausted`."""
        if self.switch is not None and self.switch.reason is not None:
            return f"{_STOPPED} {self.switch.reason}"
        seconds = self.budget.seconds
        if seconds is not None and (self.until is None or self.started + seconds <= self.until):
            return f"budget: {seconds} seconds passed"
        return f"{_NODE} the time of node {(self.until_of or self.node)!r} is over"


def explain_cut(reason: str, where: str) -> Degradation:
    """What `RunContext.exhausted` says, as it is told of an answer."""
    code: Code = "budget_exhausted"
    if reason.startswith(_NODE):
        code = "deadline_passed"
    elif reason.startswith(_STOPPED):
        code = "halted"
    return Degradation(code=code, where=where, detail=reason)


def _earliest(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
