"""How many files, functions and relays one request passes on its way through the server.

    python benchmarks/profile_request.py [--model majority@5/m] [--stream]

A server and a scripted upstream run in this process; after a first request that fills caches, all calls of Python
functions of this package are noted for one more. A relay is an asynchronous generator that hands on what another one
or the upstream gave it: each item of it passes all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx

import quorate
from quorate import Endpoint
from quorate.config.catalog import Catalog
from quorate.server import ServerSettings, run_server
from quorate.testing import Reply, ScriptedUpstream

SOURCE = str(Path(quorate.__file__).parent)
OUTSIDE = ("testing",)
"""Rooms that are not part of the server: the upstream runs in the same process."""
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "What is 6 * 7?"}], "temperature": 0.8}


class CallLog:
    """The functions of the package that were called, by their code, and the moves from one file to another."""

    def __init__(self) -> None:
        self.calls: Counter[CodeType] = Counter()
        self.moves = 0
        self._known: dict[CodeType, str | None] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        here = self._file_of(frame.f_code)
        if here is None:
            return
        self.calls[frame.f_code] += 1
        caller = frame.f_back
        while caller is not None and self._file_of(caller.f_code) is None:
            caller = caller.f_back
        if caller is not None and self._file_of(caller.f_code) != here:
            self.moves += 1

    @property
    def files(self) -> Counter[str]:
        """The files, each with how many of its functions were called."""
        return Counter(str(self._file_of(code)) for code in self.calls)

    @property
    def relays(self) -> list[str]:
        """The asynchronous generators that ran."""
        return [
            f"{self._file_of(code)}: {code.co_qualname}"
            for code in self.calls
            if code.co_flags & inspect.CO_ASYNC_GENERATOR
        ]

    def _file_of(self, code: CodeType) -> str | None:
        """Below the package; None where it is of another one."""
        if code not in self._known:
            name = code.co_filename.removeprefix(SOURCE + "/") if code.co_filename.startswith(SOURCE) else None
            outside = name is None or name.split("/")[0] in OUTSIDE or code.co_name == "<module>"
            self._known[code] = None if outside else name
        return self._known[code]


async def log_request(model: str, *, stream: bool) -> CallLog:
    """What one request calls."""
    log = CallLog()
    async with (
        ScriptedUpstream(Reply("6 * 7 is 42. Answer: 42"), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        run_server(Catalog({"m": endpoint}), ServerSettings(port=0)) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        for number in range(3):
            if number == 2:
                sys.setprofile(log)
                threading.setprofile(log)
            reply = await client.post("/v1/chat/completions", json={**BODY, "model": model, "stream": stream})
            sys.setprofile(None)
            threading.setprofile(None)
            if reply.status_code != 200:
                sys.exit(f"{reply.status_code} {reply.text}")
    return log


def main() -> None:
    parser = argparse.ArgumentParser(description="What one request passes on its way through the server.")
    parser.add_argument("--model", default="majority@5/m", help="`m` is the upstream's model")
    parser.add_argument("--stream", action="store_true")
    options = parser.parse_args()
    log = asyncio.run(log_request(options.model, stream=options.stream))
    for name, functions in sorted(log.files.items()):
        print(f"{functions:4d}  {name}")
    calls = sum(log.calls.values())
    print(f"{len(log.files)} files, {len(log.calls)} functions, {calls} calls, {log.moves} moves between files")
    print(f"{len(log.relays)} relays" + "".join(f"\n  {relay}" for relay in log.relays))


if __name__ == "__main__":
    main()
