"""Inspect, the UK AI Security Institute's framework for evaluations, with our vote as its model."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import TINY, VOTE

inspect_ai = pytest.importorskip("inspect_ai")


@pytest.mark.parametrize(("model", "least"), [(VOTE, 1.0), (TINY, 0.0)])
def test_an_evaluation(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, least: float) -> None:
    """It runs to its end, scores the answers and counts the tokens."""
    dataset, scorer, solver = (pytest.importorskip(f"inspect_ai.{part}") for part in ("dataset", "scorer", "solver"))
    monkeypatch.setenv("QUORATE_BASE_URL", url)
    monkeypatch.setenv("QUORATE_API_KEY", "any")
    questions = [
        dataset.Sample(input="What is 17 * 24?", target="408"),
        dataset.Sample(input="What is 24 * 17?", target="408"),
    ]
    task = inspect_ai.Task(
        dataset=dataset.MemoryDataset(questions), solver=solver.generate(), scorer=scorer.match(numeric=True)
    )
    [log] = inspect_ai.eval(
        task, model=f"openai-api/quorate/{model}", log_dir=str(tmp_path), display="none", max_tokens=120, seed=1
    )
    assert log.status == "success", log.error
    assert log.results.scores[0].metrics["accuracy"].value >= least
    [usage] = log.stats.model_usage.values()
    assert usage.output_tokens >= 14
