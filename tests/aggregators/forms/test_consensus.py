"""Consensus of forms: an answer where all agree, long reasoning where they do not."""

from __future__ import annotations

from typing import Any

import pytest

from quorate import sample
from quorate.aggregators.forms import consensus
from quorate.config.catalog import Catalog
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Failure, Question
from quorate.testing import ScriptedModel

PROGRAM = "```python\nprint(6 * 7)\n```"


def by_words(direct: str, short: str, code: str, long: str = "Answer: 7") -> ScriptedModel:
    """A model that answers by the form in which it is asked."""

    def answer(question: Question, index: int) -> str:
        forms = {"No explanation": direct, "short steps": short, "```python": code, "thoroughly": long}
        return next(text for words, text in forms.items() if words in question.text)

    return ScriptedModel(answer, name="m")


def guided(model: ScriptedModel, n: int = 3, **options: Any) -> Any:
    """`consensus@n/m`."""
    from quorate.aggregators.registry import build_pipeline

    return build_pipeline("consensus", [model], n=n, options={"run_code": True, **options})


async def test_where_all_forms_agree_nothing_more_is_asked() -> None:
    """The program is run, and what it prints is its answer."""
    model = by_words("Answer: 42", "6 * 7 = 42\nAnswer: 42", PROGRAM)
    answer = await guided(model).answer("What is 6 * 7?", seed=1)
    assert (answer.answer, len(model.asked)) == ("42", 3)
    assert [c.answer for c in answer.candidates] == ["42"] * 3
    assert "agree" in (answer.route or "")
    assert [visit.node for visit in answer.path] == ["forms", "agree"]


@pytest.mark.parametrize(
    ("short", "code"),
    [
        ("Answer: 41", PROGRAM),
        ("Answer: 42", "```python\nprint(1 / 0)\n```"),
        ("Answer: 42", "It is 42."),
        ("Answer: 42", "```python\npass\n```"),
    ],
)
async def test_where_one_differs_or_fails_the_long_answer_counts(short: str, code: str) -> None:
    """A program that fails, prints nothing or is none does not agree."""
    model = by_words("Answer: 42", short, code)
    answer = await guided(model).answer("What is 6 * 7?", seed=1)
    assert (answer.answer, len(model.asked)) == ("7", 4)
    assert [visit.node for visit in answer.path] == ["forms", "otherwise", "decide"]


async def test_all_may_vote() -> None:
    """Two forms beside one long answer outvote it."""
    model = by_words("Answer: 42", "Answer: 41", PROGRAM)
    answer = await guided(model, all_vote=True).answer("What is 6 * 7?", seed=1)
    assert (answer.answer, answer.tally[0].votes) == ("42", 2)
    assert len(answer.candidates) == 4


async def test_where_the_long_answer_fails_the_forms_vote() -> None:
    """Marked."""
    down = ScriptedModel([Failure(code="down", message="down", status=503)], name="long")
    forms = [ScriptedModel([f"Answer: {n}"], name=f"f{n}") for n in (1, 2, 2)]
    answer = await consensus(sample(forms, n=3), sample(down, n=1)).answer("?", seed=1)
    assert answer.answer == "2"
    assert "node_failed" in [note.code for note in answer.degraded]


async def test_a_share_may_do() -> None:
    """Two of three, and a failed form counts as one that does not agree."""
    long = ScriptedModel(["Answer: 9"], name="long")
    forms = [ScriptedModel([f"Answer: {n}"], name=f"f{n}") for n in (1, 2, 2)]
    graph = consensus(sample(forms, n=3), sample(long, n=1), share=0.6)
    assert (await graph.answer("?", seed=1)).answer == "2"
    assert long.asked == []
    failing = [ScriptedModel([Failure(code="down", message="down")]), *forms[1:2], *forms[2:]]
    strict = consensus(sample(failing, n=3), sample(long, n=1))
    assert (await strict.answer("?", seed=1)).answer == "9"


def test_what_is_refused() -> None:
    """Programs that nobody allowed, one form, a form that there is not."""
    catalog = Catalog({"m": ScriptedModel(name="m")})
    with pytest.raises(BadInput, match="allow it in"):
        catalog.resolve("consensus@3/m")
    with pytest.raises(BadInput, match="two forms"):
        guided(ScriptedModel(), forms=["direct"])
    with pytest.raises(BadInput, match="nothing to agree"):
        guided(ScriptedModel(), n=1)
    with pytest.raises(BadInput, match="forms"):
        guided(ScriptedModel(), forms=["direct", "poem"])
    assert guided(ScriptedModel(), run_code=False, forms=["direct", "short"]).name.startswith("consensus@3/")
