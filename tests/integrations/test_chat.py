"""OpenAI's form in this process: what every integration is made of."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from quorate.aggregators import MajorityVote
from quorate.integrations.chat import InProcessChat, make_completion, open_catalog, read_question
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput, ConfigError, MissingExtra, NoAnswer, UnknownName
from quorate.orchestrator.events import AnswerToken
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Answer, Failure
from quorate.testing import Reply, ScriptedModel, ScriptedUpstream

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "What is 17 * 24?"}]}
BROKEN: dict[str, Any] = {"code": "broken", "message": "it broke", "status": 503}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def vote(*lines: Any) -> Any:
    return sample(ScriptedModel(lines), n=3) | MajorityVote()


def test_a_body_becomes_a_question() -> None:
    """What concerns sampling in its place, what is unknown for the models, what is about the call nowhere."""
    question = read_question(
        BODY
        | {"model": "m", "stream": True, "user": "me", "n": 1, "temperature": 0.5, "stop": "END", "seed": 7}
        | {
            "max_completion_tokens": 9,
            "max_tokens": 5,
            "logprobs": True,
            "top_logprobs": 2,
            "min_p": 0.1,
            "top_p": None,
        }
        | {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False, "response_format": {"type": "text"}}
    )
    assert question.text == "What is 17 * 24?"
    assert (question.tools, question.tool_choice) == ((TOOL,), "auto")
    assert question.response_format == {"type": "text"}
    sampling = question.sampling
    assert (sampling.temperature, sampling.stop, sampling.seed, sampling.top_p) == (0.5, ("END",), 7, None)
    assert (sampling.max_tokens, sampling.top_logprobs) == (9, 2)
    assert sampling.extra == {"min_p": 0.1, "parallel_tool_calls": False}


def test_what_only_tools_give_a_meaning_stays_out_without_them() -> None:
    """Servers refuse it."""
    question = read_question(BODY | {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True})
    assert question.tool_choice is None
    assert not question.sampling.extra


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"messages": []}, "empty"),
        ({}, "empty"),
        (BODY | {"n": 2}, "n=2: one answer"),
        (BODY | {"n": 0}, "n=0"),
        (BODY | {"response_format": "json"}, "response_format: 'json': must be an object with a type"),
        (BODY | {"response_format": {"schema": {}}}, "response_format: .*: needs a type"),
        (
            BODY | {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": "object"}}},
            "response_format: .*: needs the schema in json_schema.schema, an object",
        ),
        (BODY | {"tools": ["weather"]}, "tools: 'weather' is no object"),
    ],
)
def test_impossible_bodies_are_refused(body: dict[str, Any], told: str) -> None:
    """By name."""
    with pytest.raises(BadInput, match=told):
        read_question(body)


async def test_an_answer_becomes_a_completion() -> None:
    """OpenAI's own types read it, and our object says how the vote went."""
    answer = await InProcessChat(vote("It is 408", "I say 407", "Answer: 408")).answer(BODY)
    reply = make_completion(answer)
    assert json.loads(json.dumps(reply)) == reply
    read = ChatCompletion.model_validate(reply)
    assert read.choices[0].message.content == "It is 408"
    assert read.choices[0].finish_reason == "stop"
    assert read.usage is not None
    assert read.usage.completion_tokens == 8
    assert reply["quorate"]["answer"] == "408"
    assert [cluster["votes"] for cluster in reply["quorate"]["tally"]] == [2, 1]
    assert reply["quorate"]["agreement"]["share"] == pytest.approx(2 / 3)


async def test_several_answers_are_independent_and_begin_as_one_does() -> None:
    """Each with a seed of its own from the body's, each a choice of the completion, the tokens of all together."""
    chat = InProcessChat(ScriptedModel(["I say 408"]))
    answers = await chat.answer_several(BODY | {"seed": 7}, 3)
    seeds = [answer.candidates[0].seed for answer in answers]
    assert (len(set(seeds)), seeds[0]) == (3, 7)
    reply = make_completion(*answers)
    assert [(c["index"], c["message"]["content"]) for c in reply["choices"]] == [
        (index, answer.text) for index, answer in enumerate(answers)
    ]
    assert reply["usage"]["completion_tokens"] == sum(answer.usage.completion_tokens for answer in answers)
    with pytest.raises(BadInput, match="n=0"):
        await chat.answer_several(BODY, 0)
    broken = InProcessChat(ScriptedModel([Failure(**BROKEN)]))
    with pytest.raises(NoAnswer, match="it broke"):
        await broken.answer_several(BODY, 2)


async def test_several_answers_outlast_one_that_fails() -> None:
    """What the others have cost is not lost; the first of them says what is missing."""
    model = ScriptedModel(lambda question, _: "I say 408" if question.sampling.seed == 7 else Failure(**BROKEN))
    [answer] = await InProcessChat(model).answer_several(BODY | {"seed": 7}, 3)
    assert answer.text == "I say 408"
    assert [(note.code, note.where) for note in answer.degraded] == [
        ("choice_failed", "choice 1"),
        ("choice_failed", "choice 2"),
    ]


async def test_a_stream_ends_in_the_answer_whose_text_it_has_told() -> None:
    """A single model word by word, a vote at once."""
    for chat, least in ((InProcessChat(ScriptedModel(["one two three"])), 3), (InProcessChat(vote("one two")), 1)):
        pieces = [piece async for piece in chat.stream(BODY)]
        assert isinstance(pieces[-1], Answer)
        told = [piece.text for piece in pieces if isinstance(piece, AnswerToken)]
        assert "".join(told) == pieces[-1].text
        assert len(told) == least


def test_a_stream_without_an_event_loop() -> None:
    """The same pieces; left before its end, it stops the model."""
    model = ScriptedModel(["one two three"])
    chat = InProcessChat(model)
    assert [piece.text for piece in chat.stream_sync(BODY)][:-1] == ["one ", "two ", "three"]
    endless = InProcessChat(ScriptedModel(lambda _, __: " ".join(["word"] * 10_000)))
    pieces = endless.stream_sync(BODY)
    next(iter(pieces))
    pieces.close()
    assert chat.answer_sync(BODY).text == "one two three"


def test_errors_are_those_of_the_library() -> None:
    """In both ways to ask."""
    chat = InProcessChat(vote(Failure(**BROKEN)))
    with pytest.raises(NoAnswer) as caught:
        chat.answer_sync(BODY)
    assert caught.value.status == 503
    with pytest.raises(NoAnswer):
        list(chat.stream_sync(BODY))


def test_a_budget_holds() -> None:
    """Of each answer."""
    chat = InProcessChat(vote("It is 408"), budget=Budget(samples=1))
    assert len(chat.answer_sync(BODY).candidates) == 1


def test_names_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file, in the one that the environment names, on a server; a changed file is read again."""
    with ScriptedUpstream([Reply("Answer: 408")], models=("served",)) as upstream:
        config = tmp_path / "quorate.yaml"
        config.write_text(json.dumps({"models": {"m": {"base_url": upstream.url, "model": "served"}}}))
        assert InProcessChat("majority@3/m", config_file=config).answer_sync(BODY).answer == "408"
        assert open_catalog(config) is open_catalog(config)
        monkeypatch.setenv("QUORATE_CONFIG", str(config))
        assert InProcessChat("m").answer_sync(BODY).text == "Answer: 408"
        assert InProcessChat("majority@2/served", upstream=upstream.url).answer_sync(BODY).answer == "408"
        config.write_text(json.dumps({"models": {"another": {"base_url": upstream.url, "model": "served"}}}))
        with pytest.raises(UnknownName, match="another"):
            InProcessChat("m", config_file=config)


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"model": "nonsense"}, UnknownName, "nonsense"),
        ({"model": 7}, BadInput, "model: 7 is no model"),
        ({"model": ScriptedModel(), "config_file": "x.yaml"}, BadInput, "is a model itself"),
        ({"model": "m", "config_file": "/nowhere/quorate.yaml"}, ConfigError, "/nowhere/quorate.yaml"),
        ({"model": "m", "config_file": "x.yaml", "upstream": "http://x"}, BadInput, "not both"),
    ],
)
def test_what_cannot_be_a_model_is_refused(settings: dict[str, Any], error: type[Exception], told: str) -> None:
    """When built, not when asked."""
    with pytest.raises(error, match=told):
        InProcessChat(**settings)


def test_shipped_models_refuse_what_they_cannot_know() -> None:
    """As the server and the command line do."""
    with pytest.raises(BadInput, match="story problems"):
        InProcessChat("quorate-tiny-base").answer_sync({"messages": [{"role": "user", "content": "Who was Plato?"}]})


def test_a_missing_library_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """And with what could not be imported."""
    from quorate.integrations.chat import name_extra

    with pytest.raises(MissingExtra, match=r"no_such_library.*pip install quorate\[dspy\]"), name_extra("dspy", "DSPy"):
        import_module("no_such_library")
