"""Clients that run on Node: those of OpenAI and of Anthropic, Vercel's AI SDK, LangChain, promptfoo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import VOTE

NODE = Path(__file__).parent / "node"
ANSWER = "17 * 24 = 408. Answer: 408"
EXPECTED: dict[str, Any] = {
    "text": ANSWER,
    "texts": [ANSWER, ANSWER],
    "out": 21,
    "answer": "408",
    "name": "weather",
    "arguments": {"city": "Berlin"},
    "input": {"city": "Berlin"},
    "args": {"city": "Berlin"},
    "seen": ["Berlin"],
    "parsed": {"result": 408},
    "output": {"result": 408},
    "stop": ["end_turn", "tool_use"],
    "finishReason": "stop",
}
"""What each field of each check has to be; a list of texts has all that it may be."""


@pytest.fixture(scope="module")
def node() -> str:
    """The program, beside the clients that the lock file names."""
    found = os.environ.get("NODE") or shutil.which("node")
    if not found:
        pytest.skip("no node: apt-get install nodejs npm")
    if not (NODE / "node_modules").exists():
        pytest.skip(f"no clients for node: npm ci --prefix {NODE}")
    return found


def is_as_expected(field: str, value: Any) -> bool:
    expected = EXPECTED.get(field, True)
    return value == expected or (field == "stop" and value in expected)


@pytest.mark.parametrize(("script", "checks"), [("openai", 14), ("anthropic", 10), ("ai-sdk", 20), ("langchain", 15)])
def test_a_client(node: str, url: str, script: str, checks: int) -> None:
    """Plain and streamed, tools and objects, by every API that the client speaks."""
    command = [node, str(NODE / f"{script}.mjs"), url, VOTE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, dict[str, Any]] = json.loads(done.stdout)
    assert len(results) == checks
    errors = results.pop("errors", {})
    thinking = results.pop("thinking", {})
    assert [kind[0] for kind in errors.get("kinds", [])] in ([], ["NotFoundError", "BadRequestError"])
    assert thinking.get("kinds", ["thinking", "text"]) == ["thinking", "text"], thinking
    wrong = {
        check: result
        for check, result in results.items()
        if not result or not all(is_as_expected(field, value) for field, value in result.items())
    }
    assert not wrong, json.dumps(wrong, indent=1)


def test_promptfoo(url: str, tmp_path: Path) -> None:
    """An evaluation by three of its providers."""
    program = os.environ.get("PROMPTFOO") or shutil.which("promptfoo")
    if not program:
        pytest.skip("no promptfoo: npm install -g promptfoo@0.123.1 (Node 22), or let PROMPTFOO name it")
    apis = {"openai:chat": url, "openai:responses": url, "anthropic:messages": url.removesuffix("/v1")}
    providers = [
        {"id": f"{api}:{VOTE}", "config": {"apiBaseUrl": base, "apiKey": "any", "max_tokens": 200}}
        for api, base in apis.items()
    ]
    tests = [{"vars": {"what": "17 * 24"}, "assert": [{"type": "contains", "value": "408"}]}]
    config = {"prompts": ["What is {{what}}?"], "providers": providers, "tests": tests}
    (tmp_path / "promptfooconfig.yaml").write_text(json.dumps(config))
    quiet = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "PROMPTFOO_CONFIG_DIR": str(tmp_path)}
    command = [program, "eval", "--no-cache", "--no-table", "-o", "out.json"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | quiet, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out.json").read_text())["results"]["results"]
    assert [result["success"] for result in results] == [True] * 3
    assert {result["response"]["tokenUsage"]["completion"] for result in results} == {21}
