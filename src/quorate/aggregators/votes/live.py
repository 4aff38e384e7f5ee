"""Rules at work: aggregators that weigh the votes of candidates by any rule.

`RuleVote(rule)` is `MajorityVote` with other weights; with `Plurality()` it is the same. `LabelFreeVote`
learns its weights as it goes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Equivalence, Extractor
from quorate.orchestrator.types import Candidate, Cluster, Degradation, Question

from ..tallying import Vote, clusters, ranked
from ..vote import MajorityVote
from .abilities import Abilities, LabelFree
from .ballot import Ballot, Rule, leaders

__all__ = ["LabelFreeVote", "RuleVote"]


class RuleVote(MajorityVote):
    """The heaviest class by a rule; ties, failures and abstentions are treated as in `MajorityVote`.

    A voter is the agent that gave the candidate. A candidate that failed is no voter; one that states
    no answer is a voter that abstains.

    Args:
        rule: what a class weighs.
        extractor: see `MajorityVote`.
        equivalence: see `MajorityVote`.
    """

    def __init__(
        self, rule: Rule, *, extractor: Extractor | None = None, equivalence: Equivalence | None = None
    ) -> None:
        super().__init__(extractor, equivalence)
        self.rule = rule
        self.name = rule.name

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """See `protocols.VoteCounter`."""
        found, ballot = await self.ballot(candidates)
        weights = self.rule.weights(ballot)
        best = {number: max(weights.values()) for number in leaders(weights)}
        return ranked(
            cluster.model_copy(update={"weight": best.get(number, weights.get(number, 0.0))})
            for number, cluster in enumerate(found)
        )

    async def ballot(self, candidates: Sequence[Candidate]) -> tuple[tuple[Cluster, ...], Ballot]:
        """The classes by falling votes, and the votes as numbers of classes in that order."""
        voters = sorted((c for c in candidates if c.ok), key=lambda c: c.index)
        votes = [Vote(c.index, answer) for c in voters if (answer := self.extract(c)) is not None]
        found = await clusters(votes, self.equivalence)
        number = {voter: i for i, cluster in enumerate(found) for voter in cluster.voters}
        return found, Ballot(tuple(number.get(c.index) for c in voters), tuple(c.agent or c.model for c in voters))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.rule).__name__})"


class LabelFreeVote(RuleVote):
    """Votes weighted by what agreement has taught about each model so far; see `abilities`.

    The first questions are plain votes. An answer depends on what was learned before it, so replays of
    a run need the same file, or `learn=False`, under which nothing changes.

    Args:
        file: where abilities are kept; read now if it exists, and written after every question.
        learn: go on learning from every question.
        extractor: see `MajorityVote`.
        equivalence: see `MajorityVote`.

    Raises:
        DataError: the file holds something else.
        BadInput: there is nothing to read and nothing is to be learned.
    """

    def __init__(
        self,
        file: Path | str | None = None,
        *,
        learn: bool = True,
        extractor: Extractor | None = None,
        equivalence: Equivalence | None = None,
    ) -> None:
        self.file = None if file is None else Path(file)
        known = self.file is not None and self.file.exists()
        if not learn and not known:
            raise BadInput(f"label-free: learn=False needs a file of abilities, and {file or 'none'} is there to read")
        self.learner = LabelFree(Abilities.load(self.file) if known and self.file else Abilities())
        self.learn = learn
        super().__init__(self.learner, extractor=extractor, equivalence=equivalence)

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; one `Done`, after which the question has been learned from.

        Raises:
            NoAnswer: no candidate is ok.
        """
        async with aclosing(super().aggregate(question, candidates, run)) as events:
            async for event in events:
                if isinstance(event, Done) and self.learn:
                    notes = (*event.answer.degraded, *await self._learned(candidates, run))
                    yield Done(answer=event.answer.replace(degraded=notes))
                else:
                    yield event

    async def _learned(self, candidates: Sequence[Candidate], run: RunContext) -> list[Degradation]:
        """Takes the question in; an answer is not lost because a file cannot be written.

        The file is read anew, since others may have learned into it meanwhile.
        """
        _, ballot = await self.ballot(candidates)
        if not ballot.cast:
            return []
        try:
            if self.file is not None and self.file.exists():
                self.learner.abilities = Abilities.load(self.file)
            self.learner.update(ballot)
            if self.file is not None:
                self.learner.abilities.save(self.file)
        except BadInput as error:
            return [Degradation(code="abilities_not_saved", where=f"{run.node}: {self.name}", detail=str(error))]
        return []
