"""A real vLLM server on the CPU with the default embedded model, started once for all tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from quorate.agents.embedded import locate

MODEL = "quorate-tiny-base"
READY = 300.0
"""Seconds that the server may take to start on a busy machine."""

collect_ignore_glob = [] if find_spec("vllm") else ["test_*.py"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"vLLM did not start; the end of its log:\n{log.read_text(errors='replace')[-4000:]}")


@contextmanager
def serving(model: str, log: Path, *options: str, python: str = sys.executable) -> Iterator[str]:
    """A server of an embedded model, run by this Python; its base URL, ending in /v1."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(locate(model))]
    command += ["--served-model-name", model, "--dtype", "float32", "--enforce-eager", "--max-model-len", "1024"]
    # vLLM 0.32 dies on the CPU of a seeded request whose prompt it reads in two parts.
    command += ["--max-num-batched-tokens", "65536"]
    command += ["--host", "127.0.0.1", "--port", str(port), *options]
    # Without dynamo's compilation the first request with log-probabilities does not call g++.
    quiet = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "TORCHDYNAMO_DISABLE": "1"}
    with log.open("wb") as out:
        server = subprocess.Popen(command, env={**os.environ, **quiet}, stdout=out, stderr=subprocess.STDOUT)
    try:
        _await_ready(url, server, log)
        yield f"{url}/v1"
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def vllm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's base URL, ending in /v1."""
    with serving(MODEL, tmp_path_factory.mktemp("vllm") / "server.log", "--max-logprobs", "-1") as url:
        yield url
