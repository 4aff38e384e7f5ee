"""What upstreams tell of caches, thinking and audio is in the replies of every API, in metrics and in traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quorate.orchestrator.types import Candidate
from quorate.orchestrator.usage import Usage
from quorate.storage.traces import TraceStore

from ..conftest import Start
from ..scripted import Echo
from ..telemetry.scraping import scraped

SPENT = Usage(
    prompt_tokens=100,
    completion_tokens=20,
    reasoning_tokens=5,
    cached_tokens=60,
    cache_write_tokens=30,
    prompt_audio_tokens=2,
    completion_audio_tokens=1,
    requests=1,
    cost=0.25,
)


async def test_a_whole_bill(start: Start, tmp_path: Path) -> None:
    """In each API's own words; the parts of Anthropic's prompt add up."""
    model = Echo(say=lambda *_: Candidate(index=0, model="", text="so", usage=SPENT, finish_reason="stop"))
    ask: Any = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    file = tmp_path / "traces.sqlite"
    async with start(model, traces=file) as served:

        async def usage_of(path: str, body: dict[str, Any]) -> dict[str, Any]:
            found: dict[str, Any] = (await served.http.post(path, json=body)).json()["usage"]
            return found

        chat = await usage_of("/v1/chat/completions", ask)
        answer = await usage_of("/v1/responses", {"model": "echo", "input": "hi"})
        note = await usage_of("/v1/messages", {**ask, "max_tokens": 9})
        scrape = await scraped(served)
    assert chat["prompt_tokens_details"] == {"cached_tokens": 60, "cache_write_tokens": 30, "audio_tokens": 2}
    assert chat["completion_tokens_details"] == {"reasoning_tokens": 5, "audio_tokens": 1}
    assert chat["cost"] == 0.25
    assert answer["input_tokens_details"] == {"cached_tokens": 60, "cache_write_tokens": 30}
    assert (note["input_tokens"], note["cache_read_input_tokens"], note["cache_creation_input_tokens"]) == (10, 60, 30)
    assert note["output_tokens_details"] == {"thinking_tokens": 5}
    for part, tokens in (("cached", 60), ("cache_write", 30), ("reasoning", 5), ("prompt_audio", 2)):
        assert scrape.value("quorate_token_parts_total", part=part) == 3 * tokens
    store = TraceStore(file, create=False)
    assert [trace.usage for trace in store.all()] == [SPENT] * 3
    store.close()
