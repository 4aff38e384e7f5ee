"""DSPy with a pipeline inside."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from quorate.agents import Endpoint
from quorate.integrations.chat import InProcessChat
from quorate.orchestrator.context import Budget
from quorate.orchestrator.types import Failure, SamplingParams
from quorate.testing import Reply, ScriptedModel, ScriptedUpstream

from .conftest import STORY
from .inside import config_file

dspy = pytest.importorskip("dspy")
lm15 = pytest.importorskip("dspy.lm15")
inside = pytest.importorskip("quorate.integrations.dspy")

__all__ = ["config_file"]


class Product(BaseModel):
    result: int


def told(lm: Any) -> Any:
    """What led to the last answer."""
    return lm.history[-1]["response"].provider_data["quorate"]


def test_a_program(config_file: Path) -> None:
    """DSPy's prompts come back in the fields that its signature names; usage counts all samples."""
    script = ["[[ ## answer ## ]]\n408\n\n[[ ## completed ## ]]", "[[ ## answer ## ]]\n407\n\n[[ ## completed ## ]]"]
    from quorate.aggregators import MajorityVote
    from quorate.orchestrator.pipeline import sample

    lm = inside.make_lm(sample(ScriptedModel(script), n=3) | MajorityVote(), cache=False)
    with dspy.context(lm=lm, track_usage=True):
        found = dspy.Predict("question -> answer: int")(question="What is 17 * 24?")
    assert found.answer == 408
    [usage] = found.get_lm_usage().values()
    assert usage["completion_tokens"] == 33


async def test_awaited_and_cached(config_file: Path) -> None:
    """DSPy's cache answers the second time; another rollout asks again."""
    dspy.configure_cache(enable_disk_cache=False)
    model = ScriptedModel(["It is 408"])
    lm = inside.make_lm(model, temperature=0.5)
    assert await lm.acall("What is 17 * 24, awaited?") == ["It is 408"]
    assert await lm.acall("What is 17 * 24, awaited?") == ["It is 408"]
    assert len(model.asked) == 1
    assert lm("What is 17 * 24, awaited?", rollout_id=1) == ["It is 408"]
    assert len(model.asked) == 2
    assert model.asked[0].sampling.temperature == 0.5


async def test_a_stream(config_file: Path) -> None:
    """The words of a field as the model writes them; calls of tools and failures come through, too."""
    script = "[[ ## answer ## ]]\nIt is four hundred and eight, I would say.\n\n[[ ## completed ## ]]"
    with dspy.context(lm=inside.make_lm(ScriptedModel([script]), cache=False)):
        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])
        told = [piece async for piece in program(question="What is 17 * 24?")]
    words = [piece.chunk for piece in told[:-1]]
    assert len(words) > 2
    assert "".join(words).strip() == told[-1].answer == "It is four hundred and eight, I would say."
    engine = inside.PipelineEngine(InProcessChat("team", config_file=config_file))
    tool = lm15.FunctionTool(name="weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
    request = lm15.Request(model="m", messages=(lm15.Message.user("Weather in Berlin?"),), tools=(tool,))
    *_, call, end = engine.stream(request)
    assert (call.delta.name, end.finish_reason) == ("weather", "tool_call")
    assert end.usage.output_tokens is not None
    broken = inside.PipelineEngine(InProcessChat(ScriptedModel([Failure(code="x", message="it broke", status=429)])))
    with pytest.raises(lm15.RateLimitError, match="it broke"):
        list(broken.stream(request))


def test_the_cache_tells_models_of_one_name_apart() -> None:
    """A pipeline whose models changed is asked anew, one that is the same is not."""
    dspy.configure_cache(enable_disk_cache=False)
    with ScriptedUpstream([Reply("one")]) as one, ScriptedUpstream([Reply("two")]) as two:
        said = []
        for upstream, top_k in ((one, 1), (two, 2), (one, 1)):
            model = Endpoint("m", base_url=upstream.url, sampling=SamplingParams(top_k=top_k))
            said += inside.make_lm(model)("Which of them?")
        assert said == ["one", "two", "one"]
        assert len(one.requests) == 1


def test_structured_output_over_a_server(config_file: Path) -> None:
    """With the JSON adapter the schema travels to the server, as the engine says that it may."""
    lm = inside.make_lm("team", config_file=config_file, cache=False)
    assert lm.supports_response_schema
    assert lm.supports_function_calling
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        found = dspy.Predict(dspy.Signature("question -> result: int"))(question="What is 17 * 24?")
    assert found.result == 408
    assert told(lm)["usage"]["requests"] == 1


def test_tools(config_file: Path) -> None:
    """A ReAct agent calls its tool, and ends."""
    lm = inside.make_lm("team", config_file=config_file, cache=False)
    weather = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    [reply] = lm("Weather in Berlin?", tools=[{"type": "function", "function": weather}])
    [call] = reply["tool_calls"]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("weather", '{"city": "Berlin"}')


def test_an_embedded_model() -> None:
    """A real one, in the same process."""
    lm = inside.make_lm("majority@3/quorate-tiny-base", cache=False, seed=1)
    [text] = lm(STORY)
    assert "Answer:" in text
    assert len(told(lm)["tally"]) >= 1
    with pytest.raises(Exception, match="story problems"):
        lm("Who was Plato?")


def test_a_saved_program_finds_its_model(config_file: Path, tmp_path: Path) -> None:
    """By its name; what has none is refused when saved."""
    program = dspy.Predict("question -> answer")
    program.lm = inside.make_lm("team", config_file=config_file)
    program.save(tmp_path / "program.json")
    loaded = dspy.Predict("question -> answer")
    loaded.load(tmp_path / "program.json", allow_unsafe_lm_state=True)
    assert loaded.lm("What is 17 * 24?", cache=False) == ["17 * 24 = 408. Answer: 408"]
    program.lm = inside.make_lm("team", config_file=config_file, budget=Budget(samples=1))
    with pytest.raises(Exception, match="object or has a budget"):
        program.save(tmp_path / "program.json")


def test_a_copied_program_asks_the_same_model(config_file: Path) -> None:
    """As DSPy's optimizers copy programs."""
    lm = inside.make_lm("team", config_file=config_file, cache=False)
    assert deepcopy(lm)("What is 17 * 24?") == ["17 * 24 = 408. Answer: 408"]


def test_failures_keep_their_kind(config_file: Path) -> None:
    """What the caller did wrong is not tried again; a server that is down is."""
    lm = inside.make_lm(ScriptedModel(["ok"]), cache=False)
    with pytest.raises(Exception, match="empty"):
        lm(" ")
