"""Attempts made up to teach reading: in the form of sampled ones, and worded as serving words them."""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts.embedded import reader as script
from scripts.embedded.attempts import MANNERS, attempts
from scripts.embedded.batches import Batch
from scripts.embedded.reader import COPYING, FIRST, SHARES, composed, given_shares, shares_at, teach
from scripts.embedded.train import Settings
from scripts.embedded.vocabulary import ASSISTANT, PAD
from tokenizers import Tokenizer

from quorate.agents.embedded import locate
from quorate.aggregators.learned.dataset import form_prompt
from quorate.evals.tasks.stories import Problem, generate

PROBLEMS = generate("hard", seed=3, count=20, split="train")
ANSWER = "Answer: "


@given(st.sampled_from(PROBLEMS), st.integers(0, 1000), st.sampled_from(sorted(MANNERS)))
def test_an_attempt_has_the_form_of_a_solution_and_answers_with_its_last_result(
    problem: Problem, seed: int, manner: str
) -> None:
    """Whatever slips; every line is one of the solution's with other numbers, or is left out."""
    labels = [line.split(":")[0] for line in problem.solution.splitlines()]
    for text in attempts(problem.solution, 8, Random(seed), manner):
        *working, answer = text.splitlines()
        assert answer.startswith(ANSWER)
        if working:
            assert working[-1].endswith(f" = {answer.removeprefix(ANSWER)}")
        left = iter(labels)
        assert all(line.split(":")[0] in left for line in working)


@pytest.mark.parametrize("manner", MANNERS)
def test_attempts_are_often_right_and_often_wrong_together(manner: str) -> None:
    """As sampled ones are: no vote wins or loses everywhere."""
    rng, right, lost = Random(1), 0, 0
    for problem in PROBLEMS:
        texts = attempts(problem.solution, 8, rng, manner)
        right += sum(text == problem.solution for text in texts)
        lost += max(set(texts), key=texts.count) != problem.solution
    assert 0.2 < right / (8 * len(PROBLEMS)) < 0.8
    assert 0 < lost < len(PROBLEMS)


def test_what_is_asked_is_worded_as_the_pipeline_words_it() -> None:
    """With the question at the end, alone, or one attempt without it, which is then what is wanted."""
    shown, rng = form_prompt("steps"), Random(2)
    problem = PROBLEMS[0]
    asked = {composed(shown, problem.question, problem.solution, rng, SHARES) for _ in range(60)}
    wanted = {(prompt == problem.question, problem.question in prompt, text) for prompt, text in asked}
    assert (True, True, problem.solution) in wanted
    assert (False, True, problem.solution) in wanted
    lone = [(prompt, text) for prompt, text in asked if problem.question not in prompt]
    assert lone
    assert all(prompt == text for prompt, text in lone)


def test_gaps_are_where_they_are_said_to_be() -> None:
    """In the question, or in what results come from; never in an attempt or in a result."""
    shown = form_prompt("steps")
    hidden = 0
    for number, problem in enumerate(PROBLEMS):
        asked = {
            way: composed(shown, problem.question, problem.solution, Random(number), {way: 1.0})
            for way in ("set", "blind", "holes", "veiled")
        }
        prompt, solution = asked["set"]
        read = prompt.removesuffix(problem.question)
        assert asked["blind"] == (read.strip(), solution)
        assert asked["veiled"][0] == prompt
        assert re.sub(r"\d+ (.) \d+ =", r"? \1 ? =", solution) == asked["veiled"][1] != solution
        gapped, wanted = asked["holes"]
        assert wanted == solution
        pattern = re.sub(r"\\\?", r"(\\?|\\d+)", re.escape(gapped.splitlines()[-1]))
        assert re.fullmatch(pattern, problem.question)
        hidden += "?" in gapped.splitlines()[-1].rstrip("?")
    assert hidden > len(PROBLEMS) / 2


def test_nothing_is_learned_from_a_gap() -> None:
    """The weights of gaps are 0, of what is wanted besides them 1."""
    tokenizer = Tokenizer.from_file(str(locate("quorate-tiny-base") / "tokenizer.json"))
    gap = tokenizer.token_to_id("?")
    pad, (ids, weights) = tokenizer.token_to_id(PAD), next(script.batches(tokenizer, 4, seed=1, mix={"veiled": 1.0}))
    begins = tokenizer.encode(ASSISTANT).ids[-1]
    for row, graded in zip(ids.tolist(), weights.tolist(), strict=True):
        start = row.index(begins) + 1
        assert gap in row[start:]
        assert graded == [0.0] * start + [float(token not in (gap, pad)) for token in row[start:]]


@pytest.mark.parametrize("text", ["set", "set=much", "sets=1", "", "set=nan", "set=-1,bare=2", "set=0"])
def test_a_mix_that_is_none_is_refused(text: str) -> None:
    """With how it is given."""
    assert given_shares("set=0.5,veiled=0.5") == {"set": 0.5, "veiled": 0.5}
    with pytest.raises(ArgumentTypeError, match=r"set=0\.5|not among set|at least 0"):
        given_shares(text)


def test_copying_comes_first() -> None:
    """The shares move from the first ones to the later ones, and each is a share at every step."""
    assert shares_at(0) == pytest.approx(FIRST)
    assert shares_at(COPYING) == shares_at(10 * COPYING) == pytest.approx(SHARES)
    assert all(sum(shares_at(step).values()) == pytest.approx(1) for step in range(0, COPYING, 50))


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its last checkpoint, with the steps that are left, on problems that it has not had."""

    def settings(steps: int) -> Settings:
        return Settings(steps=steps, problems=2, every=0.0, warmup=1)

    first = 3
    real, asked = script.batches, list[int]()

    def seen(
        tokenizer: Tokenizer, size: int, seed: int, begun: int, mix: dict[str, float] | None, manner: str
    ) -> Iterator[Batch]:
        asked.append(begun)
        found: Iterator[Batch] = real(tokenizer, size, seed, begun, mix, manner)
        return found

    monkeypatch.setattr(script, "batches", seen)
    monkeypatch.setattr(script, "_POOL", 2)
    teach(Path("quorate-tiny-base"), tmp_path, settings(first))
    (tmp_path / "model.safetensors").unlink()
    teach(Path("quorate-tiny-base"), tmp_path, settings(2 * first))
    assert asked == [0, first]
    assert json.loads((tmp_path / "training.json").read_text())["steps"] == 2 * first
    assert (tmp_path / "model.safetensors").is_file()
