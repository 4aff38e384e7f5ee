"""Pairwise tournaments, every match judged in both orders (V1, arXiv 2603.04304; PairRanker, arXiv 2306.02561).

A knockout takes n - 1 matches in about log2 n rounds; a Swiss tournament pairs those of equal standing
for a few rounds, and ranks all by all results. Different from the papers: two candidates with the same
answer tie without being judged, and what the judge leaves open is decided by votes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from quorate.orchestrator.context import explain_cut
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Candidate

from .comparing import Court, Match
from .judge import Judge, Session
from .ranking import Ranking, borda, bradley_terry

__all__ = ["Knockout", "Swiss"]


class _Tournament(Judge):
    prompt_name = "pairwise"

    async def judged(self, session: Session, players: Sequence[Candidate]) -> Candidate | None:
        """See `Judge`; out of budget in the middle, the standing so far decides."""
        court = Court.of(session, players, await session.tallier.tally(players))
        winner = await self._winner(court)
        if not court.settled():
            return None
        if (reason := session.run.exhausted()) is not None:
            session.notes.append(explain_cut(reason, session.where))
        return players[winner]

    async def _winner(self, court: Court) -> int:
        raise NotImplementedError


class Knockout(_Tournament):
    """The winner of each match goes on; a tie goes to the answer with more votes, then to the first drawn.

    Of an odd number one goes on without a match, and plays first in the next round.
    """

    name = "knockout"

    def calls(self, n: int) -> int:
        """See `protocols.Calling`."""
        return 2 * (n - 1)

    async def _winner(self, court: Court) -> int:
        alive = list(range(len(court.players)))
        while len(alive) > 1 and court.session.run.exhausted() is None:
            pairs = list(zip(alive[::2], alive[1::2], strict=False))
            waiting = alive[-1:] if len(alive) % 2 else []
            alive = waiting + [_advancing(court, match) for match in await court.matches(pairs)]
        return max(alive, key=lambda i: (court.votes[i], -i))


def _advancing(court: Court, match: Match) -> int:
    if match.points != 0.5:
        return match.first if match.points > 0.5 else match.second
    return max(match.first, match.second, key=lambda i: (court.votes[i], -i))


class Swiss(_Tournament):
    """Rounds of matches between players of equal standing, none twice; then all results rank all players.

    Of an odd number, one of the last sits out with a point, each at most once.

    Args:
        rounds: log2 of the players, rounded up, by default.
        ranking: `bradley_terry` (by default) or `borda`; equal ranks go to the answer with more votes.
        others: as for every `Judge`.
    """

    name = "swiss"

    def __init__(
        self, judge: Model, *, rounds: int | None = None, ranking: Ranking = bradley_terry, **others: Any
    ) -> None:
        super().__init__(judge, **others)
        if rounds is not None and rounds < 1:
            raise BadInput(f"Swiss(rounds={rounds}): give at least 1")
        self.rounds = rounds
        self.ranking = ranking

    def calls(self, n: int) -> int:
        """See `protocols.Calling`."""
        return 2 * (n // 2) * self._rounds(n)

    def _rounds(self, n: int) -> int:
        return self.rounds or math.ceil(math.log2(n))

    async def _winner(self, court: Court) -> int:
        n = len(court.players)
        played: list[Match] = []
        rested: set[int] = set()
        for _ in range(self._rounds(n)):
            pairs, resting = _paired(n, played, rested)
            if not pairs or court.session.run.exhausted() is not None:
                break
            rested |= resting
            played += await court.matches(pairs)
        strengths = self.ranking(n, played)
        return max(range(n), key=lambda i: (strengths[i], court.votes[i], -i))


def _paired(n: int, played: Sequence[Match], rested: set[int]) -> tuple[list[tuple[int, int]], set[int]]:
    """Who meets whom next, best first, and who sits out."""
    points = borda(n, played)
    standing = sorted(range(n), key=lambda i: (-points[i] - (i in rested), i))
    met = {frozenset(match[:2]) for match in played}
    pairs: list[tuple[int, int]] = []
    resting: set[int] = set()
    if n % 2:
        last = next((i for i in reversed(standing) if i not in rested), standing[-1])
        standing.remove(last)
        resting.add(last)
    while len(standing) > 1:
        first = standing.pop(0)
        second = next((i for i in standing if frozenset((first, i)) not in met), None)
        if second is not None:
            standing.remove(second)
            pairs.append((first, second))
    return pairs, resting
