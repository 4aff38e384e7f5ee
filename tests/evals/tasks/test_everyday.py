"""`everyday`: ordinary questions, graded by what a text says first, and votes that get no reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quorate import Endpoint
from quorate.config.catalog import Catalog
from quorate.evals.registry import find_task
from quorate.evals.report import markdown
from quorate.evals.run import EvalSpec, run_eval
from quorate.evals.task import Selection
from quorate.orchestrator.errors import DataError
from quorate.testing import Reply, ScriptedUpstream

TASK = find_task("everyday")


async def grade(text: str, gold: str) -> bool:
    return await TASK.correct(TASK.extractor.extract(text), gold)


def test_there_are_200_questions_each_with_an_accepted_answer() -> None:
    items = TASK.items(Selection(limit=1000))
    assert len(items) == len({item.question.text for item in items}) == 200
    assert all(item.gold.strip() for item in items)


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [
        ("The capital of France is **Paris**.", "Paris", True),
        ("paris", "Paris", True),
        ("It was Paris in the spring that she loved.", "Rome", False),
        ("A spider has eight legs.", "8 | eight", True),
        ("There are 120 months.", "12 | twelve", False),
        ("No, they can't.", "no | cannot fly", True),
        ("Penguins cannot fly.", "no | cannot fly", True),
        ("There is no doubt that they can.", "no | cannot fly", False),
        ("<think>Paris?</think>It is Lyon.", "Paris", False),
        ("I'm sorry, I can't help with Paris.", "Paris", False),
        ("", "Paris", False),
    ],
)
async def test_a_text_is_right_where_it_begins_with_an_accepted_answer(text: str, gold: str, right: bool) -> None:
    assert await grade(text, gold) is right


async def test_an_answer_far_behind_the_beginning_does_not_count() -> None:
    assert not await grade("It is a city that many people like to visit in the summer. " * 8 + "Paris.", "Paris")


async def test_texts_that_say_one_thing_are_one_class() -> None:
    texts = ["Paris", "It's **Paris**.", "The capital is Paris.", "It is Lyon.", "I don't know.", ""]
    assert await TASK.equivalence.classes(texts) == [0, 0, 0, 1, 2, 3]


def test_a_file_of_ones_own_names_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"id": "1", "question": "Who?", "answers": "Ada"}) + "\n")
    with pytest.raises(DataError, match=r"mine\.jsonl:1: answers: must be a list of texts"):
        TASK.items(Selection(limit=1, data=path))


async def test_a_vote_decides_by_the_set_as_outside_evaluations(tmp_path: Path) -> None:
    """One sample with a stray number does not win against three sentences."""
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"id": "1", "question": "What is the capital of France?", "answers": ["Paris"]}) + "\n")
    texts = ["Founded long ago, it had 2023 bridges.", "The capital of France is Paris.", "It's Paris.", "Paris"]
    async with ScriptedUpstream(Reply(texts)) as upstream, Endpoint("m", base_url=upstream.url) as model:
        spec = EvalSpec("everyday", pipelines=["majority@4/m"], limit=1, data=path)
        found = (await run_eval(Catalog({"m": model}), spec)).as_json()
    (vote,) = found["pipelines"]
    assert vote["accuracy"]["value"] == 1
    assert vote["pass@1"]["value"] == 0.75


@pytest.mark.parametrize(("reason", "told"), [("length", True), ("stop", False)])
async def test_texts_that_were_cut_are_told(tmp_path: Path, reason: str, told: bool) -> None:
    """A run over cut texts says so, with their share, in its table and its notes."""
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"id": "1", "question": "What is the capital of France?", "answers": ["Paris"]}) + "\n")
    reply = Reply("It is Paris, and", finish_reason=reason)
    async with ScriptedUpstream(reply) as upstream, Endpoint("m", base_url=upstream.url) as model:
        spec = EvalSpec("everyday", pipelines=["m", "majority@4/m"], limit=1, data=path)
        result = await run_eval(Catalog({"m": model}), spec)
    assert [p.cut for p in result.pipelines] == ([1, 1] if told else [0, 0])
    assert ("100 %" in markdown(result)) is told
    assert any("raise --max-tokens" in note for note in result.notes) is told
