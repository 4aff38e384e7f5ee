"""Rewordings: the same question in another order, and answers in the first one."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators.forms.rewording import Reworded, Stability, change_names, reorder_options, reorder_sentences
from quorate.aggregators.registry import build_pipeline
from quorate.aggregators.votes import Ballot
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question
from quorate.testing import ScriptedModel

ASK = "Which is prime?\n\nA) 21\nB) 23\nC) 25\nD) 27\n\nEnd with `Answer: X`."


def letter_of(question: Question, option: str) -> str:
    found = re.search(rf"^([A-Z])\) {option}$", question.text, re.MULTILINE)
    assert found is not None
    return found[1]


@given(st.lists(st.text("abc 12", min_size=1, max_size=8).filter(str.strip), min_size=2, max_size=6), st.integers())
def test_letters_lead_back_to_the_same_option(options: list[str], seed: int) -> None:
    """Whatever the options: the words around them stay, the order is another one, and each letter maps to its own."""
    lines = [f"({chr(ord('A') + n)}) {option.strip()}" for n, option in enumerate(options)]
    reworded = reorder_options("\n".join(["Which?", *lines, "Say."]), Random(seed))
    assert reworded is not None
    first, *shown, last = reworded.text.split("\n")
    assert (first, last) == ("Which?", "Say.")
    assert sorted(reworded.letters.values()) == sorted(reworded.letters) != list(reworded.letters.values())
    for line in shown:
        assert f"({reworded.letters[line[1]]}) {line[4:]}" in lines


@pytest.mark.parametrize("text", ["", "Which?", "A) one", "A) one\nC) two", "B) one\nC) two", "A is B."])
def test_what_has_no_options_stays(text: str) -> None:
    """Also where letters are missing or do not begin with A."""
    assert reorder_options(text, Random(1)) is None


def test_the_last_sentence_still_asks() -> None:
    """All others change their order."""
    reworded = reorder_sentences("Tom has 3 hens. Mia has 4.5 kg. Who has more? Say it.", Random(3))
    assert reworded is not None
    assert reworded.text.endswith(" Say it.")
    assert reworded.text != "Tom has 3 hens. Mia has 4.5 kg. Who has more? Say it."
    assert reorder_sentences("Tom has 3 hens. How many?", Random(3)) is None


def test_names_are_others_and_lead_back() -> None:
    """Whole words, somebody alike, all at once; a name with a surname and one that is part of a word stay."""
    text = "Tom and Tim give Mary's hens to Tommy. John Locke and Mary watch. Who has more hens, Tom or Mary?"
    seen = set()
    for seed in range(40):
        reworded = change_names(text, Random(seed))
        assert reworded is not None
        assert sorted(reworded.names.values()) == ["Mary", "Tim", "Tom"]
        assert "Tommy" in reworded.text
        assert "John Locke" in reworded.text
        assert not re.search(r"\b(?:Tom|Tim|Mary)\b", reworded.text)
        back = {name: re.findall(rf"\b{name}\b", reworded.text) for name in reworded.names}
        assert sorted(map(len, back.values())) == [1, 2, 3]
        seen.add(reworded.text)
    assert len(seen) > 20
    assert change_names("Who wrote Emile? Jean did.", Random(1)) is None
    assert change_names("John Locke wrote it.", Random(1)) is None


async def test_answers_have_the_names_of_the_question() -> None:
    """Whoever is named in a reworded question is told as who it was, and the votes agree."""

    def first(question: Question, _: int) -> str:
        return f"It is {question.text.split()[0]}.\nAnswer: {question.text.split()[0]}"

    model = ScriptedModel(first)
    answer = await build_pipeline("reworded", [model], n=6, options={"kind": "names"}).answer(
        "Maya has 7 hens and Peter has 3. Who has more?", seed=1
    )
    assert (answer.answer, answer.tally[0].votes) == ("Maya", 6)
    assert len({question.text.split()[0] for question in model.asked}) > 3
    assert {c.text for c in answer.candidates} == {"It is Maya.\nAnswer: Maya"}


async def test_a_model_that_knows_the_option_is_right_in_any_order() -> None:
    """And one that likes a place gets as many answers as there are options in it."""
    knows = ScriptedModel(lambda question, _: f"Answer: {letter_of(question, '23')}", name="knows")
    answer = await build_pipeline("reworded", [knows], n=6).answer(ASK, seed=3)
    assert (answer.answer, answer.tally[0].votes) == ("B", 6)
    assert len({question.text for question in knows.asked}) > 2
    assert knows.asked[0].text == ASK
    places = ScriptedModel(["Answer: A"], name="places")
    answer = await build_pipeline("reworded", [places], n=8, options={"plain": 0}).answer(ASK, seed=3)
    assert len(answer.tally) > 2


async def test_the_stable_model_outvotes_the_others() -> None:
    """SADE: one that likes a place is unstable, and weighs less than one that knows."""
    knows = ScriptedModel(lambda question, _: f"Answer: {letter_of(question, '25')}", name="knows")
    places = ScriptedModel(["Answer: A"], name="places")
    answer = await build_pipeline("reworded", [places, knows], n=8, options={"plain": 0}).answer(ASK, seed=4)
    assert answer.answer == "C"
    assert answer.tally[0].weight >= 4


async def test_who_settles_on_nothing_has_failed() -> None:
    """Its letters are of another order."""
    unsure = ScriptedModel(["A or B, I cannot say."])
    answer = await build_pipeline("reworded", [unsure], n=3).answer(ASK, seed=1)
    assert [c.ok for c in answer.candidates] == [True, False, False]


async def test_other_questions_are_asked_as_they_are() -> None:
    """Nothing to reorder."""
    model = ScriptedModel(["Answer: 4"])
    answer = await Reworded(model, "options").answer("2 + 2?")
    assert (answer.text, model.asked[0].text) == ("Answer: 4", "2 + 2?")


def test_stability_by_hand() -> None:
    """Two pairs of three agree for nobody; a voter of one vote weighs 1; where all are unstable votes are counted."""
    rule = Stability()
    assert rule.weights(Ballot((0, 0, 1, 2), ("a", "a", "a", "b"))) == {
        0: pytest.approx(2 / 3),
        1: pytest.approx(1 / 3),
        2: 1,
    }
    assert rule.weights(Ballot((0, 1, 1, 2), ("a", "a", "b", "b"))) == {0: 1, 1: 2, 2: 1}
    assert rule.weights(Ballot((None, None), ("a", "a"))) == {}


def test_what_is_refused() -> None:
    """A kind that there is not."""
    with pytest.raises(BadInput, match="kind"):
        build_pipeline("reworded", [ScriptedModel()], options={"kind": "rhymes"})
