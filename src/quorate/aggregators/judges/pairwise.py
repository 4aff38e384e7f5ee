"""Two candidates before a judge, in both orders, because judges favour a place.

What the two verdicts agree on counts whole; where they contradict each other it is a tie, half a point
for each. A verdict that cannot be read is asked for once more, and counts as half in its order if there is none then.

`JudgeRunOff` is Run-Off Election (Rezaei et al., arXiv 2302.02300) with a judge as second round: plurality
chooses the two answers with most votes, and a judge that reads a candidate of each picks one. Different from
the paper: one judge, in both orders, instead of every voter; a tie leaves the answer with more votes ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Candidate

from ..specs import PipelineSpec
from ..votes.majority import representative
from .judge import Judge, JudgeOptions, JudgeRun, build_judge
from .verdicts import preference

__all__ = ["JudgeRunOff", "Match", "MatchRunner"]


class Match(NamedTuple):
    """Two players by their numbers, and the points of the first: 1, 0.75, 0.5, 0.25 or 0."""

    first: int
    second: int
    points: float


@dataclass
class MatchRunner:
    """The matches of one question."""

    judging: JudgeRun
    players: Sequence[Candidate]
    class_of: dict[int, int]
    """Class of a player's answer, by number; those that abstain have none."""
    votes: list[int]
    """How many candidates give each player's answer."""
    verdicts: int = 0
    missing: int = 0
    problem: str = ""

    @classmethod
    def of(cls, judging: JudgeRun, players: Sequence[Candidate]) -> MatchRunner:
        """For these players, of whom some may give the same answer."""
        tally = judging.tally
        class_at = {voter: number for number, cluster in enumerate(tally) for voter in cluster.voters}
        class_of = {i: class_at[p.index] for i, p in enumerate(players) if p.index in class_at}
        votes = [tally[class_of[i]].votes if i in class_of else 0 for i in range(len(players))]
        return cls(judging, players, class_of, votes)

    async def play_all(self, pairs: Sequence[tuple[int, int]]) -> list[Match]:
        """All at once, as far as the judge's concurrency goes."""
        return await gather([self.play(*pair) for pair in pairs])

    async def play(self, first: int, second: int) -> Match:
        """Two that give the same answer tie without being shown."""
        if first in self.class_of and self.class_of[first] == self.class_of.get(second):
            return Match(first, second, 0.5)
        there, back = await gather([self._points(first, second), self._points(second, first)])
        return Match(first, second, (there + 1 - back) / 2)

    async def _points(self, first: int, second: int) -> float:
        shown = (self.players[first], self.players[second])
        verdict = await self.judging.decide(shown, preference(), f"match.{first}.{second}")
        if verdict.value is not None:
            self.verdicts += 1
            return verdict.value
        self.missing += 1
        self.problem = self.problem or verdict.problem
        return 0.5

    def check(self) -> None:
        """Notes what is missing.

        Raises:
            NoAnswer: there was no verdict at all.
        """
        if self.missing and not self.verdicts:
            raise self.judging.failure(self.problem)
        if self.missing:
            total = self.missing + self.verdicts
            self.judging.note("verdict_missing", f"{self.missing} of {total} verdicts: {self.problem}")


class JudgeRunOff(Judge):
    """The better of the two most frequent answers, by a judge; one answer alone needs none.

    Between answers of equally many votes a hash of the answers decides who is among the two.
    """

    name = "judge-run-off"
    prompt_name = "pairwise"

    def calls(self, n: int) -> int:
        """See `protocols.Aggregator`."""
        return 4 if n > 1 else 0

    async def pick(self, judging: JudgeRun, players: Sequence[Candidate]) -> Candidate | None:
        """See `Judge`."""
        if len(judging.tally) < 2:
            return None
        finalists = [
            representative([p for p in players if p.index in cluster.voters], cluster.answer)
            for cluster in judging.tally[:2]
        ]
        matches = MatchRunner.of(judging, finalists)
        match = await matches.play(0, 1)
        matches.check()
        return finalists[0] if match.points >= 0.5 else finalists[1]


PIPELINES = (
    PipelineSpec(
        "judge-run-off",
        "a model judges the two most frequent answers",
        "arXiv 2302.02300",
        16,
        lambda context: build_judge(JudgeRunOff, context),
        options=JudgeOptions,
    ),
)
