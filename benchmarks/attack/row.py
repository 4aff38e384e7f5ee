"""What an attack finds out, and the server that it is about."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving import processes

__all__ = ["Attack", "Row", "Target", "open_target"]


@dataclass(frozen=True)
class Row:
    """One promise, held against what happened."""

    promise: str
    """As the documents give it, in a sentence."""
    measured: str
    """The figures, with their number: `max 31 ms of 200`."""
    met: bool
    test: str
    """What shows the same without a clock in `make test`, as pytest names it: `tests/.../test_body.py::test_...`."""


Attack = Callable[[], Awaitable[Sequence[Row]]]
"""Plays its part against servers of its own, in bounded time."""


@dataclass(frozen=True)
class Target:
    """`quorate serve` in a process of its own, on loopback."""

    url: str
    pid: int

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def open_target(
    models: Mapping[str, Any], *, pipelines: Mapping[str, Any] | None = None, server: Mapping[str, Any] | None = None
) -> Iterator[Target]:
    """A server with its defaults, but for what a case cannot do without, such as keys.

    Args:
        models: as in quorate.yaml.
        pipelines: the same.
        server: the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quorate.yaml"
        path.write_text(json.dumps({"models": models, "pipelines": pipelines or {}, "server": server or {}}))
        with processes.quorate(path, processes.free_port()) as (url, pid):
            yield Target(url, pid)
