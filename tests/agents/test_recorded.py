"""Recorded: the same samples again, from a file or from rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quorate import Question, Recorded
from quorate.orchestrator.errors import DataError, NoAnswer
from quorate.orchestrator.types import Candidate
from quorate.orchestrator.usage import Usage

from .asking import Drawing, draw

ROW = {"question": "2 + 2?", "answers": ["4", "5"]}


def file_of(tmp_path: Path, *lines: object) -> Path:
    """A JSONL file of these lines; text goes in as it is."""
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


async def test_sample_i_is_the_ith_answer(tmp_path: Path) -> None:
    """In any order and as often as wanted."""
    agent = Recorded(file_of(tmp_path, ROW, ""))
    assert agent.name == "answers"
    assert (await draw(agent, 2, question="2 + 2?")).texts == ["4", "5"]
    assert (await draw(agent, indices=[1], question="2 + 2?")).texts == ["5"]
    assert (await agent.answer(" 2 + 2? ")).text == "4"


async def test_rows_of_the_same_question_add_up() -> None:
    """So one line a sample is a good file too."""
    rows = [{"question": "q", "answers": ["a"]}, {"question": "q", "samples": ["b"]}]
    assert (await draw(Recorded(rows), 2, question="q")).texts == ["a", "b"]


async def test_a_row_may_name_its_question_in_three_ways() -> None:
    """By key, by the whole conversation, by the last user message; the most exact one counts."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}]
    asked = Question.of(messages)
    rows: list[dict[str, Any]] = [{"question": "q", "answers": ["by text"]}]
    assert (await draw(Recorded(rows), question=asked)).texts == ["by text"]
    rows.append({"messages": messages, "answers": ["by messages"]})
    assert (await draw(Recorded(rows), question=asked)).texts == ["by messages"]
    rows.append({"key": asked.key, "answers": ["by key"]})
    assert (await draw(Recorded(rows), question=asked)).texts == ["by key"]
    assert (await draw(Recorded(rows), question="q")).texts == ["by text"]


async def test_a_dumped_candidate_is_an_answer() -> None:
    """With its usage, which goes to the ledger as if it were spent now."""
    usage = Usage(prompt_tokens=7, completion_tokens=3, requests=1)
    known = Candidate(index=5, model="m", text="4", answer="4", reasoning="hm", usage=usage, finish_reason="length")
    result = await draw(Recorded([{"question": "q", "model": "m", "answers": [known.model_dump()]}]), question="q")
    assert result.one == known.model_copy(update={"index": 0, "agent": "recorded"})
    assert result.run.ledger.nodes[0].model == "m"
    assert result.spent == usage


async def test_only_the_rows_of_one_model_may_be_read() -> None:
    """Rows that name none belong to all."""
    rows = [
        {"question": "q", "model": "a", "answers": ["from a"]},
        {"question": "q", "model": "b", "answers": ["from b"]},
        {"question": "q", "answers": ["from any"]},
    ]
    assert (await draw(Recorded(rows, model="b"), 2, question="q")).texts == ["from b", "from any"]
    with pytest.raises(DataError, match="model 'c'"):
        Recorded(rows[:2], model="c")


async def test_what_is_not_recorded_fails_by_name() -> None:
    """A question, or a sample beyond the last."""
    agent = Recorded([ROW])
    known, beyond = (await draw(agent, indices=[1, 2], question="2 + 2?")).candidates
    assert known.ok
    assert beyond.error is not None
    assert (beyond.error.code, beyond.error.status) == ("not_recorded", 404)
    assert "2 answers to '2 + 2?', not a sample 2" in beyond.error.message
    with pytest.raises(NoAnswer, match=r"no answers to 'What else\?'") as caught:
        await agent.answer("What else?")
    assert caught.value.code == "not_recorded"


async def test_recorded_failures_fail_again() -> None:
    """With the error that took the answer's place; a sample that was cut off has no end to give."""
    failure = {"code": "upstream_timeout", "message": "too late", "status": 504}
    cut = {"text": "par", "finish_reason": "cancelled"}
    result = await draw(Recorded([{"question": "q", "answers": [{"error": failure}, cut]}]), 2, question="q")
    assert [c.error.code for c in result.candidates if c.error] == ["upstream_timeout", "not_recorded"]


async def test_tokens_come_where_somebody_reads_them() -> None:
    """Joined they are the text, and the thinking."""
    agent = Recorded([{"question": "q", "answers": [{"text": "one two\n three", "reasoning": "well then"}]}])
    live = await draw(agent, question="q", live=True)
    assert live.tokens(0) == ["one ", "two\n ", "three"]
    assert live.tokens(0, reasoning=True) == ["well ", "then"]
    assert (await draw(agent, question="q")).tokens(0) == []


async def test_leaving_early_loses_no_accounts() -> None:
    """What was not read was not spent."""
    agent = Recorded([{"question": "q", "answers": [{"text": "a " * 99, "usage": {"completion_tokens": 2}}] * 3}])
    drawing = Drawing.of(range(3), live=True)
    await drawing.cut_off(agent, lambda drawing: drawing.token_count > 0, "q")
    assert drawing.spent == Usage()
    assert [c.finish_reason for c in drawing.candidates] == ["cancelled"] * 3


@pytest.mark.parametrize(
    ("line", "place", "words"),
    [
        ("{", ":2", "not JSON"),
        ("[1]", ":2", "an object is expected"),
        ({"answers": ["x"]}, ":2: question", "give the question"),
        ({"question": " ", "answers": ["x"]}, ":2: question", "give the question"),
        ({"question": "q"}, ":2: answers", "is missing"),
        ({"question": "q", "answers": []}, ":2: answers", "at least 1"),
        ({"question": "q", "answers": "x"}, ":2: answers", "should be a list"),
        ({"question": 3, "answers": ["x"]}, ":2: question", "should be text"),
        ({"question": "q", "answers": [3]}, ":2: answers.0", "should be a mapping"),
        ({"question": "q", "answers": ["x", {"text": 3}]}, ":2: answers.1.text", "should be text"),
        ({"question": "q", "answers": [{"usage": {"prompt_tokens": -1}}]}, ":2: answers.0.usage.prompt_tokens", "0"),
        ({"messages": [{"content": "x"}], "answers": ["x"]}, ":2: messages.0.role", "is missing"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: object, place: str, words: str) -> None:
    """File, line and field, when the agent is built."""
    path = file_of(tmp_path, ROW, line)
    with pytest.raises(DataError) as caught:
        Recorded(path)
    assert str(caught.value).startswith(f"{path}{place}: ")
    assert words in str(caught.value)


def test_a_file_without_answers_is_named(tmp_path: Path) -> None:
    """Missing, empty, or not text at all."""
    with pytest.raises(DataError, match=r"nowhere\.jsonl: the file cannot be read: No such file"):
        Recorded(tmp_path / "nowhere.jsonl")
    with pytest.raises(DataError, match="no recorded answers"):
        Recorded(file_of(tmp_path, ""))
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        Recorded(tmp_path / "binary.jsonl")


def test_what_a_recording_is() -> None:
    """Known by its answers: the same ones have the same fingerprint, wherever they lie."""
    one, two = Recorded([ROW], name="a"), Recorded([ROW], name="a")
    other = Recorded([{**ROW, "answers": ["4", "6"]}], name="a")
    assert (one.identity.kind, one.identity.model) == ("recorded", "a")
    assert one.identity == two.identity
    assert one.identity.fingerprint != other.identity.fingerprint
