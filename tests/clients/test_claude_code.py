"""Claude Code, an agent that speaks Anthropic's messages: its tools are called by vote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.testing import Received, Reply, ScriptedUpstream

from .conftest import serving

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def claude() -> str:
    """The program: CLAUDE_CODE names it, or it is on the path."""
    found = os.environ.get("CLAUDE_CODE") or shutil.which("claude")
    if not found:
        pytest.skip("no claude: npm install -g @anthropic-ai/claude-code@2.1.332, or let CLAUDE_CODE name it")
    return found


def write_a_file(received: Received) -> Reply:
    """Calls the tool that writes, then says so; each sample words it in another way."""
    body = received.body
    turn = sum(message["role"] == "tool" for message in body["messages"])
    if turn or not body.get("tools"):
        return Reply("It is written.")
    asked = json.dumps(body["messages"])
    path = asked[asked.rindex("FILE:") + 5 :].split()[0]
    arguments = json.dumps({"file_path": path, "content": "408\n"})
    call = {"id": f"call_{body.get('seed')}", "type": "function", "function": {"name": "Write", "arguments": arguments}}
    return Reply("Writing.", tool_calls=[call], finish_reason="tool_calls")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose pipeline `claude-team` votes over three samples."""
    folder = tmp_path_factory.mktemp("claude")
    with ScriptedUpstream(write_a_file, models=("scripted",)) as upstream:
        models = {"scripted": {"base_url": upstream.url}}
        pipelines = {"claude-team": {"pipeline": "majority", "models": ["scripted"], "n": 3}}
        config = folder / "quorate.yaml"
        config.write_text(json.dumps({"models": models, "pipelines": pipelines}))
        with serving(config, folder / "log.txt") as url:
            yield url


def test_it_works_through_a_vote(claude: str, root: str, tmp_path: Path) -> None:
    """A file is written by the tool that the samples agreed to call, and the last answer comes back."""
    file = tmp_path / "work" / "answer.txt"
    file.parent.mkdir()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ANTHROPIC_BASE_URL": root,
        "ANTHROPIC_API_KEY": "any",
        "ANTHROPIC_MODEL": "claude-team",
        "ANTHROPIC_SMALL_FAST_MODEL": "claude-team",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    command = [claude, "-p", f"What is 17 * 24? FILE:{file} takes the answer", "--output-format", "json"]
    command += ["--permission-mode", "acceptEdits"]
    done = subprocess.run(
        command,
        cwd=file.parent,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["result"], told["is_error"], told["num_turns"]) == ("It is written.", False, 2)
    assert file.read_text() == "408\n"
    assert told["usage"]["output_tokens"] > 3 * 2


def test_an_error_of_the_server_is_told(claude: str, root: str, tmp_path: Path) -> None:
    """In the server's words."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ANTHROPIC_BASE_URL": root, "ANTHROPIC_API_KEY": "any"}
    command = [claude, "-p", "hello", "--model", "nonsense", "--output-format", "json"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode != 0
    assert "nonsense" in done.stdout
