"""Programs that agree on what they pass: CodeT's dual execution agreement (Chen et al., arXiv 2207.10397).

Programs that pass the same tests form a consensus set; its score is the square root of the number of
different programs in it, times the number of tests they pass (section 2.2). The best set wins.
Different from the paper: the winning set's text is chosen by content, where the paper draws one; where
no program passes any test the fallback decides.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import aclosing
from typing import NamedTuple

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Question

from ..backing import Backed, closed, shortfall
from ..tallying import best_told
from ..vote import MajorityVote
from .code import CodeExtractor, SameText
from .harness import Executor, passed
from .sandbox import Sandbox
from .writing import TestSource, TestWriter, given

__all__ = ["ConsensusSet", "ExecutionAgreement", "consensus_sets"]


class ConsensusSet(NamedTuple):
    """Programs that pass the same tests."""

    members: tuple[int, ...]
    """Positions of the samples, repetitions included."""
    score: float


def consensus_sets(passes: Sequence[Hashable], tests: Sequence[int], codes: Sequence[Hashable]) -> list[ConsensusSet]:
    """Consensus sets by falling score.

    Args:
        passes: of each sample, which tests it passes; equal values mean the same tests.
        tests: of each sample, how many tests it passes.
        codes: of each sample, its program, so that repetitions count once.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for position, key in enumerate(passes):
        members[key].append(position)
    sets = [
        ConsensusSet(tuple(group), math.sqrt(len({codes[i] for i in group})) * tests[group[0]])
        for group in members.values()
    ]
    return sorted(sets, key=lambda s: (-s.score, s.members))


class ExecutionAgreement(Backed):
    """The program of the consensus set with the highest score; of equal sets the seed draws one.

    Candidates without code abstain. Where there are no tests, or no program passes any, the fallback
    answers, marked `aggregator_failed`; where the budget ends first, `budget_exhausted`.
    Programs run where they can do no harm, or not at all.

    Args:
        tests: what to run: statements such as `assert f(2) == 4`, or a `TestWriter` that has a model
            write them.
        executor: runs the programs; `Sandbox()` by default.
        fallback: `MajorityVote` over identical code by default.
        seconds: for one test of one program.
        concurrency: programs at a time.

    Raises:
        BadInput: a setting is impossible.
    """

    name = "execution"

    def __init__(
        self,
        tests: TestSource | Sequence[str],
        *,
        executor: Executor | None = None,
        fallback: Aggregator | None = None,
        seconds: float = 1.0,
        concurrency: int = 2,
    ) -> None:
        if concurrency < 1 or not 0 < seconds < math.inf:
            raise BadInput(f"ExecutionAgreement(seconds={seconds}, concurrency={concurrency}): both must be above 0")
        self.tests = given(tests)
        self.executor = executor or Sandbox()
        self.fallback = fallback or MajorityVote(CodeExtractor(), SameText())
        self.seconds = seconds
        self.concurrency = concurrency
        self._code = CodeExtractor()

    @property
    def models(self) -> tuple[Model, ...]:
        """See `protocols.Calling`."""
        return (self.tests.model,) if isinstance(self.tests, TestWriter) else ()

    def calls(self, n: int) -> int:
        """See `protocols.Calling`."""
        return self.tests.samples if isinstance(self.tests, TestWriter) and n > 1 else 0

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; one `Done`.

        Raises:
            BadInput: programs cannot be isolated here.
            NoAnswer: no candidate is ok.
        """
        self.check(candidates)
        programs = [(c, code) for c in candidates if c.ok and (code := self._code.extract(c.text)) is not None]
        notes: tuple[Degradation, ...] = ()
        if len(programs) > 1:
            sets, notes = await self._judged(question, programs, run)
            if sets:
                yield Done(answer=self._answer(programs, sets, candidates, notes, run))
                return
        async with aclosing(self.instead(question, candidates, run, notes)) as events:
            async for event in events:
                yield event

    async def _judged(
        self, question: Question, programs: Sequence[tuple[Candidate, str]], run: RunContext
    ) -> tuple[list[ConsensusSet], tuple[Degradation, ...]]:
        """Consensus sets of which the first passes something, or none, and why."""
        tests: tuple[str, ...] = ()
        notes: tuple[Degradation, ...] = ()
        problem = "there are no tests"
        try:
            async with asyncio.timeout(run.seconds_left):
                if run.exhausted() is None:
                    tests, notes = await self.tests.tests(question, run)
                sets = await self._sets(programs, tests) if tests else []
            if sets and sets[0].score > 0:
                return sets, notes
            problem = f"none of {len(programs)} programs passes any of {len(tests)} tests" if tests else problem
        except TimeoutError:
            problem = "no time left"
        return [], (*notes, shortfall(run, f"{run.node}: {self.name}", problem))

    async def _sets(self, programs: Sequence[tuple[Candidate, str]], tests: Sequence[str]) -> list[ConsensusSet]:
        """Every different program is run once."""
        limit = asyncio.Semaphore(self.concurrency)
        results: dict[str, frozenset[int]] = {}

        async def execute(code: str) -> None:
            async with limit:
                results[code] = await passed(code, tests, self.executor, seconds=self.seconds)

        codes = [code for _, code in programs]
        try:
            async with asyncio.TaskGroup() as group:
                for code in sorted(set(codes)):
                    group.create_task(execute(code))
        except* BadInput as errors:
            raise errors.exceptions[0] from None
        passes = [results[code] for code in codes]
        return consensus_sets(passes, [len(p) for p in passes], codes)

    def _answer(
        self,
        programs: Sequence[tuple[Candidate, str]],
        sets: Sequence[ConsensusSet],
        candidates: Sequence[Candidate],
        notes: tuple[Degradation, ...],
        run: RunContext,
    ) -> Answer:
        told = [(best_told([programs[i][0] for i in s.members]), s) for s in sets]
        code_of = {candidate.index: code for candidate, code in programs}
        tied = sorted(
            (pair for pair in told if math.isclose(pair[1].score, sets[0].score)),
            key=lambda pair: hashlib.sha256(code_of[pair[0].index].encode("utf-8", "replace")).digest(),
        )
        winner, chosen = run.rng("tie").choice(tied) if len(tied) > 1 else tied[0]
        ordered = [(winner, chosen), *(pair for pair in told if pair[1] is not chosen)]
        return Answer(
            text=winner.text,
            model=winner.model,
            answer=code_of[winner.index],
            reasoning=winner.reasoning,
            finish_reason=winner.finish_reason or "stop",
            candidates=tuple(candidates),
            tally=tuple(
                Cluster(
                    answer=code_of[best.index],
                    votes=len(one.members),
                    weight=one.score,
                    voters=tuple(sorted(programs[i][0].index for i in one.members)),
                )
                for best, one in ordered
            ),
            degraded=notes,
            usage=run.ledger.usage,
            stages=run.ledger.nodes,
        )

    async def aclose(self) -> None:
        """Closes what writes the tests, and the fallback."""
        await closed((self.tests, self.fallback))

    def __repr__(self) -> str:
        return f"ExecutionAgreement({self.tests!r})"
