"""Whether `quorate eval run` keeps a vLLM server busy: its throughput over that of the same requests sent raw.

    python benchmarks/eval_runner.py --vllm .venv-vllm/bin/python [--pairs 5] [--questions 96]

A vLLM server with the default embedded model runs in processes of its own on this machine's CPU
(`--url` takes one that runs already). Raw is aiohttp alone: the very bodies that the evaluation
sends, as many samples in flight, replies parsed and thrown away. The evaluation does all it ever
does: votes, grading, a bank on disk, results. Both take turns, so that other work on the machine
touches both; each pair asks with a seed of its own. Reported are generated tokens a second, the
ratio in each pair, and the median of the ratios, which shall be 0.9 at least.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from quorate.agents.embedded import locate
from quorate.agents.endpoint import discover
from quorate.agents.endpoint.chat_call import Dialect, chat_body
from quorate.agents.endpoint.request import encode_body
from quorate.config.catalog import Catalog
from quorate.evals import EvalSpec, Selection, find_task, run_eval
from quorate.orchestrator.context import RunContext, derive_seed

MODEL = "quorate-tiny-base"
READY = 180.0


@dataclass(frozen=True)
class Pass:
    """One way through all questions."""

    tokens: int
    seconds: float
    cpu: float
    """Seconds of this process."""

    @property
    def pace(self) -> float:
        return self.tokens / self.seconds


class Timer:
    """Wall and CPU time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read_out(self, tokens: int) -> Pass:
        return Pass(tokens, time.perf_counter() - self._wall, time.process_time() - self._cpu)


def bodies(questions: int, samples: int, seed: int) -> list[bytes]:
    """What the evaluation of a vote over so many samples sends."""
    dialect = Dialect(n=True)
    found = []
    for item in find_task("stories").items(Selection(questions, seed)):
        seed_of = RunContext(seed=derive_seed(seed, item.id)).request_seed(range(samples))
        found.append(encode_body(chat_body(MODEL, item.question, dialect, n=samples, seed=seed_of, live=False)))
    return found


async def raw(url: str, requests: list[bytes], in_flight: int) -> Pass:
    """All requests, so many at a time."""
    waiting, tokens = iter(requests), 0
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def worker() -> None:
            nonlocal tokens
            for body in waiting:
                async with session.post(f"{url}/chat/completions", data=body, headers=headers) as reply:
                    reply.raise_for_status()
                    tokens += (await reply.json())["usage"]["completion_tokens"]

        timer = Timer()
        await asyncio.gather(*(worker() for _ in range(in_flight)))
        return timer.read_out(tokens)


async def evaluate(url: str, questions: int, samples: int, seed: int, in_flight: int) -> Pass:
    """The same through `eval run`, with a fresh bank."""
    catalog = Catalog({model.name: model for model in await discover(url, n_supported=True)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            timer = Timer()
            result = await run_eval(
                catalog,
                EvalSpec(
                    "stories",
                    pipelines=[f"majority@{samples}/{MODEL}"],
                    limit=questions,
                    seed=seed,
                    out=Path(folder) / "out",
                    concurrency=in_flight,
                ),
            )
            return timer.read_out(round((result.pipelines[0].spent or 0.0) * result.questions))
    finally:
        await catalog.aclose()


async def compare(url: str, options: argparse.Namespace) -> list[tuple[Pass, Pass]]:
    pairs = []
    at_once = max(1, options.in_flight // options.samples)
    for seed in range(options.pairs + 1):
        count = options.questions if seed else max(4, options.questions // 8)
        # Who goes first changes, since the server's caches may favour the second.
        first = await raw(url, bodies(count, options.samples, seed), at_once) if seed % 2 else None
        run = await evaluate(url, count, options.samples, seed, options.in_flight)
        plain = first or await raw(url, bodies(count, options.samples, seed), at_once)
        if seed:  # the one before warms both up
            pairs.append((plain, run))
    return pairs


@contextmanager
def server(python: str) -> Iterator[str]:
    """A vLLM server with the embedded model; its URL, ending in /v1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(locate(MODEL))]
    command += ["--served-model-name", MODEL, "--dtype", "float32", "--enforce-eager", "--max-model-len", "1024"]
    # No prompt in two chunks: vLLM 0.32 on the CPU dies of that where requests have seeds.
    command += ["--max-num-batched-tokens", "65536", "--max-num-seqs", "256"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    quiet = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "TORCHDYNAMO_DISABLE": "1"}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment | quiet, stdout=log, stderr=subprocess.STDOUT)
        try:
            await_ready(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(timeout=30)


def await_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SystemExit("vLLM did not start")


def report(pairs: list[tuple[Pass, Pass]], samples: int, questions: int) -> float:
    """Prints the table; returns the median ratio."""
    table = Table("pair", "raw tokens/s", "eval tokens/s", "ratio", "raw CPU ms/sample", "eval CPU ms/sample")
    drawn = samples * questions
    for number, (plain, run) in enumerate(pairs, start=1):
        cpus = [f"{1000 * p.cpu / drawn:.2f}" for p in (plain, run)]
        table.add_row(str(number), f"{plain.pace:,.0f}", f"{run.pace:,.0f}", f"{run.pace / plain.pace:.3f}", *cpus)
    median = statistics.median(run.pace / plain.pace for plain, run in pairs)
    Console().print(table)
    print(f"median ratio {median:.3f}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return median


def main() -> None:
    parser = argparse.ArgumentParser(description="Throughput of `quorate eval run` over raw requests.")
    parser.add_argument("--vllm", default=sys.executable, metavar="PYTHON", help="an interpreter with vLLM")
    parser.add_argument("--url", help="a server that runs already, ending in /v1")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--questions", type=int, default=96)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--in-flight", type=int, default=256, help="samples at any time")
    options = parser.parse_args()
    if options.url:
        pairs = asyncio.run(compare(options.url, options))
    else:
        with server(options.vllm) as url:
            pairs = asyncio.run(compare(url, options))
    sys.exit(report(pairs, options.samples, options.questions) < 0.9)


if __name__ == "__main__":
    main()
