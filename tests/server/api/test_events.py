"""`/v1/events`: a run is told as it happens, through the same door as any request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quorate import Endpoint
from quorate.config.server_settings import ApiKey, hash_key
from quorate.orchestrator.types import Cluster, Failure
from quorate.server.api.events import measure_risk
from quorate.testing import Reply, ScriptedUpstream
from tests.server.conftest import Serving, Start, asked
from tests.server.scripted import Echo


async def _watch(served: Serving, headers: dict[str, str] | None = None, **body: Any) -> list[dict[str, Any]]:
    reply = await served.http.post("/v1/events", json={**asked(), **body}, headers=headers)
    assert reply.status_code == 200, reply.text
    return [json.loads(line.removeprefix("data: ")) for line in reply.text.splitlines() if line.startswith("data: ")]


def _of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


async def test_every_step_of_a_vote_is_told(start: Start) -> None:
    """The tokens of each sample join to its text, votes rise, the risk falls, and the reply is a chat completion's."""
    async with (
        ScriptedUpstream(Reply("it is 42. Answer: 42"), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
    ):
        events = await _watch(served, model="majority@4/m")
        first, last = events[0], events[-1]
        assert (first["type"], first["model"], first["calls"], last["type"]) == ("run", "majority@4/m", 4, "done")
        assert [node["samples"] for node in first["graph"]["nodes"]] == [4, None]
        assert [event["at"] for event in events] == sorted(event["at"] for event in events)
        written = dict.fromkeys(range(4), "")
        for event in _of(events, "tokens"):
            for piece in event["pieces"]:
                written[piece["index"]] += piece["text"]
        candidates = [event["candidate"] for event in _of(events, "candidate_finished")]
        assert written == {candidate["index"]: candidate["text"] for candidate in candidates}
        tallies = _of(events, "tally")
        votes = [tally["tally"][0]["votes"] for tally in tallies]
        assert votes == sorted(votes)
        assert votes[-1] == 4
        risks = [tally["risk"] for tally in tallies]
        assert risks == sorted(risks, reverse=True)
        assert risks[-1] == 0
        assert [(e["node"], e["thread"]) for e in _of(events, "node_started")] == [("sample", ""), ("aggregate", "")]
        assert len(_of(events, "call_ended")) == len(_of(events, "call_started")) >= 4
        assert last["reply"]["object"] == "chat.completion"
        assert len(last["reply"]["quorate"]["candidates"]) == 4


async def test_a_synthesis_is_told_as_it_is_written(start: Start) -> None:
    async with start(Echo()) as served:
        events = await _watch(served, model="self-moa@2/echo")
    text = "".join(event["text"] for event in _of(events, "answer"))
    assert text == events[-1]["reply"]["choices"][0]["message"]["content"] != ""


async def test_pipelines_inside_are_told_with_the_samples_that_they_write(start: Start) -> None:
    """Each once, whoever asks it how often; their nodes say in which thread they ran."""
    async with start(Echo()) as served:
        events = await _watch(served, model="majority@4/majority@2/echo+echo")
        (sample, aggregate) = events[0]["graph"]["nodes"]
        (inner,) = sample["inside"]
        assert (inner["name"], inner["samples"], aggregate["inside"]) == ("majority@2/echo+echo", [0, 1, 2, 3], [])
        assert [node["name"] for node in inner["graph"]["nodes"]] == ["sample", "aggregate"]
        threads = {event["thread"] for event in _of(events, "node_started")}
        assert threads == {"", *(f"/sample.{i}" for i in range(4))}
        mixed = (await served.http.get("/v1/models/majority@4/majority@2/echo")).json()["quorate"]["graph"]["nodes"]
        assert [inner["samples"] for inner in mixed[0]["inside"]] == [[0, 1, 2, 3]]


async def test_a_single_model_is_told_without_a_graph(start: Start) -> None:
    async with start(Echo()) as served:
        events = await _watch(served)
    assert events[0]["graph"] is None
    assert "".join(event["text"] for event in _of(events, "answer")) == "hello there"


async def test_failures_and_the_end_of_all_are_events(start: Start) -> None:
    async with start(Echo(say=lambda _, __: Failure(code="broken", message="no"))) as served:
        events = await _watch(served, model="majority@2/echo")
    assert [event["candidate"]["error"]["message"] for event in _of(events, "candidate_failed")] == ["no", "no"]
    assert events[-1]["type"] == "error"
    assert "no" in events[-1]["error"]["message"]


@pytest.mark.parametrize(
    ("body", "words"), [({"n": 2}, "n: "), ({"stream": False}, "stream"), ({"model": "nobody"}, "nobody")]
)
async def test_what_cannot_be_watched_is_refused(start: Start, body: dict[str, Any], words: str) -> None:
    async with start(Echo()) as served:
        reply = await served.http.post("/v1/events", json={**asked(), **body})
        assert reply.status_code in {400, 404}
        assert words in reply.json()["error"]["message"]


async def test_the_same_door(start: Start) -> None:
    """Keys, their models, and the limit of samples hold here as everywhere."""
    keys = (ApiKey(name="ann", hash=hash_key("a"), allow=("echo",)),)
    async with start(Echo(), keys=keys, max_samples=8) as served:
        assert (await served.http.post("/v1/events", json=asked())).status_code == 401
        headers = {"authorization": "Bearer a"}
        assert (await _watch(served, headers))[-1]["type"] == "done"
        refused = await served.http.post("/v1/events", json={**asked(), "model": "majority@4/echo"}, headers=headers)
        assert refused.status_code == 403
    async with start(Echo(), max_samples=8) as served:
        assert (await served.http.post("/v1/events", json={**asked(), "model": "majority@9/echo"})).status_code == 400


def test_where_nothing_is_left_nothing_changes() -> None:
    """In a tie neither."""
    tie = tuple(Cluster(answer=name, votes=2, weight=2.0, voters=(0, 1)) for name in "ab")
    assert measure_risk(tie, 0) == 0
    assert measure_risk(tie, 1) == pytest.approx(0.5)


def test_approximate_classes_have_no_risk() -> None:
    assert measure_risk((), 4) is None
