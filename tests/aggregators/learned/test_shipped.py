"""The aggregator that ships: small, used where its proposers are, indifferent to order, and better than one sample."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from quorate import MajorityVote, sample
from quorate.agents import Endpoint
from quorate.agents.embedded import Embedded
from quorate.agents.embedded.weights import locate
from quorate.agents.fallback import Fallback
from quorate.agents.hedged import Hedged
from quorate.agents.pool import Pool, RoundRobin
from quorate.aggregators import AggLM, SteppedAggLM
from quorate.aggregators.token_level import SAFE
from quorate.config.catalog import Catalog
from quorate.evals.bank import Bank
from quorate.evals.banked_sampler import BankedSampler
from quorate.evals.tasks.stories import generate
from quorate.evals.throttle import PrioritySemaphore, Throttled
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.prompted import prompted
from quorate.orchestrator.protocols import Model, is_sampler
from quorate.orchestrator.types import Candidate, Question, SamplingParams
from tests.aggregators.helpers import aggregate_at_node

pytest.importorskip("torch")

NAME = "quorate-tiny-agg"
MEGABYTES = 6


def test_it_is_small() -> None:
    """All of its files together."""
    assert sum(file.stat().st_size for file in locate(NAME).iterdir()) <= MEGABYTES * 1e6


def test_its_figures_are_what_the_documentation_claims() -> None:
    """Above the vote over as many samples by .05, the vote over twice as many, and itself without candidates."""
    figures = json.loads((locate(NAME) / "figures.json").read_text())["figures"]
    found = figures["candidates of quorate-tiny-base"]
    assert found["aggregator - majority@m"]["difference"] >= 0.05
    assert found["aggregator - majority@m"]["p"] < 0.01
    assert found["aggregator - majority@2m"]["low"] > 0
    assert found["alone"][NAME]["aggregator - this"]["low"] > 0
    assert found["questions"] >= 1000


def base(name: str = "base") -> Embedded:
    return Embedded(f"quorate-tiny-{name}")


WRAPPED: dict[str, Callable[[], Model]] = {
    "as it is": Embedded,
    "under another name": lambda: Embedded(name="mine"),
    "written together": lambda: SAFE([base("sum"), base("product")], name="mine"),
    "hedged": lambda: Hedged(base()),
    "in a pool": lambda: Pool([base(), base("sum")]),
    "in turns": lambda: RoundRobin([base(), base("sum")]),
    "with a fallback": lambda: Fallback(base(), base("sum")),
    "throttled": lambda: Throttled(base(), PrioritySemaphore(2)),
    "prompted": lambda: prompted(base(), system="Be brief."),
    "a vote of its samples": lambda: sample(base(), n=2) | MajorityVote(),
    "several deep": lambda: Hedged(Throttled(Pool([base(), base("sum")]), PrioritySemaphore(2))),
}


@pytest.mark.parametrize("banked", [False, True])
@pytest.mark.parametrize("way", WRAPPED)
def test_shipped_proposers_are_aggregated_by_it(way: str, banked: bool, tmp_path: Path) -> None:
    """With the wording that it was trained on, whatever stands before them, and also where samples are kept."""
    proposer = WRAPPED[way]()
    with Bank(tmp_path) as bank:
        if banked and is_sampler(proposer):
            proposer = BankedSampler(proposer, bank)
        pipeline = Catalog({"mine": proposer}).resolve("agglm@8/mine")
    assert isinstance(pipeline, Pipeline)
    aggregator = pipeline.aggregator
    assert isinstance(aggregator, SteppedAggLM)
    assert [model.name for model in aggregator.models] == [NAME]


def test_other_models_are_not(tmp_path: Path) -> None:
    """Another's, and a folder of one's own, also as one of several: it knows word problems and nothing else."""
    shutil.copytree(locate("quorate-tiny-base"), tmp_path / "own")
    own = Embedded(tmp_path / "own")
    elsewhere = Endpoint("quorate-tiny-base", base_url="http://127.0.0.1:9/v1")
    mixed = Hedged(Pool([Embedded(), own], name="own"))
    proposers: list[Model] = [own, SAFE([Embedded(), own], name="own"), elsewhere, Hedged(own), mixed]
    for proposer in proposers:
        pipeline = Catalog({"own": proposer}).resolve("agglm@8/own")
        assert isinstance(pipeline, Pipeline)
        assert isinstance(pipeline.aggregator, AggLM)
        assert list(pipeline.aggregator.models) == [proposer]


def at_seed(seed: int | None) -> RunContext:
    return RunContext(seed=seed, node="aggregate", live=False)


async def test_the_order_of_the_candidates_changes_nothing() -> None:
    """Greedy answers, for wrong, right and torn candidates."""
    problem = generate("hard", seed=61, count=1)[0]
    lines = problem.solution.splitlines()
    texts = [problem.solution] * 3 + ["\n".join([*lines[:-1], f"Answer: {n}"]) for n in (3, 3, 5)]
    candidates = [Candidate(index=i, model="m", agent="m", text=text) for i, text in enumerate(texts)]
    aggregator = SteppedAggLM(Embedded(NAME))
    answers = set()
    for seed in range(4):
        Random(seed).shuffle(candidates)
        dealt = [c.model_copy(update={"index": i}) for i, c in enumerate(candidates)]
        answer = await aggregate_at_node(aggregator, dealt, at_seed(seed), Question.of(problem.question))
        answers.add(answer.text)
    assert len(answers) == 1
    await aggregator.aclose()


async def test_it_solves_what_its_candidates_get_wrong_and_keeps_what_they_get_right() -> None:
    """On fresh problems: all right ones stay right, and of sets without the answer it still solves many."""
    problems = generate("hard", seed=62, count=16)
    aggregator = SteppedAggLM(Embedded(NAME, sampling=SamplingParams(temperature=0.0, max_tokens=400)))
    kept, solved = 0, 0
    for problem in problems:
        wrong = problem.solution.replace(f"Answer: {problem.answer}", "Answer: 1")
        for text in (problem.solution, wrong):
            candidates = [Candidate(index=i, model="m", agent="m", text=text) for i in range(4)]
            answer = await aggregate_at_node(aggregator, candidates, at_seed(None), Question.of(problem.question))
            right = answer.text.strip().endswith(f"Answer: {problem.answer}")
            kept, solved = kept + (right and text is not wrong), solved + (right and text is wrong)
    await aggregator.aclose()
    assert kept >= 15
    assert solved >= 4
