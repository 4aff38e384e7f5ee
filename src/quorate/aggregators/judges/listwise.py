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
from .model import parse_choice

__all__ = ["GenSelect", "UniversalSelfConsistency"]

QUOTED = 80
"""Characters of an unreadable reply that its note quotes."""


class _ListwiseJudge(Judge):
    """Asks once, about all."""

    def calls(self, n: int) -> int:
        """See `protocols.Aggregator`."""
        return int(n > 1)

    async def pick(self, judging: JudgeRun, players: Sequence[Candidate]) -> Candidate:
        """See `Judge`."""
        reply = await judging.ask(players, "choice")
        if reply.problem:
            raise judging.failure(reply.problem)
        position = parse_choice(reply.text, len(players))
        if position is None:
            quoted = reply.text[-QUOTED:]
            raise judging.failure(f"its reply names none of the {len(players)} candidates: {quoted!r}")
        return players[position]


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
