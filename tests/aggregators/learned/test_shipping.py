"""What ships is what the script makes of a training and its measurements, and says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from scripts.embedded.aggregator import FILES, NAME, ship

from quorate.agents.embedded.weights import locate

MADE = ("README.md", "training.json", "figures.json", *FILES)


def test_the_shipped_folder_comes_from_its_own_records(tmp_path: Path) -> None:
    """Card, records and weights; the trained folder's name, which may be a path of some machine, does not ship."""
    shipped = locate(NAME)
    training = json.loads((shipped / "training.json").read_text())
    measured = json.loads((shipped / "figures.json").read_text())
    readers = [tmp_path / f"reader-{n}" for n, _ in enumerate(training["readers"])]
    runs = [tmp_path / f"run-{n}" for n, _ in enumerate(training["runs"])]
    for folder, record in zip(readers, training["readers"], strict=True):
        folder.mkdir()
        (folder / "training.json").write_text(json.dumps(record))
    for run, record in zip(runs, training["runs"], strict=True):
        shutil.copytree(shipped, run / "model")
        (run / "model" / "training.json").write_text(json.dumps({"name": str(run), **record}))
    figures = {}
    for number, (name, found) in enumerate(measured["figures"].items()):
        last = str(runs[-1] / "model")
        alone = {"model" if model == NAME else model: row for model, row in found["alone"].items()}
        figures[name] = tmp_path / f"{number}.json"
        figures[name].write_text(json.dumps(found | {"model": last, "alone": alone}))
    made = ship([*readers, *runs], figures, measured["commands"], tmp_path / "weights")
    for name in MADE:
        assert (made / name).read_bytes() == (shipped / name).read_bytes(), name
