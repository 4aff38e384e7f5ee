"""Self-consistency: the plurality of sampled answers (Wang et al., arXiv 2203.11171, section 2).

Different from the paper: answers are counted by equivalence, not by spelling, and the text given is
that of a real candidate.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import lru_cache
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Equivalence, Extractor
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Question

from .reading import usual_equivalence, usual_extractor
from .tallying import Vote, best_told, clusters

__all__ = ["MajorityVote"]

REMEMBERED_TEXTS = 512


class MajorityVote:
    """The answer that most candidates gave; failed candidates and abstentions vote for nothing.

    Ties are drawn: the run's seeded generator picks one of the tied classes in the order of a hash of
    their answers. So the same candidates in any order give the same answer, another seed may give
    another, and no kind of answer is preferred.

    The text is that of a candidate of the winning class: of those that spell the answer as most of
    the class do, one that ended by itself, the shortest, the first in the alphabet. Where all
    abstain, one of all candidates is chosen like this, its answer is None, and the answer is marked
    `all_abstained`.

    Args:
        extractor: from a text to the answer it votes for; that of the `reading` around if not given, and
            `AnswerExtractor()` where there is none.
        equivalence: which answers count as one; likewise, and `MathEquivalence()`.
    """

    name = "majority"

    def __init__(self, extractor: Extractor | None = None, equivalence: Equivalence | None = None) -> None:
        self._extractor, self._equivalence = extractor, equivalence
        remembered: Any = lru_cache(REMEMBERED_TEXTS)(_extracted)
        self._extract: Callable[[Extractor, str], str | None] = remembered

    @property
    def extractor(self) -> Extractor:
        """What finds the answers."""
        return self._extractor or usual_extractor()

    @property
    def equivalence(self) -> Equivalence:
        """What tells them apart."""
        return self._equivalence or usual_equivalence()

    def extract(self, candidate: Candidate) -> str | None:
        """The candidate's own answer where it has one, else what its text says."""
        if not candidate.ok:
            return None
        own = candidate.answer
        return (own if own is not None else self._extract(self.extractor, candidate.text)) or None

    def _voting(self, candidate: Candidate) -> Candidate:
        answer = self.extract(candidate)
        return candidate if candidate.answer == answer else candidate.model_copy(update={"answer": answer})

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """See `protocols.VoteCounter`."""
        answers = ((candidate, self.extract(candidate)) for candidate in candidates)
        return await clusters([Vote(c.index, answer) for c, answer in answers if answer is not None], self.equivalence)

    async def aggregate(
        self,
        question: Question,  # noqa: ARG002 - a vote needs only the candidates
        candidates: Sequence[Candidate],
        run: RunContext,
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; one `Done`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        voters = [self._voting(c) for c in candidates if c.ok]
        if not voters:
            raise NoAnswer(f"{self.name}: all {len(candidates)} candidates failed")
        tally = _drawn(await self.tally(voters), run)
        degraded: tuple[Degradation, ...] = ()
        if tally:
            winner = best_told([c for c in voters if c.index in tally[0].voters], tally[0].answer)
        else:
            winner = best_told(voters)
            detail = f"none of {len(voters)} candidates states an answer; one of their texts was chosen"
            degraded = (Degradation(code="all_abstained", where=f"{run.node}: {self.name}", detail=detail),)
        yield Done(
            answer=Answer(
                text=winner.text,
                model=winner.model,
                answer=tally[0].answer if tally else None,
                reasoning=winner.reasoning,
                tool_calls=winner.tool_calls,
                finish_reason=winner.finish_reason or "stop",
                candidates=tuple(candidates),
                tally=tally,
                degraded=degraded,
            )
        )

    async def aclose(self) -> None:
        """Ends the equivalence's worker process, if it has one."""
        close = getattr(self.equivalence, "aclose", None)
        if close is not None:
            await close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _extracted(extractor: Extractor, text: str) -> str | None:
    return extractor.extract(text)


def _drawn(tally: tuple[Cluster, ...], run: RunContext) -> tuple[Cluster, ...]:
    """The tally with the winner of a tie at the top first."""
    tied = [cluster for cluster in tally if cluster.weight == tally[0].weight]
    if len(tied) < 2:
        return tally
    winner = run.rng("tie").choice(tied)
    return (winner, *(cluster for cluster in tally if cluster is not winner))
