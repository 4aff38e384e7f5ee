"""What the tests of programs with a pipeline inside share: a scripted server, and a file that names it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.testing import ScriptedUpstream

from .conftest import answer_by_script

__all__ = ["config_file"]


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A `quorate.yaml` whose model `scripted` calls tools and gives JSON where asked, and a pipeline `team` over it."""
    with ScriptedUpstream(answer_by_script, models=("scripted",)) as upstream:
        file = tmp_path_factory.mktemp("inside") / "quorate.yaml"
        models = {"scripted": {"base_url": upstream.url}}
        pipelines = {"team": {"pipeline": "majority", "models": ["scripted"], "n": 3}}
        file.write_text(json.dumps({"models": models, "pipelines": pipelines}))
        yield file
