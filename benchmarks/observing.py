"""What looking on costs: CPU for one request with metrics, logs, the trace store and OpenTelemetry on and off.

    python benchmarks/observing.py [--concurrency 16] [--seconds 2] [--rounds 5]

A mock upstream answers after 200 ms. One `quorate serve` a setting, all running, asked in turn in every round;
shown are medians over the rounds, and of each setting the median of its difference to the one without
anything in the same round. docs/observability.md has the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from serving import processes
from serving.load import System, measure

NOTHING: dict[str, Any] = {"metrics": False, "log_level": "error"}
SETTINGS: dict[str, dict[str, Any]] = {
    "nothing": NOTHING,
    "metrics": {"log_level": "error"},
    "metrics and logs (the default)": {},
    "and the trace store": {"traces": "traces.sqlite"},
    "and the trace store, with texts": {"traces": "texts.sqlite", "log_prompts": True},
    "metrics, logs and OpenTelemetry": {"otel": True},
}
PIPELINES = {"passthrough": "many", "majority@5, five calls": "majority@5/single"}


def main(options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        upstream, _ = stack.enter_context(processes.mock("upstream"))
        sink, _ = stack.enter_context(processes.mock("sink"))
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = sink
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {}
        for name, settings in SETTINGS.items():
            config = written(folder, upstream, {"otel": False, **settings})
            servers[name] = stack.enter_context(processes.quorate(config, processes.free_port()))
        rounds = [used(servers, options) for _ in range(options.rounds)]
    shown(rounds)


def written(folder: Path, upstream: str, settings: dict[str, Any]) -> Path:
    models = {
        name: {"base_url": f"{upstream}/{name}/v1", "model": "m", "concurrency": 1024} for name in ("many", "single")
    }
    if "traces" in settings:
        settings["traces"] = str(folder / settings["traces"])
    path = folder / f"{len(list(folder.iterdir()))}.yaml"
    path.write_text(json.dumps({"models": models, "server": settings}))
    return path


def used(servers: dict[str, tuple[str, int]], options: argparse.Namespace) -> dict[tuple[str, str], float]:
    """Milliseconds of CPU for one request, by setting and pipeline."""
    found = {}
    for pipeline, model in PIPELINES.items():
        for name, (url, pid) in servers.items():
            system = System(name, f"{url}/v1", model, pid)
            took = asyncio.run(measure(system, options.concurrency, options.seconds))
            found[name, pipeline] = 1e3 * (took.cpu or 0.0)
    return found


def shown(rounds: list[dict[tuple[str, str], float]]) -> None:
    table = Table("looking on", *(f"{pipeline}: {what}" for pipeline in PIPELINES for what in ("ms", "more")))
    for name in SETTINGS:
        cells = []
        for pipeline in PIPELINES:
            spent = [each[name, pipeline] for each in rounds]
            more = [each[name, pipeline] - each["nothing", pipeline] for each in rounds]
            cells += [f"{statistics.median(spent):.2f}", f"{statistics.median(more):+.2f}"]
        table.add_row(name, *cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    main(parser.parse_args())
