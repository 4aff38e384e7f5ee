"""The examples run, as a reader would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("quickstart.py", "votes for"),
        ("compose.py", "within a budget"),
        ("graphs.py", "settled by"),
        ("checkpoints.py", "broke: power cut\nresumed: 42 from 4 samples"),
        ("server.py", "candidates"),
        ("faults.py", "stragglers_cancelled"),
        ("panel.py", "minority, blue"),
        ("routes.py", "large: agreement 0.333"),
        ("in_langgraph.py", "tokens in all"),
    ],
)
def test_an_example_runs(name: str, says: str) -> None:
    """Without arguments, warnings or a network."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
