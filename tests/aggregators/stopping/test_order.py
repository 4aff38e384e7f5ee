"""The same seed and samples give the same answer, in whatever order the samples come and however sets are ordered."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

from quorate import sample
from quorate.aggregators import MajorityVote
from quorate.aggregators.stopping import ESC
from quorate.orchestrator.usage import Usage

from .arrivals import NUMBERS, Delayed


def test_neither_the_order_of_arrival_nor_of_sets_changes_an_answer() -> None:
    """Every rule over numbers and prose: six orders of arrival and four seeds of hashes give one outcome, whatever
    the wave.
    """
    command = [sys.executable, "-m", "tests.aggregators.stopping.arrivals"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**environment, "PYTHONHASHSEED": seed})
        for seed in ("0", "1", "2", "3")
    ]
    told = [process.communicate()[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert told[0] == told[1] == told[2] == told[3]
    found: dict[tuple[str, str], set[str]] = {}
    for line in told[0]:
        rule, _, texts, *outcome = json.loads(line)
        found.setdefault((rule, texts), set()).add(json.dumps(outcome))
    assert len(found) == 2 * 7
    assert all(len(outcomes) == 1 for outcomes in found.values())


async def test_what_came_beyond_the_decision_has_no_vote() -> None:
    """Samples that had ended already count as cancelled, as they would have been had they been slower; they are
    shown, and paid for.
    """
    stage = sample(Delayed(NUMBERS, random.Random(3)), n=9, wave=9, stop=ESC(2))
    answer = await (stage | MajorityVote()).answer("How many?")
    assert [c.index for c in answer.candidates if c.ok] == [0, 1]
    ended = [c for c in answer.candidates if c.usage != Usage()]
    assert len(ended) > 2
    assert answer.usage.requests == len(ended)
    assert [c.finish_reason for c in ended[2:]] == ["cancelled"] * (len(ended) - 2)
