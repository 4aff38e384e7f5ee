"""What a stop would have saved, told without stopping.

sample(qwen, n=16, stop=ShadowRule(AdaptiveConsistency()))   draws all sixteen, and says after how many it would do

The rule is asked about the candidates in the order of their indices, a wave at a time, once all are there. Live, it
is asked after each of them in the same order, so the number can differ by the rest of a wave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .context import RunContext
from .progress import SamplingProgress
from .protocols import Aggregator, StoppingRule, VoteCounter
from .sampling import sample_candidates
from .stage import DEFAULT_WAVE, SamplingStage
from .state import Visit
from .types import Answer, Candidate, Cluster, Question, Sampled, Saving
from .usage import Usage


@dataclass(frozen=True)
class ShadowRule:
    """A stopping rule that is watched, and never stops anything."""

    rule: StoppingRule

    def stop(self, progress: SamplingProgress) -> str | None:  # noqa: ARG002 - whatever has come
        return None

    def __str__(self) -> str:
        return f"shadow of {self.rule}"


async def sample_watching(
    stage: SamplingStage, question: Question, run: RunContext, counter: VoteCounter | None
) -> Sampled:
    """The candidates of a stage, and what its rule would have saved where that is only watched.

    Args:
        stage, question, run, counter: see `sample_candidates`.

    Raises:
        NoAnswer: see `sample_candidates`.
    """
    if not isinstance(stage.stop, ShadowRule):
        return await sample_candidates(stage, question, run, counter)
    sampled = await sample_candidates(replace(stage, stop=None), question, run, counter)
    saving = await _watch(stage.stop.rule, stage, sampled, run.node, counter)
    return sampled if saving is None else sampled.model_copy(update={"savings": (saving,)})


async def _watch(
    rule: StoppingRule, stage: SamplingStage, sampled: Sampled, node: str, counter: VoteCounter | None
) -> Saving | None:
    candidates, wave = sampled.candidates, stage.wave or DEFAULT_WAVE
    places = [*range(wave, len(candidates), wave), len(candidates)]
    for taken in places:
        some = candidates[:taken]
        tally = () if counter is None else await counter.tally(some)
        if (reason := rule.stop(SamplingProgress(stage.n, list(some), tally))) is not None:
            later = Usage.total(candidate.usage for candidate in candidates[taken:])
            return Saving(
                where=node,
                reason=reason,
                after=taken,
                of=len(candidates),
                tokens=later.total_tokens,
                cost=later.cost,
                answer=tally[0].answer if tally else None,
                same=_same_leader(tally, sampled.tally or ()),
            )
    return None


def _same_leader(early: Sequence[Cluster], late: Sequence[Cluster]) -> bool | None:
    """Whether those who voted for the first answer early are among the voters of the first one in the end."""
    if not early or not late:
        return None
    return set(early[0].voters) <= set(late[0].voters)


def gate_saving(saving: Saving, spent: Usage, *, same: bool | None) -> Saving:
    """What a gate would have saved: the samples left out, and all that came after them.

    Args:
        saving: of its rule.
        spent: in the nodes behind the gate.
        same: whether its answer is the one that was given.
    """
    costs = [cost for cost in (saving.cost, spent.cost) if cost is not None]
    changes = {"tokens": saving.tokens + spent.total_tokens, "cost": sum(costs) if costs else None, "same": same}
    return saving.model_copy(update=changes)


def accepted_saving(visit: Visit, reason: str, later: Sequence[Visit], *, same: bool | None) -> Saving:
    """What accepting an answer would have saved: the models asked after it.

    Args:
        visit: whose answer would have been accepted.
        reason: why.
        later: the visits after it.
        same: whether that answer is the one that was given.
    """
    usage = Usage.total(entry.usage for each in later for entry in each.usage)
    return Saving(
        where=visit.node,
        reason=reason,
        after=1,
        of=1 + len(later),
        tokens=usage.total_tokens,
        cost=usage.cost,
        answer=visit.result.answer if isinstance(visit.result, Answer) else None,
        same=same,
    )


async def compare_answers(
    vote: Aggregator | None, question: Question, run: RunContext, early: Candidate | Answer, late: Answer
) -> bool | None:
    """Whether two answers count as one in a vote.

    Args:
        vote: whose equivalence it is; one that asks models is not asked, since watching shall cost nothing.
        question: that both answer.
        run: of it.
        early: what was watched.
        late: what was given.

    Returns:
        None where it cannot be told: there is no vote, one of them holds no answer.
    """
    if early.text == late.text and early.tool_calls == late.tool_calls:
        return True
    counter = None if vote is None or vote.models else vote.counter(question, run)
    if counter is None:
        return True if early.answer is not None and early.answer == late.answer else None
    tally = await counter.tally(
        [
            Candidate(index=index, model=each.model, text=each.text, tool_calls=each.tool_calls, finish_reason="stop")
            for index, each in enumerate((early, late))
        ]
    )
    voters = [set(cluster.voters) for cluster in tally]
    return {0, 1} in voters if {0, 1} == set().union(*voters) else None
