"""What the shipped models know is told from what they do not, by the question's form."""

from __future__ import annotations

import pytest

from quorate.agents.embedded.stories import BeyondModel, is_story, refuse_strange
from quorate.evals.tasks.stories import TIERS, generate
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.types import Question

OTHERS = """\
What is the capital of France?
How many moons does Mars have?
Who won the football world cups of 2010 and 2014?
What happened between 1914 and 1918?
Write a Python function that adds 2 and 3 and returns the sum.
Convert 72 degrees Fahrenheit to Celsius, rounded to 2 decimals.
Summarise the causes of the war of 1812 in 3 sentences.
Is 97 a prime number? Answer with yes or no in 1 word.
Solve x^2 - 5x + 6 = 0.
Translate "I have 2 dogs and 3 cats" into French.
How do I install Python 3.11 on Ubuntu 22.04?
Tell me a joke.
hello
What is the integral of sin(x) from 0 to 3.14?
A car drives at 60 km/h for 2.5 hours. How far does it go?
If a train leaves Paris at 8:15 and arrives in Lyon at 10:05, how long does the trip take?
What is the probability of rolling two sixes with 2 dice in 1 throw?
Which is larger, 9.11 or 9.9?
In what year did Apollo 11 land, and how many of its 3 astronauts walked on the moon?
What comes next: 2, 4, 8, 16?
Quelle est la capitale de la France ?
What is 15% of 80?""".splitlines()
SHIPPED = Identity(kind="embedded", model="quorate-tiny-base", family="quorate-tiny")
REAL = Identity(kind="embedded", model="smollm2-135m")


@pytest.mark.parametrize("tier", TIERS)
def test_no_problem_is_refused(tier: str) -> None:
    """Of a thousand of each tier."""
    assert [problem.question for problem in generate(tier, seed=3, count=1000) if not is_story(problem.question)] == []


@pytest.mark.parametrize("question", OTHERS)
def test_other_questions_are_recognised(question: str) -> None:
    """With numbers in them and without."""
    assert not is_story(question)


@pytest.mark.parametrize(
    "question",
    [
        "A bakery bakes 7 trays of 12 rolls each. It sells 30 rolls. How many rolls are left?",
        "What is 17 * 24?",
        "12 - 5",
    ],
)
def test_problems_in_ones_own_words_pass(question: str) -> None:
    """The form counts, not the template."""
    assert is_story(question)


def test_only_models_that_know_nothing_else_refuse() -> None:
    """One line that says what they know and what to do."""
    question = Question.of(OTHERS[0])
    for models in ([REAL], [SHIPPED, REAL], []):
        refuse_strange(question, models)
    with pytest.raises(BeyondModel, match=r"quorate-tiny-base can do story problems .*\(quorate models add") as raised:
        refuse_strange(question, [SHIPPED, SHIPPED])
    assert "\n" not in str(raised.value)
