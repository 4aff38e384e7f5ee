"""Judges that need no model at replay: recorded rewards, and recorded runs of programs on tests."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from quorate.aggregators.execution import consensus_sets
from quorate.aggregators.judges import softmax_weights, sum_weights

from ..records import Recorded
from ..registry import Chosen, Entry, Replayable

__all__ = ["ENTRIES"]


def _reward_best(drawn: Recorded) -> Chosen:
    """Each answer weighs as much as the best of its samples."""
    best: dict[int, float] = {}
    for number, score in _scored(drawn):
        best[number] = max(score, best.get(number, score))
    return Chosen(best)


def _reward_vote(weigh: Callable[[Sequence[float]], list[float]]) -> Callable[[Recorded], Chosen]:
    def choose(drawn: Recorded) -> Chosen:
        scored = _scored(drawn)
        sums: dict[int, float] = defaultdict(float)
        for (number, _), weight in zip(scored, weigh([score for _, score in scored]), strict=True):
            sums[number] += weight
        return Chosen(dict(sums))

    return choose


def _scored(drawn: Recorded) -> list[tuple[int, float]]:
    """Class and score of the answers that have both."""
    pairs = zip(drawn.classes, drawn.columns["scores"], strict=True)
    return [(n, float(s)) for n, s in pairs if n is not None and s is not None and math.isfinite(s)]


def _execution(drawn: Recorded) -> Chosen:
    """Classes are behaviours: the programs that pass the same tests."""
    passes: tuple[str, ...] = drawn.columns["tests"]
    sets = consensus_sets(passes, [p.count("1") for p in passes], drawn.columns["codes"])
    classes = drawn.classes
    return Chosen({n: s.score for s in sets if (n := classes[s.members[0]]) is not None})


SCORES = frozenset({"scores"})
WEIGHTED = "arXiv 2206.02336, section 3.2"

ENTRIES: Sequence[Replayable] = (
    Entry(
        "reward-best", "the sample with the highest score", "arXiv 2110.14168, section 4.2", _reward_best, needs=SCORES
    ),
    Entry("reward-vote", "votes weighted by their scores", WEIGHTED, _reward_vote(sum_weights), needs=SCORES),
    Entry(
        "reward-softmax-vote",
        "votes weighted by the exponentials of their scores",
        WEIGHTED,
        _reward_vote(softmax_weights),
        needs=SCORES,
    ),
    Entry(
        "execution",
        "the programs that pass the same tests: most of them, and most tests (CodeT)",
        "arXiv 2207.10397, section 2.2",
        _execution,
        needs=frozenset({"tests", "codes"}),
    ),
)
