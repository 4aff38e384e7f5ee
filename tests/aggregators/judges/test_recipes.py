"""Judges by name and from a configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.aggregators import BestOfN, ExecutionAgreement, ScoredVote, Swiss, TestWriter
from quorate.aggregators.judges import Judge, borda
from quorate.config.catalog import Catalog
from quorate.config.file import load_config
from quorate.orchestrator.errors import BadInput, ConfigError
from quorate.orchestrator.pipeline import Pipeline
from quorate.testing import Reply, ScriptedModel, ScriptedUpstream

NAMES = ("usc", "genselect", "knockout", "swiss", "judge-run-off")
REWARDS = {"reward-best": BestOfN, "reward-vote": ScoredVote, "reward-softmax-vote": ScoredVote}


def configured(folder: Path, pipeline: str, base_url: str = "http://127.0.0.1:9/v1") -> Path:
    file = folder / "quorate.yaml"
    text = f"models:\n  m: {{base_url: '{base_url}'}}\npipelines:\n  p: {pipeline}\n"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("name", NAMES)
async def test_a_judge_by_its_name(name: str) -> None:
    """The first model judges its own samples."""
    model = ScriptedModel(lambda question, index: "Chosen: 1" if "Chosen" in question.text else f"\\boxed{{{index}}}")
    catalog = Catalog({"m": model})
    assert any(listed.startswith(f"{name}@") for listed in catalog.names())
    pipeline = catalog.resolve(f"{name}@3/m")
    assert isinstance(pipeline, Pipeline)
    answer = await pipeline.answer("?", seed=1)
    assert answer.model == f"{name}@3/m"
    assert answer.degraded == ()
    assert len(model.asked) > 3


@pytest.mark.parametrize("name", REWARDS)
def test_a_reward_needs_a_verifier(name: str, tmp_path: Path) -> None:
    """Its bare name is not listed, and says what to configure; so does a file that names none."""
    catalog = Catalog({"m": ScriptedModel()})
    assert not any(listed.startswith(name) for listed in catalog.names())
    with pytest.raises(BadInput, match=r"reward model.*options: \{verifier"):
        catalog.resolve(f"{name}@4/m")
    with pytest.raises(ConfigError, match="reward model"):
        load_config(configured(tmp_path, f"{{pipeline: {name}, models: [m]}}")).catalog()


@pytest.mark.parametrize(("name", "kind"), REWARDS.items())
async def test_a_configured_reward_model(name: str, kind: type[ScoredVote], tmp_path: Path) -> None:
    """Address, model and kind of endpoint; the pipeline asks it."""

    async with ScriptedUpstream(lambda request: Reply("\\boxed{1}" if "chat" in request.path else "0.5")) as up:
        verifier = f"{{base_url: '{up.url}', model: rm, api: score}}"
        options = f"{{pipeline: {name}, models: [m], n: 2, options: {{verifier: {verifier}}}}}"
        pipeline = load_config(configured(tmp_path, options, up.url)).catalog().resolve("p")
        assert isinstance(pipeline, Pipeline)
        assert isinstance(pipeline.aggregator, kind)
        async with pipeline:
            answer = await pipeline.answer("?")
    assert answer.answer == "1"
    assert answer.degraded == ()
    assert sum(request.path == "/v1/score" for request in up.requests) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("{pipeline: reward-best, options: {verifier: {model: rm}}", "base_url"),
        ("{pipeline: reward-best, options: {verifier: {base_url: 'http://h', model: rm, api: x}}", "api"),
        (
            "{pipeline: reward-best, options: {verifier: {base_url: 'http://h', model: rm, key_env: NOT_SET_X}}",
            "NOT_SET_X",
        ),
        ("{pipeline: swiss, options: {ranking: elo}", "ranking"),
        ("{pipeline: swiss, options: {rounds: 0}", "rounds"),
        ("{pipeline: usc, options: {max_context_tokens: 0}", "max_context_tokens"),
        ("{pipeline: usc, options: {max_tokens: 0}", "max_tokens"),
        ("{pipeline: execution, options: {memory: 1}", "memory"),
        ("{pipeline: execution", "run_code: true"),
        ("{pipeline: execution, options: {run_code: true, tests: ['']}", "list of statements"),
    ],
)
def test_mistakes_in_a_file_are_named(options: str, says: str, tmp_path: Path) -> None:
    """With file and line."""
    with pytest.raises(ConfigError, match=says) as raised:
        load_config(configured(tmp_path, options + ", models: [m]}")).catalog()
    assert "quorate.yaml:4" in str(raised.value)


def test_options_arrive(tmp_path: Path) -> None:
    """Rounds and ranking of a Swiss tournament; given tests, or a model that writes them."""

    def built(options: str) -> object:
        pipeline = load_config(configured(tmp_path, options)).catalog().resolve("p")
        assert isinstance(pipeline, Pipeline)
        return pipeline.aggregator

    swiss = built("{pipeline: swiss, models: [m], options: {rounds: 2, ranking: borda, concurrency: 3}}")
    assert isinstance(swiss, Swiss)
    assert (swiss.rounds, swiss.ranking, swiss.concurrency) == (2, borda, 3)
    judge = built("{pipeline: usc, models: [m], options: {max_tokens: 64, temperature: 0.3}}")
    assert isinstance(judge, Judge)
    assert (judge.sampling.max_tokens, judge.sampling.temperature) == (64, 0.3)
    given = built("{pipeline: execution, models: [m], options: {run_code: true, tests: ['assert f(1) == 2']}}")
    assert isinstance(given, ExecutionAgreement)
    assert not isinstance(given.tests, TestWriter)
    written = built("{pipeline: execution, models: [m], options: {run_code: true}}")
    assert isinstance(written, ExecutionAgreement)
    assert isinstance(written.tests, TestWriter)
