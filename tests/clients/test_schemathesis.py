"""Schemathesis: whatever fits our OpenAPI document, and much that does not, gets a reply that the document knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("schemathesis")


def test_the_document_is_true(url: str, tmp_path: Path) -> None:
    """No reply with a status, type or body that the document does not tell of, and no server error."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{url.removesuffix('/v1')}/openapi.json"]
    options = ["--max-examples", "30", "--seed", "1", "--workers", "1", "--request-timeout", "30", "--no-color"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
