"""What a synthesizer reads: order, thinking, tools, and the cut to its context."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators import AggLM, RecursiveSelfAggregation
from quorate.aggregators.synthesis.material import Item, Room, laid_out, told
from quorate.orchestrator.errors import MissingExtra
from quorate.orchestrator.types import Question
from quorate.testing import ScriptedModel

from ..helpers import candidate
from .cases import aggregation, boxed, vote


class Counting(ScriptedModel):
    """Knows its tokenizer, a token a word, and its context."""

    context = 10**6

    def context_tokens(self) -> int:
        return self.context

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def test_tool_calls_are_read() -> None:
    """An answer of nothing but tool calls is no silence."""
    call = {"type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
    said = told(candidate(0, "<think>hm</think> Let me see.").model_copy(update={"tool_calls": (call,)}))
    assert said.startswith("Let me see.\n{")
    assert '"name": "add"' in said


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 80))
def test_a_models_own_count_decides_where_it_has_one(lengths: list[int], tokens: int) -> None:
    """Short texts stay whole; long ones are cut to what the tokenizer says fits, and each cut is told."""
    model = Counting()
    items = [Item(f"#{i}", " ".join(f"w{j}" for j in range(length))) for i, length in enumerate(lengths)]
    material = laid_out(items, Room.of(model, tokens), "here")
    kept = [sum(word.startswith("w") for word in text.split()) for text in material.texts]
    assert sum(kept) <= tokens + 2 * len(lengths)
    if sum(lengths) <= tokens:
        assert material.texts == tuple(text for _, text in items)
    assert len(material.notes) == sum("characters cut" in text for text in material.texts)


def test_beginning_and_end_of_a_long_text_are_kept() -> None:
    """A third of the room for the approach, the rest for the result."""
    text = " ".join(str(i) for i in range(1000))
    [cut] = laid_out([Item("#0", text)], Room.of(Counting(), 30), "here").texts
    assert cut.startswith("0 1 2")
    assert cut.endswith("998 999")
    assert 20 <= Counting().count_tokens(cut) <= 36


def test_no_room_at_all_is_told() -> None:
    """More candidates than tokens: all are cut to nothing but the mark, none in silence."""
    items = [Item(f"#{i}", "x" * 50) for i in range(10)]
    material = laid_out(items, Room(1), "here")
    assert len(material.notes) == len(material.texts) == 10


async def test_agglm_asks_for_a_review_in_one_user_message() -> None:
    """Problem and attempts, no thinking; the answer's form is the problem's own or a box."""
    model = ScriptedModel(["\\boxed{7}"])
    answer = await aggregation(AggLM(model, fallback=vote()), boxed(1, 2))
    [asked] = model.asked
    [message] = asked.messages
    assert message.role == "user"
    for wanted in ("What?", "2 attempts", "Attempt 1:", "Attempt 2:", "\\boxed{1}", "Any, all or none", "\\boxed{}"):
        assert wanted in message.text
    assert (answer.prompt_version or "").startswith("agglm@")


async def test_a_models_context_bounds_the_prompt() -> None:
    """Where the model knows it, prompt and candidates leave a quarter of it for the answer."""
    model = Counting(["\\boxed{7}"])
    model.context = 400
    long = [candidate(i, f"{i} " + "x " * 500 + f"\\boxed{{{i}}}") for i in range(3)]
    answer = await aggregation(AggLM(model, fallback=vote()), long)
    assert {note.code for note in answer.degraded} == {"candidate_cut"}
    assert 250 < model.count_tokens(model.asked[0].messages[0].text) <= 300 + 3 * 6


async def test_a_model_that_cannot_load_fails_when_it_is_asked() -> None:
    """Counting is no new way to fail: the vote answers, marked as ever."""

    class Unloadable(Counting):
        def context_tokens(self) -> int:
            raise MissingExtra("local", "the model")

    answer = await aggregation(AggLM(Unloadable([ValueError("bug")]), fallback=vote()), boxed(4))
    assert (answer.answer, answer.degraded[0].code) == ("4", "aggregator_failed")


@pytest.mark.parametrize("make", [AggLM, RecursiveSelfAggregation])
async def test_a_box_is_asked_for_only_where_the_request_has_no_format(make: type[AggLM]) -> None:
    """With a response format of its own, nothing else is asked for."""
    free, formatted = ScriptedModel(["\\boxed{7}"]), ScriptedModel(["{}"])
    await aggregation(make(free, fallback=vote()), boxed(1))
    question = Question.of("What?").model_copy(update={"response_format": {"type": "json_object"}})
    await aggregation(make(formatted, fallback=vote()), boxed(1), question=question)
    assert "\\boxed{}" in free.asked[0].messages[0].text
    assert "\\boxed{}" not in formatted.asked[0].messages[0].text
