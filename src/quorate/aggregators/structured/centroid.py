"""Minimum Bayes risk: the candidate most like all the others (Kumar & Byrne 2004; Eikema & Aziz, arXiv 2108.04718).

argmax over h of the mean of u(h, y) over the other candidates y, where u is a similarity: the samples
serve as hypotheses and as a picture of what the model would say. Different from the paper: a
candidate is not compared with itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import fsum, isfinite
from typing import Literal

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.reading import Extractor
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Question, Sampled

from ..extraction import AnswerExtractor
from ..markup import visible
from ..specs import BuildContext, Options, PipelineSpec
from ..synthesis.context import truncate_middle
from ..votes.majority import MajorityVote, close_all, representative
from .similarity import ChrF, Pairwise, RougeL, Similarity, TokenF1

SHOWN = 80
"""Characters of a text that stand for it in the tally."""


class Centroid(Aggregator):
    """The text that is most like the others on average, for answers that no vote can count.

    Texts are compared without their thinking; blank ones abstain. The tally holds one cluster for each
    distinct text, by its beginning, weighing its mean similarity to the others. Ties are drawn by the
    run's seeded generator, with two different texts always. If the similarity fails or gives no
    finite numbers, the fallback answers, marked `aggregator_failed`; where all texts are blank one
    candidate is given, marked `all_abstained`.

    Args:
        similarity: what "like" means; `ChrF()` by default.
        fallback: what answers if the similarity fails; `MajorityVote()` by default.
        extractor: finds the answer in the chosen text; `AnswerExtractor()` by default.
        max_characters: of each text that are compared. Longer ones lose their middle, and the answer
            is marked `candidate_cut`.

    Raises:
        BadInput: max_characters is below 1.
    """

    name = "centroid"

    def __init__(
        self,
        similarity: Similarity | None = None,
        *,
        fallback: Aggregator | None = None,
        extractor: Extractor | None = None,
        max_characters: int = 4000,
    ) -> None:
        if max_characters < 1:
            raise BadInput(f"Centroid(max_characters={max_characters}): give at least 1")
        self.similarity = similarity or ChrF()
        self._fallback = fallback or MajorityVote()
        self.extractor = extractor or AnswerExtractor()
        self.max_characters = max_characters

    @property
    def fallback(self) -> Aggregator:
        """What answers if the similarity fails."""
        return self._fallback

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:  # noqa: ARG002
        """See `protocols.Aggregator`.

        Raises:
            ValueError: the similarity gave what no mean can be made of; it may raise errors of its own.
        """
        voters = sampled.good
        texts = {c.index: visible(c.text).strip() for c in voters}
        counts = Counter(text for text in texts.values() if text)
        distinct = sorted(counts)
        means = await self._means(distinct, counts)
        if not distinct:
            detail = f"none of {len(voters)} candidates says anything; one of them was chosen"
            note = Degradation(code="all_abstained", where=f"{run.node}: {self.name}", detail=detail)
            return Answer.of(representative(voters), answer=None, degraded=(note,))
        top = max(means)
        chosen = run.rng("tie").choice([t for t, mean in zip(distinct, means, strict=True) if mean == top])
        winner = representative([c for c in voters if texts[c.index] == chosen])
        answer = winner.answer or self.extractor.extract(winner.text)
        cut = self._note_cuts(voters, texts, run)
        return Answer.of(winner, answer=answer, tally=_tally(distinct, means, texts, chosen), degraded=cut)

    def counter(self, question: Question, run: RunContext) -> None:
        """There is no vote: texts are compared in the end."""

    async def _means(self, distinct: Sequence[str], counts: Counter[str]) -> list[float]:
        """Mean similarity of each distinct text to all other candidates, its own repetitions among them."""
        if len(distinct) < 2:
            return [1.0] * len(distinct)
        compared = [truncate_middle(text, self.max_characters) for text in distinct]
        rows = [list(row) for row in await self.similarity.between(compared)]
        if [len(row) for row in rows] != [len(distinct)] * len(distinct):
            raise ValueError(f"{self.similarity!r} gave no {len(distinct)} by {len(distinct)} numbers")
        others = counts.total() - 1
        means = []
        for i, row in enumerate(rows):
            weights = [counts[text] - (i == j) for j, text in enumerate(distinct)]
            means.append(fsum(w * (1.0 if i == j else s) for j, (w, s) in enumerate(zip(weights, row, strict=True))))
        if not all(isfinite(mean) for mean in means):
            raise ValueError(f"{self.similarity!r} gave numbers that are not finite")
        return [mean / others for mean in means]

    def _note_cuts(
        self, voters: Sequence[Candidate], texts: dict[int, str], run: RunContext
    ) -> tuple[Degradation, ...]:
        return tuple(
            Degradation(
                code="candidate_cut",
                where=f"{run.node}: {self.name} #{c.index}",
                detail=f"{self.max_characters} of {len(texts[c.index])} characters were compared",
            )
            for c in voters
            if len(texts[c.index]) > self.max_characters
        )

    async def aclose(self) -> None:
        """Closes the similarity and the fallback."""
        await close_all(self.similarity, self._fallback)

    def __repr__(self) -> str:
        return f"Centroid({self.similarity!r})"


def _tally(distinct: Sequence[str], means: Sequence[float], texts: dict[int, str], chosen: str) -> tuple[Cluster, ...]:
    voters: dict[str, list[int]] = defaultdict(list)
    for index, text in sorted(texts.items()):
        voters[text].append(index)
    ranked = sorted(zip(means, distinct, strict=True), key=lambda pair: (-pair[0], pair[1] != chosen, pair[1]))
    return tuple(
        Cluster(answer=_shorten(text), votes=len(voters[text]), weight=mean, voters=tuple(voters[text]))
        for mean, text in ranked
    )


def _shorten(text: str) -> str:
    """The beginning of a text in one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


class CentroidOptions(Options):
    """When texts are alike."""

    similarity: Literal["chrf", "token-f1", "rouge-l"] = "chrf"
    """Character n-grams, tokens in common, or the longest common subsequence."""


def _build_centroid(context: BuildContext) -> Centroid:
    kinds: dict[str, type[Pairwise]] = {"chrf": ChrF, "token-f1": TokenF1, "rouge-l": RougeL}
    return Centroid(kinds[context.options.similarity]())


PIPELINES = (
    PipelineSpec(
        "centroid",
        "of N free texts the one most like the others (minimum Bayes risk)",
        "arXiv 2108.04718, section 3",
        8,
        _build_centroid,
        options=CentroidOptions,
    ),
)
