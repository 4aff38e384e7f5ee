"""A judge that is asked many things of an evaluation: verdicts with what they cost and what was missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from quorate.aggregators.judges.model import JUDGE_SAMPLING, JudgeModel
from quorate.aggregators.judges.verdicts import VerdictForm, preference
from quorate.aggregators.panels.analysis import make_fence
from quorate.aggregators.synthesis.material import visible_answer
from quorate.aggregators.synthesis.prompt import MAX_CONTEXT_TOKENS
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Candidate, SamplingParams
from quorate.prompts import Prompt

from ..statistics import Estimate, families
from ..statistics.base import LEVEL

V = TypeVar("V")
RESAMPLES = 1000


@dataclass
class Asker:
    """One judge, and the account of its verdicts.

    Raises:
        BadInput: concurrency is below 1.
    """

    judge: Model
    seed: int = 0
    sampling: SamplingParams | None = None
    """`JUDGE_SAMPLING` if not given."""
    concurrency: int = 8
    verdicts: int = 0
    """Those that were asked for."""
    missing: int = 0
    cut: int = 0
    """Verdicts of texts that were shortened to fit into the judge's context."""
    problem: str = ""
    """Of the first that is missing."""
    run: RunContext = field(init=False)
    _model: JudgeModel = field(init=False)

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise BadInput(f"concurrency={self.concurrency}: give at least 1")
        self.run = RunContext(seed=self.seed, node="judge", live=False)
        limit = asyncio.Semaphore(self.concurrency)
        self._model = JudgeModel(self.judge, self.sampling or JUDGE_SAMPLING, limit)

    async def decide(
        self,
        prompt: Prompt,
        question: str,
        shown: Sequence[Candidate],
        form: VerdictForm[V],
        purpose: str,
        **variables: Any,
    ) -> V | None:
        """The judge's verdict on these texts in this order; None where it gave none, asked twice.

        Args:
            prompt: with `question`, and `responses` or `response`, `fence` and the further variables where it has them.
            purpose: tells this call from the others, for its seed.
        """
        known = {"question": question, "fence": make_fence([question, *map(visible_answer, shown)], self.run)}

        def render(texts: Sequence[str]) -> str:
            given = {**known, **variables, "responses": texts, "response": texts[0]}
            return prompt.render(**{name: value for name, value in given.items() if name in prompt.variables})

        verdict = await self._model.decide_about(
            shown, render, form, purpose, self.run, max_context_tokens=MAX_CONTEXT_TOKENS
        )
        self.verdicts += 1
        self.cut += any(note.code == "candidate_cut" for note in verdict.degraded)
        if verdict.value is None:
            self.missing += 1
            self.problem = self.problem or verdict.problem
        return verdict.value

    async def prefer(
        self, prompt: Prompt, question: str, one: Candidate, other: Candidate, purpose: str, **variables: Any
    ) -> float | None:
        """Points of the first of two: 1, 0, or 0.5 for a tie."""
        return await self.decide(prompt, question, (one, other), preference(), purpose, **variables)

    def check(self) -> None:
        """Called in the end.

        Raises:
            NoAnswer: there is not a single verdict.
        """
        if self.missing == self.verdicts:
            raise NoAnswer(f"{self.judge.name}: none of {self.verdicts} verdicts: {self.problem}")

    def notes(self, undecided: str) -> list[str]:
        """What did not go as it should.

        Args:
            undecided: what a missing verdict counts as.
        """
        notes = []
        if self.missing:
            notes.append(
                f"{self.missing} of {self.verdicts} verdicts are missing and count as {undecided}: {self.problem}"
            )
        if self.cut:
            notes.append(f"{self.cut} verdicts are on texts that were shortened to fit into the judge's context")
        return notes

    @property
    def tokens(self) -> float:
        """Generated for a verdict, in the mean."""
        return self.run.ledger.usage.completion_tokens / self.verdicts


def resample(statistic: Callable[[Any], float], clusters: Sequence[str], seed: int) -> Estimate | None:
    """A statistic with its percentile interval over questions or their families; None where it is not defined.

    Args:
        statistic: of how often each question counts, an array; NaN where that does not define it.
        clusters: the family of each question; "" for one of its own.
    """
    import numpy as np

    units = np.asarray(families(clusters, len(clusters)))
    value = statistic(np.ones(len(units)))
    if np.isnan(value):
        return None
    count = int(units.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, [1 / count] * count, RESAMPLES)[:, units]
    values = np.array([statistic(weights) for weights in drawn.astype(float)])
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=float(value), low=min(float(low), float(value)), high=max(float(high), float(value)))
