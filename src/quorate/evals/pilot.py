"""Who should draft, what each model should weigh, and whether writing together is worth it, from a small pilot.

    found = await pilot([large, math], questions, gold=answers, trials=True)
    found.drafter, found.weights, found.worth

Every model answers every question alone and greedily, by the engine that they would write together in.

Scores: the share of right answers; without gold answers, the share that one-coin Dawid-Skene takes for right
(`aggregators.votes.dawid_skene`). It trusts who agrees with others, so it errs where models share their errors, and
its interval is as if it knew. On simulated panels of three or four models and 40 questions it was nearer to the
truth than the abilities with difficulties of `aggregators.votes.abilities`, which need more voters.
Drafter: of the models that are not resolved to be worse than the best one, the quickest. SAFE writes with it.
Weights: in proportion to the scores, as DeePEn-Adapt has them from a development set (arXiv 2404.12715), shrunk
towards equal ones as if every model had the mean score on `PRIOR` more questions, since a pilot is small.

A model's score alone does not tell what it is good for beside others, and such weights can silence a specialist
(docs/token-level.md has a case where they lose what the ensemble gains). So weights stay equal unless `trials` lets
all write together: each model drafting, with these weights and with equal ones; and chooses among real ensembles.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum
from statistics import fmean
from time import perf_counter
from typing import Literal

from quorate.aggregators.token_level import SAFE
from quorate.aggregators.votes import Ballot, OneCoin
from quorate.aggregators.votes.dawid_skene import to_probabilities
from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.tokens import TokenModel
from quorate.orchestrator.types import Answer, Question, SamplingParams

from .registry import find_task
from .statistics import Estimate, PairedComparison, compare_paired, mean_interval, require, wilson
from .statistics.base import Result
from .task import Task

PRIOR = 20
"""Questions on which every model counts as having the mean score."""
AT_ONCE = 16


class PilotMember(Result):
    """One model alone."""

    name: str
    score: Estimate
    """Share of right answers, or of those that agreement takes for right."""
    answered: float
    """Share of questions on which an answer was found in its text."""
    tokens: float
    """Mean of an answer."""
    speed: float
    """Tokens a second, of all answers that were written at once together."""
    weight: float
    """By its score, shrunk; those of all add up to 1."""


class PairAgreement(Result):
    """Two models' answers on the same questions."""

    a: str
    b: str
    same: Estimate
    """Share of questions on which both answered, and equally."""


class Trial(Result):
    """One real ensemble on the pilot's questions."""

    weights: Mapping[str, float]
    """The drafter's first; they add up to 1."""
    accuracy: Estimate
    tokens: float
    speed: float
    """Tokens a second, as in `PilotMember`."""
    share: float
    """Part of the tokens that all models decided together."""
    gain: PairedComparison
    """Over the best single model."""

    @property
    def drafter(self) -> str:
        return next(iter(self.weights))


class Pilot(Result):
    """What a pilot found."""

    questions: int
    labelled: bool
    members: tuple[PilotMember, ...]
    """By falling score."""
    agreements: tuple[PairAgreement, ...]
    trials: tuple[Trial, ...] = ()
    """By falling accuracy; empty where none were made."""
    weights: Mapping[str, float]
    """What was chosen, equal without trials: the drafter first, then by falling score; they add up to 1."""
    worth: Literal["yes", "no", "unresolved", "untried"]
    """Whether the chosen ensemble solves more than the best model alone (on this pilot, where it was chosen)."""
    notes: tuple[str, ...] = ()

    @property
    def drafter(self) -> str:
        return next(iter(self.weights))

    @property
    def name(self) -> str:
        """For the command line and the wire; has equal weights."""
        return "safe/" + "+".join(self.weights)

    @property
    def yaml(self) -> str:
        """A pipeline for a quorate.yaml that has these models."""
        weights = {name: round(weight, 3) for name, weight in self.weights.items()}
        options = f", options: {{weights: {json.dumps(weights)}}}" if len(set(weights.values())) > 1 else ""
        team = f"{{pipeline: safe, models: {json.dumps(list(weights))}{options}}}"
        return f"# in a quorate.yaml that has these under models:\npipelines:\n  team: {team}"


@dataclass(frozen=True)
class _PilotTask:
    """All questions with what grades their answers."""

    questions: Sequence[Question]
    gold: Sequence[str] | None
    clusters: Sequence[str] | None
    task: Task
    seed: int
    at_once: int


@dataclass(frozen=True)
class _SystemAnswers:
    """One system's answers."""

    answers: Sequence[str | None]
    right: Sequence[float]
    """Empty without gold answers."""
    tokens: float
    speed: float
    share: float


async def pilot(
    models: Sequence[Model | TokenModel],
    questions: Sequence[Question | str],
    *,
    gold: Sequence[str | None] | None = None,
    clusters: Sequence[str] | None = None,
    task: Task | None = None,
    trials: bool = False,
    max_tokens: int | None = None,
    seed: int = 0,
    at_once: int = AT_ONCE,
) -> Pilot:
    """Lets every model answer alone, and with `trials` in all orders of drafting together.

    Takes `len(models)` answers a question, with `trials` up to twice as many more, each of several models; and one
    answer of each of these before its clock starts, so that loading does not count as slowness.

    Args:
        models: at least two that can be asked token by token; closed afterwards.
        questions: some dozens at least.
        gold: one right answer a question; without any, agreement has to tell.
        clusters: the family of each question; without them all questions are independent.
        task: finds, compares and grades answers; as votes do if not given.
        trials: see above; needs gold answers.
        max_tokens: of one answer.
        seed: of the statistics.
        at_once: answers written at once.

    Raises:
        BadInput: fewer than two models, one that cannot be asked token by token, no questions, gold answers for
            some questions only, or no model that gave a usable answer.
        QuorateError: a model answered nothing at all; what it said.
    """
    require()
    sampling = SamplingParams(temperature=0.0, max_tokens=max_tokens)
    alone = [SAFE([model], sampling=sampling) for model in models]
    names = [one.name.removeprefix("safe/") for one in alone]
    _check(names, questions, gold, clusters, trials=trials, at_once=at_once)
    told = None if gold is None else [str(right) for right in gold]
    asked = _PilotTask([Question.of(q) for q in questions], told, clusters, task or find_task("jsonl"), seed, at_once)
    await asked.task.prepare()
    written = {name: await _write(one, asked) for name, one in zip(names, alone, strict=True)}
    classes = await _classes(written, asked.task)
    members = _members(written, classes, asked)
    drafter = _drafter(members, written, asked)
    weights: Mapping[str, float] = dict.fromkeys(_order(members, drafter), 1 / len(members))
    made: list[Trial] = []
    if trials:
        by_name = dict(zip(names, models, strict=True))
        weights, made = await _try(by_name, members, written[members[0].name].right, asked, sampling)
    return Pilot(
        questions=len(questions),
        labelled=gold is not None,
        members=tuple(members),
        agreements=tuple(_agreement(a, b, classes) for a, b in combinations(written, 2)),
        trials=tuple(made),
        weights=weights,
        worth=_worth(next((trial for trial in made if trial.weights == weights), None)),
        notes=_notes(members, labelled=gold is not None),
    )


async def _try(
    models: Mapping[str, Model | TokenModel],
    members: Sequence[PilotMember],
    best: Sequence[float],
    asked: _PilotTask,
    sampling: SamplingParams,
) -> tuple[Mapping[str, float], list[Trial]]:
    """The weights of the best team, and what each team made of the questions."""
    teams = [(shares, _team(models, shares, sampling)) for shares in _candidates(members)]
    runs = [(shares, await _write(team, asked)) for shares, team in teams]
    made = [_trial(shares, run, best, asked) for shares, run in runs]
    return _choose(made, {id(trial): run.right for trial, (_, run) in zip(made, runs, strict=True)}, asked)


def _check(
    names: Sequence[str],
    questions: Sequence[object],
    gold: Sequence[str | None] | None,
    clusters: Sequence[str] | None,
    *,
    trials: bool,
    at_once: int,
) -> None:
    if len(names) < 2:
        raise BadInput(f"a pilot compares models: give at least 2, not {len(names)} ({', '.join(names) or 'none'})")
    if len(set(names)) < len(names):
        raise BadInput(f"models {', '.join(names)}: each is named once")
    if not questions:
        raise BadInput("a pilot needs questions: give some dozens")
    if at_once < 1:
        raise BadInput(f"at_once={at_once}: at least 1 answer is written at once")
    for what, given in (("gold answers", gold), ("clusters", clusters)):
        if given is not None and len(given) != len(questions):
            raise BadInput(f"{len(given)} {what} for {len(questions)} questions: give one for each")
    if gold is not None and (missing := [n for n, right in enumerate(gold, 1) if right is None or right == ""]):
        raise BadInput(
            f"question {missing[0]} has no gold answer ({len(missing)} of {len(gold)} have none): give one for each, "
            "or none at all"
        )
    if trials and gold is None:
        raise BadInput("trials compare right answers: give gold answers, or leave the trials out")


async def _write(system: SAFE, asked: _PilotTask) -> _SystemAnswers:
    """All answers of one system, many at a time.

    Raises:
        QuorateError: there is not a single one.
    """
    places, failures = asyncio.Semaphore(asked.at_once), []

    async def one(question: Question) -> Answer | None:
        async with places:
            try:
                return await system.answer(question, seed=asked.seed)
            except QuorateError as error:
                failures.append(error)
                return None

    try:
        # Loading a model and its first kernels is not its speed.
        await one(asked.questions[0])
        failures.clear()
        start = perf_counter()
        found = await asyncio.gather(*(one(question) for question in asked.questions))
    finally:
        await system.aclose()
    seconds = perf_counter() - start
    if len(failures) == len(found):
        raise failures[0]
    answers = [None if answer is None else asked.task.extractor.extract(answer.text) for answer in found]
    right: list[float] = []
    for answer, gold in zip(answers, asked.gold or (), strict=False):
        right.append(float(await asked.task.correct(answer, gold)))
    told = [c.ensembling for answer in found if answer for c in answer.candidates if c.ensembling]
    tokens = sum(each.tokens for each in told)
    share = sum(each.counts.get("ensembled", 0) for each in told) / max(1, tokens)
    return _SystemAnswers(answers, right, tokens / len(told), tokens / seconds, share)


async def _classes(written: Mapping[str, _SystemAnswers], task: Task) -> dict[str, list[int | None]]:
    """By model, the number of each answer among the equivalent answers to its question; None abstains."""
    found: dict[str, list[int | None]] = {name: [] for name in written}
    for answers in zip(*(one.answers for one in written.values()), strict=True):
        given = sorted({answer for answer in answers if answer is not None})
        numbers = dict(zip(given, await task.equivalence.classes(given), strict=True)) if given else {}
        for name, answer in zip(written, answers, strict=True):
            found[name].append(None if answer is None else numbers[answer])
    return found


def _members(
    written: Mapping[str, _SystemAnswers], classes: Mapping[str, Sequence[int | None]], asked: _PilotTask
) -> list[PilotMember]:
    """By falling score.

    Raises:
        BadInput: no answer was right, or none was found in any text.
    """
    count = len(asked.questions)
    if not any(answer is not None for one in written.values() for answer in one.answers):
        raise BadInput(f"no answer was found in any of {count * len(written)} texts: are these questions for them?")
    if asked.gold is not None and not any(any(one.right) for one in written.values()):
        raise BadInput(
            f"no model solved any of {count} questions ({', '.join(written)}): a pilot needs some that one of them "
            "can solve; try easier ones, more tokens, or other models"
        )
    scores = _abilities(classes) if asked.gold is None else _accuracies(written, asked)
    shares = _shrunk({name: score.value for name, score in scores.items()}, count)
    members = [
        PilotMember(
            name=name,
            score=scores[name],
            answered=fmean(answer is not None for answer in one.answers),
            tokens=one.tokens,
            speed=one.speed,
            weight=shares[name],
        )
        for name, one in written.items()
    ]
    return sorted(members, key=lambda member: (-member.score.value, member.name))


def _shrunk(scores: Mapping[str, float], questions: int) -> dict[str, float]:
    mean = fmean(scores.values())
    shrunk = {name: (score * questions + mean * PRIOR) / (questions + PRIOR) for name, score in scores.items()}
    total = fsum(shrunk.values())
    return {name: value / total for name, value in shrunk.items()}


def _accuracies(written: Mapping[str, _SystemAnswers], asked: _PilotTask) -> dict[str, Estimate]:
    return {name: mean_interval(one.right, clusters=asked.clusters) for name, one in written.items()}


def _abilities(classes: Mapping[str, Sequence[int | None]]) -> dict[str, Estimate]:
    """Right answers as one-coin Dawid-Skene counts them; an abstention is an error."""
    voters = tuple(classes)
    ballots = [Ballot(votes, voters) for votes in zip(*classes.values(), strict=True)]
    beliefs = [to_probabilities(weights) for weights in OneCoin().fit_weights(ballots)]
    right = {
        name: fsum(belief[number] for number, belief in zip(votes, beliefs, strict=True) if number is not None)
        for name, votes in classes.items()
    }
    return {name: wilson(min(hits, len(ballots)), len(ballots)) for name, hits in right.items()}


def _drafter(members: Sequence[PilotMember], written: Mapping[str, _SystemAnswers], asked: _PilotTask) -> str:
    """The quickest of those that are not resolved to be worse than the best."""

    def worse(member: PilotMember) -> bool:
        if member is members[0]:
            return False
        if asked.gold is None:
            return member.score.high < members[0].score.low
        gap = compare_paired(
            written[members[0].name].right, written[member.name].right, clusters=asked.clusters, seed=asked.seed
        )
        return gap.low > 0

    return max((member for member in members if not worse(member)), key=lambda member: member.speed).name


def _order(members: Sequence[PilotMember], drafter: str) -> list[str]:
    """The drafter first, then by falling score."""
    return [drafter, *(member.name for member in members if member.name != drafter)]


def _candidates(members: Sequence[PilotMember]) -> list[dict[str, float]]:
    """Each model drafting, with equal weights and with those by score where they differ."""
    shares = {member.name: member.weight for member in members}
    equal = dict.fromkeys(shares, 1 / len(shares))
    differ = any(abs(shares[name] - equal[name]) > 1e-3 for name in shares)
    tried = [equal, shares] if differ else [equal]
    orders = [_order(members, member.name) for member in members]
    return [{name: weights[name] for name in order} for order in orders for weights in tried]


def _team(models: Mapping[str, Model | TokenModel], weights: Mapping[str, float], sampling: SamplingParams) -> SAFE:
    return SAFE([models[name] for name in weights], weights=weights, sampling=sampling)


def _trial(weights: Mapping[str, float], run: _SystemAnswers, best: Sequence[float], asked: _PilotTask) -> Trial:
    return Trial(
        weights=weights,
        accuracy=mean_interval(run.right, clusters=asked.clusters),
        tokens=run.tokens,
        speed=run.speed,
        share=run.share,
        gain=compare_paired(run.right, best, clusters=asked.clusters, seed=asked.seed),
    )


def _choose(
    trials: Sequence[Trial], right: Mapping[int, Sequence[float]], asked: _PilotTask
) -> tuple[Mapping[str, float], list[Trial]]:
    """The weights of one of the trials that are not resolved to be worse than the best, and all trials by accuracy.

    Equal weights go first, then the quickest: what is only luck shall not decide.
    """
    ranked = sorted(trials, key=lambda trial: (-trial.accuracy.value, -trial.speed))

    def worse(trial: Trial) -> bool:
        gap = compare_paired(right[id(ranked[0])], right[id(trial)], clusters=asked.clusters, seed=asked.seed)
        return gap.low > 0

    even = [trial for trial in ranked if not worse(trial)]
    return max(even, key=lambda trial: (len(set(trial.weights.values())) == 1, trial.speed)).weights, ranked


def _agreement(a: str, b: str, classes: Mapping[str, Sequence[int | None]]) -> PairAgreement:
    pairs = list(zip(classes[a], classes[b], strict=True))
    same = sum(one is not None and one == other for one, other in pairs)
    return PairAgreement(a=a, b=b, same=wilson(same, len(pairs)))


def _worth(trial: Trial | None) -> Literal["yes", "no", "unresolved", "untried"]:
    if trial is None:
        return "untried"
    if trial.gain.low > 0:
        return "yes"
    return "no" if trial.gain.high < 0 else "unresolved"


def _notes(members: Sequence[PilotMember], *, labelled: bool) -> tuple[str, ...]:
    notes = [f"{m.name}: no answer was found in {1 - m.answered:.0%} of its texts" for m in members if m.answered < 0.9]
    if not labelled and len(members) == 2:
        notes.append("two models that differ do not tell who is right: give gold answers, or a third model")
    return tuple(notes)
