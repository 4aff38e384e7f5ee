"""`quorate batch --engine ray`: the output and the bank of one process, from workers that may die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from typer.testing import CliRunner

from quorate.cli import app
from quorate.testing import ScriptedUpstream

from .test_batch import LINES, answers, command, say, write

pytest.importorskip("ray")
PROGRAM = [sys.executable, "-c", "from quorate.cli import main; main()"]


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: paths of sockets have a hundred characters."""
    with TemporaryDirectory(prefix="ray") as folder:
        yield Path(folder)


@pytest.mark.slow
def test_a_batch_on_a_cluster(tmp_path: Path, short: Path) -> None:
    """Killed with its workers, it goes on with what was drawn; its answers are those of one process.

    It starts its own cluster, whichever one was last started on the machine.
    """
    source, out = write(tmp_path)
    here = tmp_path / "here.jsonl"
    ray = ("--engine", "ray", "--ray-workers", "1")
    environment = {**os.environ, "NO_COLOR": "1", "RAY_TMPDIR": str(short), "RAY_worker_niceness": "0"}
    (short / "ray").mkdir()
    (short / "ray/ray_current_cluster").write_text("127.0.0.1:1")
    with ScriptedUpstream(say, models=("m",)) as up:
        asked = [*PROGRAM, *command(up.url, source, out, *ray)]
        with subprocess.Popen(asked, env=environment, stderr=subprocess.PIPE, start_new_session=True) as process:
            while len(up.requests) < 4:
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGKILL)
        done = subprocess.run([*asked, "--json"], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        drawn = sum(received.body.get("n", 1) for received in up.requests)
        bank = ("--bank", f"{out}.bank.sqlite")
        replayed = CliRunner().invoke(app, command(up.url, source, here, "--json", *bank))
        assert sum(received.body.get("n", 1) for received in up.requests) == drawn
    told = json.loads(done.stdout)
    assert told["before"] + told["answered"] == LINES
    assert told["spent"]["completion_tokens"] > 0
    assert 3 * LINES <= drawn <= 3 * LINES + 2 * 3
    assert replayed.exit_code == 0
    assert answers(out) == answers(here) == [(str(n), str(2 * n)) for n in range(LINES)]


def test_options_of_another_engine_are_refused(tmp_path: Path) -> None:
    """They would mean nothing, and an address where nobody answers is told by its name."""
    source, out = write(tmp_path)
    with ScriptedUpstream(say, models=("m",)) as up:
        done = CliRunner().invoke(app, command(up.url, source, out, "--ray-workers", "2"))
        assert "--engine ray" in str(done.exception)
        nowhere = ("--engine", "ray", "--ray-address", "127.0.0.1:1")
        done = CliRunner().invoke(app, command(up.url, source, out, *nowhere))
        assert "--ray-address 127.0.0.1:1" in str(done.exception)
