"""What documents and attacks name as the test of a promise is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"(tests/[\w/]+\.py)(?:::(test_\w+))?")
PROMISING = ("docs/server.md", "docs/faults.md", "docs/access.md")
SOURCES = (*PROMISING, *(str(path.relative_to(ROOT)) for path in (ROOT / "benchmarks/attack").glob("*.py")))


@pytest.mark.parametrize("source", SOURCES)
def test_the_tests_that_are_named_exist(source: str) -> None:
    """By file and function."""
    for file, function in NAMED.findall((ROOT / source).read_text(encoding="utf-8")):
        assert (ROOT / file).is_file(), file
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert not function or function in functions, f"{file}::{function}"


@pytest.mark.parametrize("source", PROMISING)
def test_each_document_of_promises_names_their_tests(source: str) -> None:
    """In a table of its own, a promise a line."""
    _, _, table = (ROOT / source).read_text(encoding="utf-8").partition("## What shows it\n")
    lines = [line for line in table.partition("\n## ")[0].splitlines() if line.startswith("|")][2:]
    assert len(lines) > 5
    assert all(NAMED.search(line) for line in lines)
