"""Attempts made up to teach reading: in the form of sampled ones, and worded as serving words them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts.embedded import reader as script
from scripts.embedded.attempts import attempts
from scripts.embedded.batches import Batch
from scripts.embedded.reader import COPYING, FIRST, SHARES, composed, shares_at, teach
from scripts.embedded.train import Settings
from tokenizers import Tokenizer

from quorate.aggregators.learned.dataset import reader
from quorate.aggregators.synthesis.agglm import SteppedAggLM
from quorate.evals.tasks.stories import Problem, generate

PROBLEMS = generate("hard", seed=3, count=20, split="train")
ANSWER = "Answer: "


@given(st.sampled_from(PROBLEMS), st.integers(0, 1000))
def test_an_attempt_has_the_form_of_a_solution_and_answers_with_its_last_result(problem: Problem, seed: int) -> None:
    """Whatever slips; every line is one of the solution's with other numbers, or is left out."""
    labels = [line.split(":")[0] for line in problem.solution.splitlines()]
    for text in attempts(problem.solution, 8, Random(seed)):
        *working, answer = text.splitlines()
        assert answer.startswith(ANSWER)
        if working:
            assert working[-1].endswith(f" = {answer.removeprefix(ANSWER)}")
        left = iter(labels)
        assert all(line.split(":")[0] in left for line in working)


def test_attempts_are_often_right_and_often_wrong_together() -> None:
    """As sampled ones are: no vote wins or loses everywhere."""
    rng, right, lost = Random(1), 0, 0
    for problem in PROBLEMS:
        texts = attempts(problem.solution, 8, rng)
        right += sum(text == problem.solution for text in texts)
        lost += max(set(texts), key=texts.count) != problem.solution
    assert 0.2 < right / (8 * len(PROBLEMS)) < 0.8
    assert 0 < lost < len(PROBLEMS)


def test_what_is_asked_is_worded_as_the_pipeline_words_it() -> None:
    """With the question at the end, alone, or one attempt without it, which is then what is wanted."""
    aggregator, rng = reader("steps"), Random(2)
    assert isinstance(aggregator, SteppedAggLM)
    problem = PROBLEMS[0]
    asked = {composed(aggregator, problem.question, problem.solution, rng, SHARES) for _ in range(60)}
    wanted = {(prompt == problem.question, problem.question in prompt, text) for prompt, text in asked}
    assert (True, True, problem.solution) in wanted
    assert (False, True, problem.solution) in wanted
    lone = [(prompt, text) for prompt, text in asked if problem.question not in prompt]
    assert lone
    assert all(prompt == text for prompt, text in lone)


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

    def seen(tokenizer: Tokenizer, size: int, seed: int, begun: int) -> Iterator[Batch]:
        asked.append(begun)
        found: Iterator[Batch] = real(tokenizer, size, seed, begun)
        return found

    monkeypatch.setattr(script, "batches", seen)
    monkeypatch.setattr(script, "_POOL", 2)
    teach(Path("quorate-tiny-base"), tmp_path, settings(first))
    (tmp_path / "model.safetensors").unlink()
    teach(Path("quorate-tiny-base"), tmp_path, settings(2 * first))
    assert asked == [0, first]
    assert json.loads((tmp_path / "training.json").read_text())["steps"] == 2 * first
    assert (tmp_path / "model.safetensors").is_file()
