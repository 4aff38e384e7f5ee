"""From labelled candidates to a cascade: what each stage would have said, and thresholds found on other questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum
from statistics import fmean

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import AnswerScorer
from quorate.orchestrator.types import Candidate, Sampled

from ..learned.selector import Example, Spelled
from ..learned.selector.fitting import split_groups
from ..votes.majority import MajorityVote
from .calibration import Goal, ScoreLimit, StagedQuestion, StageResult, Taken, take_stages
from .cascade import CascadeStage, TrainedCascade

MOST_TEAMS = 2_000
"""Teams that are tried; a larger pool needs fewer members, or names."""


@dataclass(frozen=True)
class StagePlan:
    """Who is asked at a stage, and how many samples are drawn, dealt over its models."""

    models: tuple[str, ...]
    n: int

    @classmethod
    def parse(cls, text: str) -> StagePlan:
        """`a,b,c` or `a@8`: models separated by commas, and samples, one a model if not given.

        Raises:
            BadInput: a name is empty, or the number is none.
        """
        names, at, count = text.rpartition("@")
        names, count = (names, count) if at and count.isascii() and count.isdecimal() else (text, "")
        models = tuple(name.strip() for name in names.split(","))
        if not all(models) or (count and int(count) < 1):
            raise BadInput(f"--stage {text}: give models separated by commas, and the samples behind @, such as a,b@4")
        return cls(models, int(count) if count else len(models))

    def choose(self, example: Example) -> list[int]:
        """Places of its candidates among those of a question, as dealing would draw them."""
        view, chosen = example.view, []
        for place, name in enumerate(self.models):
            share = self.n // len(self.models) + (place < self.n % len(self.models))
            own = [i for i, source in enumerate(view.sources) if name in (source, source_name(view.candidates[i]))]
            chosen += own[:share]
        return chosen

    def __str__(self) -> str:
        return f"{'+'.join(self.models)}@{self.n}"


def source_name(candidate: Candidate) -> str:
    """Who gave a candidate, whatever it was asked with."""
    return candidate.agent or candidate.model


async def stage_questions(
    examples: Sequence[Example],
    plans: Sequence[StagePlan],
    scorer: AnswerScorer,
    prices: Mapping[str, float] | None = None,
) -> list[StagedQuestion]:
    """What every stage makes of every question, by the vote that is served.

    Args:
        examples: with the candidates of all models.
        plans: the stages, the last one last.
        scorer: how far an answer can be trusted.
        prices: see `price_candidate`.

    Raises:
        BadInput: a model is not among those that were sampled, or has fewer samples than its stage draws.
    """
    _check_plans(examples, plans)
    return [
        StagedQuestion(
            example.id,
            example.group,
            example.view.question,
            tuple([await _run_stage(example, plan, scorer, prices or {}) for plan in plans]),
        )
        for example in examples
    ]


def list_models(examples: Sequence[Example]) -> list[str]:
    """Whoever gave any candidate, sorted."""
    return sorted({source_name(candidate) for example in examples for candidate in example.view.candidates})


def _check_plans(examples: Sequence[Example], plans: Sequence[StagePlan]) -> None:
    if len(plans) < 2:
        raise BadInput("a cascade needs two stages or more: --stage cheap@3 --stage dear")
    known = {*list_models(examples), *(source for example in examples for source in example.view.sources)}
    for plan in plans:
        if lost := [name for name in plan.models if name not in known]:
            raise BadInput(
                f"stage {plan}: there are no samples of {', '.join(lost)}; there are of: {', '.join(sorted(known))}"
            )
        held = [len(plan.choose(example)) for example in examples]
        if fmean(held) < 0.95 * plan.n:
            raise BadInput(f"stage {plan}: it draws {plan.n} samples, and the questions have {fmean(held):.1f} of them")


async def _run_stage(
    example: Example, plan: StagePlan, scorer: AnswerScorer, prices: Mapping[str, float]
) -> StageResult:
    view, places = example.view, plan.choose(example)
    if not places:
        return StageResult(None, 0.0)
    candidates = []
    for index, place in enumerate(places):
        number = view.classes[place]
        said = "" if number is None else view.answers[number]
        candidates.append(view.candidates[place].model_copy(update={"index": index, "answer": said}))
    run = RunContext(seed=0).replace(node=example.id)
    vote = MajorityVote(equivalence=Spelled())
    answer = await vote.aggregate(view.question, Sampled(candidates=tuple(candidates)), run)
    answer = answer.replace(candidates=tuple(candidates))
    number = None if answer.answer is None else view.answers.index(answer.answer)
    seconds = [c.latency for c in candidates if c.latency is not None]
    costs = [price_candidate(c, prices) for c in candidates]
    known = [cost for cost in costs if cost is not None]
    return StageResult(
        scorer.score(view.question, answer),
        float(example.credit(number)),
        fsum(known) if len(known) == len(costs) else None,
        max(seconds) if len(seconds) == len(candidates) else None,
    )


def price_candidate(candidate: Candidate, prices: Mapping[str, float]) -> float | None:
    """What a candidate cost: as it was booked, else by the price of its model.

    Args:
        prices: by model, money for a million generated tokens; where no tokens are known, for one answer.

    Raises:
        BadInput: there are prices, and none of this model.
    """
    if not prices:
        return candidate.usage.cost
    name = source_name(candidate)
    if name not in prices:
        raise BadInput(f"--price has none of {name}: give --price {name}=MONEY, or no prices at all")
    tokens = candidate.usage.completion_tokens
    return prices[name] * tokens / 1e6 if tokens else prices[name]


def parse_prices(text: str | None, option: str = "--price") -> dict[str, float]:
    """`a=.6,b=10` by name; nothing where nothing was given.

    Raises:
        BadInput: a part is no name with a price from 0 on.
    """
    prices: dict[str, float] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, _, value = part.rpartition("=")
        try:
            price = float(value)
        except ValueError:
            price = -1.0
        if not name.strip() or not 0 <= price < 1e12:
            raise BadInput(f"{option} {part.strip()}: write NAME=NUMBER with a number from 0 on, such as qwen=0.6")
        prices[name.strip()] = price
    return prices


def cross_fit(questions: Sequence[StagedQuestion], goal: Goal, *, folds: int = 5, seed: int = 0) -> list[Taken]:
    """Where a cascade stops for each question that was calibrated on the others.

    Raises:
        BadInput: there are too few questions.
    """
    taken: dict[int, Taken] = {}
    for train, held in split_places([question.group for question in questions], folds, seed):
        limits = goal.find_limits([questions[place] for place in train])
        taken |= {place: take_stages(questions[place], limits) for place in held}
    return [taken[place] for place in range(len(questions))]


def split_places(groups: Sequence[str], folds: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Places to learn from and places to measure on, for each fold; groups stay together."""
    held = [(set(fold), fold) for fold in split_groups(groups, folds=folds, seed=seed)]
    return [([place for place in range(len(groups)) if place not in out], fold) for out, fold in held]


def train_cascade(
    questions: Sequence[StagedQuestion], plans: Sequence[StagePlan], goal: Goal, *, words: str
) -> TrainedCascade:
    """The cascade calibrated on all questions.

    Args:
        questions: what every stage makes of each.
        plans: the stages.
        goal: what the thresholds keep.
        words: the goal, for people.
    """
    limits = [*goal.find_limits(questions), ScoreLimit(None)]
    taken = [take_stages(question, limits[:-1]) for question in questions]
    stages = [
        CascadeStage(
            models=plan.models,
            n=plan.n,
            threshold=limit.threshold,
            tie=limit.tie,
            share=fmean(t.stage == number for t in taken),
            right=fmean(q.stages[number].right for q in questions),
        )
        for number, (plan, limit) in enumerate(zip(plans, limits, strict=True))
    ]
    return TrainedCascade(goal=words, stages=tuple(stages), questions=len(questions))


def choose_team(
    examples: Sequence[Example], last: StagePlan, pool: Sequence[str], size: int, goal: Goal,
    prices: Mapping[str, float] | None = None, most: float | None = None,
) -> StagePlan:  # fmt: skip
    """The models whose agreement, one sample each, makes the best first stage before this last one.

    Most right answers on these questions count, then less money.

    Args:
        examples: to choose by.
        last: the last stage.
        pool: models to choose from.
        size: most members of the team.
        goal: what the thresholds keep.
        prices: see `price_candidate`.
        most: money that a question may take on average, as a part of what the last stage takes alone.

    Raises:
        BadInput: the pool allows too many teams, none is cheap enough, or there are no prices to tell by.
    """
    teams = [team for count in range(2, size + 1) for team in combinations(pool, count)]
    if not 0 < len(teams) <= MOST_TEAMS:
        raise BadInput(f"--team {size} of {len(pool)} models: {len(teams)} teams, and from 1 to {MOST_TEAMS} are tried")
    rows = [_TeamRow.of(example, [*pool, *last.models], prices or {}) for example in examples]
    alone = fmean(row.cost(last.models) for row in rows)
    if most is not None and not alone:
        raise BadInput(f"--most {most:g} is a part of the money that {last} takes, and no price is known: give --price")
    ranked: list[tuple[float, float, tuple[str, ...]]] = []
    for team in teams:
        staged = [row.stage(team, last.models) for row in rows]
        limits = goal.find_limits(staged)
        taken = [take_stages(question, limits) for question in staged]
        cost = fmean(t.cost or 0.0 for t in taken) / (alone or 1.0)
        if most is None or cost <= most:
            ranked.append((-fmean(t.right for t in taken), cost, team))
    if not ranked:
        raise BadInput(f"--team {size}: no team stays within {most:g} of what {last} takes alone")
    return StagePlan(min(ranked)[2], len(min(ranked)[2]))


@dataclass(frozen=True)
class _TeamRow:
    """One question: the first answer of each model as a class, its price, and which classes are right."""

    example: Example
    said: Mapping[str, tuple[int | None, float]]

    @classmethod
    def of(cls, example: Example, names: Sequence[str], prices: Mapping[str, float]) -> _TeamRow:
        said: dict[str, tuple[int | None, float]] = {}
        for number, candidate in zip(example.view.classes, example.view.candidates, strict=True):
            if (name := source_name(candidate)) in names:
                said.setdefault(name, (number, price_candidate(candidate, prices) or 0.0))
        return cls(example, said)

    def cost(self, names: Sequence[str]) -> float:
        return fsum(self.said[name][1] for name in names if name in self.said)

    def stage(self, team: Sequence[str], last: Sequence[str]) -> StagedQuestion:
        """As `stage_questions` has it, counted without the vote's extras."""
        return StagedQuestion(
            self.example.id, self.example.group, self.example.view.question, (self._result(team), self._result(last))
        )

    def _result(self, names: Sequence[str]) -> StageResult:
        votes: dict[int, int] = {}
        for number in (self.said.get(name, (None, 0.0))[0] for name in names):
            if number is not None:
                votes[number] = votes.get(number, 0) + 1
        if not votes:
            return StageResult(None, 0.0, self.cost(names))
        best = max(votes, key=lambda number: votes[number])
        return StageResult(votes[best] / len(names), float(self.example.credit(best)), self.cost(names))
