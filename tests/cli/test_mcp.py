"""`quorate mcp`: the official SDK's client, over standard input and output and over HTTP."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner

from quorate.cli import app
from quorate.config.server_settings import hash_key
from quorate.testing import Fault, Received, Reply, ScriptedUpstream

PROGRAM = "from quorate.cli import main; main()"
SECRET = "sk-very-secret"


def say(received: Received) -> Any:
    model, text = received.body["model"], received.body["messages"][-1]["content"]
    if "broken" in text:
        return Fault.status(400, f"no such thing; you sent {SECRET[:2]}")
    return Reply("The answer is 408" if model == "m" else "The answer is 408.0")


def server(*more: str, **environment: str) -> StdioServerParameters:
    env = {**os.environ, "QUORATE_UPSTREAM_KEY": SECRET, **environment}
    return StdioServerParameters(command=sys.executable, args=["-c", PROGRAM, "mcp", *more], env=env)


@contextmanager
def serve_http(*more: str, **environment: str) -> Iterator[str]:
    params = server("--http", "--port", "0", *more, **environment)
    with subprocess.Popen(
        [params.command, *params.args], env=params.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None
        try:
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            assert SECRET not in process.stderr.read()
            assert process.stdout.read() == ""


def told(result: Any) -> dict[str, Any]:
    assert not result.is_error, result.content
    structured: dict[str, Any] = result.structured_content
    return structured


async def test_over_standard_input_and_output() -> None:
    """Tools are listed; a vote is asked, watched, compared, and looked at afterwards."""
    notes: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        notes.append((progress, total, message))

    with ScriptedUpstream(say, models=("m", "o")) as up:
        async with Client(server("--upstream", up.url, "--pipeline", "majority@3/m")) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert names == {"ask", "compare", "list_models", "list_traces", "read_trace"}
            question = {"question": "What is 17 * 24?"}
            asked = told(await client.call_tool("ask", question, progress_callback=note))
            assert (asked["answer"], asked["votes"], asked["model"]) == ("408", {"408": 3}, "majority@3/m")
            assert asked["tokens"] > 0
            assert (notes[-1][0], notes[-1][1]) == (3, 3)
            assert (notes[-1][2] or "").startswith("3/3 sampled")
            trace = told(await client.call_tool("read_trace", {"trace": asked["trace"]}))
            assert len(trace["choices"][0]["candidates"]) == 3
            listed = told(await client.call_tool("list_traces", {}))["traces"]
            assert [line["id"] for line in listed] == [asked["trace"]]
            three = {"pipelines": ["m", "majority@3/o", "nobody"]}
            compared = told(await client.call_tool("compare", {**question, **three}))
            assert compared["agreeing"] == [["m", "majority@3/o"]]
            assert "nobody" in compared["results"][2]["error"]
            models = told(await client.call_tool("list_models", {}))
            assert models["default"] == "majority@3/m"
            assert {"m", "o"} <= {each["name"] for each in models["models"]}


ERRORS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("ask", {"question": "broken"}, "no such thing"),
    ("ask", {"question": "x", "pipeline": "nobody"}, "nobody"),
    ("ask", {"question": "x", "pipeline": "majority@9999/m"}, "9999"),
    ("ask", {}, "question: "),
    ("ask", {"question": "x", "budget_tokens": 0}, "budget_tokens: "),
    ("ask", {"question": "x", "budget": 5}, "budget: unknown field; there is: question, pipeline"),
    ("compare", {"question": "x", "pipelines": ["m"]}, "pipelines: "),
    ("compare", {"question": "x", "pipelines": ["m", "m"], "budget_seconds": 0}, "budget_seconds: "),
    ("read_trace", {"trace": "../../etc/passwd"}, "no trace"),
)


async def test_errors_are_told_to_the_agent() -> None:
    """As errors of the tool, in the server's words, without secrets; the server goes on."""
    with ScriptedUpstream(say, models=("m",)) as up:
        async with Client(server("--upstream", up.url)) as client:
            for tool, given, words in ERRORS:
                result = await client.call_tool(tool, given)
                assert result.is_error
                assert words in str(result.content)
                assert SECRET not in str(result.content)
                assert "pydantic" not in str(result.content)
                assert "Error executing" not in str(result.content)
            assert told(await client.call_tool("ask", {"question": "again?"}))["answer"] == "408"


async def test_over_http_with_keys(tmp_path: Path) -> None:
    """A key asks what it may, and sees its own traces only; without one nothing is told."""
    with ScriptedUpstream(say, models=("m", "o")) as up:
        config = tmp_path / "quorate.yaml"
        config.write_text(
            f"models: {{m: {{base_url: {up.url}, model: m}}, o: {{base_url: {up.url}, model: o}}}}\n"
            "server:\n  keys:\n"
            f"    - {{name: ann, hash: '{hash_key('qk-ann')}', allow: [m]}}\n"
            f"    - {{name: bob, hash: '{hash_key('qk-bob')}'}}\n"
        )
        with serve_http("--config", str(config)) as url:
            async with httpx2.AsyncClient() as http:
                assert (await http.post(url, json={})).status_code == 401
            traces = []
            for name, model in (("ann", "m"), ("bob", "o")):
                headers = {"authorization": f"Bearer qk-{name}"}
                async with (
                    httpx2.AsyncClient(headers=headers) as http,
                    Client(streamable_http_client(url, http_client=http)) as client,
                ):
                    asked = {"question": "What is 17 * 24?", "pipeline": model}
                    traces.append(told(await client.call_tool("ask", asked))["trace"])
                    listed = told(await client.call_tool("list_traces", {}))["traces"]
                    assert [line["id"] for line in listed] == traces[-1:]
                    refused = await client.call_tool("ask", {**asked, "pipeline": "majority@3/o"})
                    assert refused.is_error == (name == "ann")


def test_what_cannot_be_served_is_told_at_once() -> None:
    """An unknown pipeline, an address that strangers reach, a port in use."""
    with ScriptedUpstream(say, models=("m",)) as up:
        for more, words in (
            (("--pipeline", "nobody"), "nobody"),
            (("--http", "--host", "0.0.0.0", "--port", "0"), "without API keys"),
            (("--http", "--port", up.url.rpartition(":")[2].partition("/")[0]), "cannot listen"),
        ):
            done = CliRunner().invoke(app, ["mcp", "--upstream", up.url, *more])
            assert words in str(done.exception)
            assert done.stdout == ""
