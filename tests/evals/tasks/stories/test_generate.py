"""The generated benchmark: seeded, distinct, split by canonical problem, and right in every step."""

import hashlib
import re
import subprocess
import sys
from itertools import islice

import pytest

from quorate.evals.tasks.stories import SPLITS, TEMPLATES, TIERS, Problem, generate, split_of, stream

STEP = re.compile(r"(?:[\w ]+): (\d+) ([-+*/]) (\d+) = (\d+)")
PROBE = "from quorate.evals.tasks.stories import generate; print(generate('hard', 5, 3)[2])"


@pytest.fixture(scope="module", params=list(TIERS))
def problems(request: pytest.FixtureRequest) -> list[Problem]:
    """Four hundred test problems of a tier."""
    return generate(request.param, seed=1, count=400)


def holds(a: int, sign: str, b: int, c: int) -> bool:
    """Whether a step is exact arithmetic."""
    return {"+": a + b == c, "-": a - b == c, "*": a * b == c, "/": b != 0 and a == b * c}[sign]


def test_same_seed_same_problems() -> None:
    """A seed fixes the problems, and a longer list begins with the shorter one."""
    assert generate("hard", 7, 50) == generate("hard", 7, 80)[:50]
    assert generate("hard", 7, 50) != generate("hard", 8, 50)


def test_same_problems_in_another_process() -> None:
    """Nothing depends on the interpreter's hash seed."""
    runs = {
        subprocess.run(
            [sys.executable, "-c", PROBE],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert runs == {f"{generate('hard', 5, 3)[2]}\n"}


def test_pinned_problem() -> None:
    """The problems of a seed stay what they are across versions of Python."""
    assert [problem.key for problem in generate("hard", 0, 3)] == PINNED


PINNED = ["b0fb17c744ab6e20", "8793911f3e69eb32", "62553be6f59a2ffc"]
WORDS = (
    ("easy", "train", "9165585efe444c33"),
    ("easy", "test", "3713472797ce914e"),
    ("medium", "train", "da87ffc13e0dfd56"),
    ("medium", "test", "9f797e5828939339"),
    ("hard", "train", "cb2fe584bc0620e4"),
    ("hard", "test", "d557897a9a23480c"),
)
"""Of two hundred problems of seed 7, a hash of their words: models were trained on them and runs compared by them."""


@pytest.mark.parametrize(("tier", "split", "digest"), WORDS)
def test_pinned_words(tier: str, split: str, digest: str) -> None:
    """Questions and workings of a seed stay what they are, to the letter."""
    problems = generate(tier, 7, 200, split)
    text = "\n".join(f"{p.id}\n{p.question}\n{p.solution}\n{p.template} {p.key}" for p in problems)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


def test_distinct(problems: list[Problem]) -> None:
    """Within one call no two problems share a key or an id."""
    assert len({problem.key for problem in problems}) == len({problem.id for problem in problems}) == 400


@pytest.mark.parametrize("tier", TIERS)
def test_splits_are_disjoint(tier: str) -> None:
    """No training problem is a test problem, whatever the seeds."""
    train, test = ({p.key for p in generate(tier, seed, 500, split)} for seed, split in ((3, "train"), (4, "test")))
    assert not train & test
    assert {split_of(key) for key in train} == {"train"}
    assert {split_of(key) for key in test} == {"test"}


def test_every_template_is_reached() -> None:
    """There are at least forty families, and each turns up."""
    reached = {problem.template for tier in TIERS for problem in generate(tier, 2, 500)}
    assert reached == set(TEMPLATES)
    assert len(TEMPLATES) >= 40


def test_working_is_right(problems: list[Problem]) -> None:
    """Each line of the working is one exact operation, and the last line states its result."""
    for problem in problems:
        *steps, last = problem.solution.split("\n")
        found = [STEP.fullmatch(step) for step in steps]
        assert all(m and holds(int(m[1]), m[2], int(m[3]), int(m[4])) for m in found), problem
        assert found[-1]
        assert found[-1][4] == problem.answer
        assert last == f"Answer: {problem.answer}"
        assert problem.answer.isdecimal()


def test_numbers_come_from_somewhere(problems: list[Problem]) -> None:
    """An operand of the working is in the question or is an earlier result, or a decimal place of one."""
    words = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9}
    for problem in problems:
        known = {int(n) for n in re.findall(r"\d+", problem.question)}
        known |= {n for word, n in words.items() if word in problem.question}
        if problem.template == "calculation.product":
            known |= {n - n % 10 for n in known} | {n % 10 for n in known}
        for a, _, b, c in STEP.findall(problem.solution):
            assert {int(a), int(b)} <= known, problem
            known.add(int(c))


def test_questions_are_well_formed(problems: list[Problem]) -> None:
    """No field is left open, no sentence runs into the next, and the length stays small."""
    for problem in problems:
        assert not re.search(r"[{}\[\]]|\s{2}|[a-z][.?][A-Z]", problem.question), problem
        assert len(problem.question) < 700


def test_tiers_get_harder() -> None:
    """More steps and larger numbers from tier to tier."""
    steps = [sum(p.solution.count("\n") for p in generate(tier, 1, 300)) / 300 for tier in TIERS]
    assert steps == sorted(steps)
    assert steps[-1] > 5


def test_stream_is_generate_without_end() -> None:
    """`stream` yields what `generate` lists."""
    assert list(islice(stream("easy", 1, "train"), 20)) == generate("easy", 1, 20, "train")


@pytest.mark.parametrize("count", [0, -1])
def test_bad_count(count: int) -> None:
    """A count below one is refused in words."""
    with pytest.raises(ValueError, match="count must be at least 1"):
        generate("easy", 0, count)


def test_unknown_tier_and_split() -> None:
    """An unknown name is refused with the names that exist."""
    with pytest.raises(ValueError, match="easy, medium, hard"):
        generate("brutal", 0, 1)
    with pytest.raises(ValueError, match=", ".join(SPLITS)):
        generate("easy", 0, 1, "dev")
