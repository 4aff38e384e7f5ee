"""Killed without warning at random moments, a run loses only what was in flight and ends up with the same bank."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .banks import python

SCRIPT = """
import asyncio, json, os, random, signal, sys, threading, time
from collections import Counter
from pathlib import Path
from quorate.evals import registry
from quorate.evals.bank import Bank
from quorate.evals.run import EvalSpec, run_eval
from tests.evals.fakes import Guesser, Sums, catalog

folder, points, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
registry._TASKS["sums"] = Sums()

def evaluate(out, log, at=None, after=0.0):
    agent = Guesser(log=log, pause=0.002)
    if at is not None:
        def kill():
            while agent.drawn.total() < at:
                time.sleep(0.0002)
            time.sleep(after)
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Thread(target=kill, daemon=True).start()
    names = ["m", "majority@8/m"]
    asyncio.run(run_eval(catalog(agent), EvalSpec("sums", pipelines=names, limit=20, out=out, concurrency=4)))

def child(*arguments):
    pid = os.fork()
    if pid == 0:
        evaluate(*arguments)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def content(out):
    with Bank(out) as bank:
        samples = [s.model_dump_json(exclude={"candidate": {"usage", "prompt_counted"}}) for s in bank]
        labels = [(s.item, s.candidates[0].agent, s.correct) for s in bank.sets()]
        claims = bank.store.value("SELECT count(*) FROM claims")
    return sorted(samples), sorted(labels), claims

def lines(log):
    return Counter(log.read_text().splitlines()) if log.exists() else Counter()

evaluate(folder / "warm", folder / "warm.log")  # here, so that its children have everything imported
child(folder / "whole", folder / "whole.log")
rng = random.Random(seed)
whole, told = content(folder / "whole"), []
for point in range(points):
    out, log = folder / str(point), folder / f"{point}.log"
    status = child(out, log, rng.randrange(130), rng.uniform(0, 0.004))
    drawn = lines(log)
    with Bank(out) as bank:
        kept = len(bank)
    ended = child(out, log)
    told.append({
        "killed": status == -signal.SIGKILL, "kept": kept, "lost": drawn.total() - kept, "ended": ended,
        "same": content(out) == whole, "twice": lines(log).total() - len(lines(log)),
    })
print(json.dumps(told))
"""


def killed(folder: Path, points: int, seed: int) -> list[dict[str, Any]]:
    """What became of runs that were killed at random moments and then run again."""
    process = python(SCRIPT, folder, str(points), str(seed))
    output, _ = process.communicate()
    assert process.returncode == 0
    told: list[dict[str, Any]] = json.loads(output.splitlines()[-1])
    return told


def check(told: list[dict[str, Any]]) -> None:
    for point in told:
        assert point["killed"], point
        assert (point["ended"], point["same"]) == (0, True), point
        # Four questions are in flight, each of which draws one sample at a time; those are drawn again.
        assert 0 <= point["lost"] <= 4, point
        assert point["twice"] == point["lost"], point


def test_a_run_killed_at_random_moments(tmp_path: Path) -> None:
    """Three of them; twenty run under `make test-all`."""
    check(killed(tmp_path, 3, seed=5))


@pytest.mark.slow
def test_a_run_killed_at_twenty_random_moments(tmp_path: Path) -> None:
    """The bank is the same as without the kill: samples, labels, no claim left."""
    told = killed(tmp_path, 20, seed=7)
    check(told)
    assert len({point["kept"] for point in told}) > 5
