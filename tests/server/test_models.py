"""Listing, health, keys, and upstreams that are down."""

from __future__ import annotations

import asyncio
from typing import Any

import jsonschema
import openai
import pytest
from openai import AsyncOpenAI

from quorate.agents import Embedded, Fallback
from quorate.aggregators.stopping import AdaptiveConsistency
from quorate.aggregators.synthesis import SelfMoA
from quorate.config.catalog import Catalog
from quorate.config.server_settings import ApiKey, hash_key
from quorate.orchestrator.errors import Unreachable
from quorate.orchestrator.pipeline import cascade, sample
from quorate.orchestrator.protocols import Model

from .conftest import Start, asked
from .scripted import Echo, Plurality


async def test_every_name_is_listed(start: Start) -> None:
    """Models, configured pipelines, and each built-in pipeline once, by a name without a slash."""
    model = Echo("some/model")
    async with start(model, pipelines={"vote": sample(model, n=2) | Plurality()}) as served:
        names = [m.id async for m in served.openai.models.list()]
        raw = (await served.http.get("/v1/models")).json()
    assert names[:2] == ["some/model", "vote"]
    assert "majority@16" in names
    assert len(set(names)) == len(names)
    assert not any("/" in name for name in names[1:])
    vote = next(m for m in raw["data"] if m["id"] == "majority@16")
    assert vote["quorate"]["models"] == ["some/model"]
    assert raw["object"] == "list"
    assert {m["object"] for m in raw["data"]} == {"model"}
    assert [m["kind"] for m in raw["data"]][1:] == ["pipeline"] * (len(names) - 1)


async def test_one_model_can_be_retrieved(start: Start) -> None:
    """By a name with slashes too; an unknown one is a 404."""
    async with start(Echo("some/model")) as served:
        assert (await served.openai.models.retrieve("some/model")).id == "some/model"
        with pytest.raises(openai.NotFoundError, match="some/model"):
            await served.openai.models.retrieve("other")


class Upstream:
    """A server that can be down."""

    def __init__(self) -> None:
        self.up = False
        self.asked = 0

    async def discover(self) -> list[Model]:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.up:
            raise Unreachable("no connection to http://upstream")
        return [Echo()]


async def test_an_upstream_may_come_up_later(start: Start) -> None:
    """While it is down: healthy, and a 502 that says so for everything else; once it is up, it answers."""
    upstream = Upstream()
    async with start(catalog=Catalog(discover=upstream.discover)) as served:
        assert (await served.http.get("/health")).json() == {"status": "ok"}
        for reply in (await served.post(), await served.http.get("/v1/models")):
            assert reply.status_code == 502
            assert reply.json()["error"]["message"] == "no connection to http://upstream"
        upstream.up = True
        assert (await served.post()).status_code == 200
        assert (await served.http.get("/v1/models")).json()["data"][0]["id"] == "echo"


async def test_a_known_model_hides_no_unknown_one(start: Start) -> None:
    """With the upstream down but some model known, an unknown name is a 404 with what is known."""
    upstream = Upstream()
    async with start(catalog=Catalog({"here": Echo("here")}, discover=upstream.discover)) as served:
        reply = await served.post()
    assert reply.status_code == 404
    error = reply.json()["error"]
    assert "here" in error["message"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_not_found")


async def test_an_upstream_is_asked_once_for_all_that_wait(start: Start) -> None:
    """Many requests for unknown names at the same time do not become as many requests to the upstream."""
    upstream = Upstream()
    gate = asyncio.Event()

    async def discover() -> list[Model]:
        await gate.wait()
        return await upstream.discover()

    async with start(catalog=Catalog(discover=discover)) as served:
        posts = [asyncio.create_task(served.post()) for _ in range(8)]
        asyncio.get_running_loop().call_later(0.3, gate.set)
        statuses = {(await post).status_code for post in posts}
    assert statuses == {502}
    assert upstream.asked < 8


async def test_without_keys_any_authorization_is_accepted(start: Start) -> None:
    """None, or whatever a client sends."""
    async with start(Echo()) as served:
        assert (await served.post()).status_code == 200
        assert (await served.openai.chat.completions.create(**asked())).choices


async def test_configured_keys_are_needed(start: Start) -> None:
    """Each of them opens /v1, nothing else does, health stays open, and no reply shows a key."""
    keys = [ApiKey(name=name, hash=hash_key(key)) for name, key in (("ann", "first-key"), ("bob", "sécond"))]
    async with start(Echo(), keys=keys) as served:
        for key in ("first-key",):
            async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key=key) as client:
                assert (await client.chat.completions.create(**asked())).choices
        with pytest.raises(openai.AuthenticationError, match="Authorization: Bearer KEY") as caught:
            await served.openai.models.list()
        assert caught.value.response.headers["www-authenticate"] == "Bearer"
        assert "first-key" not in caught.value.response.text
        assert (await served.post()).status_code == 401
        assert (await served.http.get("/health")).status_code == 200


async def test_the_openapi_document_describes_the_body(start: Start) -> None:
    """`/openapi.json` has the request's schema, and every reference in it leads somewhere."""
    async with start(Echo()) as served:
        reply = await served.http.get("/openapi.json")
    document = reply.json()
    body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/ChatRequest"}
    schemas = document["components"]["schemas"]
    assert "Control" in schemas
    references = {part.split('"')[0] for part in reply.text.split('"#/components/schemas/')[1:]}
    assert references <= set(schemas)


async def test_listings_tell_what_pipelines_are_made_of(start: Start) -> None:
    """What a built-in one does, its source and options; samples, models and rule of a configured one."""
    model = Echo("m")
    rule = AdaptiveConsistency(0.9)
    vote = sample(model, n=2, stop=rule) | Plurality()
    async with start(model, pipelines={"vote": vote}) as served:
        told = {entry["id"]: entry for entry in (await served.http.get("/v1/models")).json()["data"]}
        one = (await served.http.get("/v1/models/adaptive-consistency@4/self-moa@6/m")).json()
    assert told["m"]["quorate"] == {"max_requests": 1, "capabilities": []}
    assert told["vote"]["quorate"] == {
        "pipeline": "plurality",
        "max_requests": 2,
        "n": 2,
        "models": ["m"],
        "stop": str(rule),
    }
    built_in = told["adaptive-consistency@16"]["quorate"]
    assert (built_in["pipeline"], built_in["n"], built_in["models"]) == ("adaptive-consistency", 16, ["m"])
    assert built_in["options"]["threshold"]["default"] == 0.95
    assert "2305.11860" in built_in["source"]
    assert built_in["description"]
    assert (one["quorate"]["n"], one["quorate"]["models"]) == (4, ["self-moa@6/m"])
    assert one["quorate"]["max_requests"] == 4 * 7


class Down(Echo):
    """A model whose upstreams are known not to answer."""

    available = False


async def test_ready_says_what_is_missing(start: Start) -> None:
    """503 with the reason where no model is known or no upstream answers; else 200."""
    upstream, down = Upstream(), Down("down")
    async with start(catalog=Catalog(discover=upstream.discover)) as served:
        unknown = await served.http.get("/ready")
        upstream.up = True
        known = await served.http.get("/ready")
    async with start(down, pipelines={"vote": sample(down, n=2) | Plurality()}) as served:
        broken = await served.http.get("/ready")
    assert (unknown.status_code, unknown.json()["reasons"]) == (503, ["no model is known: its upstream does not tell"])
    assert (known.status_code, known.json()["status"]) == (200, "ready")
    assert set(map(str, known.json()["pipelines"].values())) == {"{'status': 'ready'}"}
    assert (broken.status_code, broken.json()["reasons"]) == (503, ["no upstream of 'down' answers"])


async def test_ready_says_of_each_pipeline_whether_it_can_answer(start: Start) -> None:
    """Its aggregator included: without its writer a synthesis is a vote; one of two proposers is enough for one."""
    good, down = Echo("good"), Down("down")
    pipelines = {
        "vote": sample(down, n=2) | Plurality(),
        "both": sample([good, down], n=2) | Plurality(),
        "strict": sample([good, down], n=2, min_candidates=2) | Plurality(),
        "fused": sample(good, n=2) | SelfMoA(down),
        "nested": sample(sample(down, n=2) | Plurality(), n=2) | Plurality(),
        "cascade": cascade(sample(good, n=2) | Plurality(), sample(down, n=2) | Plurality()),
        "instead": Fallback(down, good, name="instead"),
    }
    async with start(good, down, pipelines=pipelines) as served:
        reply = await served.http.get("/ready")
    told = reply.json()["pipelines"]
    assert reply.status_code == 200
    assert {name: entry["status"] for name, entry in told.items()} == {
        "good": "ready",
        "down": "unavailable",
        "vote": "unavailable",
        "both": "degraded",
        "strict": "unavailable",
        "fused": "degraded",
        "nested": "unavailable",
        "cascade": "degraded",
        "instead": "degraded",
    }
    assert {tuple(entry.get("missing", ())) for entry in told.values()} == {(), ("down",)}


async def test_the_document_is_true_of_the_replies(start: Start) -> None:
    """Every plain reply fits its schema, errors too."""
    model = Echo("m")
    message = {"messages": [{"role": "user", "content": "x"}]}
    bodies: dict[str, Any] = {
        "/v1/chat/completions": message,
        "/v1/completions": {"prompt": "x"},
        "/v1/responses": {"input": "x"},
    }
    async with start(model, pipelines={"vote": sample(model, n=2) | Plurality()}) as served:
        document = (await served.http.get("/openapi.json")).json()
        replies = [(path, "get", await served.http.get(path)) for path in ("/health", "/ready", "/v1/models")]
        for path, body in bodies.items():
            for name in ("m", "vote", "nobody"):
                reply = await served.http.post(path, json={"model": name, "quorate": {"trace": True}, **body})
                replies.append((path, "post", reply))
    for path, method, reply in replies:
        status = "200" if reply.status_code == 200 else f"{reply.status_code // 100}XX"
        schema = document["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
        jsonschema.validate(reply.json(), {**schema, "components": document["components"]})
    assert {reply.status_code for _, _, reply in replies} == {200, 404}


async def test_the_document_describes_every_api(start: Start) -> None:
    """Each request is a schema of its own, with the server's limits; keys are asked for where there are some."""
    key = ApiKey(name="me", hash=hash_key("secret"))
    async with start(Echo(), max_n=3) as served, start(Echo(), keys=(key,)) as closed:
        document = (await served.http.get("/openapi.json")).json()
        guarded = (await closed.http.get("/openapi.json")).json()
    for name in ("ChatRequest", "CompletionRequest", "ResponseRequest"):
        jsonschema.Draft202012Validator.check_schema(document["components"]["schemas"][name])
    assert document["components"]["schemas"]["ChatRequest"]["properties"]["n"]["anyOf"][0]["maximum"] == 3
    assert "security" not in document["paths"]["/v1/responses"]["post"]
    assert guarded["paths"]["/v1/responses"]["post"]["security"] == [{"key": []}]


@pytest.mark.parametrize("model", ["quorate-tiny-base", "majority@4/quorate-tiny-base"])
async def test_the_shipped_models_refuse_what_they_cannot_know(start: Start, model: str) -> None:
    """In one line, with what to do, before anything is loaded or drawn."""
    async with start(Embedded("quorate-tiny-base")) as served:
        reply = await served.post(**{**asked("What is the capital of France?"), "model": model})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (400, "beyond_model")
    assert "quorate models add" in error["message"]
