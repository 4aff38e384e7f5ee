"""A server of models as a process of its own."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

__all__ = ["started"]


@contextmanager
def started(command: Callable[[int], list[str]], log: Path, probe: str, patience: float = 120) -> Iterator[str]:
    """Its address, once a GET of `probe` is answered.

    Args:
        command: from a free port.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, end = f"http://127.0.0.1:{port}", time.monotonic() + patience
    with log.open("w") as out, subprocess.Popen(command(port), stdout=out, stderr=out) as process:
        try:
            while True:
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"{command(port)} did not start: {log.read_text()[-3000:]}")
                with suppress(OSError), urllib.request.urlopen(url + probe, timeout=5):
                    break
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
