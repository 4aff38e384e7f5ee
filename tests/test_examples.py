"""The examples run, as a reader would run them."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from quorate.orchestrator.errors import MissingExtra

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^ *```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_imports_is_there(page: Path) -> None:
    """Where its code says that it is."""
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for step in ast.walk(ast.parse(textwrap.dedent(block), type_comments=False)):
            if isinstance(step, ast.ImportFrom) and (step.module or "").split(".")[0] == "quorate":
                with suppress(MissingExtra):
                    module = importlib.import_module(str(step.module))
                    assert [name.name for name in step.names if not hasattr(module, name.name)] == [], step.module
