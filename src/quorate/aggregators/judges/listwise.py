"""Judges that read all candidates at once and name one of them.

Universal Self-Consistency (Chen et al., arXiv 2311.17311, section 3) asks for the response that is most
consistent with the others, so that a vote is possible where answers cannot be compared by rule.
GenSelect (Toshniwal et al., arXiv 2507.17797) asks for a comparison of the solutions in writing, and
then for the best. Prompts in words of ours; different from the papers: the order is drawn by the seed,
the candidates' thinking is left out, and an unreadable choice falls back to the vote.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.orchestrator.types import Candidate

from ..specs import PipelineSpec
from .judge import Judge, JudgeOptions, JudgeRun, build_judge
from .verdicts import choice_of

__all__ = ["GenSelect", "UniversalSelfConsistency"]


class _ListwiseJudge(Judge):
    """Asks about all, and once more where the reply names none of them."""

    def calls(self, n: int) -> int:
        """See `protocols.Aggregator`."""
        return 2 if n > 1 else 0

    async def pick(self, judging: JudgeRun, players: Sequence[Candidate]) -> Candidate:
        """See `Judge`."""
        verdict = await judging.decide(players, choice_of(len(players)), "choice")
        if verdict.value is None:
            raise judging.failure(verdict.problem)
        return players[verdict.value]


class UniversalSelfConsistency(_ListwiseJudge):
    """The candidate that a model finds most consistent with the others (arXiv 2311.17311)."""

    name = "usc"
    prompt_name = "usc"


class GenSelect(_ListwiseJudge):
    """The candidate that a model finds best after comparing them in writing (arXiv 2507.17797)."""

    name = "genselect"
    prompt_name = "genselect"


PIPELINES = (
    PipelineSpec(
        "usc",
        "a model names the most consistent of N samples",
        "arXiv 2311.17311, section 3",
        8,
        lambda context: build_judge(UniversalSelfConsistency, context),
        options=JudgeOptions,
    ),
    PipelineSpec(
        "genselect",
        "a model compares N samples and names the best",
        "arXiv 2507.17797",
        8,
        lambda context: build_judge(GenSelect, context),
        options=JudgeOptions,
    ),
)
