"""The worker that asks math-verify: what it knows, and that nothing brings it down for long."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_asyncio

from quorate.aggregators import MathEquivalence
from quorate.aggregators.equivalence import algebra as algebra_module
from quorate.aggregators.equivalence.algebra import Algebra, WorkerPool, shared_algebra

BOMB = "9^{9^{9}}"


@pytest_asyncio.fixture
async def algebra() -> AsyncIterator[Algebra]:
    made = Algebra(WorkerPool(seconds=3.0))
    yield made
    await made.aclose()


@pytest.fixture(scope="module", autouse=True)
def shared() -> Iterator[None]:
    """Leaves no worker of the shared pool behind."""
    yield
    asyncio.run(shared_algebra().aclose())


class Counting(WorkerPool):
    """A pool that answers by itself and notes what it was asked."""

    def __init__(self, reply: bool | None = True) -> None:
        super().__init__()
        self.reply = reply
        self.asked: list[tuple[str, ...]] = []

    async def ask(self, *answers: str) -> bool | None:
        self.asked.append(answers)
        return self.reply if len(answers) == 2 else True


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("x+1", "1+x", True),
        ("(x-1)(x+1)", "x^2-1", True),
        ("\\sqrt{8}", "2\\sqrt{2}", True),
        ("\\sqrt{4}", "2", True),
        ("2^{10}", "1024", True),
        ("\\frac{\\sqrt{3}}{2}", "0.8660254037844386", True),
        ("x=y", "y=x", False),
        ("\\sec x", "\\frac{1}{\\cos x}", True),
        ("x > 3", "(3, \\infty)", True),
        ("-1\\le x\\le 1", "[-1,1]", True),
        ("11z^{7}(5+11z^{7})", "11z^7(11z^7+5)", True),
        ("5x", "5", False),
        ("x^2", "2x", False),
        ("\\sqrt{2}", "1.41", False),
    ],
)
async def test_what_algebra_knows(algebra: Algebra, a: str, b: str, same: bool) -> None:
    """Expressions that only computation can compare; both directions give the same."""
    assert await MathEquivalence(algebra).same(a, b) == same
    assert await MathEquivalence(algebra).same(b, a) == same


PAIRS = [
    json.loads(line) for line in Path(__file__).with_name("equivalence_pairs.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("kind", sorted({pair["kind"] for pair in PAIRS}))
@pytest.mark.timeout(120)
async def test_labelled_pairs(algebra: Algebra, kind: str) -> None:
    """Ordinary spellings of one answer, and answers made to be mistaken for one another, each as a person judges it."""
    equivalence = MathEquivalence(algebra)
    pairs = [pair for pair in PAIRS if pair["kind"] == kind]
    wrong = [p for p in pairs if await equivalence.same(p["a"], p["b"]) != p["same"]]
    assert wrong == []


def test_there_are_many_pairs() -> None:
    """The figures that the documentation gives hold for these."""
    assert len(PAIRS) >= 900
    assert {pair["mode"] for pair in PAIRS} == {"ordinary", "adversarial"}


async def test_a_bomb_is_cut_off_and_the_next_question_works() -> None:
    """An answer that would compute for ever differs from all others; its worker is replaced."""
    equivalence = MathEquivalence(Algebra(WorkerPool(seconds=2.0)))
    assert await equivalence.classes(["2", BOMB, "\\boxed{" + BOMB + "}", "x+1", "1+x"]) == [0, 1, 1, 2, 2]
    assert 1 <= equivalence.algebra.pool.timeouts <= 2
    assert await equivalence.same("\\sqrt{8}", "2\\sqrt{2}")
    await equivalence.aclose()


async def test_components_do_not_depend_on_the_order(algebra: Algebra) -> None:
    """Joined pairs make one class even where only a third answer links them."""
    answers = ["x^2-1", "(x-1)(x+1)", "x+1", "1+x", "2", "\\sqrt{4}"]
    assert await MathEquivalence(algebra).classes(answers) == [0, 0, 1, 1, 2, 2]
    assert await MathEquivalence(algebra).classes(answers[::-1]) == [0, 0, 1, 1, 2, 2]


async def test_a_pair_is_asked_about_once() -> None:
    """Verdicts are remembered, in whichever order the pair comes again."""
    pool = Counting()
    algebra = Algebra(pool)
    for a, b in (("a+b", "b+a"), ("b+a", "a+b")):
        assert await MathEquivalence(algebra).same(a, b)
    assert pool.asked == [("a+b",), ("b+a",), ("a+b", "b+a")]


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest verdicts are forgotten first."""
    monkeypatch.setattr(algebra_module, "REMEMBERED", 3)
    pool = Counting()
    algebra = Algebra(pool)
    for _ in range(2):
        for other in "bcde":
            await algebra.same("a", other)
    assert len(pool.asked) == 8
    assert await algebra.same("a", "e")
    assert len(pool.asked) == 8


async def test_after_three_cut_offs_no_more_is_asked() -> None:
    """One set of answers cannot keep the worker busy for long, and costs the next set nothing."""
    pool = Counting(reply=None)
    equivalence = MathEquivalence(Algebra(pool))
    assert len(set(await equivalence.classes([f"x^{i}" for i in range(8)]))) == 8
    assert len([asked for asked in pool.asked if len(asked) == 2]) == 3
    pool.reply = True
    assert await equivalence.same("a+b", "b+a")


async def test_the_number_of_pairs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of different expressions do not mean tens of thousands of questions."""
    pool = Counting(reply=False)
    monkeypatch.setattr("quorate.aggregators.equivalence.mathematics.MAX_PAIRS", 10)
    classes = await MathEquivalence(Algebra(pool)).classes([f"x^{i}" for i in range(20)])
    assert len(set(classes)) == 20
    assert len([asked for asked in pool.asked if len(asked) == 2]) == 10


async def test_a_worker_that_dies_is_replaced() -> None:
    """Killed from outside, it costs one answer, which counts as cut off."""
    pool = WorkerPool(seconds=3.0)
    assert await pool.ask("x+1", "1+x")
    [worker] = pool._workers
    assert worker._process is not None
    os.kill(worker._process.pid, signal.SIGKILL)
    worker._process.wait()
    assert await pool.ask("x+1", "1+x") is None
    assert await pool.ask("x+1", "1+x") is True
    assert pool.timeouts == 1
    await pool.aclose()
    await pool.aclose()
    assert worker._process is None


async def test_a_worker_that_cannot_start_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything is then different that keys cannot tell; nothing raises."""
    monkeypatch.setattr(algebra_module, "_SCRIPT", tmp_path / "missing.py")
    pool = WorkerPool()
    assert [await pool.ask("x+1", "1+x") for _ in range(5)] == [None] * 5
    assert pool._workers[0]._failed_starts == 3


async def test_hostile_answers_never_raise(algebra: Algebra) -> None:
    """Broken TeX, Python, control characters: unreadable is different."""
    for answer in ("\\frac{", "__import__('os')", "\0\ud800", "\n\n", "$" * 50, "\\" * 99, "{" * 300):
        assert not await algebra.same(answer, "x+1")
    assert await algebra.same("x+1", "1+x")


def test_several_event_loops_share_one_worker() -> None:
    """One process serves loops in several threads, one after the other and at once."""

    async def ask(n: int) -> list[int]:
        return await MathEquivalence().classes([f"x+{n}", f"{n}+x", "y"])

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda n: asyncio.run(ask(n)), range(2, 8)))
    assert results == [[0, 0, 1]] * 6
    assert shared_algebra().pool._workers[0]._process is not None


def worker_process() -> subprocess.Popen[str]:
    command = [sys.executable, "-P", str(algebra_module._SCRIPT), str(1 << 30), "2"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_worker_ends_with_its_parent() -> None:
    """When nobody writes to it any more, it ends; computing for ever, it is ended by its alarm."""
    with worker_process() as idle:
        idle.communicate(timeout=30)
        assert idle.returncode == 0
    with worker_process() as busy:
        busy.communicate(f'["{BOMB}"]\n'.replace("\\", "\\\\"), timeout=30)
        assert busy.returncode == -signal.SIGALRM


def test_a_worker_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the parent's environment are not handed to the process that reads hostile text."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    worker = algebra_module.Worker()
    worker.ask(["x"])
    assert worker._process is not None
    environment = Path(f"/proc/{worker._process.pid}/environ").read_bytes()
    worker.kill()
    assert b"sk-secret" not in environment
    assert b"PATH=" in environment


def test_a_script_ends_without_a_word() -> None:
    """Workers started in `answer_sync` and in loops of one's own are gone at the end, and nothing is printed."""
    script = """
import asyncio, os
from quorate.aggregators import MajorityVote, default_equivalence
from quorate.aggregators.equivalence.algebra import shared_algebra
from quorate.orchestrator.model import _background

vote, equivalence = MajorityVote(), default_equivalence()

class Model:
    aclose = vote.aclose

model = Model()
_background.opened.add(model)
print(_background.call(equivalence.classes(["x+1", "1+x", "y"])))
print(asyncio.run(equivalence.classes(["x+2", "2+x", "y"])))
print(shared_algebra().pool._workers[0]._process.pid)
"""
    command = [sys.executable, "-c", script]
    path = os.pathsep.join(filter(None, [*sys.path, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)
    first, second, worker = done.stdout.split("\n")[:3]
    assert first == second == "[0, 0, 1]"
    assert done.stderr == ""
    assert not Path(f"/proc/{worker}").exists()


async def test_closing_waits_for_the_present_request() -> None:
    """A question that is being answered gets its answer; closing twice at once is closing."""
    pool = WorkerPool(seconds=3.0)
    reply, *_ = await asyncio.gather(pool.ask("x+1", "1+x"), pool.aclose(), pool.aclose())
    assert reply is True
    await pool.aclose()
