"""Pairwise tournaments, every match judged in both orders (V1, arXiv 2603.04304; PairRanker, arXiv 2306.02561).

A knockout takes n - 1 matches in about log2 n rounds; a Swiss tournament pairs those of equal points
for a few rounds, and ranks all by all results. Different from the papers: two candidates with the same
answer tie without being judged, and what the judge leaves open is decided by votes.

From match results to strengths: `bradley_terry`: P(i beats j) = s_i / (s_i + s_j), fitted by Hunter's MM
iteration (Annals of Statistics 32, 2004). Different: everybody has tied once with a player of strength 1, so
that those who always win or always lose have a finite strength. `borda`: points, the Borda count of pairwise
results.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from quorate.orchestrator.context import explain_cut
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Candidate

from ..specs import BuildContext, PipelineSpec
from .judge import Judge, JudgeOptions, JudgeRun, build_judge
from .pairwise import Match, MatchRunner

__all__ = ["Knockout", "Ranking", "Swiss", "borda", "bradley_terry"]

Ranking = Callable[[int, Sequence[Match]], list[float]]
"""Strengths of n players, by number, from their matches."""

ROUNDS = 200
PRECISION = 1e-9


def borda(n: int, matches: Sequence[Match]) -> list[float]:
    """Points won."""
    points = [0.0] * n
    for first, second, won in matches:
        points[first] += won
        points[second] += 1 - won
    return points


def bradley_terry(n: int, matches: Sequence[Match]) -> list[float]:
    """Maximum-likelihood strengths; equal results give equal strengths but for rounding."""
    won = [points + 0.5 for points in borda(n, matches)]
    opponents: list[list[int]] = [[] for _ in range(n)]
    for first, second, _ in matches:
        opponents[first].append(second)
        opponents[second].append(first)
    strengths = [1.0] * n
    for _ in range(ROUNDS):
        before = strengths
        strengths = [
            won[i] / (1 / (before[i] + 1) + sum(1 / (before[i] + before[j]) for j in opponents[i])) for i in range(n)
        ]
        if max(abs(a - b) for a, b in zip(strengths, before, strict=True)) < PRECISION:
            break
    return [round(strength, 6) for strength in strengths]


class _Tournament(Judge):
    prompt_name = "pairwise"

    async def pick(self, judging: JudgeRun, players: Sequence[Candidate]) -> Candidate:
        """See `Judge`; out of budget in the middle, the results so far decide."""
        matches = MatchRunner.of(judging, players)
        winner = await self.play_out(matches)
        matches.check()
        if (reason := judging.run.exhausted()) is not None:
            note = explain_cut(reason, judging.where)
            judging.note(note.code, note.detail)
        return players[winner]

    @abstractmethod
    async def play_out(self, matches: MatchRunner) -> int:
        """The number of the winner."""


class Knockout(_Tournament):
    """The winner of each match goes on; a tie goes to the answer with more votes, then to the first drawn.

    Of an odd number one goes on without a match, and plays first in the next round.
    """

    name = "knockout"

    def calls(self, n: int) -> int:
        """See `protocols.Aggregator`."""
        return 4 * (n - 1)

    async def play_out(self, matches: MatchRunner) -> int:
        """See `_Tournament`."""
        alive = list(range(len(matches.players)))
        while len(alive) > 1 and matches.judging.run.exhausted() is None:
            pairs = list(zip(alive[::2], alive[1::2], strict=False))
            waiting = alive[-1:] if len(alive) % 2 else []
            alive = waiting + [_winner(matches, match) for match in await matches.play_all(pairs)]
        return max(alive, key=lambda i: (matches.votes[i], -i))


def _winner(matches: MatchRunner, match: Match) -> int:
    if match.points != 0.5:
        return match.first if match.points > 0.5 else match.second
    return max(match.first, match.second, key=lambda i: (matches.votes[i], -i))


class Swiss(_Tournament):
    """Rounds of matches between players of equal points, none twice; then all results rank all players.

    Of an odd number, one of the last sits out with a point, each at most once.

    Args:
        judge: as for every `Judge`.
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
        """See `protocols.Aggregator`."""
        return 4 * (n // 2) * self._rounds(n)

    def _rounds(self, n: int) -> int:
        return self.rounds or math.ceil(math.log2(n))

    async def play_out(self, matches: MatchRunner) -> int:
        """See `_Tournament`."""
        n = len(matches.players)
        played: list[Match] = []
        rested: set[int] = set()
        for _ in range(self._rounds(n)):
            pairs, resting = _pair_up(n, played, rested)
            if not pairs or matches.judging.run.exhausted() is not None:
                break
            rested |= resting
            played += await matches.play_all(pairs)
        strengths = self.ranking(n, played)
        return max(range(n), key=lambda i: (strengths[i], matches.votes[i], -i))


def _pair_up(n: int, played: Sequence[Match], rested: set[int]) -> tuple[list[tuple[int, int]], set[int]]:
    """Who meets whom next, best first, and who sits out."""
    points = borda(n, played)
    ranked = sorted(range(n), key=lambda i: (-points[i] - (i in rested), i))
    met = {frozenset(match[:2]) for match in played}
    pairs: list[tuple[int, int]] = []
    resting: set[int] = set()
    if n % 2:
        last = next((i for i in reversed(ranked) if i not in rested), ranked[-1])
        ranked.remove(last)
        resting.add(last)
    while len(ranked) > 1:
        first = ranked.pop(0)
        second = next((i for i in ranked if frozenset((first, i)) not in met), None)
        if second is not None:
            ranked.remove(second)
            pairs.append((first, second))
    return pairs, resting


class SwissOptions(JudgeOptions):
    """How a Swiss tournament goes."""

    rounds: int | None = Field(default=None, ge=1)
    """log2 of the candidates, rounded up, if not given."""
    ranking: Literal["bradley-terry", "borda"] = "bradley-terry"
    """How the matches become an order."""


def _build_swiss(context: BuildContext) -> Swiss:
    ranking = {"bradley-terry": bradley_terry, "borda": borda}[context.options.ranking]
    return build_judge(Swiss, context, rounds=context.options.rounds, ranking=ranking)


PIPELINES = (
    PipelineSpec(
        "knockout",
        "N samples in a knockout, judged in both orders",
        "arXiv 2603.04304; arXiv 2306.02561",
        8,
        lambda context: build_judge(Knockout, context),
        options=JudgeOptions,
    ),
    PipelineSpec(
        "swiss",
        "N samples in a Swiss tournament, judged in both orders",
        "arXiv 2603.04304; arXiv 2306.02561",
        8,
        _build_swiss,
        options=SwissOptions,
    ),
)
