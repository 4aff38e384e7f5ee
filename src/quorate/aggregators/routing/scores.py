"""How far an answer can be trusted, as a number that a cascade's threshold is about.

`AgreementScore` is beside the conditions of a graph: it is what a cascade uses where nothing else is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from statistics import fmean
from typing import Any, ClassVar, Literal

from quorate.orchestrator.conditions import AgreementScore
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import AnswerScorer
from quorate.orchestrator.types import Answer, Question

from ..confidence import MeanLogprob
from ..learned.selector import TrainedSelector
from ..learned.selector.features import compute_features
from ..learned.selector.view import CandidateView

__all__ = ["SCORES", "AgreementScore", "LogprobScore", "ScoreName", "SelectorScore", "make_scorer", "needs_logprobs"]

ScoreName = Literal["agreement", "logprob", "selector"]
SCORES: tuple[ScoreName, ...] = ("agreement", "logprob", "selector")


@dataclass(frozen=True)
class LogprobScore:
    """How probable the tokens of the answer's candidates were: the geometric mean over the tokens, from 0 to 1."""

    name: ClassVar[str] = "logprob"

    def score(self, question: Question, answer: Answer) -> float | None:  # noqa: ARG002 - the tokens say it all
        voters = answer.tally[0].voters if answer.tally else [c.index for c in answer.candidates]
        measured = [MeanLogprob()(c) for c in answer.candidates if c.ok and c.index in voters]
        known = [value for value in measured if value is not None]
        return fmean(map(exp, known)) if known and len(known) == len(measured) else None


@dataclass(frozen=True)
class SelectorScore:
    """How probably the answer is right, by a trained selector, whose probabilities are calibrated."""

    learned: TrainedSelector
    name: ClassVar[str] = "selector"

    def score(self, question: Question, answer: Answer) -> float | None:
        view = CandidateView.of(question, answer.candidates, answer.tally)
        if not view.members or self.learned.explain_unfit(view) is not None:
            return None
        return self.learned.probability(compute_features(view, min(view.members)))


def make_scorer(name: ScoreName, selector: TrainedSelector | None = None) -> AnswerScorer:
    """The scorer of this name.

    Raises:
        BadInput: it needs a selector that is not there, or there is one that nothing is scored by.
    """
    if selector is not None and name != "selector":
        raise BadInput(
            f"a selector is given, and answers are accepted by {name}: ask for the score `selector`, or leave it out"
        )
    if name == "selector":
        if selector is None:
            raise BadInput("acceptance by a selector needs one: quorate train selector --bank DIR --out FILE")
        return SelectorScore(selector)
    return LogprobScore() if name == "logprob" else AgreementScore()


def needs_logprobs(scorer: Any) -> bool:
    """Whether answers must come with the log-probabilities of their tokens."""
    learned = scorer.learned.families if isinstance(scorer, SelectorScore) else ()
    return isinstance(scorer, LogprobScore) or "confidence" in learned
