"""`quorate serve` as a process of its own, over an embedded model and over an upstream that calls tools."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from quorate.testing import Received, Reply, ScriptedUpstream

__all__ = ["STORY", "TINY", "VOTE", "answer_by_script"]

VOTE = "majority@3/scripted"
"""A vote over an upstream that answers by script."""
TINY = "majority@4/tiny"
"""A vote over an embedded model."""
STORY = "A bakery bakes 7 trays of 12 rolls each. It sells 30. How many are left?"
"""A question that an embedded model takes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Other people's programs warn of what they like."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.clients)
            item.add_marker(pytest.mark.filterwarnings("ignore"))


def answer_by_script(received: Received) -> Reply:
    """A tool call where there are tools, JSON where that is asked for, else working with an answer."""
    body = received.body
    messages = body.get("messages") or []
    if body.get("tools") and messages[-1]["role"] != "tool":
        function = body["tools"][0]["function"]
        call = {"name": function["name"], "arguments": json.dumps(make_object(function.get("parameters") or {}))}
        tool_call = {"id": "call_1", "type": "function", "function": call}
        return Reply("", tool_calls=[tool_call], finish_reason="tool_calls")
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return Reply(json.dumps(make_object(form["json_schema"]["schema"])))
    if form.get("type") == "json_object" or "a JSON object" in json.dumps(messages[-1:]):
        return Reply('{"result": 408}')
    return Reply("17 * 24 = 408. Answer: 408")


def make_object(schema: dict[str, Any]) -> dict[str, Any]:
    """An object that fits a flat schema."""
    values = {"integer": 408, "number": 408, "boolean": True, "string": "Berlin"}
    return {name: values.get(each.get("type"), "Berlin") for name, each in schema.get("properties", {}).items()}


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the server's API is, with `/v1`."""
    folder = tmp_path_factory.mktemp("serving")
    with ScriptedUpstream(answer_by_script, models=("scripted",)) as upstream:
        models = {
            "scripted": {"base_url": upstream.url},
            "tiny": {"type": "embedded", "model": "quorate-tiny-base", "sampling": {"temperature": 0.7}},
        }
        config = folder / "quorate.yaml"
        config.write_text(json.dumps({"models": models}))
        with serving(config, folder / "log.txt") as root:
            yield f"{root}/v1"


class serving:  # noqa: N801 - used as a function
    """`with serving(config, log) as url`: the server as a user starts it."""

    def __init__(self, config: Path, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._log = log.open("w")
        command = [program(), "serve", "--config", str(config), "--port", str(port)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def __enter__(self) -> str:
        for _ in range(600):
            assert self._process.poll() is None, Path(self._log.name).read_text()
            with suppress(OSError), urllib.request.urlopen(f"{self._url}/health", timeout=5):
                return self._url
            time.sleep(0.1)
        raise TimeoutError(self._url)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()


def program() -> str:
    """The `quorate` of this environment, or the one that QUORATE names."""
    beside = Path(sys.executable).with_name("quorate")
    found = os.environ.get("QUORATE") or (str(beside) if beside.exists() else shutil.which("quorate"))
    if not found:
        pytest.skip("no quorate command here; QUORATE can name one")
    return found
