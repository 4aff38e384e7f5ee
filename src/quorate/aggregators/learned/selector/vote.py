"""A trained selector at work: the class that is most probably right."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Verifier
from quorate.orchestrator.reading import Equivalence, Extractor
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Answer, Candidate, Degradation, Question, Sampled

from ...specs import BuildContext, PipelineSpec, VerifierOptions
from ...votes.ballot import Ballot, Weights
from ...votes.majority import MajorityVote, close_all, count_votes
from ...votes.rule_vote import RuleVote
from .model import TrainedSelector
from .view import CandidateView


@dataclass(frozen=True)
class _ByProbability:
    """Weighs classes by what was found before."""

    probabilities: Weights
    name: str = "selector"

    def weights(self, ballot: Ballot) -> Weights:  # noqa: ARG002 - classes are numbered alike
        return self.probabilities


class SelectorVote(MajorityVote):
    """The answer that a trained selector finds most probably right; weights of the tally are probabilities.

    Failures, abstentions, texts and ties are treated as in `MajorityVote`, and while samples still come
    votes are counted. The order of the candidates does not matter, but where the selector uses the family
    `position` their indices do. The vote answers instead, marked `selector_fell_back`, where the selector
    cannot judge: a question lacks what its features need (log-probabilities, scores), or most candidates
    are of models it has never seen. Fewer such candidates are marked `unknown_model`.

    Args:
        learned: the trained selector, or its file.
        abstain: state no answer, marked `unsure`, where the selector's threshold says so; the text stays.
        verifier: gives the scores that a selector with the family `reward` needs.
        concurrency: scores at a time.
        extractor: see `MajorityVote`.
        equivalence: see `MajorityVote`.

    Raises:
        DataError: the file is none of a selector, or of another version.
        BadInput: the selector needs a verifier, or it was trained without a threshold and is to abstain.
    """

    name = "selector"

    def __init__(
        self,
        learned: TrainedSelector | Path | str,
        *,
        abstain: bool = False,
        verifier: Verifier | None = None,
        concurrency: int = 16,
        extractor: Extractor | None = None,
        equivalence: Equivalence | None = None,
    ) -> None:
        super().__init__(extractor, equivalence)
        self.learned = learned if isinstance(learned, TrainedSelector) else TrainedSelector.load(learned)
        self.verifier = verifier
        self.abstain = abstain
        self.concurrency = concurrency
        if "reward" in self.learned.families and verifier is None:
            raise BadInput("selector: it was trained with a verifier's scores (features 'reward'): give it a verifier")
        if abstain and self.learned.abstention is None:
            raise BadInput(
                "selector: it has no threshold of abstention: train it with --risk, or do not let it abstain"
            )

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        sampled = await count_votes(self.counter(question, run), sampled)
        scores = await self._scores(question, sampled.candidates, run)
        view = CandidateView.of(question, sampled.candidates, sampled.tally or (), scores)
        reason = self.learned.explain_unfit(view) if view.members else None
        if reason is None:
            rule = _ByProbability(self.learned.probabilities(view))
            vote = RuleVote(rule, extractor=self.extractor, equivalence=self.equivalence)
            answer = await vote.aggregate(question, sampled, run)
        else:
            answer = await super().aggregate(question, sampled, run)
        return self._mark(answer, view, reason, run)

    async def _scores(self, question: Question, candidates: Sequence[Candidate], run: RunContext) -> list[float | None]:
        """The verifier's, where it is needed; None for those it fails on."""
        if self.verifier is None or "reward" not in self.learned.families:
            return []
        limit, verifier = asyncio.Semaphore(self.concurrency), self.verifier

        async def score_one(candidate: Candidate) -> float | None:
            if not candidate.ok or run.exhausted():
                return None
            try:
                async with limit, run.time_limit():
                    score = float(await verifier.score(question, candidate, run))
            except (QuorateError, TimeoutError):
                return None
            return score if isfinite(score) else None

        return await gather([score_one(candidate) for candidate in candidates])

    def _mark(self, answer: Answer, view: CandidateView, reason: str | None, run: RunContext) -> Answer:
        """The answer with what is to be said of it."""
        where, notes = f"{run.node}: {self.name}", list(answer.degraded)
        strange = sorted(set(self.learned.find_strange(view)))
        if reason:
            notes.append(Degradation(code="selector_fell_back", where=where, detail=f"the vote answers: {reason}"))
        elif strange:
            detail = f"never seen in training, so only counted: {', '.join(strange)}"
            notes.append(Degradation(code="unknown_model", where=where, detail=detail))
        limit = self.learned.abstention if self.abstain else None
        if limit and answer.tally and not reason and answer.tally[0].weight <= limit.threshold:
            detail = f"right with probability {answer.tally[0].weight:.3f}, and {limit.threshold:.3f} is the threshold"
            notes.append(Degradation(code="unsure", where=where, detail=detail))
            answer = answer.replace(answer=None)
        return answer.replace(degraded=tuple(notes))

    async def aclose(self) -> None:
        """Closes the verifier, and what the vote has open."""
        await close_all(self.verifier)
        await super().aclose()

    def __repr__(self) -> str:
        return f"SelectorVote({', '.join(self.learned.families)})"


NAME = "selector"


class SelectorOptions(VerifierOptions):
    """Which selector, and whether it may abstain."""

    file: str | None = None
    """As `quorate train selector --out` wrote it; a pipeline by its bare name has none, and says so."""
    abstain: bool = False
    """State no answer where the selector's threshold says so; it must be trained with --risk."""


def _build_selector(context: BuildContext) -> SelectorVote | Pipeline:
    options = context.options
    if options.file is None:
        raise BadInput(
            f"{NAME} needs a trained selector (quorate train selector --bank DIR --out FILE): configure it in "
            f"quorate.yaml as {{pipeline: {NAME}, models: [...], options: {{file: FILE}}}}"
        )
    verifier = None if options.verifier is None else options.open_verifier(NAME, context)
    vote = SelectorVote(options.file, abstain=options.abstain, verifier=verifier, concurrency=options.concurrency)
    return context.sample(top_logprobs=0) | vote if "confidence" in vote.learned.families else vote


PIPELINES = (
    PipelineSpec(
        NAME,
        "the answer that a trained selector finds most probably right",
        "our own: quorate.aggregators.learned.selector",
        8,
        _build_selector,
        options=SelectorOptions,
        listed=False,
    ),
)
