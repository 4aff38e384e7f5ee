"""Banks to test with, and agents that draw into them from processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from quorate.evals.bank import Bank, BankedAgent, BankedSample, SampleRequest
from quorate.evals.task import Item
from quorate.orchestrator.ensembling import Ensembling, Member, TokenChoice, TokenStep
from quorate.orchestrator.types import Candidate, Degradation, Question, TokenLogprob
from quorate.orchestrator.usage import Usage

__all__ = ["filled", "python", "sample"]


def sample(index: int = 0, text: str = "Answer: 6", seed: int | None = 1, agent: str = "m~1") -> BankedSample:
    asked = Question.of("What is 3 + 3?")
    logprobs = (TokenLogprob(token="6", logprob=-0.25, top=(("6", -0.25), ("7", -2.0))),)
    candidate = Candidate(
        index=index,
        model="m",
        agent="m",
        text=text,
        reasoning="3 and 3",
        finish_reason="stop",
        seed=4,
        prompt_version="cot@1",
        usage=Usage(prompt_tokens=7, completion_tokens=5, reasoning_tokens=2, requests=1, cost=0.5, estimated=True),
        prompt_counted=True,
        logprobs=logprobs,
        ensembling=Ensembling(
            counts={"agreed": 3, "ensembled": 2},
            drafted=6,
            verifications=2,
            lost=("w: gone",),
            members=(Member(model="m", usage=Usage(completion_tokens=6, requests=1)), Member(model="v", judged=5)),
            steps=(TokenStep(text="6", why="agreed", choices=(TokenChoice(model="v", text=None, probability=0.5),)),),
        ),
        degraded=(Degradation(code="verifier_lost", where="sample", detail="w: gone"),),
        latency=0.125,
        tool_calls=({"id": "1", "function": {"name": "f", "arguments": "{}"}},),
    )
    return BankedSample(agent=agent, question=asked.key, seed=seed, index=index, candidate=candidate)


def filled(path: Path | None, count: int = 4, questions: int = 3, task: str = "sums") -> Bank:
    """A bank with so many samples of each question, every other one right, graded."""
    bank = Bank(path)
    items = [Item(f"sum-{n}", Question.of(f"What is {n} + {n}?"), str(2 * n), "sums") for n in range(questions)]
    bank.note_items(task, items, split="test", revision="r1", prompt="p@1")
    for item in items:
        request = SampleRequest("m~1", item.question.key, 1)
        bank.note_request(request, item.question, BankedAgent(id="m~1", name="m", kind="fake", model="m"))
        for index in range(count):
            drawn = sample(index, f"Answer: {int(item.gold) + index % 2}")
            bank.add(drawn.model_copy(update={"question": item.question.key}))
    rows = bank.store.execute(
        "SELECT s.id, i.id, substr(s.text, 9), s.idx % 2 = 0 FROM samples s JOIN requests r ON r.id = s.request "
        "JOIN items i ON i.question = r.question"
    ).fetchall()
    bank.store.many("INSERT OR IGNORE INTO grades VALUES (?, ?, ?, ?)", [tuple(row) for row in rows])
    return bank


def python(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """A process of its own that runs this code."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env={"PYTHONPATH": ":".join(sys.path)}, stdout=subprocess.PIPE, text=True)
