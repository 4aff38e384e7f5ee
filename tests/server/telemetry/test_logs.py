"""What a server writes about its requests, and what it never writes."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from quorate import Endpoint
from quorate.agents import RetryPolicy
from quorate.config.server_settings import ApiKey, hash_key
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question
from quorate.server import ServerSettings
from quorate.server.telemetry.logs import configure, find_secrets, mask
from quorate.server.telemetry.metrics import Metrics
from quorate.testing import Fault, Reply, ScriptedUpstream

from ..conftest import Start
from ..scripted import Echo

PROMPT = "a-very-private-prompt"
ANSWER = "a-very-private-answer"
CALLER = "caller-key-3141592653"
UPSTREAM = "upstream-key-2718281828"


class Log:
    """Lines written so far."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, route: str = "/v1/chat/completions") -> list[dict[str, Any]]:
        """Lines of requests to a route."""
        return [line for line in self.lines if line.get("route") == route]


@contextmanager
def logging_to(stream: io.StringIO, **settings: Any) -> Iterator[None]:
    """Logs of this process, as `quorate serve` would write them."""
    root, ours = logging.getLogger(), logging.getLogger("quorate")
    before = root.handlers[:], root.level, ours.level
    configure(ServerSettings(**settings), stream=stream)
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])


@pytest.fixture
def log() -> Iterator[Log]:
    """Everything that is logged."""
    written = Log()
    with logging_to(written.stream, log_format="json"):
        yield written


class Crashing(Agent):
    """Raises what quotes the question, as a validation error does."""

    name = "crashing"

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        raise ValueError(f"cannot read {question.text!r}")


async def test_a_request_is_one_json_line(log: Log, start: Start) -> None:
    """With who asked what of whom, how it went and what it cost."""
    keys = (ApiKey(name="ann", hash=hash_key(CALLER)),)
    async with start(Echo(say=lambda question, index: "4"), keys=keys) as served:
        reply = await served.http.post(
            "/v1/chat/completions",
            json={"model": "majority@3/echo", "messages": [{"role": "user", "content": PROMPT}]},
            headers={"authorization": f"Bearer {CALLER}", "x-request-id": "my-id.7"},
        )
    assert reply.headers["x-request-id"] == "my-id.7"
    [line] = log.of()
    assert line["event"] == "POST /v1/chat/completions 200"
    assert (line["request"], line["key"], line["model"]) == ("my-id.7", "ann", "majority@3/echo")
    assert (line["pipeline"], line["status"], line["stream"], line["choices"]) == ("majority", 200, False, 1)
    usage = reply.json()["usage"]
    assert line["prompt_tokens"] == usage["prompt_tokens"]
    assert line["completion_tokens"] == usage["completion_tokens"]
    assert line["upstream_requests"] == 3
    assert line["stopped"] == "complete"
    assert 0 < line["first_byte"] <= line["seconds"] < 30
    assert line["level"] == "info"
    assert line["time"].endswith("Z")


async def test_degradations_and_errors_are_told_by_their_codes(log: Log, start: Start) -> None:
    """Never by an upstream's words, which may quote the prompt."""
    script = [Fault.status(500, f"no: {PROMPT}"), Reply("4"), Fault.status(429, f"not now: {PROMPT}")]
    async with (
        ScriptedUpstream(script) as up,
        Endpoint("m", base_url=up.url, n_supported=False, retries=RetryPolicy(attempts=1)) as agent,
        start(agent) as served,
    ):
        assert (await served.post(model="majority@2/m")).status_code == 200
        assert (await served.post(model="m")).status_code == 429
    fine, refused = log.of()
    assert fine["degraded"] == ["candidate_failed"]
    assert (refused["status"], refused["error"]) == (429, "rate_limited")
    assert PROMPT not in log.text


@pytest.mark.parametrize("stream", [False, True])
async def test_no_secret_and_no_text_is_ever_written(log: Log, start: Start, stream: bool) -> None:
    """Whatever goes wrong: refused keys, upstreams that echo their key, crashes that quote the question."""
    hostile = [
        Fault.status(401, f"bad key {UPSTREAM} for {PROMPT}"),
        Fault.status(500, f"{UPSTREAM} {PROMPT}"),
        Fault.error_midway(after_chunks=1, reply=Reply(f"{ANSWER} and more")),
        Reply(ANSWER),
    ]
    keys = (ApiKey(name="ann", hash=hash_key(CALLER)),)
    async with (
        ScriptedUpstream(hostile) as up,
        Endpoint("m", base_url=up.url, api_key=UPSTREAM, retries=RetryPolicy(attempts=2, backoff=0.01)) as agent,
        start(agent, Crashing(), keys=keys) as served,
    ):
        body = {"messages": [{"role": "user", "content": PROMPT}], "stream": stream}
        bodies = [
            {"model": name, **body} for name in ("m", "m", "m", "majority@2/m", "crashing", "majority@2/crashing")
        ]
        bodies += [{"model": PROMPT, **body}, {"model": "m", **body, "temperature": PROMPT}]
        texts = []
        for each in bodies:
            for key in (CALLER, f"{CALLER}x"):
                headers = {"authorization": f"Bearer {key}", "x-request-id": f"{PROMPT} {CALLER}"}
                texts.append((await served.http.post("/v1/chat/completions", json=each, headers=headers)).text)
        await served.http.get(f"/v1/{PROMPT}?key={CALLER}")
        metrics = (await served.http.get("/metrics", headers={"authorization": f"Bearer {CALLER}"})).text
    assert len(log.of()) == len(texts)
    for secret in (CALLER, UPSTREAM, PROMPT, ANSWER):
        assert secret not in log.text
        assert secret not in metrics
    for secret in (CALLER, UPSTREAM):
        assert all(secret not in text for text in texts)
    assert "ValueError" in log.text, "a crash is told by its type"
    assert any("test_logs.py" in frame for line in log.lines for frame in line.get("trace", ())), "and its place"


async def test_texts_are_written_where_they_are_asked_for(start: Start) -> None:
    """`log_prompts` shows the question, the answer and what an error said."""
    written = Log()
    with logging_to(written.stream, log_format="json", log_prompts=True):
        async with start(Echo(say=lambda question, index: ANSWER), Crashing(), log_prompts=True) as served:
            await served.post(messages=[{"role": "user", "content": PROMPT}])
            await served.post(model="nobody")
            await served.post(model="crashing", messages=[{"role": "user", "content": PROMPT}])
    asked, unknown, _ = written.of()
    assert (asked["question"], asked["answer"]) == (PROMPT, ANSWER)
    assert "nobody" in unknown["detail"]
    assert any(PROMPT in line.get("exception", "") for line in written.lines)


async def test_every_line_of_a_request_has_its_id(log: Log, start: Start) -> None:
    """Those of the agents too, such as a try that is repeated."""
    async with (
        ScriptedUpstream([Fault.status(503), Reply("4")]) as up,
        Endpoint("m", base_url=up.url, retries=RetryPolicy(backoff=0.01)) as agent,
        start(agent) as served,
    ):
        reply = await served.post(model="m")
    again = [line for line in log.lines if "trying again" in line["event"]]
    assert again
    assert {line["request"] for line in again} == {reply.headers["x-request-id"]}


@pytest.mark.parametrize("given", ["", "with space", "x" * 129, "a/b", 'quote"', "ümlaut"])
async def test_an_odd_request_id_is_replaced(log: Log, start: Start, given: str) -> None:
    """So that nothing can be smuggled into logs or headers."""
    async with start(Echo()) as served:
        reply = await served.http.get("/health", headers=[(b"x-request-id", given.encode("latin-1"))])
        two = await asyncio.gather(served.http.get("/health"), served.http.get("/health"))
    assert reply.headers["x-request-id"] != given
    assert len(reply.headers["x-request-id"]) == 32
    assert len({each.headers["x-request-id"] for each in two}) == 2
    assert log.text == "", "health checks are not worth a line"


@pytest.mark.parametrize("forward", [True, False])
async def test_the_request_id_reaches_the_upstream_where_configured(start: Start, forward: bool) -> None:
    """On every call."""
    async with (
        ScriptedUpstream(Reply("4")) as up,
        Endpoint("m", base_url=up.url, n_supported=False) as agent,
        start(agent, forward_request_id=forward) as served,
    ):
        reply = await served.post(model="majority@2/m")
    ids = [request.headers.get("x-request-id") for request in up.requests]
    assert ids == [reply.headers["x-request-id"] if forward else None] * 2


async def test_an_unexpected_error_has_its_id_in_the_reply_and_the_log(log: Log, start: Start) -> None:
    """Under which the operator finds the cause."""
    async with start(Crashing()) as served:
        reply = await served.post(model="crashing")
    assert reply.status_code == 500
    identity = reply.headers["x-request-id"]
    assert identity in reply.json()["error"]["message"]
    assert any(line["request"] == identity and line.get("exception") == "ValueError" for line in log.lines)


def test_on_a_terminal_lines_are_for_people() -> None:
    """Aligned text in place of JSON; `log_format` decides where it is given."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for chosen, is_json in (("auto", False), ("json", True), ("human", False)):
        terminal = Terminal()
        with logging_to(terminal, log_format=chosen):
            logging.getLogger("quorate.requests").info("GET /v1/models 200", extra={"seconds": 0.5})
        assert terminal.getvalue().startswith("{") == is_json
        assert "GET /v1/models 200" in terminal.getvalue()


def test_nothing_that_others_said_acts_on_the_terminal() -> None:
    """An upstream's message or a client's path, in lines for people."""
    sink = io.StringIO()
    with logging_to(sink, log_format="human"):
        logging.getLogger("quorate.requests").info("call \x1b[2Jm\x9b31m", extra={"error": "a\x1b]0;owned\x07b\u202ec"})
    assert "call [2Jm31m" in sink.getvalue()
    assert "a]0;ownedbc" in sink.getvalue()
    assert not set(sink.getvalue()) & {"\x1b", "\x9b", "\x07", "\u202e"}


def test_find_secrets_the_environment_are_masked() -> None:
    """Values of variables that are called a key or a token, each part of a list; short ones are placeholders."""
    environment = {
        "OPENAI_API_KEY": "sk-0123456789",
        "QUORATE_API_KEYS": "first-secret, second-secret",
        "HF_TOKEN": "hf_0123456",
        "SHORT_KEY": "any",
        "PATH": "/usr/bin:/bin",
    }
    secrets = find_secrets(environment)
    assert secrets == ["sk-0123456789", "first-secret", "second-secret", "hf_0123456"]
    assert mask('{"a": "Bearer sk-0123456789"}', secrets) == '{"a": "Bearer ***"}'


async def test_a_sink_that_fails_costs_no_reply(log: Log, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor another sink its part; the log says so."""

    def broken(*_: object) -> None:
        raise RuntimeError(PROMPT)

    monkeypatch.setattr(Metrics, "count_request", broken)
    async with start(Echo()) as served:
        assert (await served.post()).status_code == 200
    assert log.of()[-1]["status"] == 200
    assert any(line.get("exception") == "RuntimeError" for line in log.lines)
    assert PROMPT not in log.text
