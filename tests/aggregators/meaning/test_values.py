"""Value or prose, decided once for the set: labelled sets, order, bad input."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.meaning.form import QuestionForm
from quorate.aggregators.meaning.lexical import lexical_classes
from quorate.aggregators.meaning.texts import Statement, _statement, is_refusal
from quorate.aggregators.meaning.values import read_values
from quorate.orchestrator.types import Cluster

from .scoring import class_numbers, kind_of, read_sets, score

SETS = read_sets()


def sets(half: str, kind: str | None = None) -> list[dict[str, Any]]:
    return [s for s in SETS if s["half"] == half and (kind is None or s["kind"] == kind)]


@pytest.mark.parametrize("half", ["dev", "held"])
def test_value_or_prose_and_the_winner(half: str) -> None:
    """The bars of forms that no rule was written for hold on both halves."""
    found = score(sets(half))
    assert found.n >= 150
    assert found.kind >= 0.93
    assert found.winner >= 0.92


@pytest.mark.parametrize("half", ["dev", "held"])
def test_classes(half: str) -> None:
    assert score(sets(half, "value")).f1 >= 0.9
    assert score(sets(half, "prose")).f1 >= 0.7


def test_there_are_three_hundred_sets_of_our_own_and_half_as_many_of_a_real_model() -> None:
    assert len({s["id"] for s in SETS}) == len(SETS)
    own = [s for s in SETS if s["source"] != "pilot"]
    assert len(own) >= 300
    assert sum("SmolLM2" in s["source"] for s in own) >= 150
    assert all(len(s["answers"]) == len(s["gold"]) for s in SETS)


def test_what_the_first_version_answered_2023() -> None:
    texts = ["The capital of France is Paris.", "As of 2023", "Paris", "It's **Paris**.", "Paris is France's capital."]
    numbers = class_numbers("What is the capital of France?", texts)
    assert numbers[0] == numbers[2] == numbers[3] == numbers[4] == 0
    assert numbers[1] != 0


@pytest.mark.parametrize(
    ("question", "texts", "kind"),
    [
        (
            "Why is the sky blue?",
            ["Air scatters blue light.", "Blue light is scattered, as found in 1871.", "2023"],
            "prose",
        ),
        ("What is 6 x 7?", ["6 x 7 = 42", "so \\boxed{42}", "42"], "marked"),
        ("Is it far?", ["Yes, it is.", "No.", "It isn't far."], "polar"),
        ("Pick one: (A) red (B) blue", ["A", "(B) blue", "The answer is A."], "letter"),
        ("When did it end?", ["In 1918.", "11 November 1918", "It ended in 1918."], "date"),
        ("How many are there?", ["Eight.", "There are 8.", "8"], "number"),
        ("Who wrote it?", ["Jane Austen", "It was written by Jane Austen.", "Austen"], "name"),
    ],
)
def test_kinds(question: str, texts: list[str], kind: str) -> None:
    assert read_values(question, texts).kind == kind


@given(st.integers(0, len(SETS) - 1), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_answers_changes_nothing(place: int, rng: random.Random) -> None:
    """The decision, and the partition, whatever the order."""
    row = SETS[place]
    order = list(range(len(row["answers"])))
    rng.shuffle(order)
    shuffled = [row["answers"][i] for i in order]
    assert kind_of(row["question"], shuffled) == kind_of(row["question"], row["answers"])
    before, after = class_numbers(row["question"], row["answers"]), class_numbers(row["question"], shuffled)
    moved = [before[i] for i in order]
    names = {(a is None, b is None) for a, b in zip(moved, after, strict=True)}
    assert names <= {(True, True), (False, False)}
    pairs = set(zip(moved, after, strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("42.195 km", "26.2 miles", True),
        ("100 °C", "212 degrees Fahrenheit", True),
        ("4:30 pm", "at half past, that is 4:30 in the afternoon", True),
        ("4:30 pm", "4:20 pm", False),
        ("40 km", "40 miles", False),
        ("1,024", "1024", True),
        ("18 cm", "18 m", False),
    ],
)
def test_quantities(one: str, other: str, together: bool) -> None:
    a, b = class_numbers("How much is it?", [one, other])
    assert (a == b) is together


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I don't know.", True),
        ("As an AI model, I can't look up current data.", True),
        ("I'm not sure, but I think it is Paris.", False),
        ("I can't recommend it.", False),
        ("No.", False),
        ("The answer is unknown to most people: Paris.", False),
    ],
)
def test_what_says_nothing(text: str, refused: bool) -> None:
    assert is_refusal(text) is refused


@pytest.mark.parametrize("text", ["", "   ", "...", "**", "<think>never ends"])
def test_texts_that_say_nothing_abstain(text: str) -> None:
    assert class_numbers("Who?", [text, "Anna", "Anna"]) == [None, 0, 0]


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10**6,
        "word " * 200_000,
        "1 " * 500_000,
        "(" * 10**5,
        "no, not " * 50_000,
        "a.b.c" * 10**5,
        "«" * 10**5,
        "\n" * 10**6,
    ],
)
def test_a_megabyte_is_read_in_moments(text: str) -> None:
    started = time.process_time()
    class_numbers("What is the capital of France?", [text, text[:-1], "Paris", "It is Paris."])
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("question", "texts"),
    [
        ("Wie heißt die Hauptstadt von Österreich?", ["Wien", "Die Hauptstadt heißt Wien.", "Salzburg"]),
        ("Какой город столица России?", ["Москва", "Столица России — Москва.", "Казань"]),
        ("Quelle est la capitale du Japon ?", ["Tokyo", "La capitale du Japon est Tokyo.", "Kyoto"]),
    ],
)
def test_other_languages(question: str, texts: list[str]) -> None:
    numbers = class_numbers(question, texts)
    assert numbers[0] == numbers[1] != numbers[2]


def test_forms() -> None:
    assert QuestionForm("Is it true that it rains?").polar
    assert not QuestionForm("Is it a cat or a dog?").polar
    assert QuestionForm("Which is red? a) sky b) blood").options == {"A": "sky", "B": "blood"}
    assert QuestionForm("It rained in 1990. Why did the roof leak?").explains
    assert QuestionForm("").options == {}


def test_the_cost() -> None:
    """Eight texts of three hundred words: a few milliseconds, of which the fastest of some tries is taken."""
    rng = random.Random(3)
    text = "the of and to light system water people city number because however Paris river house"
    words = text.split()
    words += [f"word{i}" for i in range(400)]
    texts = [
        " ".join(
            rng.choice(words).capitalize() if i % 12 == 0 else rng.choice(words) + "." * (i % 12 == 11)
            for i in range(300)
        )
        for _ in range(8)
    ]

    def spend() -> float:
        _statement.cache_clear()
        started = time.process_time()
        read_values("Why is the river blue?", texts)
        lexical_classes("Why is the river blue?", texts)
        return time.process_time() - started

    assert min(spend() for _ in range(15)) < 0.015  # of which it takes a fifth on an idle core


def test_statements_are_remembered_unless_they_are_long() -> None:
    assert Statement.of("short") is Statement.of("short")
    assert Statement.of("long " * 2000) is not Statement.of("long " * 2000)


def test_an_empty_set_is_prose() -> None:
    assert read_values("Who?", []).kind == "prose"
    assert asyncio.run(_tally_of_nothing()) == ()


async def _tally_of_nothing() -> tuple[Cluster, ...]:
    from quorate.aggregators import MajorityVote
    from quorate.orchestrator.context import RunContext

    from .scoring import ask

    return await MajorityVote().counter(ask("Who?"), RunContext()).tally([])


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (["1h30", "90 minutes", "It takes 1 hour and 30 minutes.", "2 hours"], [0, 0, 0, 1]),
        (["About 100k people live there.", "100,000", "100 people"], [0, 0, 1]),
        (["Half.", "1/2", "a half", "2"], [0, 0, 0, 1]),
        (["1 hour 45 patients", "1 hour", "105 minutes"], [0, 0, 1]),
    ],
)
def test_durations_thousands_and_halves(texts: list[str], classes: list[int]) -> None:
    assert class_numbers("How much is it?", texts) == classes
