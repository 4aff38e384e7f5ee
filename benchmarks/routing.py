"""Cascades and routers on recorded answers of real models, every figure out of fold.

    python benchmarks/routing.py --data DIR [--only arc,mbpp,...] [--seed 0] [--embedder FOLDER]

DIR holds the folders `routellm_pair` (RouteLLM, MMLU and GSM8K), `routerbench_arc`, `routerbench_mbpp` (RouterBench),
`routerdc_7models` (RouterDC), `mot_gsm` (mixture-of-thought cascades) and `zeroeval_gsm`, `zeroeval_math_l5`
(ZeroEval), as docs/routing.md names them. What is measured is what is shipped: stages, scores, goals and routers.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from quorate.agents.embeddings import LocalEmbedder
from quorate.aggregators.learned.selector import Example, Spelled, build_example
from quorate.aggregators.routing.calibration import (
    Goal,
    KeepBudget,
    KeepRisk,
    LoseNothing,
    ScoreLimit,
    Taken,
    take_stages,
)
from quorate.aggregators.routing.router import Objective
from quorate.aggregators.routing.router_training import (
    RoutedPick,
    RoutedQuestion,
    RouterSettings,
    embed_questions,
    mark_models,
    route_out_of_fold,
)
from quorate.aggregators.routing.scores import AgreementScore
from quorate.aggregators.routing.training import StagePlan, choose_team, cross_fit, split_places, stage_questions
from quorate.aggregators.specs import EmbedderConfig
from quorate.cli.train.material import panel_examples
from quorate.cli.train.routed import measure_cascade, measure_router
from quorate.evals.statistics import compare_paired
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.types import Candidate, CandidateSet, Question
from quorate.orchestrator.usage import Usage

FOLDS = 5
LETTER = re.compile(r"\b([A-E1-5])\b")


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from map(json.loads, file)


async def router_bench(folder: Path, read: Callable[[str], str]) -> list[Example]:
    """A panel with scores and costs: an answer is what is read in the response."""
    found = []
    for row in lines(folder / "answers.jsonl.gz"):
        candidates = [
            Candidate(index=i, model=m, answer=read(said), finish_reason="stop", usage=Usage(cost=row["cost"][m]))
            for i, (m, said) in enumerate(row["response"].items())
        ]
        labelled = CandidateSet(
            item=row["id"],
            question=Question.of(row["question"]),
            candidates=tuple(candidates),
            correct=tuple(row["score"][c.model] >= 0.5 for c in candidates),
        )
        found.append(await build_example(labelled, Spelled()))
    return found


def tell(name: str, taken: Sequence[Taken], note: str = "") -> None:
    """One cascade: accuracy and cost beside its stages and a mixture at random."""
    found = measure_cascade(taken)
    own, last, chance = found.systems[0], found.systems[-2], found.systems[-1]
    money = f", cost {own.cost / last.cost:.3f} of the last stage's" if own.cost and last.cost else ""
    print(
        f"{name}: n={found.questions}, right {own.accuracy.value:.4f} ({own.accuracy.low:.3f} to "
        f"{own.accuracy.high:.3f}){money}, last stage asked {100 * found.asked[-1]:.1f} %; the last stage alone "
        f"{last.accuracy.value:.4f}{gain(last)}; at random {chance.accuracy.value:.4f}{gain(chance)} {note}"
    )


def gain(system: Any) -> str:
    g = system.gain
    return f" ({g.difference:+.4f}, {g.low:+.4f} to {g.high:+.4f}, p {g.p:.2g})"


async def staged(
    name: str, examples: list[Example], stages: Sequence[str], goals: Mapping[str, Goal], seed: int
) -> None:
    questions = await stage_questions(examples, [StagePlan.parse(s) for s in stages], AgreementScore())
    for words, goal in goals.items():
        tell(f"{name}, {' | '.join(stages)}, {words}", cross_fit(questions, goal, folds=FOLDS, seed=seed))


async def teams(
    name: str, examples: list[Example], last: str, pool: Sequence[str], size: int, goal: Goal, seed: int,
    most: float | None = None,
) -> None:  # fmt: skip
    """The first stage chosen within the training folds."""
    plan, taken, chosen = StagePlan.parse(last), dict[int, Taken](), list[str]()
    for train, held in split_places([e.group for e in examples], FOLDS, seed):
        team = choose_team([examples[i] for i in train], plan, pool, size, goal, most=most)
        chosen.append(str(team))
        questions = await stage_questions(examples, [team, plan], AgreementScore())
        limits = goal.find_limits([questions[i] for i in train])
        taken |= {i: take_stages(questions[i], limits) for i in held}
    tell(f"{name}, team chosen, {goal}", [taken[i] for i in range(len(examples))], f"teams: {sorted(set(chosen))}")


def read_letter(said: str) -> str:
    found = LETTER.search(said.replace("['", "").replace("\\n", " "))
    return found[1] if found else ""


async def arc(data: Path, seed: int) -> None:
    examples = await router_bench(data / "routerbench_arc", read_letter)
    cheap = [m for m, price in mean_costs(examples).items() if price < 0.001]
    await teams("arc", examples, "gpt-4-1106-preview", cheap, 3, KeepBudget((0.25,)), seed, most=0.475)
    await teams("arc", examples, "gpt-4-1106-preview", cheap, 3, LoseNothing(), seed)


async def mbpp(data: Path, seed: int) -> None:
    """Programs are compared by their text, which says little: two that are equal are rare."""
    examples = await router_bench(data / "routerbench_mbpp", str)
    stages = ["gpt-3.5-turbo-1106,claude-instant-v1", "gpt-4-1106-preview"]
    await staged("mbpp", examples, stages, {"margin": LoseNothing(), "budget .5": KeepBudget((0.5,))}, seed)


def mean_costs(examples: Sequence[Example]) -> dict[str, float]:
    costs: dict[str, list[float]] = {}
    for candidate in (c for e in examples for c in e.view.candidates):
        costs.setdefault(candidate.model, []).append(candidate.usage.cost or 0.0)
    return {model: fmean(each) for model, each in costs.items()}


ZEROEVAL_GSM = ["deepseek-coder,gemini-1.5-pro,Meta-Llama-3-70B-Instruct", "claude-3-5-sonnet-20241022"]
ZEROEVAL_MATH = ["deepseek-v2.5-0908,gemini-1.5-pro,Qwen2.5-72B-Instruct", "o1-mini-2024-09-12"]


async def zeroeval_gsm(data: Path, seed: int) -> None:
    examples = await panel_examples(data / "zeroeval_gsm")
    goals: dict[str, Goal] = {"budget .13": KeepBudget((0.13,)), "margin": LoseNothing(), "risk .02": KeepRisk(0.02)}
    await staged("zeroeval_gsm", examples, ZEROEVAL_GSM, goals, seed)


async def zeroeval_math(data: Path, seed: int) -> None:
    examples = await panel_examples(data / "zeroeval_math_l5")
    goals: dict[str, Goal] = {"margin": LoseNothing(), "risk .02": KeepRisk(0.02), "budget .65": KeepBudget((0.65,))}
    await staged("zeroeval_math_l5", examples, ZEROEVAL_MATH, goals, seed)


async def mot(data: Path, seed: int) -> None:
    """Three forms of one prompt must agree; else many samples. And a small model before a large one, by budget."""
    both = await panel_examples(data / "mot_gsm")
    large = [e for e in both if sum(c.model == "gpt-4" for c in e.view.candidates) >= 3]
    forms = "gpt-4 greedy_cot1,gpt-4 greedy_cot2,gpt-4 greedy_pot1"
    for last in (13, 16):
        questions = await stage_questions(
            large, [StagePlan.parse(forms), StagePlan.parse(f"gpt-4@{last}")], AgreementScore()
        )
        taken = [take_stages(question, [ScoreLimit(1.0)]) for question in questions]
        drawn = 3 + last * fmean(t.stage == 1 for t in taken)
        tell(f"mot_gsm, three forms | gpt-4@{last}, unanimous", taken, f"samples a question: {drawn:.3f}")
    pair = [e for e in large if any(c.model == "llama-2-13b" for c in e.view.candidates)]
    goals: dict[str, Goal] = {f"budget {share}": KeepBudget((share,)) for share in (0.1, 0.25, 0.5)}
    await staged("mot_gsm", pair, ["llama-2-13b@8", "gpt-4@1"], goals, seed)


async def risks(data: Path, seed: int) -> None:
    """In how many of 100 random halves the other half loses no more than the risk that was stated."""
    examples = await router_bench(data / "routerbench_arc", read_letter)
    trio = ["claude-instant-v1,mistralai/mixtral-8x7b-chat,zero-one-ai/Yi-34B-Chat", "gpt-4-1106-preview"]
    await split("arc", examples, trio, (0.02, 0.03, 0.05), seed)
    gsm = await panel_examples(data / "zeroeval_gsm")
    await split("zeroeval_gsm", gsm, ZEROEVAL_GSM, (0.01, 0.02, 0.03), seed)
    math = await panel_examples(data / "zeroeval_math_l5")
    await split("zeroeval_math_l5", math, ZEROEVAL_MATH, (0.02, 0.05, 0.1), seed)


async def split(name: str, examples: list[Example], stages: list[str], risks: Sequence[float], seed: int) -> None:
    questions = await stage_questions(examples, [StagePlan.parse(s) for s in stages], AgreementScore())
    for risk in risks:
        kept, accepted, lost = 0, [], []
        for number in range(100):
            order = random.Random(repr((seed, number))).sample(questions, len(questions))
            half = len(order) // 2
            limits = KeepRisk(risk).find_limits(order[:half])
            taken = [take_stages(question, limits) for question in order[half:]]
            lost.append(fmean(max(0.0, t.question.stages[-1].right - t.right) for t in taken))
            accepted.append(fmean(t.stage == 0 for t in taken))
            kept += lost[-1] <= risk
        seen = f"lost {fmean(lost):.4f} in the mean, {max(lost):.4f} at most; accepted {100 * fmean(accepted):.1f} %"
        print(f"{name}, risk {risk}: kept in {kept} of 100 halves; {seen}")


def route_llm(path: Path) -> list[RoutedQuestion]:
    """Two models with marks; one call of the large one is the unit of money."""
    return [
        RoutedQuestion(
            row["id"],
            row["id"],
            Question.of(row["question"]),
            {name: float(mark) for name, mark in row["correct"].items()},
            {"mixtral-8x7b": 0.0, "gpt-4-1106": 1.0},
        )
        for row in lines(path)
    ]


def tell_route(name: str, picks: Sequence[RoutedPick]) -> None:
    """One router: accuracy beside the best that can be done without looking, and the best single model."""
    found = measure_router(picks)
    own, rival = found.systems[:2]
    best = max(found.systems[2:], key=lambda system: system.accuracy.value)
    money = f", money {own.cost:.4g}" if own.cost is not None else ""
    print(
        f"{name}: n={found.questions}, right {own.accuracy.value:.4f} ({own.accuracy.low:.3f} to "
        f"{own.accuracy.high:.3f}){money}; without looking {rival.accuracy.value:.4f}{gain(rival)}; best single "
        f"{best.name} {best.accuracy.value:.4f}{gain(best)}; oracle {found.oracle:.4f}; routed in "
        f"{100 * found.chosen:.0f} %; Brier {found.brier:.4f}, calibration error {found.calibration_error:.3f}"
    )


embedder: Path | None = None
"""The folder of an encoder whose embeddings of the questions routers look at, too."""


async def look(
    questions: list[RoutedQuestion], settings: RouterSettings
) -> tuple[list[RoutedQuestion], RouterSettings]:
    """The questions with their embeddings, where there is an embedder."""
    if embedder is None:
        return questions, settings
    found = await embed_questions(questions, LocalEmbedder(embedder), RunContext())
    return found, settings.model_copy(update={"embedder": EmbedderConfig(folder=str(embedder))})


async def routellm_gsm(data: Path, seed: int) -> None:
    questions, common = await look(
        route_llm(data / "routellm_pair" / "gsm8k.jsonl.gz"), RouterSettings(seed=seed, folds=FOLDS)
    )
    for budget in (0.1, 0.25, 0.5):
        settings = common.model_copy(update={"budget": budget})
        tell_route(f"routellm gsm8k, budget {budget}", route_out_of_fold(questions, settings))


async def routellm_mmlu(data: Path, seed: int) -> None:
    questions, settings = await look(
        route_llm(data / "routellm_pair" / "mmlu.jsonl.gz"), RouterSettings(budget=0.5, seed=seed, folds=FOLDS)
    )
    tell_route("routellm mmlu, budget 0.5", route_out_of_fold(questions, settings))


async def routerdc(data: Path, seed: int) -> None:
    rows = list(lines(data / "routerdc_7models" / "scores.jsonl.gz"))
    for name, wanted in (("test", "test"), ("train and test", "")):
        some = [row for row in rows if row["task"].endswith(wanted)]
        questions = [
            RoutedQuestion(
                r["id"], r["id"], Question.of(r["question"]), {m: min(1.0, s) for m, s in r["score"].items()}
            )
            for r in some
        ]
        questions, settings = await look(questions, RouterSettings(seed=seed, folds=FOLDS))
        picks = route_out_of_fold(questions, settings)
        tell_route(f"routerdc, {name}", picks)
        task_of = {row["id"]: row["task"].replace("-", "_").split("_")[0] for row in some}
        for task in sorted(set(task_of.values())):
            own = [pick for pick in picks if task_of[pick.question.id] == task]
            best = max(own[0].question.right, key=lambda model: fmean(p.question.right[model] for p in own))
            found = compare_paired([p.right for p in own], [p.question.right[best] for p in own])
            print(
                f"  {task}: n={len(own)}, right {fmean(p.right for p in own):.4f}, less the best in hindsight ({best}) "
                f"{found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f}, p {found.p:.2g})"
            )


async def guards(data: Path, seed: int) -> None:
    """Panels where a router by words has nothing to find: it must not be below the best single model."""
    for name in ("zeroeval_math_l5", "zeroeval_gsm"):
        examples = await panel_examples(data / name)
        tell_route(name, route_out_of_fold(mark_models(examples), RouterSettings(seed=seed, folds=FOLDS)))
    for name, read in (("routerbench_arc", read_letter), ("routerbench_mbpp", str)):
        examples = await router_bench(data / name, read)
        questions = mark_models(examples)
        tell_route(name, route_out_of_fold(questions, RouterSettings(seed=seed, folds=FOLDS)))
        objective = Objective(money=-20)
        tell_route(f"{name}, money -20", route_out_of_fold(questions, RouterSettings(objective=objective, seed=seed)))


PARTS: Mapping[str, Callable[[Path, int], Any]] = {
    "arc": arc,
    "mbpp": mbpp,
    "zeroeval_gsm": zeroeval_gsm,
    "zeroeval_math": zeroeval_math,
    "mot": mot,
    "risks": risks,
    "routellm_gsm": routellm_gsm,
    "routellm_mmlu": routellm_mmlu,
    "routerdc": routerdc,
    "guards": guards,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--embedder", type=Path, metavar="FOLDER", help="of an encoder, whose embeddings count, too")
    given = parser.parse_args()
    global embedder
    embedder = given.embedder
    for name in given.only.split(","):
        asyncio.run(PARTS[name](given.data, given.seed))


if __name__ == "__main__":
    main()
