"""What graphs are made of: nodes and edges, and the state that they read.

A node is an asynchronous function from the state so far to its own part of it. An edge leads on always, or where
its condition holds. What has happened is a list of visits, from which all else follows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from inspect import iscoroutine, iscoroutinefunction
from math import ceil
from typing import Protocol, Self, runtime_checkable

from pydantic import Field

from .amplification import requests_of
from .checks import check_count, check_seconds, check_value
from .context import Budget, RunContext
from .errors import BadGraph, BadInput
from .frozen import Frozen
from .protocols import Model
from .types import Answer, Candidate, Degradation, Question, Sampled
from .usage import NodeUsage

__all__ = ["ELSE", "END", "START", "Choice", "Condition", "Edge", "Node", "Result", "State", "Visit"]

START, END = "__start__", "__end__"
ELSE = "else"
"""The condition of an edge that is taken where no other edge of its node is."""
BEGINNING = -1
"""In place of a visit: the node was led to from the start."""


class Choice(Frozen):
    """What a node has decided, in words that conditions read; candidates and answers pass by it."""

    chosen: str
    why: str = ""


Result = Sampled | Answer | Choice


class Visit(Frozen):
    """One run of one node: what came of it, where it led, and what it cost."""

    node: str
    inputs: tuple[int, ...] = ()
    """The visits that led to it, by their places in the list of all."""
    result: Result | None = None
    """None where it failed, and its fallback took over."""
    edges: Mapping[str, str] = Field(default_factory=dict)
    """The nodes that it led to, each with the words of the condition that held; empty words for a plain edge."""
    degraded: tuple[Degradation, ...] = ()
    usage: tuple[NodeUsage, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class State:
    """The question and all that has happened since."""

    question: Question
    visits: tuple[Visit, ...] = ()
    inputs: tuple[int, ...] = ()
    """The visits that led to the node that looks at it; for a condition, the one whose edges are asked about."""
    tokens_left: int | None = None
    """For a condition: of the budget; None where tokens are not limited."""

    @property
    def results(self) -> tuple[Result, ...]:
        """What the node reads: the results that led to it; a choice hands on what it has read itself."""
        return tuple(self._handed_on(self.inputs))

    def _handed_on(self, places: Sequence[int]) -> Iterator[Result]:
        for place in places:
            visit = self.visits[place]
            if visit.result is None or isinstance(visit.result, Choice):
                yield from self._handed_on(visit.inputs)
            else:
                yield visit.result

    @property
    def sampled(self) -> Sampled:
        """The candidates that the node reads: those of one stage as they are, else all of them, numbered anew.

        An answer counts as a candidate. Of one that chose among candidates, it is the text that counts.
        """
        results = self.results
        if len(results) == 1 and isinstance(results[0], Sampled):
            return results[0]
        found: list[Candidate] = []
        degraded: list[Degradation] = []
        for result in results:
            if isinstance(result, Sampled):
                found += result.candidates
                degraded += result.degraded
            elif isinstance(result, Answer):
                found.append(_as_candidate(result))
        numbered = [c.model_copy(update={"index": place}) for place, c in enumerate(found)]
        return Sampled(candidates=tuple(numbered), degraded=tuple(degraded))

    @property
    def answer(self) -> Answer | None:
        """The answer that the node reads, if it is one."""
        return next((r for r in self.results if isinstance(r, Answer)), None)

    @property
    def choice(self) -> Choice | None:
        """What the node before has decided, if it has."""
        results = [self.visits[place].result for place in self.inputs]
        return next((r for r in results if isinstance(r, Choice)), None)

    def visited(self, node: str) -> int:
        """How often a node has run."""
        return sum(visit.node == node for visit in self.visits)

    def last(self, node: str) -> Result | None:
        """The latest result of a node."""
        return next((v.result for v in reversed(self.visits) if v.node == node), None)


def _as_candidate(answer: Answer) -> Candidate:
    return Candidate(
        index=0,
        model=answer.model,
        agent=answer.model,
        text=answer.text,
        answer=answer.answer,
        reasoning=answer.reasoning,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
    )


@runtime_checkable
class Condition(Protocol):
    """When an edge is taken; its `str` is what is drawn."""

    def holds(self, state: State) -> str | None:
        """Why the edge is taken, in words; None if it is not. `state.results` are those of the edge's node."""
        ...


@dataclass(frozen=True)
class Predicate:
    """A function of the state as a condition; a text that it returns is the reason."""

    function: Callable[[State], bool | str | None]

    def holds(self, state: State) -> str | None:
        told = self.function(state)
        if iscoroutine(told):
            told.close()
            raise TypeError("it is async, and cannot be: a condition only reads the state")
        return told if isinstance(told, str) else str(self) if told else None

    def __str__(self) -> str:
        name: str = getattr(self.function, "__name__", "<lambda>")
        return "a condition" if name == "<lambda>" else name.replace("_", " ")


@dataclass(frozen=True)
class Edge:
    """Leads from one node to the next: always, where a condition holds, or (`ELSE`) where no other edge is taken."""

    source: str
    target: str
    when: Condition | Callable[[State], bool | str | None] | str | None = None

    def __post_init__(self) -> None:
        for place in (self.source, self.target):
            if not isinstance(place, str):
                raise BadGraph(f"Edge({self.source!r:.60}, {self.target!r:.60}): an edge has the names of two nodes")
        if self.when is None or self.when == ELSE or isinstance(self.when, Condition):
            return
        if not callable(self.when):
            raise BadGraph(
                f"the edge {self} has the condition {self.when!r}: give a Condition, a function, or {ELSE!r}"
            )
        if iscoroutinefunction(self.when):
            raise BadGraph(
                f"the condition of the edge {self} is an async function, and cannot be: it only reads the state"
            )
        object.__setattr__(self, "when", Predicate(self.when))

    def __str__(self) -> str:
        words = {START: "start", END: "end"}
        return f"{words.get(self.source, self.source)} -> {words.get(self.target, self.target)}"


@dataclass(frozen=True)
class Node:
    """One step of a graph; what it does is in its subclasses."""

    name: str
    _: KW_ONLY
    seconds: float | None = None
    """Its own deadline; then it ends with the best that it has."""
    budget: Budget | None = None
    """Its own limits, beside those of the whole."""
    fallback: str | None = None
    """The node that takes its place where it fails."""
    max_visits: int | None = None
    """How often it runs in one answer at most, then no edge leads to it any more; `LOOP` in a loop if not given.
    With 0 it never runs, and is not drawn."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise BadInput(f"a {type(self).__name__} has the name {self.name!r:.60}: give a text of its own")
        check_seconds(f"node {self.name!r}: seconds", self.seconds)
        check_value(f"node {self.name!r}: budget", self.budget, Budget)
        if not isinstance(self.fallback, str | None):
            raise BadInput(f"node {self.name!r}: fallback={self.fallback!r:.60}: give the name of a node")
        if self.max_visits is not None:
            check_count(f"node {self.name!r}: max_visits", self.max_visits, 0)

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model that it may ask."""
        return ()

    @property
    def available(self) -> bool:
        """Whether something can come of it now: it asks no model, or one of them is available (`Model.available`)."""
        return not self.models or any(model.available for model in self.models)

    def calls_for(self, n: int) -> int:  # noqa: ARG002 - for those who read candidates
        """Most answers of single models that one visit takes which reads n candidates."""
        return 0

    def requests_for(self, n: int) -> int:
        """Most requests to servers that one visit causes, by the model that causes most for one answer."""
        most = max((Fraction(requests_of(model), max(1, model.calls)) for model in self.models), default=Fraction(0))
        return ceil(self.calls_for(n) * most)

    def gives(self, n: int) -> int:
        """Most candidates that it gives where it reads n; an answer counts as one."""
        return 1 if self.answers else n

    @property
    def reads(self) -> bool:
        """Whether it needs candidates or an answer before it."""
        return False

    @property
    def label(self) -> str:
        """What it does, as it is drawn."""
        return self.name

    @property
    def answers(self) -> bool:
        """Whether it gives an answer; only such a node may lead to the end."""
        return False

    @abstractmethod
    async def run(self, state: State, run: RunContext) -> Result:
        """What it makes of the state.

        Raises:
            QuorateError: nothing.
        """

    def with_n(self, old: int, n: int) -> Self:  # noqa: ARG002 - for those who draw as many as the first stage
        """The same node in a graph whose first stage draws n candidates instead of so many."""
        return self

    def map_models(self, change: Callable[[Model], Model]) -> Self:  # noqa: ARG002 - for those who ask
        """The same node over other models."""
        return self
