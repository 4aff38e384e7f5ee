"""A whole evaluation: what it reports, what it keeps, and how it fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from quorate.config.catalog import Catalog
from quorate.evals import registry
from quorate.evals.bank import Bank
from quorate.evals.run import Answered, EvalSpec, Opened, Progress, run_eval
from quorate.evals.throttle import IN_FLIGHT, Drawn
from quorate.orchestrator.context import RunContext, derive_seed
from quorate.orchestrator.errors import (
    BadInput,
    MissingExtra,
    NoAnswer,
    QuorateError,
    Rejected,
    UnknownName,
    Unreachable,
)
from quorate.orchestrator.model import ModelBase
from quorate.orchestrator.pipeline import Pipeline, sample
from quorate.orchestrator.types import Answer, Question, SamplingParams
from quorate.orchestrator.usage import Usage
from tests.aggregators.token_level.writers import model

from .fakes import PROMPT, Guesser, Sums, catalog

NAMES = ["m", "majority@4/m", "majority@16/m", "adaptive-consistency@16/m"]


@pytest.fixture(autouse=True)
def _sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})


async def evaluated(models: Catalog | Guesser, *names: str, limit: int = 30, **more: Any) -> dict[str, Any]:
    """The JSON of one run of sums."""
    found = models if isinstance(models, Catalog) else catalog(models)
    on_progress = more.pop("on_progress", None)
    result = await run_eval(found, EvalSpec("sums", pipelines=names, limit=limit, **more), on_progress=on_progress)
    return result.as_json()


def by_name(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {pipeline["name"]: pipeline for pipeline in result["pipelines"]}


def failing(error: Callable[[], QuorateError], *, when: Callable[[int], bool] = lambda _: True) -> Any:
    """Fails for the questions `What is n + n?` whose n is such."""
    return lambda question, _: error() if when(int(question.text.split()[2])) else None


async def test_the_json_is_what_the_command_line_promises() -> None:
    """Every field with its type, pipelines and pairs in the given order, intervals around their values."""
    result = await evaluated(Guesser(), *NAMES, seed=3)
    assert json.loads(json.dumps(result)) == result
    assert (result["task"], result["questions"], result["seed"]) == ("sums", 30, 3)
    assert [p["name"] for p in result["pipelines"]] == NAMES
    for pipeline in result["pipelines"]:
        for measure in ("accuracy", "pass@1", "pass@k"):
            estimate = pipeline[measure]
            assert set(estimate) == {"value", "low", "high"}
            assert 0 <= estimate["low"] <= estimate["value"] <= estimate["high"] <= 1
        assert all(isinstance(pipeline[key], float) for key in ("tokens", "prompt_tokens", "spent", "seconds"))
        assert pipeline["pass@1"]["value"] <= pipeline["pass@k"]["value"]
        assert pipeline["accuracy"]["value"] <= pipeline["pass@k"]["value"]
    accuracy = {p["name"]: p["accuracy"]["value"] for p in result["pipelines"]}
    assert [(c["a"], c["b"]) for c in result["comparisons"]] == list(combinations(NAMES, 2))
    for pair in result["comparisons"]:
        assert pair["difference"] == pytest.approx(accuracy[pair["a"]] - accuracy[pair["b"]], abs=1e-5)
        assert pair["low"] <= pair["difference"] <= pair["high"]
        assert 0 <= pair["p"] <= 1


async def test_figures_are_those_of_the_samples_themselves() -> None:
    """Against drawing the samples by hand: accuracy, pass@1, pass@k and tokens, and votes help."""
    result = by_name(await evaluated(Guesser(), *NAMES, limit=60, seed=9))
    agent, right, tokens = Guesser(), [], 0
    for item in Sums().items(registry_selection(60)):
        answer = await (sample(agent, n=16) | _vote()).answer(item.question, seed=derive_seed(9, item.id))
        right.append([c.text == f"Answer: {item.gold}" for c in answer.candidates])
        tokens += answer.usage.completion_tokens
    assert result["m"]["accuracy"]["value"] == pytest.approx(sum(r[0] for r in right) / 60, abs=1e-5)
    assert result["majority@16/m"]["pass@1"]["value"] == pytest.approx(sum(map(sum, right)) / 60 / 16, abs=1e-5)
    assert result["majority@4/m"]["pass@k"]["value"] == pytest.approx(sum(any(r[:4]) for r in right) / 60, abs=1e-5)
    assert result["majority@16/m"]["tokens"] == pytest.approx(tokens / 60, abs=1e-3)
    assert result["majority@16/m"]["accuracy"]["value"] > result["m"]["accuracy"]["value"] + 0.1


def registry_selection(limit: int) -> Any:
    from quorate.evals.task import Selection

    return Selection(limit)


def _vote() -> Any:
    from quorate.aggregators import MajorityVote

    return MajorityVote()


async def test_models_that_write_together_are_measured(tmp_path: Path) -> None:
    """What they decided together, how often a verifier agreed and how fast it went; a resumed run tells the same."""
    pytest.importorskip("tokenizers")
    names = ["safe/bytes-1+spaces-2", "majority@2/safe/bytes-1+spaces-2"]
    found = []
    for _ in range(2):
        writers: Any = {each.name: each for each in (model("bytes", 1), model("spaces", 2))}
        found.append(
            await evaluated(Catalog(writers), *names, limit=3, out=tmp_path, sampling=SamplingParams(max_tokens=8))
        )
    once, again = (by_name(result) for result in found)
    assert [each.calls for each in writers.values()] == [0, 0]
    for name in names:
        told = once[name]["ensembling"]
        assert 0 < told["share"] < 1
        assert list(told["agreement"]) == ["spaces-2"]
        assert 0 < told["agreement"]["spaces-2"] < 1
        assert once[name]["tokens_per_second"] > 0
        assert {key: again[name][key] for key in ("ensembling", "tokens_per_second", "tokens", "prompt_tokens")} == {
            key: once[name][key] for key in ("ensembling", "tokens_per_second", "tokens", "prompt_tokens")
        }
        assert again[name]["spent"] == 0


async def test_one_sample_has_one_figure() -> None:
    """pass@1 = pass@k = accuracy, with the same interval."""
    only = (await evaluated(Guesser(), "m"))["pipelines"][0]
    assert only["accuracy"] == only["pass@1"] == only["pass@k"]
    assert (only["k"], only["samples"]) == (1, 1.0)


async def test_samples_are_shared_but_each_pipeline_is_charged_as_if_alone() -> None:
    """`tokens` and `prompt_tokens` do not depend on the company, `spent` adds up to what was drawn."""
    agent = Guesser()
    together = by_name(await evaluated(agent, *NAMES))
    for name in NAMES:
        alone = by_name(await evaluated(Guesser(), name))[name]
        for key in ("accuracy", "pass@1", "pass@k", "tokens", "prompt_tokens", "k", "samples"):
            assert together[name][key] == alone[key], (name, key)
        assert alone["spent"] == alone["tokens"]
    assert set(agent.drawn.values()) == {1}
    assert together["m"]["spent"] == together["m"]["tokens"]
    assert together["m"]["prompt_tokens"] == together["majority@16/m"]["prompt_tokens"] == PROMPT
    assert together["adaptive-consistency@16/m"]["spent"] == 0
    assert sum(p["spent"] for p in together.values()) == pytest.approx(together["majority@16/m"]["tokens"], abs=1e-2)
    assert together["adaptive-consistency@16/m"]["tokens"] < together["majority@16/m"]["tokens"]


async def test_seconds_count_samples_from_the_bank_as_long_as_they_took(tmp_path: Path) -> None:
    """The fake says a quarter of a second each."""
    for _ in range(2):
        result = by_name(await evaluated(Guesser(), "m", "majority@4/m", out=tmp_path, limit=5))
        assert all(pipeline["seconds"] >= 0.25 for pipeline in result.values())


async def test_the_same_run_again_gives_the_same_figures_and_draws_nothing(tmp_path: Path) -> None:
    """From the bank alone, also with another order of arrival; only `spent` and `seconds` differ."""
    first, agent = await evaluated(Guesser(), *NAMES, out=tmp_path), Guesser()
    with Bank(tmp_path) as bank:
        samples = list(bank)
    again = await evaluated(agent, *NAMES, out=tmp_path, concurrency=3)
    assert not agent.asked
    with Bank(tmp_path) as bank:
        assert list(bank) == samples
    for pipeline in (*first["pipelines"], *again["pipelines"]):
        del pipeline["seconds"]
    assert all(pipeline.pop("spent") == 0 for pipeline in again["pipelines"])
    assert all(pipeline.pop("spent") is not None for pipeline in first["pipelines"])
    assert again == first


@pytest.mark.parametrize("change", [{"seed": 1}, {"tier": "large"}, {"sampling": SamplingParams(temperature=0.5)}])
async def test_changed_settings_do_not_mix_in_one_folder(tmp_path: Path, change: dict[str, Any]) -> None:
    """The same figures as in a folder of their own, and the old samples still serve."""
    await evaluated(Guesser(), "majority@4/m", out=tmp_path / "both")
    mixed, agent = await evaluated(Guesser(), "majority@4/m", out=tmp_path / "both", **change), Guesser()
    own = await evaluated(Guesser(), "majority@4/m", out=tmp_path / "own", **change)
    for result in (mixed, own):
        del result["pipelines"][0]["seconds"]
    assert mixed == own
    await evaluated(agent, "majority@4/m", out=tmp_path / "both")
    assert not agent.asked


async def test_a_larger_limit_and_more_samples_extend_the_bank(tmp_path: Path) -> None:
    """Only what is missing is drawn."""
    await evaluated(Guesser(), "majority@4/m", limit=10, out=tmp_path)
    agent = Guesser()
    result = await evaluated(agent, "majority@8/m", limit=15, out=tmp_path)
    assert result["questions"] == 15
    assert sorted(agent.asked) == sorted([[4, 5, 6, 7]] * 10 + [[*range(8)]] * 5)


async def test_the_folder_holds_bank_and_results(tmp_path: Path) -> None:
    """The bank has every sample, graded, and the run with its answers; the results are those returned."""
    result = await evaluated(Guesser(), "m", "majority@4/m", out=tmp_path / "new" / "folder", limit=12)
    folder = tmp_path / "new" / "folder"
    assert sorted(p.name for p in folder.iterdir()) == ["bank.sqlite", "results.json", "results.md"]
    assert json.loads((folder / "results.json").read_text()) == result
    with Bank(folder) as bank:
        [run] = bank.runs()
        answers = list(bank.outcomes())
        sets = list(bank.sets("sums", "m"))
        assert len(bank) == 12 * 4
    assert (run.task, run.pipelines, run.questions, bool(run.finished)) == ("sums", ("m", "majority@4/m"), 12, True)
    assert run.settings["tier"] == "small"
    assert sorted((a.pipeline, a.item) for a in answers) == sorted(
        (name, f"sum-{n}") for name in ("m", "majority@4/m") for n in range(1, 13)
    )
    right = sum(a.correct for a in answers if a.pipeline == "m")
    assert result["pipelines"][0]["accuracy"]["value"] == pytest.approx(right / 12, abs=1e-5)
    votes = {a.item: a.samples for a in answers if a.pipeline == "majority@4/m"}
    assert {labelled.item: labelled.correct for labelled in sets} == votes
    assert "| majority@4/m |" in (folder / "results.md").read_text()


async def test_progress_tells_the_beginning_and_every_answer(tmp_path: Path) -> None:
    """Counted up to the total."""
    told: list[Progress] = []
    await evaluated(Guesser(), "m", "majority@4/m", limit=6, out=tmp_path, on_progress=told.append)
    assert told[0] == Opened("sums", 6, ("m", "majority@4/m"), 0, ())
    answered = [progress for progress in told if isinstance(progress, Answered)]
    assert [(a.done, a.total) for a in answered] == [(n, 12) for n in range(1, 13)]
    drawn = [progress for progress in told if isinstance(progress, Drawn)]
    assert (drawn[0].wanted, drawn[0].ended) == (1, 0)
    assert drawn[-1] == Drawn(wanted=24, ended=24, tokens=sum(a.outcome.spent for a in answered))
    assert [a.outcome.drawn for a in answered if a.outcome.pipeline == "majority@4/m"] == [3] * 6
    told.clear()
    await evaluated(Guesser(), "m", limit=6, out=tmp_path, on_progress=told.append)
    assert told[0] == Opened("sums", 6, ("m",), 24, ())
    assert not any(isinstance(progress, Drawn) for progress in told)


async def test_a_question_that_fails_counts_as_wrong_and_is_told(tmp_path: Path) -> None:
    """As a value, beside the others; a rerun tries it again."""
    agent = Guesser(fails=failing(lambda: Rejected("too long"), when=lambda n: n % 3 == 0))
    result = by_name(await evaluated(agent, "m", "majority@4/m", out=tmp_path))
    assert [p["errors"] for p in result.values()] == [10, 10]
    assert result["m"]["error"] == "too long"
    assert result["majority@4/m"]["accuracy"]["value"] <= 20 / 30
    healed = Guesser()
    again = by_name(await evaluated(healed, "m", "majority@4/m", out=tmp_path))
    assert [p["errors"] for p in again.values()] == [0, 0]
    assert {int(text.split()[2]) % 3 for text, _ in healed.drawn} == {0}
    assert (
        again["majority@4/m"]["accuracy"]
        == by_name(await evaluated(Guesser(), "majority@4/m"))["majority@4/m"]["accuracy"]
    )


async def test_a_failed_sample_only_degrades_its_question() -> None:
    """The vote goes on without it."""
    agent = Guesser(fails=lambda _, index: Rejected("no") if index == 3 else None)
    only = (await evaluated(agent, "majority@4/m"))["pipelines"][0]
    assert (only["errors"], only["degraded"], only["samples"]) == (0, 30, 4.0)


@pytest.mark.parametrize("limit", [1, 5, 1000])
async def test_a_dead_endpoint_is_one_error(limit: int) -> None:
    """Not a table of zeros, and found out early."""
    agent = Guesser(fails=failing(lambda: Unreachable("m: no connection")))
    with pytest.raises(NoAnswer, match="m: no connection") as raised:
        await evaluated(agent, "m", "majority@4/m", limit=limit)
    assert (raised.value.code, raised.value.status) == ("upstream_unreachable", 502)
    assert len(agent.asked) <= 3 * IN_FLIGHT


async def test_an_endpoint_that_dies_midway_ends_the_run_and_keeps_what_is_done(tmp_path: Path) -> None:
    """The samples and the partial results are there; the next run goes on."""
    agent = Guesser(fails=failing(lambda: Unreachable("m: gone"), when=lambda n: n > 20))
    with pytest.raises(NoAnswer, match="m: gone"):
        await evaluated(agent, "majority@4/m", limit=200, out=tmp_path, concurrency=4)
    partial = json.loads((tmp_path / "results.json").read_text())
    assert partial["complete"] is False
    assert 36 <= partial["questions"] < 60
    healed = Guesser()
    whole = await evaluated(healed, "majority@4/m", limit=200, out=tmp_path)
    assert whole["complete"] is True
    assert len(healed.asked) == 180


async def test_one_dead_pipeline_does_not_stop_the_others() -> None:
    """Its errors are told."""
    dead = Guesser("dead", fails=failing(lambda: Unreachable("dead: no connection")))
    result = by_name(await evaluated(catalog(Guesser(), dead), "m", "dead", limit=40))
    assert (result["m"]["errors"], result["dead"]["errors"]) == (0, 40)
    assert result["dead"]["accuracy"]["value"] == 0


async def test_a_missing_extra_ends_the_run_at_once() -> None:
    """It would fail every question."""

    class Needy(Guesser):
        async def sample(self, *_: Any) -> None:
            raise MissingExtra("local", "this model")

    with pytest.raises(MissingExtra, match="quorate\\[local\\]"):
        await evaluated(Needy(), "m")


async def test_a_crash_is_a_failure_of_its_question(caplog: pytest.LogCaptureFixture) -> None:
    """Logged with its traceback, counted as an error."""

    def crash(question: Question, index: int) -> None:
        if question.text.startswith("What is 7 "):
            raise ZeroDivisionError("oops")

    only = (await evaluated(Guesser(fails=crash), "m"))["pipelines"][0]
    assert (only["errors"], only["error"]) == (1, "ZeroDivisionError: oops")
    assert "ZeroDivisionError" in caplog.text


async def test_stopping_midway_keeps_what_is_done_and_leaves_nothing_running(tmp_path: Path) -> None:
    """As Ctrl-C does: samples, answers and partial results stay."""
    tenth = asyncio.Event()

    def note(progress: Progress) -> None:
        if isinstance(progress, Answered) and progress.done == 10:
            tenth.set()

    running = asyncio.create_task(
        evaluated(Guesser(pause=0.001), *NAMES, limit=500, out=tmp_path, concurrency=2, on_progress=note)
    )
    await tenth.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with Bank(tmp_path) as bank:
        assert len(list(bank.outcomes())) >= 10
        assert bank.runs()[-1].finished is None
    partial = json.loads((tmp_path / "results.json").read_text())
    assert partial["complete"] is False
    assert partial["questions"] >= 1


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"pipelines": []}, BadInput, "at least one --pipeline"),
        ({"pipelines": ["m", "m"]}, BadInput, "--pipeline m is given twice"),
        ({"pipelines": ["majority@2/m", "majority@2:m"]}, BadInput, "--pipeline majority@2/m is given twice"),
        ({"pipelines": ["m", "other"]}, UnknownName, "no model or pipeline named 'other'"),
        ({"pipelines": ["majority@0/m"]}, BadInput, "samples from 1"),
        ({"limit": 0}, BadInput, "at least 1 question"),
        ({"tier": "huge"}, UnknownName, "no tier named 'huge'"),
        ({"task": "none"}, UnknownName, "no task named 'none'"),
        ({"concurrency": 0}, BadInput, "at least 1 sample must be in flight"),
        ({"out": Path(__file__)}, BadInput, "cannot be made a folder"),
        ({"out": Path("/proc/quorate")}, BadInput, "--out /proc/quorate"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_drawn(
    asked: dict[str, Any], error: type[Exception], words: str
) -> None:
    """One clear error."""
    agent = Guesser()
    with pytest.raises(error, match=words):
        await run_eval(catalog(agent), EvalSpec(**{"task": "sums", "pipelines": ["m"], "limit": 3, **asked}))
    assert not agent.asked


async def test_a_configured_pipeline_and_a_nested_one_share_the_bank_too() -> None:
    """Pipelines by their own names, and pipelines over pipelines."""
    agent = Guesser()
    models = catalog(agent)
    models.pipelines["team"] = (sample(agent, n=4) | _vote()).with_name("team")
    assert isinstance(models.pipelines["team"], Pipeline)
    result = by_name(await evaluated(models, "m", "team", "majority@3/majority@4/m"))
    assert result["team"]["spent"] < result["team"]["tokens"]
    assert result["majority@3/majority@4/m"]["k"] == 3
    assert set(agent.drawn.values()) == {1}


async def test_what_unbanked_models_generate_is_spent_in_full(tmp_path: Path) -> None:
    """A model that draws no samples itself is asked again in every run."""

    class Fixed(ModelBase):
        name = "fixed"

        async def _answer(self, question: Question, run: RunContext) -> Answer:
            run.record("fixed", Usage(prompt_tokens=3, completion_tokens=11, requests=1))
            return Answer(text="Answer: 2", model="fixed")

    for _ in range(2):
        result = by_name(await evaluated(catalog(Guesser(), Fixed()), "m", "majority@2/m+fixed", "fixed", out=tmp_path))
        assert result["fixed"]["spent"] == result["fixed"]["tokens"] == 11
        assert result["majority@2/m+fixed"]["spent"] == 11
        assert result["majority@2/m+fixed"]["tokens"] == pytest.approx(11 + result["m"]["tokens"], abs=1e-3)
    assert result["m"]["spent"] == 0


async def test_the_calls_of_an_aggregator_are_banked_like_samples(tmp_path: Path) -> None:
    """So a synthesis is written once for the same candidates."""
    agent, again = Guesser(), Guesser()
    first = by_name(await evaluated(agent, "majority@3/m", "self-moa@3/m", limit=6, out=tmp_path))
    assert len(agent.asked) == 12
    second = by_name(await evaluated(again, "majority@3/m", "self-moa@3/m", limit=6, out=tmp_path))
    assert not again.asked
    moa = first["self-moa@3/m"]
    assert moa["tokens"] > first["majority@3/m"]["tokens"] > moa["spent"] > 0
    assert second["self-moa@3/m"]["accuracy"] == moa["accuracy"]
    assert second["self-moa@3/m"]["spent"] == 0
