"""`transformers serve` as an upstream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI

from quorate import Endpoint, MajorityVote, sample
from quorate.agents.embedded import locate
from quorate.config.catalog import Catalog
from quorate.orchestrator.events import AnswerToken, Done
from quorate.server import run_server

from .servers import started

pytestmark = pytest.mark.slow

MODEL = str(locate("quorate-tiny-base"))
ASK = "A bakery bakes 7 trays of 12 rolls each. It sells 30 rolls. How many rolls are left?"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    def command(port: int) -> list[str]:
        program = str(Path(sys.executable).with_name("transformers"))
        return [program, "serve", MODEL, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]

    with started(command, tmp_path_factory.mktemp("transformers") / "log.txt", "/health") as root:
        yield f"{root}/v1"


async def test_a_vote(url: str) -> None:
    """Five samples, each counted by the server, and a tally of their answers."""
    async with sample(Endpoint(MODEL, base_url=url), n=5) | MajorityVote() as vote:
        answer = await vote.answer(ASK)
    assert all(c.ok and c.text for c in answer.candidates)
    assert len(answer.candidates) == 5
    assert answer.tally[0].votes >= 1
    assert answer.usage.completion_tokens == sum(c.usage.completion_tokens for c in answer.candidates) > 50
    assert not answer.usage.estimated


async def test_a_stream(url: str) -> None:
    """Tokens as they are written, and the text is theirs."""
    async with Endpoint(MODEL, base_url=url) as agent:
        events = [event async for event in agent.events(ASK)]
    assert isinstance(events[-1], Done)
    pieces = [event.text for event in events if isinstance(event, AnswerToken)]
    assert "".join(pieces) == events[-1].answer.text
    assert len(pieces) > 5


async def test_behind_our_server(url: str) -> None:
    """A client of ours gets a vote over a model of theirs."""
    catalog = Catalog({"tiny": Endpoint(MODEL, base_url=url, name="tiny")})
    async with run_server(catalog) as ours, AsyncOpenAI(base_url=f"{ours}/v1", api_key="any") as client:
        reply = await client.chat.completions.create(
            model="majority@3/tiny", messages=[{"role": "user", "content": ASK}]
        )
    assert reply.choices[0].message.content
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 30
