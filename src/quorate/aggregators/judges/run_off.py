"""A run-off by a judge (Run-Off Election, Rezaei et al., arXiv 2302.02300, with a judge as second round).

Plurality chooses the two answers with most votes; a judge that reads the best-told candidate of each
picks one. Different from the paper: one judge, in both orders, instead of every voter; a tie leaves the
answer with more votes ahead.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.orchestrator.types import Candidate

from ..tallying import best_told
from .comparing import Court
from .judge import Judge, Session

__all__ = ["JudgeRunOff"]


class JudgeRunOff(Judge):
    """The better of the two most frequent answers, by a judge; one answer alone needs none.

    Between answers of equally many votes a hash of the answers decides who is among the two.
    """

    name = "judge-run-off"
    prompt_name = "pairwise"

    def calls(self, n: int) -> int:
        """See `protocols.Calling`."""
        return 2 if n > 1 else 0

    async def judged(self, session: Session, players: Sequence[Candidate]) -> Candidate | None:
        """See `Judge`."""
        voters = [player.model_copy(update={"answer": session.tallier.extract(player)}) for player in players]
        tally = await session.tallier.tally(voters)
        if len(tally) < 2:
            return None
        finalists = [best_told([v for v in voters if v.index in c.voters], c.answer) for c in tally[:2]]
        court = Court.of(session, finalists, tally)
        match = await court.match(0, 1)
        if not court.settled():
            return None
        return finalists[0] if match.points >= 0.5 else finalists[1]
