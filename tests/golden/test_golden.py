"""Every scenario still comes to what its transcript says.

After a change that is meant: `python -m tests.golden.scenarios --write`, and read the diff.
"""

from __future__ import annotations

from difflib import unified_diff

import pytest

from .scenarios import FOLDER, SCENARIOS, can_run, transcript, written


# A stage that is taken up again from a checkpoint hands on a list of candidates, which pydantic warns of.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("name", list(SCENARIOS))
async def test_as_written(name: str) -> None:
    """The transcript of a run is its file, line by line."""
    scenario = SCENARIOS[name]
    if not await can_run(scenario.needs):
        pytest.skip(f"{name} needs {scenario.needs}")
    told = written(await transcript(scenario))
    kept = scenario.path.read_text(encoding="utf-8") if scenario.path.exists() else ""
    if told != kept:
        lines = unified_diff(kept.splitlines(), told.splitlines(), f"{name}.json", "this run", lineterm="", n=4)
        pytest.fail(f"{scenario.about}\n" + "\n".join(lines), pytrace=False)


def test_every_file_has_its_scenario() -> None:
    """No transcript is left over, and none is missing."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SCENARIOS)
