"""OpenRouter's form of a fusion: its clients switch by base URL alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from quorate.aggregators.registry import build_pipeline
from quorate.config.server_settings import ApiKey, hash_key
from quorate.orchestrator.types import Failure, Question
from quorate.server.api.chat import ChatRequest

from .conftest import Start
from .scripted import Echo

ANALYSIS = json.dumps(
    {
        "consensus": ["a city"],
        "contradictions": [{"topic": "which", "stances": [{"response": 1, "stance": "this"}]}],
        "unique_insights": [{"response": 2, "insight": "rivers"}],
        "partial_coverage": [{"responses": [1, 2], "point": "France"}],
        "blind_spots": ["the year"],
    }
)
LOST = Failure(code="boom", message="no luck", status=503)


def judge(name: str, answer: str, analysis: str | Failure = ANALYSIS) -> Echo:
    """Answers, analyses and writes, by what it is asked."""

    def say(question: Question, _: int) -> str | Failure:
        words = question.messages[0].text
        if "JSON object" in words:
            return analysis
        return f"{name} wrote it" if question.messages[0].role == "system" else answer

    return Echo(name, say)


def models() -> list[Echo]:
    return [
        judge("lab/a", "It is Paris, by the Seine."),
        judge("lab/b", "It is Lyon with two rivers."),
        judge("w", "Nice"),
    ]


def plugin(**settings: Any) -> list[dict[str, Any]]:
    return [{"id": "fusion", **settings}]


async def test_the_plugin(start: Start) -> None:
    """Panel, analyst and writer as it says; the result's fields in `quorate.fusion`, the typed analysis beside it."""
    async with start(*models()) as served:
        settings = plugin(analysis_models=["lab/a", "lab/b"], model="w")
        reply = (await served.post(model="lab/a", plugins=settings)).json()
    assert reply["choices"][0]["message"]["content"] == "w wrote it"
    assert reply["model"] == "fusion@2/lab/a+lab/b"
    fusion = reply["quorate"]["fusion"]
    assert fusion["status"] == "ok"
    assert {r["model"]: r["content"] for r in fusion["responses"]} == {
        "lab/a": "It is Paris, by the Seine.",
        "lab/b": "It is Lyon with two rivers.",
    }
    assert fusion["failed_models"] == []
    assert fusion["failure_reason"] is None
    analysis = fusion["analysis"]
    assert list(analysis) == ["consensus", "contradictions", "partial_coverage", "unique_insights", "blind_spots"]
    assert analysis["contradictions"][0]["stances"][0].keys() == {"model", "stance"}
    assert {analysis["unique_insights"][0]["model"], *analysis["partial_coverage"][0]["models"]} == {"lab/a", "lab/b"}
    assert reply["quorate"]["analysis"]["blind_spots"] == ["the year"]


async def test_the_openai_client_streams_it(start: Start) -> None:
    """The writer's tokens; the last chunk has the result."""
    async with start(*models()) as served:
        stream = await served.openai.chat.completions.create(
            model="lab/b",
            messages=[{"role": "user", "content": "Which city?"}],
            stream=True,
            extra_body={"plugins": plugin(analysis_models=["lab/a", "lab/b"]), "quorate": {"progress": False}},
        )
        chunks = [chunk async for chunk in stream]
    pieces = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert len(pieces) > 1
    assert "".join(pieces) == "lab/b wrote it"
    told = [c.model_extra["quorate"] for c in chunks if c.model_extra and "quorate" in c.model_extra]
    assert [quorate["fusion"]["status"] for quorate in told] == ["ok"]


async def test_a_panel_that_is_not_named(start: Start) -> None:
    """Three samples of the request's model; of the alias the first models there are. An unknown one is a 404."""
    async with start(*models()) as served:
        unknown = await served.post(model="nobody", plugins=plugin())
        own = (await served.post(model="lab/a", plugins=plugin())).json()
        alias = (await served.post(model="openrouter/fusion")).json()
    assert own["model"] == "fusion@3/lab/a+lab/a+lab/a"
    assert alias["model"] == "fusion@3/lab/a+lab/b+w"
    assert alias["quorate"]["fusion"]["status"] == "ok"
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "model")


async def test_presets_are_configured_pipelines(start: Start) -> None:
    """The alias takes the one named `fusion`; a plugin names any."""
    a, b, w = models()
    made = build_pipeline("fusion", [a, b], n=2, aggregator_model=w, name="fusion")
    async with start(a, b, w, pipelines={"fusion": made, "deep": made.with_name("deep")}) as served:
        alias = (await served.post(model="openrouter/fusion")).json()
        deep = (await served.post(model="lab/a", plugins=plugin(preset="deep"))).json()
        wrong = (await served.post(model="lab/a", plugins=plugin(preset="flat"))).json()
    assert (alias["model"], deep["model"]) == ("fusion", "deep")
    assert wrong["error"]["param"] == "plugins.0.preset"
    assert "deep" in wrong["error"]["message"]


async def test_what_is_lost_is_named(start: Start) -> None:
    """A panelist in `failed_models`, the analyst in `failure_reason`; there is an answer all the same."""
    a = judge("a", "It is Paris.", "no JSON")
    async with start(a, judge("b", "It is Lyon."), Echo("c", lambda *_: LOST)) as served:
        reply = (await served.post(model="a", plugins=plugin(analysis_models=["a", "b", "c"]))).json()
        gone = await served.post(model="c", plugins=plugin())
    fusion = reply["quorate"]["fusion"]
    assert fusion["failed_models"] == [{"model": "c", "error": "no luck"}]
    assert fusion["failure_reason"] == "judge_not_valid_json"
    assert fusion["analysis"] is None
    assert len(fusion["responses"]) == 2
    assert reply["choices"][0]["message"]["content"] in ("It is Paris.", "It is Lyon.")
    assert gone.status_code == 503


async def test_limits_reach_the_panel(start: Start) -> None:
    """`max_completion_tokens` of the plugin is for its answers, that of the request for the writer."""
    a, b, w = models()
    async with start(a, b, w) as served:
        settings = plugin(analysis_models=["lab/a", "lab/b"], model="w", max_completion_tokens=9)
        await served.post(model="lab/a", plugins=settings, max_completion_tokens=70)
    assert {q.sampling.max_tokens for q in a.questions + b.questions} == {9}
    assert w.questions[-1].sampling.max_tokens == 70
    assert all("plugins" not in q.sampling.extra for q in a.questions + w.questions)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"plugins": [{"id": "web"}]}, "plugins.0.id"),
        ({"plugins": [{}]}, "plugins.0.id"),
        ({"plugins": [{"id": "fusion"}, {"id": "fusion"}]}, "plugins.1"),
        ({"plugins": plugin(max_tool_calls=3)}, "plugins.0.max_tool_calls"),
        ({"plugins": plugin(reasoning=True)}, "plugins.0.reasoning"),
        ({"plugins": plugin(analysis_models=[])}, "plugins.0.analysis_models"),
        ({"plugins": plugin(analysis_models=["w"] * 9)}, "plugins.0.analysis_models"),
        ({"plugins": plugin(analysis_models=["w", "nobody"])}, "plugins.0.analysis_models.1"),
        ({"plugins": plugin(model="nobody")}, "plugins.0.model"),
        ({"plugins": plugin(enabled="yes")}, "plugins.0.enabled"),
        ({"plugins": plugin(max_completion_tokens=0)}, "plugins.0.max_completion_tokens"),
        ({"plugins": plugin(enabled=False), "model": "openrouter/fusion"}, "plugins.0.enabled"),
        ({"plugins": plugin(), "quorate": {"pipeline": "majority"}}, "quorate.pipeline"),
        ({"plugins": "fusion"}, "plugins"),
    ],
)
async def test_what_means_nothing_is_refused_by_name(start: Start, body: dict[str, Any], param: str) -> None:
    """A client must not believe that it holds."""
    async with start(*models()) as served:
        reply = await served.post(**{"model": "w", **body})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "plugins",
    [
        [{}],
        [{"id": "web"}],
        [{"id": "fusion"}, {"id": "fusion"}],
        plugin(max_tool_calls=3),
        plugin(analysis_models=[]),
        plugin(enabled="yes"),
        plugin(preset="deep", model="w"),
    ],
)
def test_the_schema_knows_what_is_refused(plugins: list[dict[str, Any]]) -> None:
    """And what is not."""
    known = jsonschema.Draft202012Validator(ChatRequest.model_json_schema())
    body = {"model": "w", "messages": [{"role": "user", "content": "hi"}]}
    assert known.is_valid({**body, "plugins": plugin(model="w")})
    assert known.is_valid({**body, "plugins": plugin(preset="deep")})
    assert not known.is_valid({**body, "plugins": plugins})


async def test_a_disabled_plugin_is_none(start: Start) -> None:
    """The model answers by itself."""
    async with start(*models()) as served:
        reply = (await served.post(model="w", plugins=plugin(enabled=False))).json()
    assert reply["choices"][0]["message"]["content"] == "Nice"
    assert "fusion" not in reply["quorate"]


async def test_keys_hold_for_each_model(start: Start) -> None:
    """A panel is no way to a model that the key may not ask."""
    keys = (ApiKey(name="k", hash=hash_key("secret"), allow=("lab/a", "openrouter/fusion")),)
    async with start(*models(), keys=keys) as served:
        served.http.headers["authorization"] = "Bearer secret"
        refused = await served.post(model="lab/a", plugins=plugin(analysis_models=["lab/a", "lab/b"]))
        own = await served.post(model="openrouter/fusion")
    assert refused.status_code == 403
    assert own.json()["model"] == "fusion@3/lab/a+lab/a+lab/a"


async def test_a_council_tells_its_minority(start: Start) -> None:
    """Scores and dissents in `quorate`, as a panel has them; other pipelines have neither."""

    def say(name: str) -> Callable[[Question, int], str]:
        return lambda q, _: "Ranking: 1 > 2" if "Rank the responses" in q.messages[0].text else f"I am {name}"

    async with start(*(Echo(name, say(name)) for name in "abc")) as served:
        reply = (await served.post(model="council@3/a+b+c")).json()
        plain = (await served.post(model="a")).json()
    assert set(reply["quorate"]["scores"]) == {"0", "1", "2"}
    assert len(reply["quorate"]["dissents"]) == 2
    assert not {"scores", "dissents", "analysis", "savings"} & plain["quorate"].keys()
