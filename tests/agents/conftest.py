"""A random model, for what is about embedded agents."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from quorate.agents.embedded import Embedded

from .tiny import build


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model's folder."""
    pytest.importorskip("torch").set_num_threads(1)
    return build(tmp_path_factory.mktemp("models") / "tiny")


@pytest_asyncio.fixture
async def model(tiny: Path) -> AsyncGenerator[Embedded, None]:
    """An agent of the random model, closed after the test."""
    async with Embedded(tiny) as agent:
        yield agent
