"""Folders of earlier runs become labelled sets without a model being asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.evals import registry
from quorate.evals.bank import Bank
from quorate.evals.bank.importing import Hints, import_path
from quorate.evals.outcome import Outcome
from quorate.evals.run import run_eval
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import SamplingParams
from tests.evals.fakes import Guesser, Sums, catalog

HINTS = Hints(task="sums", limit=10, seed=3)


@pytest.fixture(autouse=True)
def _sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})


async def old_folder(path: Path, sampling: SamplingParams | None = None) -> list[Outcome]:
    """A folder as runs left it before banks were databases, and what was answered."""
    asked = {"task": "sums", "pipelines": ["majority@4/m"], "limit": 10, "seed": 3, "sampling": sampling}
    await run_eval(catalog(Guesser()), out=path / "run", **asked)  # type: ignore[arg-type]
    with Bank(path / "run") as bank:
        outcomes = list(bank.outcomes())
        samples = [sample.model_dump_json(exclude_defaults=True) for sample in bank]
    (path / "old").mkdir()
    (path / "old" / "samples.jsonl").write_text("\n".join(samples) + "\n")
    answers = [outcome.model_dump_json(exclude_defaults=True) for outcome in outcomes]
    (path / "old" / "answers.jsonl").write_text("\n".join(answers) + "\n")
    return outcomes


@pytest.mark.parametrize("sampling", [None, SamplingParams(temperature=0.5)])
async def test_the_sets_are_labelled_as_the_run_graded_them(tmp_path: Path, sampling: SamplingParams | None) -> None:
    """Also with settings that only a hash tells of; doing it twice adds nothing."""
    outcomes = await old_folder(tmp_path, sampling)
    with Bank(tmp_path / "bank") as bank:
        first = await import_path(bank, tmp_path / "old", HINTS)
        again = await import_path(bank, tmp_path / "old", HINTS)
        sets = {s.item: s for s in bank.sets("sums", "m")}
        assert list(bank.outcomes()) == outcomes
        assert len(bank.runs()) == 1
    assert (first.read, first.new, first.items, first.unmatched, first.ungraded) == (40, 40, 10, 0, 0)
    assert (again.read, again.new) == (40, 0)
    assert {item: s.correct for item, s in sets.items()} == {o.item: o.samples for o in outcomes}
    assert sets["sum-3"].question.text == "What is 3 + 3?"
    assert (sets["sum-3"].gold, sets["sum-3"].cluster) == ("6", "mod 0")


async def test_samples_from_a_folder_serve_the_next_run(tmp_path: Path) -> None:
    """They have the keys they would have been drawn under."""
    await old_folder(tmp_path)
    with Bank(tmp_path / "bank") as bank:
        await import_path(bank, tmp_path / "old", HINTS)
    agent = Guesser()
    await run_eval(catalog(agent), task="sums", pipelines=["majority@4/m"], limit=10, seed=3, out=tmp_path / "bank")
    assert not agent.calls


async def test_without_the_task_ids_and_right_answers_are_known(tmp_path: Path) -> None:
    """From answers.jsonl and the seed; the wording is not."""
    await old_folder(tmp_path)
    with Bank(tmp_path / "bank") as bank:
        done = await import_path(bank, tmp_path / "old", Hints(seed=3))
        sets = list(bank.sets())
    assert (done.new, done.ungraded, len(sets)) == (40, 40, 10)
    assert all(s.gold and not s.question.messages and len(s.candidates) == 4 for s in sets)


async def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    """A run may be at it."""
    await old_folder(tmp_path)
    for name in ("samples.jsonl", "answers.jsonl"):
        path = tmp_path / "old" / name
        path.write_bytes(path.read_bytes()[:-20])
    with Bank(tmp_path / "bank") as bank:
        assert (await import_path(bank, tmp_path / "old", HINTS)).new == 39


@pytest.mark.parametrize(
    ("hints", "says"),
    [
        (Hints(task="sums", limit=10, seed=3, tier="large"), "none of 40 samples belongs to a question of the task"),
        (Hints(task="sums", limit=10), None),
    ],
)
async def test_a_selection_that_fits_nothing_is_told(tmp_path: Path, hints: Hints, says: str | None) -> None:
    """The seed is not needed where the settings are those of the task's own questions."""
    await old_folder(tmp_path)
    with Bank(tmp_path / "bank") as bank:
        if says is None:
            assert (await import_path(bank, tmp_path / "old", hints)).unmatched == 0
        else:
            with pytest.raises(DataError, match=says):
                await import_path(bank, tmp_path / "old", hints)
