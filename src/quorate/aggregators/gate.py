"""An agreement gate: the cheap aggregator where it is sure, the expensive one where it is not.

Ours; the halves are known: Adaptive-Consistency's criterion (arXiv 2305.11860, section 3) says when a
vote is settled, and learned aggregators gain just where the plurality is small (arXiv 2509.06870,
section 4). With the same rule as `stop` of the sampling stage, easy questions cost a few samples and
no further call.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Aggregator, Calling, Model, StoppingRule, VoteCounter
from quorate.orchestrator.types import Candidate, Cluster, Question

from .backing import Backed, closed, shortfall
from .extraction import AnswerExtractor
from .stopping import AdaptiveConsistency
from .synthesis.writing import Writing
from .vote import MajorityVote

__all__ = ["Agreement", "Gate"]


class Agreement:
    """Sure once the leading answer has this share of all candidates that did not fail.

    Args:
        share: above 0, at most 1; candidates that abstain count against it.
        least: votes without which nothing is sure.
    """

    def __init__(self, share: float = 0.75, *, least: int = 3) -> None:
        if not 0 < share <= 1:
            raise BadInput(f"Agreement({share}): the share must lie above 0 and at most at 1, such as 0.75")
        if least < 1:
            raise BadInput(f"Agreement(least={least}): give at least 1 vote")
        self.share = share
        self.least = least

    def stop(self, candidates: Sequence[Candidate], tally: Sequence[Cluster]) -> str | None:
        """See `protocols.StoppingRule`."""
        votes, of = (tally[0].votes if tally else 0), sum(c.ok for c in candidates)
        if votes < self.least or votes < self.share * of:
            return None
        return f"agreement: {votes} of {of} candidates, at least {self.share:g}"

    def __str__(self) -> str:
        return f"{self.share:g} of at least {self.least} agree"

    def __repr__(self) -> str:
        return f"Agreement({self.share:g}, least={self.least})"


class Gate(Backed):
    """Calls the expensive aggregator only where the cheap one's tally leaves the rule unsure.

    `Answer.route` says which way it went, and why. Where the expensive one fails, gives nothing or has
    no budget left, the cheap one answers, marked `aggregator_failed` or `budget_exhausted`.

    Args:
        expensive: a judge or synthesizer.
        cheap: counts the votes, and answers where they agree; `MajorityVote()` by default.
        rule: when they agree; `AdaptiveConsistency(0.95)` by default.

    Raises:
        BadInput: `cheap` has no tally.
    """

    name = "gate"

    def __init__(
        self, expensive: Aggregator, *, cheap: Aggregator | None = None, rule: StoppingRule | None = None
    ) -> None:
        chosen = cheap or MajorityVote()
        if not isinstance(chosen, VoteCounter):
            raise BadInput(f"Gate(cheap={chosen.name}): it must count votes (`tally`), such as MajorityVote()")
        self.expensive = expensive
        self.cheap = self.fallback = chosen
        self.rule = rule or AdaptiveConsistency()

    @property
    def models(self) -> tuple[Model, ...]:
        """See `protocols.Calling`."""
        return tuple(m for each in (self.expensive, self.cheap) if isinstance(each, Calling) for m in each.models)

    def calls(self, n: int) -> int:
        """See `protocols.Calling`: both, since the cheap one answers where the expensive one fails."""
        return sum(each.calls(n) for each in (self.expensive, self.cheap) if isinstance(each, Calling))

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        self.check(candidates)
        tally = await self.tailored(question).tally(candidates)
        sure = self.rule.stop(candidates, tally) if tally else None
        route = f"{self.cheap.name}: {sure}" if sure else f"{self.expensive.name}: {_standing(tally)}, not settled"
        way = self.cheap.aggregate(question, candidates, run) if sure else self._dear(question, candidates, run)
        async with aclosing(way) as events:
            async for event in events:
                yield Done(answer=event.answer.replace(route=route)) if isinstance(event, Done) else event

    async def _dear(self, question: Question, candidates: Sequence[Candidate], run: RunContext) -> AsyncGenerator[Event, None]:
        writing, where = Writing(live=run.live), f"{run.node}: {self.expensive.name}"
        if run.exhausted() is None:
            async with aclosing(writing.events(self.expensive.aggregate(question, candidates, run))) as events:
                async for event in events:
                    yield event
            if writing.answer is not None:
                yield Done(answer=writing.answer)
                return
        rest = self.instead(question, candidates, run, (shortfall(run, where, writing.problem),))
        async with aclosing(writing.over(rest, AnswerExtractor())) as events:
            async for event in events:
                yield event

    async def aclose(self) -> None:
        """Closes both aggregators."""
        await closed((self.expensive, self.cheap))

    def __repr__(self) -> str:
        return f"Gate({self.expensive!r}, cheap={self.cheap!r}, rule={self.rule!r})"


def _standing(tally: Sequence[Cluster]) -> str:
    votes = " to ".join(str(cluster.votes) for cluster in tally[:2])
    return f"{votes} votes" if votes else "no votes"
