"""The nodes that graphs are made of: they sample, read what was sampled before, ask and choose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from inspect import isawaitable
from typing import Any, Protocol, Self, runtime_checkable

from .amplification import requests_of
from .checks import check_aggregator, check_model
from .context import RunContext, derive_seed, explain_cut
from .errors import BadInput, Misconfigured, NoAnswer, PromptTooLong
from .protocols import Aggregator, Model, Router, VoteCounter
from .sampling import most_actionable, sample_candidates
from .shadow import sample_watching
from .stage import SamplingStage
from .state import Choice, Node, State
from .types import Answer, Candidate, Degradation, Failure, Question, Sampled


@dataclass(frozen=True)
class StageNode(Node):
    """Has a sampling stage, which draws its candidates."""

    stage: SamplingStage
    _: KW_ONLY
    counted_by: Aggregator | None = None
    """Counts the votes while they come."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.stage, SamplingStage):
            raise BadInput(f"node {self.name!r}: {self.stage!r} is no sampling stage: give sample(model, n=...)")
        if self.counted_by is not None:
            check_aggregator(f"node {self.name!r}: counted_by", self.counted_by)

    @property
    def models(self) -> tuple[Model, ...]:
        return self.stage.models

    @property
    def available(self) -> bool:
        """As many samples as there have to be come of models that can be asked."""
        return self.stage.sum_over_samples(lambda model: model.available) >= self.stage.min_candidates

    def calls_for(self, n: int) -> int:  # noqa: ARG002 - it draws as many as its stage says
        return self.stage.sum_over_samples(lambda model: model.calls)

    def requests_for(self, n: int) -> int:  # noqa: ARG002 - likewise
        return self.stage.sum_over_samples(requests_of)

    def gives(self, n: int) -> int:  # noqa: ARG002 - likewise
        return self.stage.n

    def with_n(self, old: int, n: int) -> Self:
        return replace(self, stage=self.stage.with_n(n)) if self.stage.n == old else self

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        stage = replace(self.stage, models=tuple(map(change, self.stage.models)))
        counted_by = None if self.counted_by is None else self.counted_by.map_models(change)
        return replace(self, stage=stage, counted_by=counted_by)


@dataclass(frozen=True)
class SampleNode(StageNode):
    """Draws candidates."""

    @property
    def label(self) -> str:
        """How many, and until when."""
        return f"sample x {self.stage.n}" + (f"\n{self.stage.stop}" if self.stage.stop is not None else "")

    async def run(self, state: State, run: RunContext) -> Sampled:
        run = _drawing_again(run.at_node(self.name, seconds=self.stage.seconds))
        counter = None if self.counted_by is None else self.counted_by.counter(state.question, run)
        return await sample_watching(self.stage, state.question, run, counter)


def _drawing_again(run: RunContext) -> RunContext:
    """The run of a node that has run before, whose samples shall not be the same ones again."""
    return run if run.visit == 1 else run.replace(seed=derive_seed(run.seed, "visit", run.visit))


@dataclass(frozen=True)
class Revision:
    """What one candidate of a layer is asked."""

    question: Question | None
    """None where there is nothing to ask."""
    notes: tuple[Degradation, ...] = ()
    """What had to be cut for it."""
    prompt_version: str | None = None
    """Of the prompt that it was made with."""


@runtime_checkable
class Refiner(Protocol):
    """What a layer or a round asks its models about the candidates before it, and what becomes of both."""

    async def revise(
        self, question: Question, before: Sampled, models: Sequence[Model], run: RunContext
    ) -> Mapping[int, Revision]:
        """What the model of each place is asked.

        Args:
            question: the caller's.
            before: what the layer reads.
            models: by place, the one that writes the candidate of that index.
            run: at this visit of the node; its `rng` draws differently in every round.
        """
        ...

    def merge(self, before: Sampled, members: Sequence[Candidate]) -> Sequence[Candidate]:
        """The candidates that the layer gives, some of whose members are good; those that said nothing have failed."""
        ...


@dataclass(frozen=True)
class LayerNode(StageNode):
    """Draws candidates that have read those before them."""

    refiner: Refiner
    _: KW_ONLY

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.refiner, Refiner) or isinstance(self.refiner, type):
            raise BadInput(f"node {self.name!r}: {self.refiner!r} is no Refiner: it needs `revise` and `merge`")

    @property
    def available(self) -> bool:
        """It is: where no member answers, the candidates before go on."""
        return True

    @property
    def reads(self) -> bool:
        return True

    @property
    def label(self) -> str:
        return f"{self.name} x {self.stage.n}"

    async def run(self, state: State, run: RunContext) -> Sampled:
        """See `Node`; where no member answers or nothing is left to spend, the candidates before go on."""
        before, loops = state.sampled, self.max_visits is not None
        check_read(self.name, before)
        visit = f"{self.name}-{state.visited(self.name) + 1}" if loops else self.name
        if (reason := run.exhausted()) is not None:
            return hand_on(before, reason, [explain_cut(reason, visit)])
        revisions = await self._revise(state, run.replace(node=visit))
        counter = None if self.counted_by is None else self.counted_by.counter(state.question, run)
        drawn = await self._draw(state, revisions, visit, run, counter)
        notes = _distinct(note for revision in revisions.values() for note in revision.notes)
        if drawn is None:
            return hand_on(before, "nothing to ask", notes)
        members = [mark_member(c, revisions[c.index]) for c in drawn.candidates]
        notes = [*notes, *note_members(members, visit)]
        if drawn.stopped != "complete":
            notes.insert(0, explain_cut(drawn.stopped, visit))
        if not any(member.ok for member in members):
            if loops and drawn.stopped == "complete":
                detail = "no member answered; those of the round before go on"
                notes.insert(0, Degradation(code="aggregator_failed", where=visit, detail=detail))
            reason = drawn.stopped if drawn.stopped != "complete" else "no member answered"
            return hand_on(before, reason, notes)
        merged = tuple(self.refiner.merge(before, members))
        tally = drawn.tally if counter is None or merged == drawn.candidates else await counter.tally(merged)
        return Sampled(candidates=merged, tally=tally, stopped=drawn.stopped, degraded=tuple(notes))

    async def _revise(self, state: State, run: RunContext) -> dict[int, Revision]:
        models = [self.stage.model_of(i) for i in range(self.stage.n)]
        return dict(await self.refiner.revise(state.question, state.sampled, models, run))

    async def _draw(
        self, state: State, revisions: dict[int, Revision], visit: str, run: RunContext, counter: VoteCounter | None
    ) -> Sampled | None:
        """What the members say; None where there is nothing to ask them.

        Those whose server found the prompt too long, and said what its context is, get a shorter one, once, which
        takes its place among the revisions.
        """
        questions = {i: r.question for i, r in revisions.items() if r.question is not None}
        if not questions:
            return None
        stage, inner = replace(self.stage, stop=None, quorum=None), run.asking(visit).replace(emit=run.emit)
        drawn = await sample_candidates(stage, state.question, inner, counter, questions=questions, required=False)
        late = {c.index for c in drawn.candidates if c.error is not None and c.error.code == PromptTooLong.code}
        if not late or drawn.stopped != "complete":
            return drawn
        again = await self._revise(state, run.replace(node=visit))
        shorter = {i: r.question for i in late if (r := again[i]).question is not None and r.question != questions[i]}
        if not shorter:
            return drawn
        revisions.update({i: again[i] for i in shorter})
        more = await sample_candidates(stage, state.question, inner, questions=shorter, required=False)
        found = {c.index: c for c in (*drawn.candidates, *more.candidates)}
        candidates = tuple(found[index] for index in sorted(found))
        tally = None if counter is None else await counter.tally(candidates)
        return drawn.model_copy(update={"candidates": candidates, "tally": tally, "stopped": more.stopped})


def check_read(reader: str, sampled: Sampled) -> None:
    """Refuses to go on with nothing.

    Raises:
        NoAnswer: all candidates failed, with the words and the status of the most actionable failure.
    """
    if sampled.good:
        return
    failures = [c.error for c in sampled.candidates if c.error is not None]
    count = f"{reader}: all {len(sampled.candidates)} candidates failed"
    if not failures:
        raise NoAnswer(count)
    worst = most_actionable(failures)
    raise NoAnswer(f"{count}; {worst.message}", status=worst.status, code=worst.code, retry_after=worst.retry_after)


def hand_on(before: Sampled, stopped: str, notes: Iterable[Degradation]) -> Sampled:
    """What a node has read, as what it gives.

    Args:
        before: what it has read.
        stopped: why it gives nothing of its own.
        notes: its own; those of the candidates are told already.
    """
    return before.model_copy(update={"stopped": stopped, "degraded": tuple(notes), "savings": ()})


def _distinct(notes: Iterable[Degradation]) -> list[Degradation]:
    """One note for the same thing at the same place, such as one text cut for several readers."""
    return list({(note.code, note.where): note for note in notes}.values())


def mark_member(candidate: Candidate, revision: Revision) -> Candidate:
    """A candidate that was written by a revision; one that says nothing has failed, since nobody could read it."""
    changes: dict[str, Any] = {"prompt_version": revision.prompt_version or candidate.prompt_version}
    if candidate.ok and not candidate.text.strip() and not candidate.tool_calls:
        changes["error"] = Failure(code="empty_answer", message="it gave an empty answer")
    return candidate.model_copy(update=changes)


def note_members(members: Sequence[Candidate], visit: str) -> list[Degradation]:
    """What went wrong in writing the members of a layer: which failed, and what happened inside them."""
    failed = [
        Degradation(code="member_failed", where=f"{visit}: {m.agent or m.model} #{m.index}", detail=m.error.message)
        for m in members
        if m.error is not None
    ]
    inside = [note for m in members for note in m.degraded]
    return sorted((*failed, *inside), key=lambda note: note.where)


@dataclass(frozen=True)
class ModelNode(Node):
    """Asks one model, which may be a graph."""

    model: Model

    def __post_init__(self) -> None:
        super().__post_init__()
        check_model(f"node {self.name!r}", self.model)

    @property
    def models(self) -> tuple[Model, ...]:
        return (self.model,)

    def calls_for(self, n: int) -> int:  # noqa: ARG002 - it reads the question alone
        return self.model.calls

    @property
    def label(self) -> str:
        return self.model.name

    @property
    def answers(self) -> bool:
        return True

    async def run(self, state: State, run: RunContext) -> Answer:
        """See `Node`; with the seed of the run, so that it answers as it does when it is asked alone."""
        seed = _drawing_again(run).seed
        return await self.model.answer(state.question, run.asking(self.name, emit=run.emit).replace(seed=seed))

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        return replace(self, model=change(self.model))


@dataclass(frozen=True)
class ChoiceNode(Node):
    """Chooses one of several nodes."""

    choose: Router | Callable[[Question], str | int | Awaitable[str | int]]
    options: tuple[Model, ...]
    names: tuple[str, ...]
    """Of the nodes, in the order of the models."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.choose) and not isinstance(self.choose, Router):
            raise BadInput(f"node {self.name!r}: {self.choose!r} chooses nothing: give a function or a Router")
        if twice := [name for name in self.names if self.names.count(name) > 1]:
            raise BadInput(f"node {self.name!r}: the option {twice[0]!r} stands twice")

    async def run(self, state: State, run: RunContext) -> Choice:
        """See `Node`.

        Raises:
            Misconfigured: what was chosen is none of them.
        """
        chosen: str | int
        why = ""
        if not callable(self.choose):
            chosen, why = await self.choose.choose(state.question, self.options, run)
        else:
            told = self.choose(state.question)
            chosen = await told if isawaitable(told) else told
        if isinstance(chosen, int) and 0 <= chosen < len(self.names):
            return Choice(chosen=self.names[chosen], why=why)
        if chosen in self.names:
            return Choice(chosen=str(chosen), why=why)
        raise Misconfigured(f"{self.name}: {chosen!r} was chosen, but there is: {', '.join(self.names)}")
