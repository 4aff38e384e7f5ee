"""Helpers of the endpoint's tests: draw samples and keep what happened."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from quorate.orchestrator.context import RunContext

from quorate.agents.agent import Agent
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, CandidateToken, Event
from quorate.orchestrator.types import Candidate, Question, Usage


@dataclass
class Drawn:
    """What came of some samples."""

    run: RunContext
    events: list[Event] = field(default_factory=list)

    @property
    def candidates(self) -> list[Candidate]:
        ends = [e.candidate for e in self.events if isinstance(e, CandidateFinished | CandidateFailed)]
        return sorted(ends, key=lambda candidate: candidate.index)

    @property
    def one(self) -> Candidate:
        [candidate] = self.candidates
        return candidate

    @property
    def texts(self) -> list[str]:
        return [candidate.text for candidate in self.candidates]

    @property
    def spent(self) -> Usage:
        """What the ledger holds."""
        return self.run.ledger.usage

    def tokens(self, index: int, *, reasoning: bool = False) -> list[str]:
        """Pieces of one candidate in the order in which they came."""
        tokens = [e for e in self.events if isinstance(e, CandidateToken)]
        return [t.text for t in tokens if t.index == index and t.reasoning == reasoning]

    def check_accounts(self) -> None:
        """Candidates, those cut off included, sum to what the ledger holds."""
        total = Usage.total(candidate.usage for candidate in (*self.candidates, *self.run.cut))
        assert total.model_copy(update={"estimated": False, "cost": None}) == self.spent.model_copy(
            update={"estimated": False, "cost": None}
        )


async def drawn(
    agent: Agent,
    n: int = 1,
    *,
    live: bool = False,
    seed: int | None = None,
    question: Question | str = "How many?",
    indices: Sequence[int] | None = None,
) -> Drawn:
    """Samples of an agent, as a pipeline draws them."""
    result = Drawn(RunContext(seed=seed, live=live))
    stream = agent.sample(Question.of(question), indices or range(n), result.run)
    async with aclosing(stream) as events:
        async for event in events:
            result.events.append(event)
    result.check_accounts()
    return result
