"""`quorate batch`: what was drawn is not paid for twice, however often it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from typer.testing import CliRunner

from quorate.cli import app
from quorate.testing import Received, Reply, ScriptedUpstream

LINES = 12


def write(folder: Path, lines: int = LINES) -> tuple[Path, Path]:
    source = folder / "in.jsonl"
    bodies = ({"messages": [{"role": "user", "content": f"What is {n} + {n}?"}]} for n in range(lines))
    source.write_text("".join(json.dumps({"custom_id": str(n), "body": b}) + "\n" for n, b in enumerate(bodies)))
    return source, folder / "out.jsonl"


def say(received: Received) -> Reply:
    number = int(received.body["messages"][-1]["content"].split()[2])
    return Reply(f"The answer is {2 * number}", delay=0.02)


def command(url: str, source: Path, out: Path, *more: str) -> list[str]:
    asked = ["batch", str(source), "--out", str(out), "--upstream", url, "--pipeline", "majority@3/m"]
    return [*asked, "--concurrency", "2", *more]


def answers(out: Path) -> list[tuple[str, str]]:
    records = [json.loads(text) for text in out.read_text().splitlines()]
    return [(record["custom_id"], record["response"]["body"]["quorate"]["answer"]) for record in records]


def test_a_batch(tmp_path: Path) -> None:
    """Votes over each line; a second run asks nothing; without its output the samples are there all the same."""
    source, out = write(tmp_path)
    with ScriptedUpstream(say, models=("m",)) as up:
        done = CliRunner().invoke(app, command(up.url, source, out, "--json"))
        asked = len(up.requests)
        again = CliRunner().invoke(app, command(up.url, source, out))
        out.unlink()
        replayed = CliRunner().invoke(app, command(up.url, source, out, "--json"))
        assert len(up.requests) == asked
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    assert (told["lines"], told["answered"], told["failed"]) == (LINES, LINES, 0)
    assert told["spent"]["completion_tokens"] > 0
    assert again.stderr.startswith("12 lines: 12 were there, 0 answered, 0 failed\n")
    assert json.loads(replayed.stdout)["spent"]["completion_tokens"] == 0
    assert answers(out) == [(str(n), str(2 * n)) for n in range(LINES)]


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_again_and_again(kills: int, tmp_path: Path) -> None:
    """The output is that of an uninterrupted run, and no more is asked twice than was under way at the kills."""
    lines = 8 * kills + 4
    source, out = write(tmp_path, lines)
    program = [sys.executable, "-c", "from quorate.cli import main; main()"]
    with ScriptedUpstream(say, models=("m",)) as up:
        for _ in range(kills):
            before = len(up.requests)
            process = subprocess.Popen(
                [*program, *command(up.url, source, out)], env={**os.environ, "NO_COLOR": "1"}, stderr=subprocess.PIPE
            )
            while len(up.requests) < before + 4:
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert CliRunner().invoke(app, command(up.url, source, out)).exit_code == 0
        drawn = sum(received.body.get("n", 1) for received in up.requests)
    assert answers(out) == [(str(n), str(2 * n)) for n in range(lines)]
    assert 3 * lines <= drawn <= 3 * lines + kills * 2 * 3


def test_an_unknown_pipeline_is_told_at_once(tmp_path: Path) -> None:
    """And not on each line."""
    source, out = write(tmp_path)
    with ScriptedUpstream(say, models=("m",)) as up:
        asked = command(up.url, source, out)
        asked[asked.index("majority@3/m")] = "nonsense"
        done = CliRunner().invoke(app, asked)
    assert done.exit_code != 0
    assert not out.exists()


@pytest.mark.slow
def test_a_server_killed_again_and_again(tmp_path: Path) -> None:
    """A batch given to it is answered all the same, and no more is drawn twice than was under way at the kills."""
    source, out = write(tmp_path)
    kills, own = 3, '"url": "/v1/chat/completions", "body": {"model": "majority@3/m", '
    text = source.read_text().replace('"body": {', own)
    with ScriptedUpstream(say, models=("m",)) as up, ExitStack() as serving:
        client = serving.enter_context(serve(tmp_path, up.url))
        file = client.files.create(file=("in.jsonl", text.encode()), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        for kill in range(kills):
            while len(up.requests) < 3 * (kill + 1):
                time.sleep(0.002)
            serving.close()
            client = serving.enter_context(serve(tmp_path, up.url))
        while (batch := client.batches.retrieve(batch.id)).status != "completed":
            assert batch.status in ("in_progress", "finalizing")
            time.sleep(0.05)
        assert batch.output_file_id is not None
        out.write_bytes(client.files.content(batch.output_file_id).content)
        drawn = sum(received.body.get("n", 1) for received in up.requests)
    assert answers(out) == [(str(n), str(2 * n)) for n in range(LINES)]
    assert 3 * LINES <= drawn <= 3 * LINES + kills * 2 * 3


@contextmanager
def serve(folder: Path, upstream: str) -> Iterator[OpenAI]:
    """A server in a process of its own, which is killed at the end."""
    config = folder / "quorate.yaml"
    config.write_text(
        json.dumps(
            {
                "models": {"m": {"base_url": upstream, "model": "m"}},
                "server": {"port": 0, "log_format": "json", "files": {"folder": str(folder / "f"), "concurrency": 2}},
            }
        )
    )
    program = [sys.executable, "-c", "from quorate.cli import main; main()", "serve", "--config", str(config)]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = next(json.loads(line)["url"] for line in process.stderr if '"url"' in line)
        draining = threading.Thread(target=process.stderr.read, daemon=True)
        draining.start()
        with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
            yield client
        process.send_signal(signal.SIGKILL)
        process.wait()
        draining.join()
