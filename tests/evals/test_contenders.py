"""What is compared of a bank with several runs: those that were sampled alike, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.evals import registry
from quorate.evals.bank import Bank, RunRecord, choose_alike
from quorate.evals.contenders import Contenders, read_contenders
from quorate.evals.report.collect import collect
from quorate.evals.run import EvalSpec, run_eval
from quorate.evals.task import Selection
from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.types import SamplingParams

from .fakes import Guesser, Sums, catalog


@pytest.fixture(autouse=True)
def _sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})


async def ran(folder: Path, *names: str, temperature: float | None = None, default: float | None = None) -> None:
    """One more run into the folder's bank, with settings asked for, or the model's own."""
    guesser = Guesser(sampling=SamplingParams() if default is None else SamplingParams(temperature=default))
    asked = None if temperature is None else SamplingParams(temperature=temperature)
    await run_eval(catalog(guesser), EvalSpec("sums", pipelines=names, limit=12, out=folder, sampling=asked))


async def only(folder: Path, *runs: int) -> Contenders:
    return (await read_contenders([folder], runs=runs))["sums"]


async def test_runs_with_other_settings_are_left_out_and_named(tmp_path: Path) -> None:
    """The newest complete run is compared, and scales by its own samples; the others are a choice."""
    await ran(tmp_path, "m", "usc@2/m", "majority@4/m")
    await ran(tmp_path, "usc@2/m", "majority@4/m", temperature=0.5)
    found = await only(tmp_path)
    assert [system.name for system in found.systems] == ["usc@2/m", "majority@4/m"]
    assert found.systems[1].scaling is not None
    assert {len(record) for record in found.systems[1].scaling.records.values()} == {4}
    [note] = found.notes
    assert "run 1 is left out, as its m is another than in run 2" in note
    assert '{"temperature":0.5}' in note
    assert "--run 1 compares it alone, --run 1 --run 2 both" in note


async def test_runs_are_compared_by_their_numbers(tmp_path: Path) -> None:
    """One alone under its plain names, two of other settings beside each other, each scaled by its own samples."""
    await ran(tmp_path, "usc@2/m", "majority@4/m")
    await ran(tmp_path, "majority@4/m", temperature=0.5)
    first, both = await only(tmp_path, 1), await only(tmp_path, 1, 2)
    assert ([system.name for system in first.systems], first.notes) == (["usc@2/m", "majority@4/m"], ())
    assert [system.name for system in both.systems] == ["usc@2/m", "majority@4/m [run 1]", "majority@4/m [run 2]"]
    scaled = [system.scaling for system in both.systems[1:]]
    assert None not in scaled
    assert scaled[0] is not None
    assert scaled[1] is not None
    assert scaled[0].records != scaled[1].records
    with pytest.raises(UnknownName, match="'3'"):
        await only(tmp_path, 3)
    await ran(tmp_path / "other", "m")
    with pytest.raises(BadInput, match="runs are those of one bank"):
        await read_contenders([tmp_path, tmp_path / "other"], runs=[1])


async def test_a_models_own_settings_count_as_well(tmp_path: Path) -> None:
    """A changed configuration makes other samples, though nobody asks for any; what is equal in effect is alike."""
    await ran(tmp_path, "majority@4/m", default=0.5)
    await ran(tmp_path, "majority@4/m", default=0.9)
    await ran(tmp_path, "majority@2/m", temperature=0.9)
    found = await only(tmp_path)
    assert [system.name for system in found.systems] == ["majority@4/m", "majority@2/m"]
    assert ["run 1 is left out" in note for note in found.notes] == [True]
    assert [system.scaling is not None for system in found.systems] == [True, True]


async def test_a_report_of_one_run_compares_at_equal_tokens_over_its_own_samples(tmp_path: Path) -> None:
    """Though the bank has samples with other settings of the same questions."""
    await ran(tmp_path, "usc@2/m", "majority@4/m")
    await ran(tmp_path, "majority@4/m", temperature=0.5)
    with Bank(tmp_path) as bank:
        data = await collect(bank, run=1)
    assert {pool.name for pool in data.pools} == {"m", "m (temperature 0.5)"}
    assert [pair.note.startswith("majority@4/m with ") for pair in data.equal] == [True]


def record(number: int, *, finished: bool = True, prompt: str = "", pipeline: str = "p", **models: str) -> RunRecord:
    return RunRecord(
        id=number,
        task="t",
        started="",
        finished="then" if finished else None,
        pipelines=(pipeline,),
        settings={"models": models, "prompt": prompt},
    )


def test_complete_runs_come_first_and_other_prompts_and_models_do_not_mix() -> None:
    """A run that has not ended takes nobody's place and is told; a model that only one run has is no difference."""
    other = record(1, a="hot", prompt="q")
    kept = choose_alike([record(2, a="cold"), record(3, b="hot", pipeline="q"), record(4, finished=False, a="cold")])
    assert [run.id for run in kept.runs] == [4, 2, 3]
    assert kept.models == {"a": "cold", "b": "hot"}
    assert kept.notes == ("run 4 is newer and has not ended: --run 4 compares it",)
    [note] = choose_alike([other, record(2, a="hot")]).notes
    assert "its prompt is another than in run 2: q, not none" in note
    [running] = choose_alike([record(1, finished=False, a="hot")]).runs
    assert running.id == 1


async def test_a_task_without_samples_is_passed_over(tmp_path: Path) -> None:
    """A run of it was stopped before its first one; a bank of nothing else has nothing to compare."""
    with Bank(tmp_path) as bank:
        bank.note_items("dates", Sums().items(Selection(2, tier="large")))
        bank.start_run("dates", pipelines=("m",), questions=2)
    with pytest.raises(BadInput, match="no answers or samples to compare"):
        await read_contenders([tmp_path])
    await ran(tmp_path, "m")
    assert list(await read_contenders([tmp_path])) == ["sums"]
