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
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from copy import copy
from typing import NamedTuple, Self

from pydantic import Field

from quorate.orchestrator.context import RunContext, explain_cut
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Question, Sampled

from ..equivalence import SameText
from ..markup import visible
from ..specs import BuildContext, Options, PipelineSpec
from ..votes.majority import MajorityVote, close_all, representative
from .program_tests import Executor, TestSource, TestWriter, run_tests, test_source
from .sandbox import Limits, Sandbox

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*$", re.MULTILINE)


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


class ExecutionAgreement(Aggregator):
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
        self.tests = test_source(tests)
        self.executor = executor or Sandbox()
        self._fallback = fallback or MajorityVote(CodeExtractor(), SameText())
        self.seconds = seconds
        self.concurrency = concurrency
        self._code = CodeExtractor()

    @property
    def models(self) -> tuple[Model, ...]:
        return (self.tests.model,) if isinstance(self.tests, TestWriter) else ()

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        other = copy(self)
        other._fallback = self._fallback.map_models(change)
        if isinstance(self.tests, TestWriter):
            other.tests = self.tests.map_models(change)
        return other

    def calls(self, n: int) -> int:
        return self.tests.samples if isinstance(self.tests, TestWriter) and n > 1 else 0

    @property
    def fallback(self) -> Aggregator:
        """Counts the votes while candidates come, and answers where no program passes any test."""
        return self._fallback

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            BadInput: programs cannot be isolated here.
        """
        programs = [(c, code) for c in sampled.good if (code := self._code.extract(c.text)) is not None]
        notes: tuple[Degradation, ...] = ()
        if len(programs) > 1:
            sets, notes = await self._judge(question, programs, run)
            if sets:
                return self._answer(programs, sets, run).replace(degraded=notes)
        answer = await self.fallback.aggregate(question, sampled, run)
        return answer.replace(degraded=(*notes, *answer.degraded))

    async def _judge(
        self, question: Question, programs: Sequence[tuple[Candidate, str]], run: RunContext
    ) -> tuple[list[ConsensusSet], tuple[Degradation, ...]]:
        """Consensus sets of which the first passes something, or none, and why."""
        tests: tuple[str, ...] = ()
        notes: tuple[Degradation, ...] = ()
        problem = "there are no tests"
        try:
            async with run.time_limit():
                if run.exhausted() is None:
                    tests, notes = await self.tests.tests(question, run)
                sets = await self._sets(programs, tests) if tests else []
            if sets and sets[0].score > 0:
                return sets, notes
            problem = f"none of {len(programs)} programs passes any of {len(tests)} tests" if tests else problem
        except TimeoutError:
            problem = "no time left"
        where, cut = f"{run.node}: {self.name}", run.exhausted()
        failed = Degradation(code="aggregator_failed", where=where, detail=problem)
        return [], (*notes, failed if cut is None else explain_cut(cut, where))

    async def _sets(self, programs: Sequence[tuple[Candidate, str]], tests: Sequence[str]) -> list[ConsensusSet]:
        """Every different program is run once."""
        limit = asyncio.Semaphore(self.concurrency)
        results: dict[str, frozenset[int]] = {}

        async def execute(code: str) -> None:
            async with limit:
                results[code] = await run_tests(code, tests, self.executor, seconds=self.seconds)

        codes = [code for _, code in programs]
        await gather([execute(code) for code in sorted(set(codes))])
        passes = [results[code] for code in codes]
        return consensus_sets(passes, [len(p) for p in passes], codes)

    def _answer(
        self, programs: Sequence[tuple[Candidate, str]], sets: Sequence[ConsensusSet], run: RunContext
    ) -> Answer:
        code_of = {candidate.index: code for candidate, code in programs}
        best = [(representative([programs[i][0] for i in s.members]), s) for s in sets]
        tied = sorted(
            (pair for pair in best if math.isclose(pair[1].score, sets[0].score)),
            key=lambda pair: hashlib.sha256(code_of[pair[0].index].encode("utf-8", "replace")).digest(),
        )
        winner, chosen = run.rng("tie").choice(tied) if len(tied) > 1 else tied[0]
        ordered = [(winner, chosen), *(pair for pair in best if pair[1] is not chosen)]
        tally = tuple(
            Cluster(
                answer=code_of[candidate.index],
                votes=len(one.members),
                weight=one.score,
                voters=tuple(sorted(programs[i][0].index for i in one.members)),
            )
            for candidate, one in ordered
        )
        return Answer.of(winner, answer=code_of[winner.index], tally=tally)

    async def aclose(self) -> None:
        """Closes what writes the tests, and the fallback."""
        await close_all(self.tests, self.fallback)

    def __repr__(self) -> str:
        return f"ExecutionAgreement({self.tests!r})"


def code_blocks(text: str) -> list[str]:
    """What stands between fences, in order; a fence that is never closed holds the rest of the text."""
    blocks, start, python = [], None, True
    for fence in _FENCE.finditer(text):
        if start is None:
            start, python = fence.end(), fence[1].lower() in ("", "py", "python", "python3")
        else:
            blocks += [text[start : fence.start()]] if python else []
            start = None
    if start is not None and python:
        blocks.append(text[start:])
    return [block.strip("\n") for block in blocks if block.strip()]


class CodeExtractor:
    """The longest Python block after the thinking; the whole text where there is no fence."""

    def extract(self, text: str) -> str | None:
        shown = visible(text)
        blocks = code_blocks(shown) or [shown]
        code = "\n".join(line.rstrip() for line in max(blocks, key=len).splitlines()).strip("\n")
        return code if code.strip() else None


class ExecutionOptions(Options):
    """What runs, and how much of it."""

    run_code: bool = False
    """Programs that models wrote run only where the operator says so, sandboxed as they are."""
    tests: tuple[str, ...] = ()
    """Statements such as `assert f(2) == 4`; a model writes them if none are given."""
    samples: int = Field(default=4, ge=1)
    """How often a model is asked for tests."""
    seconds: float = Field(default=1.0, gt=0)
    """For one test of one program."""
    memory: int = Field(default=512 * 2**20, ge=2**25)
    """Bytes of a program."""


def _build_execution(context: BuildContext) -> ExecutionAgreement:
    options = context.options
    if not options.run_code:
        raise BadInput(
            "execution runs programs that models wrote, in a sandbox: allow it in quorate.yaml as "
            "{pipeline: execution, models: [...], options: {run_code: true}}"
        )
    tests = options.tests or TestWriter(context.writer, samples=options.samples)
    executor = Sandbox(Limits(memory=options.memory))
    return ExecutionAgreement(tests, executor=executor, seconds=options.seconds)


PIPELINES = (
    PipelineSpec(
        "execution",
        "the program of N whose behaviour on tests most programs share, run in a sandbox",
        "arXiv 2207.10397, section 2",
        16,
        _build_execution,
        options=ExecutionOptions,
        listed=False,
    ),
)
