"""Two candidates before a judge, in both orders, because judges favour a place.

What the two verdicts agree on counts whole; where they contradict each other it is a tie, half a point
for each. A verdict that cannot be read counts as half in its order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from quorate.orchestrator.types import Candidate, Cluster

from .judge import Session
from .reading import preferred

__all__ = ["Court", "Match"]


class Match(NamedTuple):
    """Two players by their numbers, and the points of the first: 1, 0.75, 0.5, 0.25 or 0."""

    first: int
    second: int
    points: float


@dataclass
class Court:
    """The matches of one question."""

    session: Session
    players: Sequence[Candidate]
    class_of: dict[int, int]
    """Class of a player's answer, by number; those that abstain have none."""
    votes: list[int]
    """How many candidates give each player's answer."""
    verdicts: int = 0
    missing: int = 0
    problem: str = ""

    @classmethod
    def of(cls, session: Session, players: Sequence[Candidate], tally: Sequence[Cluster]) -> Court:
        class_at = {voter: number for number, cluster in enumerate(tally) for voter in cluster.voters}
        class_of = {i: class_at[p.index] for i, p in enumerate(players) if p.index in class_at}
        votes = [tally[class_of[i]].votes if i in class_of else 0 for i in range(len(players))]
        return cls(session, players, class_of, votes)

    async def matches(self, pairs: Sequence[tuple[int, int]]) -> list[Match]:
        """All at once, as far as the judge's concurrency goes."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.match(*pair)) for pair in pairs]
        return [task.result() for task in tasks]

    async def match(self, first: int, second: int) -> Match:
        """Two that give the same answer tie without being shown."""
        if first in self.class_of and self.class_of[first] == self.class_of.get(second):
            return Match(first, second, 0.5)
        there, back = await asyncio.gather(self._points(first, second), self._points(second, first))
        return Match(first, second, (there + 1 - back) / 2)

    async def _points(self, first: int, second: int) -> float:
        shown = (self.players[first], self.players[second])
        reply = await self.session.reply(shown, f"match.{first}.{second}")
        points = None if reply.problem else preferred(reply.text)
        self.verdicts += points is not None
        if points is None:
            self.missing += 1
            self.problem = self.problem or reply.problem or f"no verdict in its reply: {reply.text[-80:]!r}"
        return 0.5 if points is None else points

    def settled(self) -> bool:
        """Whether there is anything to go by; tells what is missing."""
        if self.missing and not self.verdicts:
            self.session.failed(self.problem)
            return False
        if self.missing:
            total = self.missing + self.verdicts
            self.session.note("verdict_missing", f"{self.missing} of {total} verdicts: {self.problem}")
        return True
