"""The nodes of a decomposition: one solves the parts that are ready, one asks for what no plan led to undivided."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Self

from quorate.orchestrator.amplification import requests_of
from quorate.orchestrator.context import RunContext, explain_cut
from quorate.orchestrator.nodes import StageNode
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.reading import Extractor
from quorate.orchestrator.sampling import gather, sample_candidates, settle_answer
from quorate.orchestrator.state import State
from quorate.orchestrator.types import Candidate, Degradation, Failure, Message, Question, Sampled
from quorate.prompts import Prompt, load

from ..judges.model import JUDGE_SAMPLING, JudgeModel, Verdict
from ..judges.verdicts import score_form
from ..markup import visible
from ..panels.analysis import make_fence
from .division import LONGEST, Division, compute

LEAST = 5.0
"""Of 10, that a part's answer has to be given where nothing else is said."""
OPEN, FAILED, UNREADABLE = "part_open", "part_failed", "plan_unreadable"


@dataclass(frozen=True)
class PartsNode(StageNode):
    """Solves the parts of all plans that need no more than what is known, all at once; again, until none is left.

    Its stage has a place for each of `votes` samples of each part that may be asked at once. Parts of the same words
    are asked once, whichever plans they stand in. A candidate without an answer has failed: with the code `part_open`
    while its plan has parts to solve, `part_failed` where one had no answer, `plan_unreadable` where it has no plan.
    """

    prompt: Prompt
    reader: Extractor
    _: KW_ONLY
    votes: int = 1
    """Samples of each part; where there are several, more than half of them have to agree."""
    calculate: bool = True
    """Whether bare calculations are made instead of asked for."""

    @property
    def reads(self) -> bool:
        return True

    @property
    def label(self) -> str:
        return f"parts, {self.votes} x each" + (", calculations made" if self.calculate else "")

    def gives(self, n: int) -> int:
        return n

    async def run(self, state: State, run: RunContext) -> Sampled:
        """See `Node`; what is left to solve where nothing is left to spend stays open."""
        before, visit = state.sampled, f"{self.name}-{state.visited(self.name) + 1}"
        plans = {c.index: self._read(c) for c in before.candidates}
        parts = sorted({part for plan in plans.values() if plan is not None for part in plan.ready().values()})
        asked = parts[: self.stage.n // self.votes]
        notes: tuple[Degradation, ...] = ()
        stopped = "complete"
        found: dict[str, str | None] = {}
        if asked and (reason := run.exhausted()) is not None:
            stopped, notes = reason, (explain_cut(reason, visit),)
        elif asked:
            drawn = await self._ask(state.question, asked, run.asking(visit).replace(emit=run.emit))
            found, stopped = self._count(asked, drawn.candidates), drawn.stopped
            notes = tuple(note for note in drawn.degraded if note.code != "candidate_failed")
            found, more = await self._verify(state.question, found, drawn.candidates, run.at_node(visit))
            notes = (*notes, *more)
        candidates = tuple(_settle(c, plans[c.index], found, self) for c in before.candidates)
        return await _count_votes(self, state, run, Sampled(candidates=candidates, stopped=stopped, degraded=notes))

    def _read(self, candidate: Candidate) -> Division | None:
        if candidate.error is not None and candidate.error.code != OPEN:
            return None
        begun = candidate.prompt_version == self.prompt.version
        plan = Division.read(candidate.text, results=begun)
        return plan.computed() if plan is not None and self.calculate else plan

    async def _ask(self, question: Question, parts: Sequence[str], run: RunContext) -> Sampled:
        asked = [self._word(question, part) for part in parts for _ in range(self.votes)]
        stage = replace(self.stage, n=len(asked), min_candidates=1)
        return await sample_candidates(stage, question, run, questions=dict(enumerate(asked)), required=False)

    def _word(self, question: Question, part: str) -> Question:
        """A calculation as it stands, anything else with the problem around it."""
        bare = compute(part) is not None
        text = part if bare else self.prompt.render(question=question.text, part=part)
        return question.with_messages(Message(role="user", content=text))

    async def _verify(
        self,
        question: Question,  # noqa: ARG002 - for nodes that ask a model
        found: dict[str, str | None],
        candidates: Sequence[Candidate],  # noqa: ARG002
        run: RunContext,  # noqa: ARG002
    ) -> tuple[dict[str, str | None], tuple[Degradation, ...]]:
        """The answers that stand, and what could not be verified; the vote says it all here."""
        return found, ()

    def _read_answer(self, candidate: Candidate) -> str | None:
        """What it answers; None for nothing, and for what is no answer to a part."""
        said = (self.reader.extract(candidate.text) or "").strip() if candidate.ok else ""
        return said if said and len(said) <= LONGEST and "\n" not in said else None

    def _count(self, parts: Sequence[str], candidates: Sequence[Candidate]) -> dict[str, str | None]:
        """The answer to each part; None where there is none, or no majority."""
        answers: dict[str, list[str]] = defaultdict(list)
        for candidate in candidates:
            if (said := self._read_answer(candidate)) is not None:
                answers[parts[candidate.index // self.votes]].append(said)
        found: dict[str, str | None] = {}
        for part in parts:
            [(best, votes)] = Counter(answers[part]).most_common(1) or [("", 0)]
            found[part] = best if 2 * votes > self.votes else None
        return found


@dataclass(frozen=True)
class VerifiedPartsNode(PartsNode):
    """Parts whose answers a model has to find right: it scores the reply that an answer stands in from 0 to 10.

    Below `least` the part has no answer, so its division gives its place to an undivided answer. An answer on which
    there is no verdict stands, marked `fallback_used`.
    """

    verifier: Model
    """Who scores."""
    least: float = LEAST

    @property
    def models(self) -> tuple[Model, ...]:
        return (*super().models, self.verifier)

    @property
    def label(self) -> str:
        return f"{super().label}, {self.verifier.name} scores {self.least:g} of 10 at least"

    def calls_for(self, n: int) -> int:
        # A reply without a verdict is asked for once more.
        return super().calls_for(n) + 2 * self.width * self.verifier.calls

    def requests_for(self, n: int) -> int:
        return super().requests_for(n) + 2 * self.width * requests_of(self.verifier)

    @property
    def width(self) -> int:
        """Parts that are asked at once, at most."""
        return self.stage.n // self.votes

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        return replace(super().map_models(change), verifier=change(self.verifier))

    async def _verify(
        self, question: Question, found: dict[str, str | None], candidates: Sequence[Candidate], run: RunContext
    ) -> tuple[dict[str, str | None], tuple[Degradation, ...]]:
        judge = JudgeModel(self.verifier, JUDGE_SAMPLING, asyncio.Semaphore(self.width))
        settled = [(number, part, answer) for number, (part, answer) in enumerate(found.items()) if answer is not None]

        async def look(number: int, part: str, answer: str) -> Verdict[float]:
            mine = (c.text for c in candidates if c.index // self.votes == number and self._read_answer(c) == answer)
            said = next(mine, answer)
            asked, fence = self._word(question, part).text, make_fence([part, said], run)
            words = load("judge-score").render(question=asked, response=visible(said), fence=fence, rubric="")
            return await judge.decide(words, f"verify {number}", run, score_form())

        verdicts = await gather([look(*each) for each in settled])
        notes: list[Degradation] = []
        for (_, part, _), verdict in zip(settled, verdicts, strict=True):
            if verdict.value is None:
                detail = f"{part[:80]!r} stands unverified: {verdict.problem}"
                notes.append(
                    Degradation(code="fallback_used", where=f"{run.node}: {self.verifier.name}", detail=detail)
                )
            elif verdict.value < self.least:
                found = {**found, part: None}
        return found, tuple(notes)


def _settle(candidate: Candidate, plan: Division | None, found: Mapping[str, str | None], node: PartsNode) -> Candidate:
    """The candidate with what is known now of its plan."""
    if plan is None:
        known = candidate.error or Failure(code=UNREADABLE, message="the text holds no plan of parts")
        return candidate.model_copy(update={"error": known})
    ready = plan.ready()
    lost = [number for number, part in ready.items() if part in found and found[part] is None]
    plan = plan.with_results({n: value for n, part in ready.items() if (value := found.get(part)) is not None})
    plan = plan.computed() if node.calculate else plan
    error = None
    if plan.answer is None:
        detail = f"part #{lost[0]} has no answer" if lost else "parts are left to solve"
        error = Failure(code=FAILED if lost else OPEN, message=detail)
    return candidate.model_copy(
        update={"text": str(plan), "answer": None, "error": error, "prompt_version": node.prompt.version}
    )


async def _count_votes(node: StageNode, state: State, run: RunContext, found: Sampled) -> Sampled:
    """The candidates with their votes, where the node has somebody who counts them."""
    counter = None if node.counted_by is None else node.counted_by.counter(state.question, run)
    if counter is None:
        return found
    tally = await counter.tally(found.candidates)
    candidates = tuple(settle_answer(c, counter) for c in found.candidates)
    return found.model_copy(update={"tally": tally, "candidates": candidates})


@dataclass(frozen=True)
class UndividedNode(StageNode):
    """Asks the question as it is, once for each candidate that no plan led to an answer, which takes its place."""

    @property
    def reads(self) -> bool:
        return True

    @property
    def label(self) -> str:
        return "undivided, where no plan led to an answer"

    async def run(self, state: State, run: RunContext) -> Sampled:
        """See `Node`; after a failed planner it draws all candidates."""
        before = {c.index: c for c in state.sampled.candidates}
        failed = [n for n in (sorted(before) or range(self.stage.n)) if n not in before or not before[n].ok]
        drawn = await sample_candidates(
            self.stage,
            state.question,
            run.at_node(self.name),
            questions=dict.fromkeys(failed, state.question),
            required=not state.sampled.good,
        )
        places = before | {c.index: c for c in drawn.candidates}
        candidates = tuple(places[index] for index in sorted(places))
        lost = [(n, error) for n in failed if n in before and (error := before[n].error) is not None]
        notes = [
            Degradation(code="member_failed", where=f"{self.name}: plan #{n}", detail=error.message)
            for n, error in lost
        ]
        found = Sampled(candidates=candidates, stopped=drawn.stopped, degraded=(*notes, *drawn.degraded))
        return await _count_votes(self, state, run, found)


@dataclass(frozen=True)
class PartsLeft:
    """Parts are left to solve, and there are rounds and something to spend left."""

    rounds: int

    def holds(self, state: State) -> str | None:
        sampled, name = state.sampled, state.visits[-1].node
        opened = any(c.error is not None and c.error.code == OPEN for c in sampled.candidates)
        return (
            "parts are left" if opened and sampled.stopped == "complete" and state.visited(name) < self.rounds else None
        )

    def __str__(self) -> str:
        return f"parts are left, up to {self.rounds} times"


@dataclass(frozen=True)
class LedNowhere(PartsLeft):
    """None are, and a plan led to no answer."""

    def holds(self, state: State) -> str | None:
        if super().holds(state) is not None or all(c.ok for c in state.sampled.candidates):
            return None
        return f"{sum(not c.ok for c in state.sampled.candidates)} plans led nowhere"

    def __str__(self) -> str:
        return "a plan led nowhere"
