"""Structured answers: schemas, tools, programs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from quorate import (
    Question,
)
from quorate.testing import Reply, ScriptedUpstream

from ..answering import PERSON, SUM, WEATHER, call, endpoint, recorded, solver
from ..scenario import Ask, scenario
from ..telling import build, recipe

CALLS = (
    {"tool_calls": [call("weather", city="Bonn", days=2)], "finish_reason": "tool_calls"},
    {"tool_calls": [call("weather", days=2, city="Bonn")], "finish_reason": "tool_calls"},
    {"tool_calls": [call("weather", city="Köln")], "finish_reason": "tool_calls"},
    {"text": "I cannot know that."},
)
PEOPLE = (
    '{"name": "Ada", "age": 36}',
    '{"age": 36, "name": "Ada"}',
    '{"name": "Ada", "age": 37}',
    '{"name": "Bob", "age": 37}',
    "not JSON",
)


@scenario
async def majority_of_tool_calls() -> AsyncIterator[Ask]:
    """Calls with the same arguments in another order vote together."""
    yield Ask(build("majority@4/m", m=recorded(*CALLS, question=WEATHER)), WEATHER)


@scenario
async def tool_vote() -> AsyncIterator[Ask]:
    """Tool calls of a server, in a vote made for them."""
    reply = Reply("", tool_calls=[call("weather", city="Bonn")], finish_reason="tool_calls", usage=(9, 21))
    async with ScriptedUpstream(reply) as up:
        yield Ask(build("tool-vote@3/m", m=endpoint(up)), WEATHER)


@scenario
async def majority_of_documents() -> AsyncIterator[Ask]:
    """A question that wants JSON makes the majority one of documents."""
    yield Ask(build("majority@5/m", m=recorded(*PEOPLE, question=PERSON)), PERSON)


@scenario
async def json_vote() -> AsyncIterator[Ask]:
    """Documents vote as wholes; what misses the schema abstains."""
    people = ('{"name": "Ada"}', *PEOPLE)
    yield Ask(build("json-vote@6/m", m=recorded(*people, question=PERSON)), PERSON)


@scenario
async def json_fields() -> AsyncIterator[Ask]:
    """Every field is voted on by itself, and the winning fields make a document that nobody gave."""
    shares = (("Ada", 37, 4), ("Bob", 36, 3), ("Cid", 36, 2))
    people = [json.dumps({"name": name, "age": age}) for name, age, times in shares for _ in range(times)]
    yield Ask(build("json-fields@9/m", m=recorded(*people, question=PERSON)), PERSON)


@scenario
async def centroid() -> AsyncIterator[Ask]:
    """The text most like the others."""
    texts = ("The cat sat on the mat.", "A cat sat on a mat.", "Dogs bark at night.", "The cat sat on a mat.")
    yield Ask(build("centroid@4/m", m=solver(*texts)), SUM)


@scenario(needs="jail")
async def execution() -> AsyncIterator[Ask]:
    """Programs that behave alike win together."""
    bodies = ("return x * x", "return 2 * x", "return x + x")
    codes = [f"Here:\n```python\ndef f(x):\n    {body}\n```\n" for body in bodies]
    tests = ("assert f(2) == 4", "assert f(3) == 6", "assert f(0) == 0")
    options = {"run_code": True, "tests": tests, "seconds": 5.0}
    yield Ask(recipe("execution", solver(*codes), n=3, options=options), Question.of("Write f, which doubles."))
