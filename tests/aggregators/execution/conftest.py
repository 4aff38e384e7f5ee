"""Where the machine forbids namespaces there is no jail to attack; that nothing runs then is tested everywhere."""

from __future__ import annotations

import asyncio

import pytest

from quorate.aggregators import Sandbox
from quorate.orchestrator.errors import BadInput


@pytest.fixture(scope="session")
def jailed() -> bool:
    """Whether this machine lets a program be isolated."""
    try:
        return asyncio.run(Sandbox().run("print(1)")).ended == "complete"
    except BadInput:
        return False


@pytest.fixture(autouse=True)
def _needs_a_jail(request: pytest.FixtureRequest, jailed: bool) -> None:
    if not jailed and "sandbox" in request.module.__name__ and "without_isolation" not in request.node.name:
        pytest.skip("this machine forbids the namespaces that isolate a program")
