"""Rules at work: aggregators that weigh the votes of candidates by any rule.

`RuleVote(rule)` is `MajorityVote` with other weights; with `Plurality()` it is the same. `LabelFreeVote`
learns its weights as it goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.reading import Equivalence, Extractor
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Question, Sampled

from ..meaning.options import MeaningOptions, build_grouping
from ..ranking import by_weight
from ..specs import BuildContext, PipelineSpec
from .abilities import Abilities, LabelFree
from .ballot import Ballot, Rule, leaders
from .majority import MajorityVote, count_votes
from .rules import ByModel, LogOdds, RunOff


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

    def weigh(self, candidates: Sequence[Candidate], tally: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
        """See `MajorityVote`; those that tie for the lead by rounding alone weigh the same."""
        weights = self.rule.weights(make_ballot(candidates, tally))
        best = {number: max(weights.values()) for number in leaders(weights)}
        return by_weight(
            cluster.model_copy(update={"weight": best.get(number, weights.get(number, 0.0))})
            for number, cluster in enumerate(tally)
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.rule).__name__})"


def make_ballot(candidates: Sequence[Candidate], tally: Sequence[Cluster]) -> Ballot:
    """The votes as numbers of classes, in the order of the tally.

    Args:
        candidates: those that are ok.
        tally: the classes of their answers.
    """
    voters = sorted(candidates, key=lambda c: c.index)
    number = {voter: i for i, cluster in enumerate(tally) for voter in cluster.voters}
    return Ballot(tuple(number.get(c.index) for c in voters), tuple(c.agent or c.model for c in voters))


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

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`; the question has then been learned from.

        Raises:
            NoAnswer: no candidate is ok.
        """
        sampled = await count_votes(self.counter(question, run), sampled)
        answer = await super().aggregate(question, sampled, run)
        if not self.learn:
            return answer
        notes = self._learn_from(make_ballot(sampled.good, sampled.tally or ()), run)
        return answer.replace(degraded=(*answer.degraded, *notes))

    def _learn_from(self, ballot: Ballot, run: RunContext) -> list[Degradation]:
        """Takes the question in; an answer is not lost because a file cannot be written.

        The file is read anew, since others may have learned into it meanwhile.
        """
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


class PriorOptions(MeaningOptions):
    """What each model's vote weighs."""

    weights: Mapping[str, float] = Field(default={})
    """By the agent's name in the configuration, or the model's."""
    default: float = Field(default=1.0, ge=0)
    """Of models that are not named."""


class LogOddsOptions(MeaningOptions):
    """How often each model is right."""

    accuracies: Mapping[str, float] = Field(default={})
    """By the agent's name in the configuration, or the model's; measured, such as by `quorate eval run`."""
    default: float = Field(default=0.6, ge=0, le=1)
    """Of models that are not named."""


class LabelFreeOptions(MeaningOptions):
    """What is known, and whether more is learned."""

    file: str | None = None
    """Where abilities are kept between runs; in memory only if not given."""
    learn: bool = True
    """Go on learning from every question."""


def _build_by_model(context: BuildContext) -> RuleVote:
    vote = RuleVote(ByModel(context.options.weights, default=context.options.default))
    return vote.with_grouping(build_grouping(context))


def _build_log_odds(context: BuildContext) -> RuleVote:
    vote = RuleVote(LogOdds(context.options.accuracies, default=context.options.default))
    return vote.with_grouping(build_grouping(context))


def _build_label_free(context: BuildContext) -> LabelFreeVote:
    vote = LabelFreeVote(context.options.file, learn=context.options.learn)
    return vote.with_grouping(build_grouping(context))


PIPELINES = (
    PipelineSpec(
        "by-model",
        "a vote in which models weigh what you say",
        "a prior on models",
        16,
        _build_by_model,
        options=PriorOptions,
    ),
    PipelineSpec(
        "log-odds",
        "the best decision for independent models of known accuracy",
        "Nitzan and Paroush 1982; one-coin Dawid-Skene",
        16,
        _build_log_odds,
        options=LogOddsOptions,
    ),
    PipelineSpec(
        "run-off",
        "a second round between the two most frequent answers, a vote for each model",
        "arXiv 2302.02300, section 3",
        16,
        lambda context: RuleVote(RunOff()).with_grouping(build_grouping(context)),
        options=MeaningOptions,
    ),
    PipelineSpec(
        "label-free",
        "several models' votes, weighted by what their agreement teaches (one model: the majority)",
        "our own: quorate.aggregators.votes.abilities",
        8,
        _build_label_free,
        options=LabelFreeOptions,
        fewest=2,
    ),
)
