"""Each server, started once, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .servers import START, UPSTREAMS, Server

collect_ignore_glob = [] if UPSTREAMS else ["test_*.py"]
if UPSTREAMS:  # the user's own cache, so that the model is fetched once
    os.environ["QUORATE_HOME"] = os.environ["QUORATE_ADDED"]
    if not os.environ["QUORATE_HOME"]:
        del os.environ["QUORATE_HOME"]


@pytest.fixture(scope="session", params=START)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of them."""
    with START[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running
