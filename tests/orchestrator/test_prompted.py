"""Agents with words of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate import Question, SamplingParams, prompted, sample
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import AnswerToken, CandidateToken
from quorate.orchestrator.protocols import Sampler, is_sampler
from quorate.orchestrator.types import Message
from tests.orchestrator.fakes import First, Plurality, Texts

TALK = Question.of(
    [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "And 3 + 3?"},
    ]
)


def _said(model: Texts) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in model.questions[-1].messages]


async def test_a_template_takes_the_place_of_the_question() -> None:
    """It sees the question and the messages before it, which stay as they are."""
    model = Texts("6")
    await prompted(model, "{{ question }} ({{ messages | length }} before: {{ messages[1].text }})").answer(TALK)
    assert _said(model)[1:] == [("user", "2 + 2?"), ("assistant", "4"), ("user", "And 3 + 3? (3 before: 2 + 2?)")]


async def test_a_system_message_goes_before_the_callers() -> None:
    """There is one system message, as many chat templates want it."""
    model = Texts("6")
    await prompted(model, system="Be brief.").answer(TALK)
    assert _said(model)[0] == ("system", "Be brief.\n\nBe kind.")
    await prompted(model, system="Be brief.").answer("2 + 2?")
    assert _said(model) == [("system", "Be brief."), ("user", "2 + 2?")]


async def test_a_prefill_begins_the_answer() -> None:
    """The model is asked to go on with it, the text contains it, and it is streamed first."""
    model = Texts("is 6")
    agent = prompted(model, prefill="It ")
    events = [event async for event in agent.events(TALK)]
    assert events[-1].answer.text == "It is 6"  # type: ignore[union-attr]
    assert [e.text for e in events if isinstance(e, AnswerToken)] == ["It ", "is", "6"]
    assert _said(model)[-1] == ("assistant", "It ")
    extra = model.questions[-1].sampling.extra
    assert extra == {"add_generation_prompt": False, "continue_final_message": True}


async def test_candidates_say_whose_words_they_answer() -> None:
    """Agent and version of the words; the model stays the server's."""
    model = Texts("a")
    one, two = prompted(model, "One: {{ question }}", name="one"), prompted(model, system="Two.", name="two")
    answer = await (sample([one, two], n=4) | Plurality()).answer("which?")
    assert [(c.model, c.agent) for c in answer.candidates] == [("texts", "one"), ("texts", "two")] * 2
    versions = {c.agent: c.prompt_version or "" for c in answer.candidates}
    assert versions["one"].startswith("one@")
    assert versions["two"].startswith("two@")
    assert {c.prompt_version for c in answer.candidates} == set(versions.values())


async def test_prefilled_candidates_vote_with_their_beginning() -> None:
    """What is counted and streamed is the whole text."""
    pipeline = sample(prompted(Texts("b"), prefill="a "), n=2) | Plurality()
    events = [event async for event in pipeline.events("which?")]
    assert [e.text for e in events if isinstance(e, CandidateToken) and e.index == 0] == ["a ", "b"]
    assert [(c.answer, c.votes) for c in events[-1].answer.tally] == [("a b", 2)]  # type: ignore[union-attr]


async def test_sampling_settings_are_defaults() -> None:
    """The caller's win."""
    model = Texts("a")
    agent = prompted(model, sampling=SamplingParams(temperature=0.1, top_p=0.5))
    await agent.answer(Question.of("which?").with_params(temperature=0.9))
    asked = model.questions[-1].sampling
    assert (asked.temperature, asked.top_p) == (0.9, 0.5)


async def test_images_stay_beside_the_text() -> None:
    """The template replaces the text of a message only."""
    model = Texts("a")
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    content = ({"type": "text", "text": "which?"}, image)
    await prompted(model, "Look: {{ question }}").answer([Message(role="user", content=content)])
    assert model.questions[-1].messages[0].content == ({"type": "text", "text": "Look: which?"}, image)


async def test_a_prompted_pipeline_is_a_model_but_no_sampler() -> None:
    """Its whole question is rewritten, and it hands on what its pipeline is."""
    model = Texts("a")
    pipeline = sample(model, n=2) | First()
    wrapped = prompted(pipeline, "Say: {{ question }}", name="polite")
    answer = await wrapped.answer("which?")
    assert (answer.text, answer.model) == ("a", "polite")
    assert _said(model) == [("user", "Say: which?")]
    assert not is_sampler(wrapped)
    assert isinstance(prompted(model, system="Be brief."), Sampler)
    assert (wrapped.identity, wrapped.parts, wrapped.calls) == (pipeline.identity, (pipeline,), 2)


async def test_versions_follow_every_word(tmp_path: Path) -> None:
    """Another template, system message or beginning is another version; a file lends its name."""
    file = tmp_path / "steps.jinja"
    file.write_text("Step by step: {{ question }}", encoding="utf-8")
    model = Texts("a")
    agents = [
        prompted(model, file),
        prompted(model, str(file), system="x"),
        prompted(model, file, prefill="1."),
        prompted(model, "Step by step: {{ question }}"),
    ]
    versions = [(await agent.answer("which?")).candidates[0].prompt_version for agent in agents]
    assert len(set(versions)) == 4
    assert [str(version).partition("@")[0] for version in versions] == ["steps", "steps", "steps", "texts"]


async def test_a_failed_candidate_has_no_beginning() -> None:
    """Nothing was said, so nothing is there."""
    answer = await (sample([prompted(Texts("!"), prefill="It "), Texts("a")], n=2) | First()).answer("which?")
    assert answer.candidates[0].error is not None
    assert answer.candidates[0].text == ""


@pytest.mark.parametrize(
    ("template", "says"),
    [("{{ question", "line 1: unexpected end"), ("a\n{% if %}", "line 2"), ("missing.jinja", "cannot be read")],
)
def test_what_is_no_template_is_refused(template: str, says: str) -> None:
    """When the agent is made, in words that say what is wrong."""
    with pytest.raises(BadInput, match=says):
        prompted(Texts("a"), template)


def test_a_missing_variable_is_an_error() -> None:
    """Not an empty place in the prompt, and not only when it is asked."""
    with pytest.raises(BadInput, match="names 'answer', and there is: question, messages"):
        prompted(Texts("a"), "{% for n in range(2) %}{{ question }}{{ n }}{% endfor %} {{ answer }}")


def test_a_pipeline_cannot_go_on_with_a_beginning() -> None:
    """It would be lost among its candidates."""
    with pytest.raises(BadInput, match="only a single model"):
        prompted(sample(Texts("a"), n=2) | First(), prefill="It ")


async def test_a_broken_template_fails_its_candidates_alone() -> None:
    """As any fault of an agent does."""
    pipeline = sample([prompted(Texts("a"), "{{ question.nothing }}"), Texts("b")], n=2) | First()
    answer = await pipeline.answer("which?")
    assert answer.text == "b"
    assert answer.candidates[0].error is not None
    assert answer.candidates[0].error.code == "misconfigured"


def test_its_identity_has_the_words_and_the_settings() -> None:
    """They make its samples others than the model's; those inside another prompted model count, too."""
    model = Texts("a")
    inner = prompted(model, system="Be brief.", sampling=SamplingParams(temperature=0.5), name="brief")
    assert inner.identity.prompt_version is not None
    assert inner.identity.prompt_version.startswith("brief@")
    assert inner.identity.sampling.temperature == 0.5
    outer = prompted(inner, system="Be kind.", sampling=SamplingParams(top_p=0.5), name="kind")
    assert outer.identity.prompt_version == f"{inner.identity.prompt_version}+{outer.words.version}"
    assert (outer.identity.sampling.temperature, outer.identity.sampling.top_p) == (0.5, 0.5)
    assert (model.identity.prompt_version, outer.identity.model) == (None, model.identity.model)
