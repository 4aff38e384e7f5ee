"""The list of degradations is closed, documented and used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Code, Degradation

ROOT = Path(__file__).parents[2]
CODES = set(get_args(Code))


def test_every_code_is_documented() -> None:
    """One row each in the table of docs/faults.md, and none that does not exist."""
    table = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").partition("## What `degraded` says")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) == len(CODES)
    assert {code for code, _ in rows} == CODES


def test_every_code_is_used() -> None:
    """None is a promise that nothing keeps."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert [code for code in sorted(CODES) if source.count(f'"{code}"') < 2] == []


def test_there_is_no_other() -> None:
    """Not even by mistake."""
    with pytest.raises(BadInput, match="code"):
        Degradation(code="something_else", where="here", detail="")
