"""Replies as servers that call themselves OpenAI-compatible really send them, over sockets.

Each case is read by an endpoint and through a client of the openai package, in answer to a plain request and to a
streaming one: what counts is what is sent, not what was asked for.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
from openai import AsyncOpenAI

from quorate import ClientEndpoint, Endpoint
from quorate.agents import RetryPolicy
from quorate.orchestrator.types import Candidate
from quorate.testing import Raw, ScriptedUpstream

from .asking import draw

ONCE = RetryPolicy(attempts=1)
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
DONE = b"data: [DONE]\n\n"
ROME, OSLO = '{"city":"Rome"}', '{"city":"Oslo"}'


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(content: Any = None, finish: Any = None, *, usage: Any = None, **more: Any) -> dict[str, Any]:
    """A chunk of a stream; `more` goes into the delta."""
    said = more if content is None else {"content": content, **more}
    chunk = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}
    return chunk if usage is None else {**chunk, "usage": usage}


def message(content: Any, finish: Any = "stop", *, usage: Any = None, choice: Any = None, **more: Any) -> bytes:
    """A whole reply; `more` goes into the message, `choice` beside it."""
    whole = {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}
    return json.dumps({"choices": [{**whole, **(choice or {})}], "usage": usage or USAGE}).encode()


def stream(*chunks: Any, done: bool = True) -> bytes:
    return b"".join(c if isinstance(c, bytes) else event(c) for c in chunks) + (DONE if done else b"")


def quick_client() -> Any:
    """Without the certificates, which take longer to load than all the rest; `openai` takes httpx and its successor."""
    return httpx.AsyncClient(verify=False)


async def read(body: bytes, content_type: str = "text/event-stream") -> Candidate:
    """What all ways of asking make of a reply; it is the same."""
    async with (
        ScriptedUpstream(Raw([body], content_type=content_type)) as up,
        quick_client() as http,
        AsyncOpenAI(base_url=up.url, api_key="k", http_client=http) as client,
        Endpoint("m", base_url=up.url, retries=ONCE) as endpoint,
    ):
        agents = (endpoint, ClientEndpoint(client, "m", retries=ONCE))
        found = [(await draw(agent, live=live)).one for agent in agents for live in (False, True)]
    told = {"latency": None, "error": None, "usage": found[0].usage}
    same = [one.model_copy(update=told) for one in found]
    assert same == [same[0]] * 4
    statuses = [one.error and (one.error.code, one.error.status, one.error.retry_after) for one in found]
    assert statuses == [statuses[0]] * 4
    counts = [(c.usage.prompt_tokens, c.usage.completion_tokens, c.usage.estimated) for c in found if c.ok]
    assert len(set(counts)) <= 1
    return found[0]


GOOD = [delta("The answer is "), delta("4"), delta(finish="stop", usage=USAGE)]
