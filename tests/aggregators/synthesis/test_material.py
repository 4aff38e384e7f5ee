"""What a synthesizer reads: order, thinking, tools, and the cut to its context."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators import AggLM, recursive_self_aggregation
from quorate.aggregators.synthesis.context import TokenBudget
from quorate.aggregators.synthesis.material import LabelledText, pack, visible_answer
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import MissingExtra
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.model import Wrapper
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.types import Answer, Question
from quorate.testing import ScriptedModel

from ..helpers import aggregate_at_node, candidate
from .cases import answer_from, boxed, proposals, vote


class Counting(ScriptedModel):
    """Knows its tokenizer, a token a word, and its context."""

    context = 10**6

    @property
    def identity(self) -> Identity:
        return Identity(kind="counting", model=self.name, context=self.context)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class Before(Wrapper):
    """Stands before a model and changes nothing."""

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        return await self.model.answer(question, run)


def test_tool_calls_are_read() -> None:
    """An answer of nothing but tool calls is no silence."""
    call = {"type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
    said = visible_answer(candidate(0, "<think>hm</think> Let me see.").model_copy(update={"tool_calls": (call,)}))
    assert said.startswith("Let me see.\n{")
    assert '"name": "add"' in said


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 80))
def test_a_models_own_count_decides_where_it_has_one(lengths: list[int], tokens: int) -> None:
    """Short texts stay whole; long ones are cut to what the tokenizer says fits, and each cut is told."""
    model = Counting()
    items = [LabelledText(f"#{i}", " ".join(f"w{j}" for j in range(length))) for i, length in enumerate(lengths)]
    material = pack(items, TokenBudget.of(model, tokens), "here")
    kept = [sum(word.startswith("w") for word in text.split()) for text in material.texts]
    assert sum(kept) <= tokens + 2 * len(lengths)
    if sum(lengths) <= tokens:
        assert material.texts == tuple(text for _, text in items)
    assert len(material.notes) == sum("characters cut" in text for text in material.texts)


def test_beginning_and_end_of_a_long_text_are_kept() -> None:
    """A third of the room for the approach, the rest for the result."""
    text = " ".join(str(i) for i in range(1000))
    [cut] = pack([LabelledText("#0", text)], TokenBudget.of(Counting(), 30), "here").texts
    assert cut.startswith("0 1 2")
    assert cut.endswith("998 999")
    assert 20 <= Counting().count_tokens(cut) <= 36


def test_no_room_at_all_is_told() -> None:
    """More candidates than tokens: all are cut to nothing but the mark, none in silence."""
    items = [LabelledText(f"#{i}", "x" * 50) for i in range(10)]
    material = pack(items, TokenBudget(1), "here")
    assert len(material.notes) == len(material.texts) == 10


async def test_agglm_asks_for_a_review_in_one_user_message() -> None:
    """Problem and attempts, no thinking; the answer's form is the problem's own or a box."""
    model = ScriptedModel(["\\boxed{7}"])
    answer = await aggregate_at_node(AggLM(model, fallback=vote()), boxed(1, 2))
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
    answer = await aggregate_at_node(AggLM(model, fallback=vote()), long)
    assert {note.code for note in answer.degraded} == {"candidate_cut"}
    assert 250 < model.count_tokens(model.asked[0].messages[0].text) <= 300 + 3 * 6


async def test_a_model_that_cannot_load_fails_when_it_is_asked() -> None:
    """Counting is no new way to fail: the vote answers, marked as ever."""

    class Unloadable(Counting):
        def count_tokens(self, text: str) -> int:
            raise MissingExtra("local", "the model")

    answer = await aggregate_at_node(AggLM(Unloadable([ValueError("bug")]), fallback=vote()), boxed(4))
    assert (answer.answer, answer.degraded[0].code) == ("4", "aggregator_failed")


def _agglm(model: ScriptedModel) -> Pipeline:
    return proposals(1) | AggLM(model, fallback=vote())


def _rsa(model: ScriptedModel) -> Pipeline:
    return recursive_self_aggregation(proposals(1), model, loops=1, final=vote())


@pytest.mark.parametrize("make", [_agglm, _rsa])
async def test_a_box_is_asked_for_only_where_the_request_has_no_format(
    make: Callable[[ScriptedModel], Pipeline],
) -> None:
    """With a response format of its own, nothing else is asked for."""
    free, formatted = ScriptedModel(["\\boxed{7}"]), ScriptedModel(["{}"])
    await answer_from(make(free), boxed(1))
    question = Question.of("What?").model_copy(update={"response_format": {"type": "json_object"}})
    await answer_from(make(formatted), boxed(1), question=question)
    assert "\\boxed{}" in free.asked[0].messages[0].text
    assert "\\boxed{}" not in formatted.asked[0].messages[0].text


async def test_a_model_behind_others_counts_its_own_tokens() -> None:
    """What stands before it has its context, and its tokenizer is asked."""
    model = Counting(["\\boxed{7}"])
    model.context = 400
    long = [candidate(i, f"{i} " + "x " * 500 + f"\\boxed{{{i}}}") for i in range(3)]
    await aggregate_at_node(AggLM(Before(Before(model)), fallback=vote()), long)
    assert 250 < model.count_tokens(model.asked[0].messages[0].text) <= 300 + 3 * 6


async def test_a_known_context_bounds_the_prompt_without_a_tokenizer() -> None:
    """Three characters a token."""

    class Known(ScriptedModel):
        @property
        def identity(self) -> Identity:
            return Identity(kind="known", model=self.name, context=800)

    model = Known(["\\boxed{7}"])
    answer = await aggregate_at_node(AggLM(model, fallback=vote()), [candidate(0, "x" * 5000), *boxed(1, 2)[1:]])
    assert {note.code for note in answer.degraded} == {"candidate_cut"}
    assert 1200 < len(model.asked[0].messages[0].text) <= 600 * 3 + 100
