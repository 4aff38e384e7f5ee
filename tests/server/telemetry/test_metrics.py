"""What Prometheus sees of a server."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from quorate import Endpoint, MajorityVote, cascade, sample
from quorate.agents import Hedged, Price, RetryPolicy
from quorate.aggregators import AdaptiveConsistency
from quorate.config.catalog import Catalog
from quorate.config.server_settings import ApiKey, hash_key
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Failure
from quorate.server import ServerSettings, run_server
from quorate.server.access.state import LocalState
from quorate.server.telemetry.metrics import Metrics
from quorate.testing import Fault, Reply, ScriptedUpstream

from ..conftest import Start
from ..scripted import Echo, Plurality, Stuck
from .scraping import scraped


async def test_a_request_is_counted_with_all_that_it_caused(start: Start) -> None:
    """Status, candidates, upstream calls with their tries, tokens by stage, and cost."""
    script = [Fault.status(503), *[Reply("it is 4", usage=(10, 3))] * 5]
    async with (
        ScriptedUpstream(script) as up,
        Endpoint(
            "m",
            base_url=up.url,
            n_supported=False,
            retries=RetryPolicy(backoff=0.01),
            price=Price(prompt=1e6, completion=2e6),
        ) as agent,
        start(agent) as served,
    ):
        reply = (await served.post(model="majority@5/m")).json()
        seen = await scraped(served)
    assert seen.value("quorate_requests_total", route="/v1/chat/completions", pipeline="majority", status="200") == 1
    assert seen.value("quorate_candidates_total", pipeline="majority", outcome="finished") == 5
    assert seen.value("quorate_upstream_calls_total", endpoint="m", node="sample", outcome="ok") == 5
    assert seen.value("quorate_upstream_retries_total", endpoint="m") == 1
    assert seen.value("quorate_upstream_call_seconds_count", endpoint="m", node="sample") == 5
    assert seen.value("quorate_tokens_total", node="sample", kind="prompt") == reply["usage"]["prompt_tokens"] == 50
    assert seen.value("quorate_tokens_total", kind="completion", model="m", estimated="false") == 15
    assert seen.value("quorate_cost_total", node="sample", model="m") == pytest.approx(50 + 30)
    assert seen.value("quorate_request_seconds_count", pipeline="majority") == 1
    assert seen.value("quorate_first_byte_seconds_count", pipeline="majority", stream="false") == 1


async def test_what_an_aggregator_asks_counts_under_its_node(start: Start) -> None:
    """Its calls as its tokens, whatever graph lies inside."""
    async with (
        ScriptedUpstream(Reply("it is 4", usage=(10, 3))) as up,
        Endpoint("m", base_url=up.url, n_supported=False) as agent,
        start(agent) as served,
    ):
        assert (await served.post(model="self-moa@2/m")).status_code == 200
        seen = await scraped(served)
    assert seen.value("quorate_upstream_calls_total", endpoint="m", node="sample") == 2
    assert seen.value("quorate_upstream_calls_total", endpoint="m", node="aggregate") == 1
    assert seen.value("quorate_tokens_total", node="aggregate", kind="prompt") == 10


async def test_failures_degradations_and_early_stops_are_counted(start: Start) -> None:
    """By code, and by the rule that stopped."""

    def say(_: object, index: int) -> str | Failure:
        return Failure(code="upstream_timeout", message="late") if index == 0 else "4"

    model = Echo(say=say)
    vote = sample(model, n=8, wave=2, stop=AdaptiveConsistency(0.8)) | MajorityVote()
    async with start(model, pipelines={"sure": vote}) as served:
        assert (await served.post(model="sure")).status_code == 200
        await served.post(model="echo")
        await served.post(model="sure", stream=True)
        seen = await scraped(served)
    assert seen.value("quorate_candidates_total", pipeline="sure", outcome="failed") == 2
    assert seen.value("quorate_degradations_total", pipeline="sure", code="candidate_failed") == 2
    assert seen.value("quorate_early_stops_total", pipeline="sure", rule="adaptive consistency") == 2
    assert seen.value("quorate_requests_total", pipeline="echo", status="502") == 1
    assert seen.value("quorate_first_byte_seconds_count", pipeline="sure", stream="true") == 1


async def test_routes_are_counted_by_the_node_that_answered(start: Start) -> None:
    """Of a cascade, and what one that is only watched would have saved."""
    small, large = Echo("small", lambda _, index: str(index)), Echo("large", lambda *_: "7")
    stage = (sample(small, n=2) | MajorityVote()).with_name("both")
    pipelines = {
        "careful": cascade(stage, large, accept=0.6),
        "easy": cascade(stage, large, accept=0.5),
        "watched": cascade(stage, large, accept=0.5, shadow=True),
    }
    async with start(small, large, pipelines=pipelines) as served:
        for name in pipelines:
            assert (await served.post(model=name)).status_code == 200
        told = (await served.post(model="watched")).json()["quorate"]
        seen = await scraped(served)
    assert seen.value("quorate_routes_total", pipeline="careful", node="large") == 1
    assert seen.value("quorate_routes_total", pipeline="easy", node="both") == 1
    assert [saving["where"] for saving in told["savings"]] == ["both"]
    assert seen.value("quorate_watched_savings_total", pipeline="watched", same="no") == 2
    assert seen.value("quorate_watched_tokens_total", pipeline="watched") == 2 * told["savings"][0]["tokens"] > 0


async def test_a_client_that_leaves_is_counted_as_499(start: Start) -> None:
    """Before the reply and in the middle of a stream; nothing stays in flight."""
    plain, streaming = Stuck("plain"), Stuck("streaming", first="so")
    async with start(plain, streaming) as served:
        for model, stream in ((plain, False), (streaming, True)):
            leaving = asyncio.create_task(served.post(model=model.name, stream=stream))
            await model.asked.wait()
            seen = await scraped(served)
            assert seen.value("quorate_requests_in_flight") == 2, "the one that waits and the scrape itself"
            leaving.cancel()
            await asyncio.wait_for(model.cancelled.wait(), 30)
        async with asyncio.timeout(30):
            while (seen := await scraped(served)).value("quorate_requests_total", status="499") < 2:
                pass
    assert seen.labels("quorate_requests_total", "pipeline") >= {"plain", "streaming"}
    assert seen.value("quorate_requests_in_flight") == 1


async def test_a_stream_that_fails_counts_under_its_errors_status(start: Start) -> None:
    """Although its reply began with a 200."""
    async with (
        ScriptedUpstream(Fault.close_midway(after_chunks=2)) as up,
        Endpoint("m", base_url=up.url, retries=RetryPolicy(attempts=1)) as agent,
        start(agent) as served,
    ):
        assert (await served.post(model="m", stream=True)).status_code == 200
        seen = await scraped(served)
    assert seen.value("quorate_requests_total", pipeline="m", status="200") == 0
    assert seen.value("quorate_requests_total", pipeline="m", status="502") == 1
    assert seen.labels("quorate_upstream_calls_total", "outcome") == {"upstream_bad_reply"}


async def test_a_hostile_client_makes_no_series(start: Start) -> None:
    """Names, counts, nestings, routes, ids and methods of its invention all end in the labels there are."""
    model = Echo()
    async with start(model, pipelines={"vote": sample(model, n=2) | Plurality()}) as served:

        async def all_kinds(tag: int) -> int:
            for name in (
                f"majority@{tag + 1}/echo",
                f"majority@2/self-moa@{tag + 1}/echo",
                f"vote@{tag + 1}",
                f"echo{tag}",
                f"{tag}@{tag}/echo",
            ):
                await served.post(model=name)
            await served.http.get(f"/nothing/{tag}")
            await served.http.get(f"/v1/models/made-up-{tag}")
            await served.http.request(f"X{tag}", "/v1/chat/completions")
            return len((await scraped(served)).samples)

        await scraped(served)
        first = await all_kinds(0)
        for tag in range(1, 6):
            last = await all_kinds(tag)
        seen = await scraped(served)
    assert first == last
    assert seen.labels("quorate_requests_total", "pipeline") == {"majority", "vote", ""}
    assert seen.labels("quorate_requests_total", "route") == {
        "/v1/chat/completions",
        "/v1/models/{name:path}",
        "/metrics",
        "other",
    }


@pytest.mark.parametrize(("settings", "status"), [({}, 401), ({"metrics_key": False}, 200), ({"metrics": False}, 404)])
async def test_metrics_need_a_key_where_there_are_keys(start: Start, settings: dict[str, bool], status: int) -> None:
    """Unless told otherwise; and they can be turned off."""
    keys = (ApiKey(name="prometheus", hash=hash_key("a-long-secret")),)
    async with start(Echo(), keys=keys, **settings) as served:
        assert (await served.http.get("/metrics")).status_code == status
        opened = await served.http.get("/metrics", headers={"authorization": "Bearer a-long-secret"})
        assert opened.status_code == (404 if "metrics" in settings else 200)
        assert "a-long-secret" not in opened.text


async def test_metrics_can_have_a_port_of_their_own() -> None:
    """Which needs no key and takes them off the main one; a taken port is one clear error."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = ServerSettings(port=0, metrics_port=port, keys=(ApiKey(name="k", hash=hash_key("a-long-secret")),))
    async with run_server(Catalog({"echo": Echo()}), settings) as url, httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/metrics")).status_code == 404
        assert "quorate_requests_total" in (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        with pytest.raises(BadInput, match=f"metrics cannot listen on 127.0.0.1:{port}"):
            async with run_server(Catalog({"echo": Echo()}), settings):
                pass


async def test_two_servers_in_a_process_count_apart(start: Start) -> None:
    """Each has a registry of its own."""
    async with start(Echo()) as one, start(Echo()) as other:
        await one.post()
        assert (await scraped(one)).value("quorate_requests_total", pipeline="echo") == 1
        assert (await scraped(other)).value("quorate_requests_total", pipeline="echo") == 0


async def test_openmetrics_is_spoken_where_it_is_asked_for(start: Start) -> None:
    """As Prometheus negotiates it."""
    async with start(Echo()) as served:
        reply = await served.http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert reply.text.endswith("# EOF\n")


async def test_waiting_for_a_place_is_told(start: Start) -> None:
    """While it lasts and afterwards, also of a call that was given up before it was sent."""
    hold = asyncio.Event()
    async with (
        ScriptedUpstream(Reply("4 5", hold=hold)) as up,
        Endpoint("m", base_url=up.url, name="box", concurrency=1) as box,
        start(box) as served,
    ):
        first = asyncio.create_task(served.post(model="box", stream=True))
        await up.wait_until(lambda up: up.in_flight == 1)
        given_up = await served.post(model="box", quorate={"budget": {"seconds": 0.1}})
        second = asyncio.create_task(served.post(model="box"))
        while (now := await scraped(served)).value("quorate_upstream_calls_now", endpoint="box", state="waiting") < 1:
            pass
        hold.set()
        assert {(await first).status_code, (await second).status_code} == {200}
        seen = await scraped(served)
    assert given_up.status_code == 504
    assert now.value("quorate_upstream_calls_now", endpoint="box", state="under_way") == 1
    assert seen.value("quorate_upstream_wait_seconds_count", endpoint="box") == 3
    assert seen.value("quorate_upstream_wait_seconds_sum", endpoint="box") > 0.1


async def test_breakers_and_hedges_are_told_as_they_stand(start: Start) -> None:
    """Of the endpoints inside hedged models and pools too."""
    async with (
        ScriptedUpstream([Reply("late", delay=5), Reply("4")]) as slow,
        ScriptedUpstream(Fault.status(500)) as broken,
        Endpoint("m", base_url=slow.url, name="box") as box,
        Endpoint("m", base_url=broken.url, name="bad", retries=RetryPolicy(attempts=1)) as bad,
        start(Hedged(box, after=0.05, share=1.0, name="hedged"), bad) as served,
    ):
        assert (await served.post(model="hedged")).status_code == 200
        for number in range(30):
            await served.post(model="bad", messages=[{"role": "user", "content": f"{number}?"}])
        seen = await scraped(served)
    assert seen.value("quorate_hedges_total", model="hedged") == 1
    assert seen.value("quorate_breaker_state", endpoint="box", state="closed") == 1
    assert seen.value("quorate_breaker_state", endpoint="bad", state="open") == 1
    assert seen.value("quorate_breaker_state", endpoint="bad", state="closed") == 0
    assert "circuit_open" in seen.labels("quorate_upstream_calls_total", "outcome")
    assert seen.value("quorate_upstream_calls_now", endpoint="box", state="waiting") == 0
    assert seen.value("quorate_upstream_limit", endpoint="box") > 1


def test_the_documented_metrics_exist() -> None:
    """All of them, and no other."""
    page = (Path(__file__).parents[3] / "docs" / "observability.md").read_text(encoding="utf-8")
    table = page.partition("## Metrics")[2].partition("```yaml")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {f"quorate_{name}".removesuffix("_total") for row in rows for name in re.findall(r"`(\w+)`", row)}
    metrics = Metrics(Catalog())
    metrics.watch(LocalState(ServerSettings()), remote=True)
    made = {family.name for family in metrics.registry.collect()}
    assert documented - {"quorate_info"} == {name for name in made if name.startswith("quorate_")}
