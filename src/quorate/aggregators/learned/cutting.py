"""Sets of m candidates cut from all samples of a question, labelled and balanced (arXiv 2509.06870, section 3.2).

A set is *hard* when its plurality is wrong, else *easy*. All hard sets are kept, and easy ones as a
share of their number. Different from the paper: a plurality that is shared with another answer counts
as wrong, since the vote then guesses; and the samples can be dealt several times, since banks of small
models are small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from random import Random

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.types import Candidate, CandidateSet, Cluster

from ..votes.majority import MajorityVote


class Cut(Frozen):
    """How sets are cut.

    Raises:
        BadInput: m or the number of deals is below what makes a set.
    """

    m: int = 8
    """Candidates in a set."""
    deals: int = 1
    """How often all samples of a question are dealt into sets that share none of them; the paper's is 1."""
    easy_share: float | None = 0.5
    """Easy sets kept, as a share of the number of hard ones; None keeps all."""
    seed: int = 0

    def model_post_init(self, _: object, /) -> None:
        if self.m < 2:
            raise BadInput(f"m={self.m}: a set has at least 2 candidates")
        if self.deals < 1:
            raise BadInput(f"deals={self.deals}: deal the samples at least once")
        if self.easy_share is not None and self.easy_share < 0:
            raise BadInput(f"easy_share={self.easy_share}: give 0 or more, or none to keep all easy sets")


class AggregationSet(Frozen):
    """m candidates of one question in a seeded order, and how hard they are."""

    source: CandidateSet
    """The m candidates, with their labels."""
    hard: bool
    """The plurality is wrong, or shared."""
    plurality: int
    """Votes of the leading answer."""
    target: str | None = None
    """A verified solution of the question: of all its right samples the one that has most lines in common with the
    candidates; None where no sample is right."""


async def cut_sets(sets: Iterable[CandidateSet], how: Cut) -> list[AggregationSet]:
    """All sets that the samples of all questions give, in the order of the questions.

    Raises:
        DataError: nothing has labels, or no question has m candidates; says what the bank holds instead.
    """
    vote, found, most, graded = MajorityVote(), list[AggregationSet](), 0, 0
    for question in sets:
        usable = [(c, ok) for c, ok in zip(question.candidates, question.correct, strict=True) if c.ok and c.text]
        labelled = [(c, ok) for c, ok in usable if ok is not None]
        most, graded = max(most, len(usable)), graded + len(labelled)
        for deal, ok in _deal(question, labelled, how):
            chosen = tuple(c.model_copy(update={"index": i}) for i, c in enumerate(deal))
            tally = await vote.counter(question.question, RunContext()).tally(chosen)
            part = question.model_copy(update={"candidates": chosen, "correct": ok})
            hard = not _leads_right(tally, ok)
            target = _choose_target(labelled, chosen)
            votes = tally[0].votes if tally else 0
            found.append(AggregationSet(source=part, hard=hard, plurality=votes, target=target))
    if not found:
        raise _nothing_to_cut(how, most, graded)
    return found


def balance_sets(sets: Sequence[AggregationSet], how: Cut) -> list[AggregationSet]:
    """All hard sets and easy ones as a share of them, shuffled by the seed.

    Raises:
        DataError: no set is hard, so there is nothing that a vote does not do as well.
    """
    hard = [s for s in sets if s.hard]
    easy = [s for s in sets if not s.hard]
    rng = Random(f"balance/{how.seed}")
    if how.easy_share is not None:
        if not hard:
            raise DataError(
                f"none of the {len(sets)} sets is hard (the vote is right everywhere), so an aggregator would learn "
                "nothing; take harder questions or a higher temperature, or keep all easy sets (easy_share: null)"
            )
        easy = rng.sample(easy, min(len(easy), round(how.easy_share * len(hard))))
    kept = [*hard, *easy]
    rng.shuffle(kept)
    return kept


def _deal(
    question: CandidateSet, labelled: Sequence[tuple[Candidate, bool]], how: Cut
) -> Iterator[tuple[tuple[Candidate, ...], tuple[bool, ...]]]:
    """Sets of m, those of one deal without common candidates."""
    ordered = sorted(labelled, key=lambda pair: (pair[0].text, pair[0].model, pair[0].index))
    rng = Random(f"cut/{how.seed}/{question.task}/{question.item}")
    for _ in range(how.deals):
        rng.shuffle(ordered)
        for at in range(0, len(ordered) - how.m + 1, how.m):
            part = ordered[at : at + how.m]
            yield tuple(c for c, _ in part), tuple(ok for _, ok in part)


def _leads_right(tally: Sequence[Cluster], correct: Sequence[bool]) -> bool:
    """Whether one answer leads alone, and is right."""
    if not tally or (len(tally) > 1 and tally[1].votes == tally[0].votes):
        return False
    return correct[tally[0].voters[0]]


def _choose_target(labelled: Sequence[tuple[Candidate, bool]], chosen: Sequence[Candidate]) -> str | None:
    """Of all right samples the one that has most in common with the set, so that little in it is the model's own."""
    seen = Counter(line for candidate in chosen for line in set(_split_lines(candidate.text)))

    def share_seen(text: str) -> float:
        lines = _split_lines(text)
        return sum(seen[line] for line in lines) / max(1, len(lines))

    return max(sorted({c.text for c, ok in labelled if ok}), key=share_seen, default=None)


def _split_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _nothing_to_cut(how: Cut, most: int, graded: int) -> DataError:
    if most == 0:
        return DataError("the bank holds no samples to learn from; draw some: quorate eval run --out DIR ...")
    if graded == 0:
        return DataError(
            "no sample of the bank says whether it is right: its questions have no gold answers; "
            "sample a task that has them, or grade it (quorate eval run grades what it samples)"
        )
    return DataError(
        f"no question has {how.m} graded samples (at most {most} of any kind): "
        f"sample more (majority@{how.m}) or cut smaller sets (--set cut.m={max(2, min(most, how.m - 1))})"
    )
