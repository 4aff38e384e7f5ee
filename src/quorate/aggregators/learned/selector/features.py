"""What a selector can know of a class of equal answers: one small function each, in one table.

A feature is a number of a class within its question. The functions' docstrings are the documentation
(`quorate train selector --list` prints them). Families are used or left out as a whole: a selector is
trained on those that its bank can give, and served where the same ones can be had.

Nothing depends on the order of the candidates but the family `position`, which reads the order of
their indices. `models` has no functions: its features are `model:NAME`, the share of that model's
candidates that voted for the class (1 or 0 where each model answers once).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import fsum, log

from quorate.orchestrator.types import Candidate

from ...confidence.measures import MeanLogprob
from ...equivalence.keys import key_of
from ...extraction import Boxed, Hashes, Phrase
from .view import CandidateView

Feature = Callable[[CandidateView, int], float]
MODEL = "model:"
"""Prefix of the features of the family `models`."""


# votes: how the candidates agree


def share(view: CandidateView, number: int) -> float:
    """Part of the votes."""
    return len(view.members[number]) / view.cast


def margin(view: CandidateView, number: int) -> float:
    """Part of the votes less that of the strongest other class."""
    others = [len(places) for other, places in view.members.items() if other != number]
    return (len(view.members[number]) - max(others, default=0)) / view.cast


def leads(view: CandidateView, number: int) -> float:
    """1 if it has most votes, a half if others have as many, 0 if one has more."""
    lead = margin(view, number)
    return 1.0 if lead > 0 else 0.5 if lead == 0 else 0.0


def log_votes(view: CandidateView, number: int) -> float:
    """Logarithm of its votes: a second voter says more than a tenth."""
    return log(len(view.members[number]))


def disagreement(view: CandidateView, number: int) -> float:  # noqa: ARG001 - of the question
    """Entropy of the votes, in nats; the same for all classes of a question."""
    shares = [len(places) / view.cast for places in view.members.values()]
    return -fsum(s * log(s) for s in shares)


def rivals(view: CandidateView, number: int) -> float:  # noqa: ARG001 - of the question
    """Logarithm of how many classes there are; the same for all of them."""
    return log(len(view.members))


def abstained_share(view: CandidateView, number: int) -> float:  # noqa: ARG001 - of the question
    """Part of the candidates that state no answer; the same for all classes."""
    return 1 - view.cast / len(view.candidates)


# position: when it was said


def first_place(view: CandidateView, number: int) -> float:
    """Place of its first voter, from 0 to 1."""
    return min(view.members[number]) / len(view.candidates)


def mean_place(view: CandidateView, number: int) -> float:
    """Mean place of its voters, from 0 to 1."""
    return view.mean(number, range(len(view.candidates))) / len(view.candidates)


# length: how much was written for it (lengths are logarithms of characters, in deviations from the question's mean)


def length(view: CandidateView, number: int) -> float:
    """Mean length of its voters' texts."""
    return view.mean(number, view.relative(_length))


def shortest(view: CandidateView, number: int) -> float:
    """Length of the shortest of its texts."""
    return min(view.relative(_length)[i] for i in view.members[number])


def longest(view: CandidateView, number: int) -> float:
    """Length of the longest of its texts."""
    return max(view.relative(_length)[i] for i in view.members[number])


def cut_short(view: CandidateView, number: int) -> float:
    """Part of its voters that ran out of tokens."""
    return view.mean(number, [float(c.finish_reason == "length") for c in view.candidates])


# text: what the words look like (each in deviations from the question's mean)


def digits(view: CandidateView, number: int) -> float:
    """Density of digits."""
    return view.mean(number, view.relative(_digits))


def equations(view: CandidateView, number: int) -> float:
    """How many equals signs, as a logarithm."""
    return view.mean(number, view.relative(_equations))


def lines(view: CandidateView, number: int) -> float:
    """How many lines, as a logarithm."""
    return view.mean(number, view.relative(_lines))


def second_thoughts(view: CandidateView, number: int) -> float:
    """How many words like `wait`, `however` and `mistake`, as a logarithm."""
    return view.mean(number, view.relative(_second_thoughts))


def marked_share(view: CandidateView, number: int) -> float:
    """Part of its voters that mark the answer as one: a box, `####`, "the answer is"."""
    places = view.members[number]
    return sum(_is_marked(view.candidates[i].text) for i in places) / len(places)


def givens_used(view: CandidateView, number: int) -> float:
    """Part of the question's numbers that its texts take up, on average."""
    givens = set(_NUMBER.findall(view.question.text))
    texts = [view.candidates[i].text for i in view.members[number]]
    return fsum(len(givens & set(_NUMBER.findall(text))) for text in texts) / (len(texts) * max(1, len(givens)))


# confidence: how sure the model was, from log-probabilities (in deviations from the question's mean)


def confidence(view: CandidateView, number: int) -> float:
    """Mean confidence (log-probability a token) of its voters."""
    return view.mean(number, view.relative(_mean_logprob))


def surest(view: CandidateView, number: int) -> float:
    """Confidence of its surest voter."""
    return max(view.relative(_mean_logprob)[i] for i in view.members[number])


def confident_share(view: CandidateView, number: int) -> float:
    """Part of the votes, each weighted by the exponential of its confidence."""
    return view.softmax_share(number, view.relative(_mean_logprob))


# reward: what a verifier thinks (in deviations from the question's mean)


def reward(view: CandidateView, number: int) -> float:
    """Mean score of its voters."""
    return view.mean(number, view.relative_scores)


def best_reward(view: CandidateView, number: int) -> float:
    """Highest score among its voters."""
    return max(view.relative_scores[i] for i in view.members[number])


def reward_share(view: CandidateView, number: int) -> float:
    """Part of the votes, each weighted by the exponential of its score."""
    return view.softmax_share(number, view.relative_scores)


# spelling: what the answer itself looks like


def number_like(view: CandidateView, number: int) -> float:
    """1 if the answer is a number."""
    return float(key_of(view.answers[number]).number is not None)


def whole(view: CandidateView, number: int) -> float:
    """1 if the answer is a whole number."""
    value = key_of(view.answers[number]).number
    return float(value is not None and value.denominator == 1)


def answer_length(view: CandidateView, number: int) -> float:
    """Logarithm of the characters of the answer, less the mean over all classes."""
    logs = [log(1 + len(view.answers[other])) for other in view.members]
    return log(1 + len(view.answers[number])) - fsum(logs) / len(logs)


_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_DOUBTS = ("wait", "however", "actually", "mistake", "sorry", "not sure", "cannot", "unclear")
_END = 500
"""Characters at the end of a text where an answer is marked."""
_MARKS = (Boxed(), Hashes(), Phrase())
_mean_logprob = MeanLogprob()


def _text(candidate: Candidate) -> str:
    return (candidate.reasoning or "") + candidate.text


def _length(candidate: Candidate) -> float | None:
    return log(len(text)) if (text := _text(candidate)) else None


def _digits(candidate: Candidate) -> float | None:
    text = _text(candidate)
    return sum(map(text.count, "0123456789")) / len(text) if text else None


def _equations(candidate: Candidate) -> float:
    return log(1 + _text(candidate).count("="))


def _lines(candidate: Candidate) -> float:
    return log(1 + _text(candidate).count("\n"))


def _second_thoughts(candidate: Candidate) -> float:
    return log(1 + sum(map(_text(candidate).lower().count, _DOUBTS)))


def _is_marked(text: str) -> bool:
    return any(mark.extract(text[-_END:]) is not None for mark in _MARKS)


def _has_text(view: CandidateView) -> bool:
    return any(map(_text, view.candidates))


def _has_confidence(view: CandidateView) -> bool:
    return any(_mean_logprob(c) is not None for c in view.candidates)


def _has_scores(view: CandidateView) -> bool:
    return any(score is not None for score in view.scores)


@dataclass(frozen=True)
class Family:
    """Features that need the same things."""

    summary: str
    needs: str
    """What every question must have, in words."""
    present: Callable[[CandidateView], bool]
    """Whether a question has it."""
    features: tuple[Feature, ...] = ()


def _always(view: CandidateView) -> bool:  # noqa: ARG001 - whatever it is
    return True


FAMILIES: Mapping[str, Family] = {
    "votes": Family(
        "how the candidates agree",
        "nothing",
        _always,
        (share, margin, leads, log_votes, disagreement, rivals, abstained_share),
    ),
    "models": Family("who says so", "several models, agents or prompts", _always),
    "position": Family(
        "when it was said", "candidates in an order that means something", _always, (first_place, mean_place)
    ),
    "length": Family("how much was written for it", "texts", _has_text, (length, shortest, longest, cut_short)),
    "text": Family(
        "what the words look like",
        "texts",
        _has_text,
        (digits, equations, lines, second_thoughts, marked_share, givens_used),
    ),
    "confidence": Family(
        "how sure the models were", "log-probabilities", _has_confidence, (confidence, surest, confident_share)
    ),
    "reward": Family("what a verifier thinks", "a verifier's scores", _has_scores, (reward, best_reward, reward_share)),
    "spelling": Family(
        "what the answer looks like", "answers as the models spelled them", _always, (number_like, whole, answer_length)
    ),
}


def compute_features(view: CandidateView, number: int) -> dict[str, float]:
    """Every feature of a class, by name."""
    own = {f.__name__: f(view, number) for family in FAMILIES.values() if family.present(view) for f in family.features}
    said = [view.sources[i] for i in view.members[number]]
    models = {f"{MODEL}{source}": said.count(source) / view.sources.count(source) for source in sorted(set(said))}
    return own | models
