"""Processes that share a bank draw nothing twice, and a dead one's claims are free at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

from quorate.evals.bank import Bank
from quorate.evals.run import EvalSpec, run_eval
from tests.evals.fakes import Guesser, Sums, catalog

from .banks import python, sample

RUN = """
import asyncio, sys
from pathlib import Path
from tests.evals.bank.test_sharing import draw
asyncio.run(draw(Path(sys.argv[1]), Path(sys.argv[2])))
"""
CLAIM = """
import sys, time
from pathlib import Path
from quorate.evals.bank import Bank
from tests.evals.bank.banks import sample
bank = Bank(Path(sys.argv[1]))
print(bank.claim(sample().request, [0, 1]), flush=True)
time.sleep(300)
"""


async def draw(out: Path, log: Path) -> None:
    """One of two processes that ask the same, slowly enough to be in each other's way."""
    from quorate.evals import registry

    registry._TASKS.setdefault("sums", Sums())
    agent = Guesser(log=log, pause=0.001)
    await run_eval(catalog(agent), EvalSpec("sums", pipelines=["majority@8/m"], limit=12, out=out, concurrency=3))


def test_two_runs_at_once_draw_every_sample_once(tmp_path: Path) -> None:
    """Both have all answers, and the bank holds each sample once."""
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    processes = [python(RUN, tmp_path / "bank", log) for log in logs]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    drawn = Counter(line for log in logs if log.exists() for line in log.read_text().splitlines())
    assert len(drawn) == 12 * 8
    assert set(drawn.values()) == {1}
    with Bank(tmp_path / "bank") as bank:
        assert len(bank) == 12 * 8
        assert [len(list(bank.outcomes(run.id))) for run in bank.runs()] == [12, 12]


def test_a_claim_holds_while_its_process_lives_and_no_longer(tmp_path: Path) -> None:
    """Killed, it frees what it had claimed; nobody waits for a time to run out."""
    holder = python(CLAIM, tmp_path)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "[0, 1]\n"
        with Bank(tmp_path) as bank:
            assert bank.claim(sample().request, [0, 1, 2]) == [2]
            os.kill(holder.pid, signal.SIGKILL)
            holder.wait()
            assert bank.claim(sample().request, [0, 1, 2]) == [0, 1, 2]
    finally:
        holder.kill()
        holder.communicate()
    assert [path.name for path in tmp_path.iterdir()] == ["bank.sqlite"]


def test_released_and_drawn_samples_are_nobodys_claim(tmp_path: Path) -> None:
    """Also between two banks of one process."""
    with Bank(tmp_path) as one, Bank(tmp_path) as two:
        assert one.claim(sample().request, [0, 1, 2]) == [0, 1, 2]
        assert two.claim(sample().request, [0, 1, 2]) == []
        one.add(sample(0))
        one.release(sample().request)
        assert two.claim(sample().request, [0, 1, 2]) == [1, 2]


async def test_a_run_waits_for_a_sample_that_another_draws(tmp_path: Path) -> None:
    """And goes on with it once it is there."""
    from quorate.evals.banked_sampler import BankedSampler
    from quorate.orchestrator.types import Question

    asked, slow, idle = Question.of("What is 3 + 3?"), Guesser(pause=0.05), Guesser()
    with Bank(tmp_path) as one, Bank(tmp_path) as two:
        first = asyncio.create_task(BankedSampler(slow, one).answer(asked, seed=1))
        await asyncio.sleep(0.01)
        second = await BankedSampler(idle, two).answer(asked, seed=1)
        assert second.text == (await first).text
    assert len(slow.asked) + len(idle.asked) == 1
