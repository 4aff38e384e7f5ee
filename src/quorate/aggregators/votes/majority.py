"""Self-consistency: the plurality of sampled answers (Wang et al., arXiv 2203.11171, section 2).

Different from the paper: answers are counted by equivalence, not by spelling, and the text given is
that of a real candidate.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from copy import copy
from functools import cache
from math import fsum
from typing import NamedTuple, Self

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, Misconfigured, NoAnswer
from quorate.orchestrator.protocols import Aggregator, Model, VoteCounter
from quorate.orchestrator.reading import AnswerReader, Equivalence, Extractor
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Question, Sampled

from ..equivalence import MathEquivalence, default_equivalence
from ..equivalence.mathematics import undecided_answers
from ..extraction import AnswerExtractor, is_only_reasoned, read_answer
from ..meaning.counter import MeaningCounter
from ..meaning.grouping import Grouping, LexicalGrouping
from ..ranking import by_weight

Read = Callable[[Candidate], str | None]
Weigh = Callable[[Sequence[Candidate], tuple[Cluster, ...]], tuple[Cluster, ...]]


class MajorityVote(Aggregator):
    """The answer that most candidates gave; failed candidates and abstentions vote for nothing.

    Ties are drawn: the run's seeded generator picks one of the tied classes in the order of a hash of
    their answers. So the same candidates in any order give the same answer, another seed may give
    another, and no kind of answer is preferred.

    The text is that of a candidate of the winning class: of those that spell the answer as most of
    the class do, one that ended by itself, the shortest, the first in the alphabet. Where all
    abstain, one of all candidates is chosen like this, its answer is None, and the answer is marked
    `all_abstained`.

    Args:
        extractor: from a text to the answer it votes for; that of `RunContext.answer_reader` if not given, and
            `AnswerExtractor()` where there is none.
        equivalence: which answers count as one; likewise, and `MathEquivalence()`.
    """

    name = "majority"
    grouping: Grouping = LexicalGrouping()
    """Which answers in sentences mean the same; see `with_grouping`."""

    def __init__(self, extractor: Extractor | None = None, equivalence: Equivalence | None = None) -> None:
        for part, method in ((extractor, "extract"), (equivalence, "classes")):
            if part is not None and not hasattr(part, method):
                raise BadInput(f"{type(self).__name__}: {part!r:.60} has no method {method!r}")
        self.extractor, self.equivalence = extractor, equivalence

    def counter(self, question: Question, run: RunContext) -> AnswerCounter | MeaningCounter:
        """See `protocols.Aggregator`; by meaning, unless the vote or its run says what an answer is."""
        if self.extractor is None and self.equivalence is None and run.answer_reader is None:
            return MeaningCounter(question.text, choose_reader(run), self.grouping.bind(question, run), self.weigh)
        reader = choose_reader(run, self.extractor, self.equivalence)
        return AnswerCounter(_TextReader(reader.extractor), reader.equivalence, self.weigh)

    def weigh(self, candidates: Sequence[Candidate], tally: tuple[Cluster, ...]) -> tuple[Cluster, ...]:  # noqa: ARG002
        """The clusters with the weights of this vote, by falling weight; every vote weighs one.

        Args:
            candidates: those that are ok, with their answers.
            tally: their classes.
        """
        return tally

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        sampled, notes = await self._count(question, sampled, run)
        voters = sampled.good
        if not voters:
            raise NoAnswer(f"{self.name}: all {len(sampled.candidates)} candidates failed")
        tally = draw_tie(self.weigh(voters, sampled.tally or ()), run)
        if tally:
            winner = representative([c for c in voters if c.index in tally[0].voters], tally[0].answer)
            text = winner.text if winner.text.strip() else winner.reasoning or winner.text
            notes += (*self._note_doubt(tally, voters, run), *self._note_reasoned(voters, run))
            return Answer.of(winner, text=text, answer=tally[0].answer, tally=tally, degraded=notes)
        detail = f"none of {len(voters)} candidates states an answer; one of their texts was chosen"
        note = Degradation(code="all_abstained", where=f"{run.node}: {self.name}", detail=detail)
        return Answer.of(representative(voters), answer=None, degraded=(*notes, note))

    async def _count(
        self, question: Question, sampled: Sampled, run: RunContext
    ) -> tuple[Sampled, tuple[Degradation, ...]]:
        """The votes; anew where a model can say which of the texts mean the same, and was not asked of all of them."""
        if sampled.tally and self.grouping.models and not all(cluster.certain for cluster in sampled.tally):
            sampled = sampled.model_copy(update={"tally": None})
        if is_counted(sampled):
            return sampled, ()
        counter = self.counter(question, run)
        if isinstance(counter, MeaningCounter):
            counter.complete()
        sampled = await count_votes(counter, sampled)
        if not isinstance(counter, MeaningCounter) or not counter.problem:
            return sampled, ()
        return sampled, (Degradation(code="verdict_missing", where=f"{run.node}: {self.name}", detail=counter.problem),)

    def with_grouping(self, grouping: Grouping) -> Self:
        """The same vote with other classes of answers in sentences."""
        vote = copy(self)
        vote.grouping = grouping
        return vote

    @property
    def models(self) -> tuple[Model, ...]:
        """The judge of meaning, if there is one."""
        return self.grouping.models

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        return self.with_grouping(self.grouping.map_models(change)) if self.models else self

    def calls(self, n: int) -> int:  # noqa: ARG002 - one call is about all of them
        return self.grouping.calls

    def _note_doubt(
        self, tally: Sequence[Cluster], voters: Sequence[Candidate], run: RunContext
    ) -> tuple[Degradation, ...]:
        """A note, where the candidates decided nothing."""
        where = f"{run.node}: {self.name}"
        tied = [cluster for cluster in tally if cluster.weight == tally[0].weight]
        if len(tied) > 1:
            each = " each" if len({cluster.votes for cluster in tied}) == 1 else " and as much weight"
            detail = f"{len(tied)} answers with {_count(tied[0].votes, 'vote')}{each} lead; the seed drew one of them"
            return (Degradation(code="tied", where=where, detail=detail),)
        if len(voters) > 1 and sum(cluster.votes for cluster in tally) == 1:
            detail = f"1 of {len(voters)} candidates states an answer"
            return (Degradation(code="lone_vote", where=where, detail=detail),)
        return ()

    def _note_reasoned(self, voters: Sequence[Candidate], run: RunContext) -> tuple[Degradation, ...]:
        """A note, where answers stand only in the reasoning."""
        reasoned = [c for c in voters if c.answer is not None and is_only_reasoned(c.text, c.reasoning)]
        if not reasoned:
            return ()
        detail = f"{len(reasoned)} of {len(voters)} candidates state their answer only in their reasoning"
        return (Degradation(code="answer_in_reasoning", where=f"{run.node}: {self.name}", detail=detail),)

    async def aclose(self) -> None:
        """Ends the equivalence's worker process, if it has one, and closes who groups by meaning."""
        await close_all(self.equivalence or default_equivalence(), self.grouping)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _TextReader:
    """The candidate's own answer where it has one, else what it says; each is read once."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self._known: dict[tuple[str | None, ...], str | None] = {}

    def __call__(self, candidate: Candidate) -> str | None:
        if candidate.answer is not None:
            return candidate.answer or None
        said = (candidate.text, candidate.reasoning, candidate.finish_reason)
        if said not in self._known:
            self._known[said] = self._read(*said)
        return self._known[said]

    def _read(self, text: str, reasoning: str | None, finish_reason: str | None) -> str | None:
        where = f"the extractor {self._extractor!r:.60}"
        try:
            answer: object = read_answer(self._extractor, text, reasoning, finish_reason)
        except Exception as error:
            raise Misconfigured(f"{where} raised {error!r}") from error
        if isinstance(answer, str | None):
            return answer
        raise Misconfigured(f"{where} gave {answer!r:.60}: give a text, or None where there is no answer")


class AnswerCounter:
    """Counts the votes on one question; the equivalence is asked only when the distinct answers change.

    Args:
        read: from a candidate that is ok to the answer that it votes for; None abstains.
        equivalence: which answers count as one.
        weigh: from the candidates that are ok and their classes to what the classes weigh; votes, if not given.
    """

    def __init__(self, read: Read, equivalence: Equivalence, weigh: Weigh | None = None) -> None:
        self._read, self._equivalence, self._weigh = read, equivalence, weigh
        self._class_of: dict[str, int] = {}
        self._undecided: frozenset[str] = frozenset()

    def with_weights(self, weigh: Weigh) -> AnswerCounter:
        """The same counter with other weights."""
        return AnswerCounter(self._read, self._equivalence, weigh)

    def extract(self, candidate: Candidate) -> str | None:
        return self._read(candidate) if candidate.ok else None

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        voters = [with_answer(self, c) for c in candidates if c.ok]
        votes = [Vote(c.index, c.answer) for c in voters if c.answer is not None]
        answers = {vote.answer for vote in votes}
        if answers != self._class_of.keys():
            ordered = sorted(answers)
            self._class_of = dict(zip(ordered, await self._equivalence.classes(ordered), strict=True))
            self._undecided = undecided_answers(self._equivalence)
        tally = group_votes(votes, self._class_of, self._undecided)
        return tally if self._weigh is None else self._weigh(voters, tally)


def with_answer(counter: VoteCounter, candidate: Candidate) -> Candidate:
    """The candidate with the answer that it votes for."""
    answer = counter.extract(candidate)
    return candidate if candidate.answer == answer else candidate.model_copy(update={"answer": answer})


def is_counted(sampled: Sampled) -> bool:
    """Whether somebody has counted the votes."""
    return bool(sampled.tally) or (sampled.tally is not None and not any(c.answer for c in sampled.good))


async def count_votes(counter: VoteCounter, sampled: Sampled) -> Sampled:
    """The candidates with their answers, and their tally; as they are where somebody has counted them."""
    if is_counted(sampled):
        return sampled
    tally = await counter.tally(sampled.candidates)  # first, since a set may be read otherwise than each of its texts
    candidates = tuple(with_answer(counter, c) if c.ok else c for c in sampled.candidates)
    return sampled.model_copy(update={"candidates": candidates, "tally": tally})


@cache
def default_reader() -> AnswerReader:
    """What counts as an answer where neither a vote nor its run says."""
    return AnswerReader(AnswerExtractor(), default_equivalence())


def choose_reader(
    run: RunContext, extractor: Extractor | None = None, equivalence: Equivalence | None = None
) -> AnswerReader:
    """What counts as an answer in a run: what is given, else what the run says, else the general one."""
    usual = run.answer_reader or default_reader()
    chosen = equivalence or usual.equivalence
    if isinstance(chosen, MathEquivalence):
        chosen = chosen.for_caller(run.caller)
    return AnswerReader(extractor or usual.extractor, chosen)


class Vote(NamedTuple):
    """One candidate's answer and what it weighs."""

    voter: int
    answer: str
    weight: float = 1.0


def group_votes(
    votes: Sequence[Vote], class_of: Mapping[str, int], undecided: Set[str] = frozenset()
) -> tuple[Cluster, ...]:
    """Classes of the votes by falling weight, independent of the order of the votes.

    Args:
        votes: one a candidate.
        class_of: each answer's class.
        undecided: answers of which that is not sure; see `MathEquivalence.undecided`.
    """
    members: dict[int, list[Vote]] = defaultdict(list)
    for vote in votes:
        members[class_of[vote.answer]].append(vote)
    return by_weight(_cluster(sorted(group), undecided) for group in members.values())


def _cluster(votes: Sequence[Vote], undecided: Set[str]) -> Cluster:
    spellings = Counter(vote.answer for vote in votes)
    return Cluster(
        answer=min(spellings, key=lambda answer: (-spellings[answer], answer)),
        votes=len(votes),
        weight=fsum(vote.weight for vote in votes),
        voters=tuple(vote.voter for vote in votes),
        undecided=not undecided.isdisjoint(spellings),
    )


def draw_tie(tally: tuple[Cluster, ...], run: RunContext) -> tuple[Cluster, ...]:
    """The tally with the winner of a tie at the top first; the run's seed draws it."""
    tied = [cluster for cluster in tally if cluster.weight == tally[0].weight]
    if len(tied) < 2:
        return tally
    winner = run.rng("tie").choice(tied)
    return (winner, *(cluster for cluster in tally if cluster is not winner))


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def representative(candidates: Sequence[Candidate], answer: str | None = None) -> Candidate:
    """The candidate whose text stands for an answer, chosen by content alone.

    First those that spell the answer just so, then those that say something, those that ended by themselves, the
    shortest text, then the first in the alphabet; of those that are alike in all this, the one with the lowest index.
    """
    return min(
        candidates,
        key=lambda c: (
            answer is not None and c.answer != answer,
            not c.text.strip(),
            c.finish_reason != "stop",
            len(c.text),
            c.text,
            c.reasoning or "",
            c.model,
            c.index,
        ),
    )


async def close_all(*owners: object) -> None:
    """Closes each of these once, where it can be closed."""
    for owner in {id(owner): owner for owner in owners}.values():
        close = getattr(owner, "aclose", None)
        if close is not None:
            await close()
