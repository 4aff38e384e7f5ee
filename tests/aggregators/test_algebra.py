"""The worker that asks math-verify: what it knows, and that nothing brings it down for long."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quorate import sample
from quorate.aggregators import MajorityVote, MathEquivalence
from quorate.aggregators.equivalence import algebra as algebra_module
from quorate.aggregators.equivalence import processes
from quorate.aggregators.equivalence.algebra import Algebra, WorkerPool, shared_algebra
from quorate.aggregators.extraction import AnswerExtractor
from quorate.testing import ScriptedModel

from .helpers import aggregate_at_node, candidate

BOMB = "9^{9^{9}}"


@pytest.fixture(scope="module")
def algebra() -> Iterator[Algebra]:
    made = Algebra(WorkerPool())
    yield made
    asyncio.run(made.aclose())


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

    async def ask(self, caller: Hashable, *answers: str) -> bool | None:
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
        ("X^2+1", "x^2+1", True),
        ("2\\pi R", "2\\pi r", True),
        ("\\frac{M}{M+m}", "\\frac{m}{M+m}", False),
        ("\\frac{M}{M+m}", "\\frac{1}{2}", False),
        ("\\frac{GMm}{R}", "\\frac{GMm}{r}", False),
        ("\\frac{\\Delta}{\\delta}", "1", False),
        ("\\frac{I_1}{I_2}", "1", False),
        ("\\frac{1}{2}I\\omega^2", "\\frac{1}{2}I^2\\omega^2", False),
        ("RI^2", "I^2R", True),
        ("2+3I", "2+3i", True),
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
    """An answer that would compute for ever differs from all others, and is said to be undecided."""
    equivalence = MathEquivalence(Algebra(WorkerPool(seconds=0.5)))
    assert await equivalence.classes(["2", BOMB, "\\boxed{" + BOMB + "}", "x+1", "1+x"]) == [0, 1, 1, 2, 2]
    assert equivalence.undecided == {BOMB, "\\boxed{" + BOMB + "}"}
    assert 1 <= equivalence.algebra.pool.cut_off <= 2
    assert await equivalence.same("\\sqrt{8}", "2\\sqrt{2}")
    assert equivalence.undecided == frozenset()
    await equivalence.aclose()


async def test_a_bomb_keeps_no_other_caller_waiting() -> None:
    """One caller's questions keep two workers busy, however many they are; another's are answered meanwhile."""
    pool = WorkerPool(seconds=60.0)
    bombs = [asyncio.create_task(pool.ask("one", f"{base}^{{9^{{9}}}}")) for base in range(2, 10)]
    assert await pool.ask("two", "x+1", "1+x") is True
    assert not any(bomb.done() for bomb in bombs)
    for bomb in bombs:
        bomb.cancel()
    await asyncio.gather(*bombs, return_exceptions=True)
    assert await pool.ask("one", "x+1", "1+x") is True
    await pool.aclose()


async def test_each_caller_keeps_its_worker() -> None:
    """What one caller's question ended was not another's; callers without a name share theirs."""
    pool = WorkerPool(seconds=0.3)
    for caller in ("one", "two", object(), object()):
        assert await pool.ask(caller, "x+1", "1+x")
    assert [name for name, _ in pool._idle] == ["one", "two", ""]
    assert await pool.ask("one", BOMB) is None
    assert [name for name, _ in pool._idle] == ["two", ""]
    await pool.aclose()


async def test_votes_say_what_could_not_be_compared() -> None:
    """The tally marks the answer, and the answer the vote, whoever counts: the stage of a pipeline or the vote."""
    algebra = Algebra(Counting(reply=None))
    vote = MajorityVote(AnswerExtractor(), MathEquivalence(algebra))
    candidates = [candidate(i, f"\\boxed{{{text}}}") for i, text in enumerate(["x+1", "1+x", "7", "7"])]
    counted = await aggregate_at_node(vote, candidates)
    assert (counted.answer, [d.code for d in counted.degraded]) == ("7", ["comparison_cut"])
    assert [(c.answer, c.undecided) for c in counted.tally] == [("7", True), ("x+1", True), ("1+x", True)]
    model = ScriptedModel([c.text for c in candidates])
    sampled = await (sample(model, n=4) | vote).answer("What?")
    assert [d.code for d in sampled.degraded] == ["comparison_cut"]
    assert "3 of them, with 4 votes" in sampled.degraded[0].detail


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


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_running(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def environment_of(process: int) -> bytes:
    return Path(f"/proc/{process}/environ").read_bytes()


async def test_a_worker_that_dies_is_replaced() -> None:
    """Killed from outside before its time was up, it costs nothing; so does the process that it came from."""
    pool = WorkerPool(seconds=30.0)
    assert await pool.ask(None, "x+1", "1+x")
    [parent] = pool._nursery._running
    [worker] = children(parent.process.pid)
    os.kill(worker, signal.SIGKILL)
    assert await pool.ask(None, "x+1", "1+x") is True
    parent.process.kill()
    parent.process.wait()
    pool._idle.pop()[1].close()
    assert await pool.ask(None, "x+1", "1+x") is True
    assert pool.cut_off == 0
    await pool.aclose()
    await pool.aclose()
    assert (pool._idle, pool._nursery._running) == ([], [])


async def test_a_worker_that_cannot_start_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything is then different that keys cannot tell; nothing raises."""
    monkeypatch.setattr(processes, "_SCRIPT", tmp_path / "missing.py")
    pool = WorkerPool()
    assert [await pool.ask(None, "x+1", "1+x") for _ in range(5)] == [None] * 5
    assert pool._nursery._failed_starts == 3


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


async def test_workers_end_with_their_program() -> None:
    """When nobody asks any more they end; computing for ever, they are ended by their own processor time."""
    nursery = processes.Nursery(0.2, 1 << 30)
    idle, busy = await nursery.fork(), await nursery.fork()
    assert await idle.ask(("x+1",))
    with pytest.raises(processes.Gone):
        await busy.ask((BOMB,))
    busy.close()
    [parent] = nursery._running
    left = children(parent.process.pid)
    nursery.close()
    idle.close()
    for _ in range(3000):
        if not any(map(is_running, left)):
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{left} have not ended")


async def test_workers_see_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the program's environment are not handed to the processes that read hostile text."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    nursery = processes.Nursery(1.0, 1 << 30)
    child = await nursery.fork()
    [parent] = nursery._running
    environment = environment_of(parent.process.pid)
    child.close()
    nursery.close()
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
print(shared_algebra().pool._nursery._running[0].process.pid)
"""
    command = [sys.executable, "-c", script]
    path = os.pathsep.join(filter(None, [*sys.path, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)
    first, second, worker = done.stdout.split("\n")[:3]
    assert first == second == "[0, 0, 1]"
    assert done.stderr == ""
    assert not Path(f"/proc/{worker}").exists()


async def test_closing_lets_the_present_question_end() -> None:
    """It gets its answer; closing twice at once is closing, and a later question starts anew."""
    pool = WorkerPool(seconds=30.0)
    assert await pool.ask(None, "x+1", "1+x")
    asked = asyncio.create_task(pool.ask(None, "\\int_0^1 x^2 dx", "\\frac13"))
    await asyncio.sleep(0)
    await asyncio.gather(pool.aclose(), pool.aclose())
    assert await asked is True
    assert pool._idle == []
    assert await pool.ask(None, "x+1", "1+x")
    await pool.aclose()
