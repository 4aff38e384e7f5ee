"""Pipelines as an evaluation wraps them: what they know of their models, and what a sample of theirs is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorate import prompted
from quorate.agents.embedded import Embedded
from quorate.aggregators import Knockout, MajorityVote, SelfMoA, StructuredVote
from quorate.aggregators.forms.rewording import Reworded
from quorate.aggregators.meaning.judged import JudgedGrouping
from quorate.aggregators.routing.asking import RewritingModel
from quorate.aggregators.synthesis.agglm import SteppedAggLM
from quorate.cli import app
from quorate.config.catalog import Catalog
from quorate.evals import registry
from quorate.evals.bank import Bank
from quorate.evals.local_engine import bank_models
from quorate.evals.run import EvalSpec, run_eval
from quorate.evals.throttle import PrioritySemaphore
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.pipeline import Pipeline, sample
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Question
from quorate.testing import ScriptedModel

from .fakes import Guesser, Sums, catalog

SHIPPED = "quorate-tiny-base"


def test_what_a_model_is_reaches_a_pipeline_through_its_wrappers() -> None:
    """A shipped model behind the bank and the queue is a shipped model, so its trained aggregator is taken."""
    models = bank_models(catalog(Embedded(SHIPPED)), [f"agglm@8/{SHIPPED}"], Bank(), PrioritySemaphore(4))
    pipeline = models[f"agglm@8/{SHIPPED}"]
    assert isinstance(pipeline, Pipeline)
    assert pipeline.stage.models[0].identity == Embedded(SHIPPED).identity
    assert isinstance(pipeline.aggregator, SteppedAggLM)
    assert [model.name for model in pipeline.aggregator.models] == ["quorate-tiny-agg"]


def test_the_command_asks_the_aggregator_that_was_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`quorate eval run --pipeline agglm@2/quorate-tiny-base`: not the base model; what it wrote is kept as well."""
    asked: list[str] = []
    sample = Embedded.sample

    async def note(self: Embedded, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        asked.append(self.name)
        await sample(self, question, slots, run)

    monkeypatch.setattr(Embedded, "sample", note)
    out = ("--limit", "1", "--out", str(tmp_path), "--json")
    for _ in range(2):
        command = ["eval", "run", "--pipeline", f"agglm@2/{SHIPPED}", *out]
        assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
        assert asked == [SHIPPED, "quorate-tiny-agg"]


@pytest.mark.parametrize(("name", "n"), [("rsa@4/m", 4), ("moa@3/m", 3), ("debate@3/m", 3)])
async def test_samples_of_a_layered_pipeline_are_those_of_its_first_layer(
    monkeypatch: pytest.MonkeyPatch, name: str, n: int
) -> None:
    """Those of later layers have read the others; pass@1 is that of one answer to the question."""
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})
    spec = EvalSpec("sums", pipelines=[name, f"majority@{n}/m"], limit=12)
    layered, plain = (await run_eval(catalog(Guesser()), spec)).pipelines
    assert layered.errors == 0
    assert (layered.k, layered.samples) == (n, n)
    assert (layered.pass_1, layered.pass_k) == (plain.pass_1, plain.pass_k)
    assert layered.tokens is not None
    assert plain.tokens is not None
    assert layered.tokens > plain.tokens


def count_calls(log: Path) -> int:
    """Samples that a `Guesser` has drawn; their prompts have several lines."""
    return len(re.findall(r"\|-?\d+$", log.read_text(), re.MULTILINE))


def judged(agent: Guesser, judge: Guesser) -> Catalog:
    """Configured pipelines whose judge, synthesizer and judge of meaning are another model than their proposer."""
    voted = StructuredVote(MajorityVote().with_grouping(JudgedGrouping(judge)))
    pipelines: dict[str, Model] = {
        "fused": sample(agent, n=3) | SelfMoA(judge, fallback=voted),
        "picked": sample(agent, n=3) | Knockout(judge),
    }
    return Catalog({"m": agent, "judge": judge}, pipelines)


@pytest.mark.parametrize("name", ["fused", "picked"])
async def test_calls_of_judges_and_synthesizers_are_kept_as_samples_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Stopped in the middle of its judging and taken up again, a run pays for no call twice."""
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})
    spec = EvalSpec("sums", pipelines=[name], limit=8, out=tmp_path, concurrency=3)
    log = tmp_path / "judge.log"
    enough = asyncio.Event()

    def watch(_: Question, __: int) -> None:
        if count_calls(log) > spec.concurrency:
            enough.set()

    slow = judged(Guesser(pause=0.001), Guesser("judge", fails=watch, log=log, pause=0.001))
    running = asyncio.create_task(run_eval(slow, spec))
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with Bank(tmp_path) as bank:
        kept = sum(sample.candidate.agent == "judge" for sample in bank)
    before = count_calls(log)
    whole, again = Guesser("judge"), Guesser("judge")
    await run_eval(judged(Guesser(), whole), spec)
    await run_eval(judged(Guesser(), again), spec)
    alone = Guesser("judge")
    await run_eval(judged(Guesser(), alone), replace(spec, out=None))
    assert 0 < before - spec.concurrency <= kept <= before
    assert sum(whole.drawn.values()) == sum(alone.drawn.values()) - kept
    assert not again.drawn


def _repeat(question: Question, _: int) -> str:
    return str(re.findall(r"What is \d+ \+ \d+\?", question.text)[-1])


STANDS_BEFORE: dict[str, Callable[[Guesser], Model]] = {
    "a vote, prompted": lambda agent: prompted(sample(agent, n=3) | MajorityVote(), system="Be brief.", name="p"),
    "reworded": lambda agent: sample(Reworded(agent, "sentences"), n=3) | MajorityVote(),
    "rewritten": lambda agent: sample(RewritingModel(agent, ScriptedModel(_repeat)), n=3) | MajorityVote(),
    "a vote, reworded": lambda agent: Reworded(sample(agent, n=3) | MajorityVote(), "sentences", name="p"),
}


class Crowd(Guesser):
    """Remembers how many calls were under way at most."""

    now = most = 0

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await super().sample(question, slots, run)
        finally:
            self.now -= 1


@pytest.mark.parametrize("name", STANDS_BEFORE)
async def test_samples_are_kept_whatever_stands_before_their_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """They are counted among those in flight, and not paid for again."""
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})
    agent = Crowd(pause=0.001)
    models = Catalog({"m": agent}, {"p": STANDS_BEFORE[name](agent)})
    spec = EvalSpec("sums", pipelines=["p"], limit=4, out=tmp_path, concurrency=2)
    first, again = await run_eval(models, spec), await run_eval(models, spec)
    assert (agent.drawn.total(), agent.most) == (12, 2)
    assert first.pipelines[0].accuracy == again.pipelines[0].accuracy
