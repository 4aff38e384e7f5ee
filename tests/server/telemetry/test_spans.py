"""Spans: what a tracing backend sees of a request, and how its context travels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv import attributes as stable
from opentelemetry.semconv._incubating import attributes as incubating
from opentelemetry.trace import SpanKind

from quorate import Endpoint
from quorate.agents import RetryPolicy
from quorate.orchestrator.errors import BadInput
from quorate.server.telemetry import spans
from quorate.testing import Fault, Reply, ScriptedUpstream

from ..conftest import Start
from ..scripted import Echo

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Exported:
    """Finished spans, by name."""

    def __init__(self, memory: InMemorySpanExporter) -> None:
        self._memory = memory

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._memory.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def parent(self, span: ReadableSpan) -> ReadableSpan | None:
        return next((s for s in self.all if span.parent and s.context.span_id == span.parent.span_id), None)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exported]:
    """The spans of every server that the test starts with `otel=True`."""
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(spans, "_make_provider", lambda _: provider)
    yield Exported(memory)
    provider.shutdown()


async def test_request_stages_and_calls_are_a_tree(start: Start, exported: Exported) -> None:
    """Named and described by the GenAI conventions, within the trace of the caller, and no text among it."""
    script = [Fault.status(503), *[Reply("it is 4", usage=(10, 3))] * 2]
    async with (
        ScriptedUpstream(script) as up,
        Endpoint("m", base_url=up.url, name="box", n_supported=False, retries=RetryPolicy(backoff=0.01)) as agent,
        start(agent, otel=True) as served,
    ):
        await served.http.post(
            "/v1/chat/completions",
            json={"model": "majority@2/box", "seed": 3, "messages": [{"role": "user", "content": "private words"}]},
            headers={"traceparent": PARENT},
        )
    [request] = exported.named("invoke_workflow majority@2/box")
    assert request.kind is SpanKind.SERVER
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT.split("-")[2]
    assert (
        dict(request.attributes or {}).items()
        >= {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": "majority",
            "gen_ai.request.model": "majority@2/box",
            "gen_ai.request.seed": 3,
            "gen_ai.usage.input_tokens": 20,
            "gen_ai.usage.output_tokens": 6,
            "http.response.status_code": 200,
            "http.route": "/v1/chat/completions",
            "quorate.stopped": "complete",
        }.items()
    )
    [sampling], [aggregating] = exported.named("sample"), exported.named("aggregate")
    assert exported.parent(sampling) is request
    assert exported.parent(aggregating) is request
    assert request.start_time is not None
    assert sampling.end_time is not None
    assert aggregating.start_time is not None
    assert sampling.end_time <= aggregating.start_time
    calls = exported.named("chat m")
    assert [exported.parent(call) for call in calls] == [sampling, sampling]
    assert all(call.kind is SpanKind.CLIENT for call in calls)
    assert [dict(call.attributes or {})["gen_ai.usage.output_tokens"] for call in calls] == [3, 3]
    assert {dict(call.attributes or {})["server.address"] for call in calls} == {"127.0.0.1"}
    [retried] = [call for call in calls if "http.request.resend_count" in (call.attributes or {})]
    assert [event.name for event in retried.events] == ["try failed"]
    sent = {request.headers["traceparent"] for request in up.requests}
    assert {header.split("-")[1] for header in sent} == {PARENT.split("-")[1]}
    assert {header.split("-")[2] for header in sent} == {f"{call.context.span_id:016x}" for call in calls}
    assert "private" not in "".join(span.to_json() for span in exported.all)
    assert "it is 4" not in "".join(span.to_json() for span in exported.all)


async def test_nested_pipelines_and_judges_nest_as_they_run(start: Start, exported: Exported) -> None:
    """The calls of an inner pipeline lie in its stages, those of a synthesis in the aggregation."""
    async with (
        ScriptedUpstream(Reply("it is 4")) as up,
        Endpoint("m", base_url=up.url, n_supported=False) as agent,
        start(agent, otel=True) as served,
    ):
        assert (await served.post(model="majority@2/self-moa@2/m")).status_code == 200
    [request] = exported.named("invoke_workflow majority@2/self-moa@2/m")
    ways = set()
    for call in exported.named("chat m"):
        way: list[str] = []
        span = exported.parent(call)
        while span is not None:
            way.append(span.name)
            span = exported.parent(span)
        ways.add(" < ".join(way))
    root = request.name
    assert f"sample < sample < {root}" in ways
    assert any(way.endswith(f"aggregate < sample < {root}") for way in ways)
    assert len({span.context.trace_id for span in exported.all}) == 1


async def test_errors_are_marked(start: Start, exported: Exported) -> None:
    """By the error's code on the span that failed and on the request; a client's fault is no error of ours."""
    async with (
        ScriptedUpstream(Fault.status(500, "private words")) as up,
        Endpoint("m", base_url=up.url, retries=RetryPolicy(attempts=1)) as agent,
        start(agent, otel=True) as served,
    ):
        await served.post(model="m")
        await served.post(model="nobody")
        await served.http.get("/v1/models")
    [call], [request] = [s for s in exported.named("chat m") if s.kind is SpanKind.CLIENT], exported.named("chat m")[1:]
    assert not call.status.is_ok
    assert not request.status.is_ok
    assert (call.attributes or {})["error.type"] == "upstream_bad_reply"
    assert (request.attributes or {})["error.type"] == "upstream_bad_reply"
    [unknown] = exported.named("POST /v1/chat/completions")
    assert (unknown.attributes or {})["error.type"] == "model_not_found"
    assert unknown.status.description is None
    assert exported.named("GET /v1/models")
    assert "private" not in "".join(span.to_json() for span in exported.all)


async def test_spans_arrive_over_otlp(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's own variables suffice: where to, under which name."""
    received: list[ExportTraceServiceRequest] = []

    async def collect(request: web.Request) -> web.Response:
        import gzip

        body = await request.read()
        packed = request.headers.get("content-encoding") == "gzip"
        received.append(ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body))
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", collect)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://{}:{}".format(*runner.addresses[0][:2]))
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    async with start(Echo()) as served:
        assert (await served.post()).status_code == 200
    await runner.cleanup()
    resources = [each for request in received for each in request.resource_spans]
    named = {a.key: a.value.string_value for each in resources for a in each.resource.attributes}
    assert named["service.name"] == "quorate"
    assert named["deployment.environment"] == "test"
    spans = [span.name for each in resources for scope in each.scope_spans for span in scope.spans]
    assert sorted(spans) == ["answer", "chat echo"]


@pytest.mark.parametrize(
    ("environment", "settings", "made"),
    [
        ({}, {}, False),
        ({}, {"otel": True}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, {}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, {"otel": False}, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, {"otel": True}, False),
        ({"OTEL_SDK_DISABLED": "true"}, {"otel": True}, False),
    ],
)
async def test_spans_are_made_where_somebody_wants_them(
    start: Start, exported: Exported, monkeypatch: pytest.MonkeyPatch, environment: Any, settings: Any, made: bool
) -> None:
    """The setting decides, else the environment; its switches turn off whatever the setting says."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    async with start(Echo(), **settings) as served:
        await served.post()
    assert bool(exported.all) == made


async def test_an_unknown_exporter_is_one_clear_error(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is served."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(BadInput, match="OTEL_TRACES_EXPORTER=zipkin: there is otlp, console and none"):
        async with start(Echo()):
            pass


def test_our_names_are_those_of_the_conventions() -> None:
    """Each attribute without our prefix stands in the installed package."""
    import importlib
    import pkgutil

    known = set()
    for package in (stable, incubating):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            known |= {v for k, v in vars(importlib.import_module(module.name)).items() if k.isupper()}
    known = {name for name in known if isinstance(name, str)}
    assert set(spans.NAMES) <= known
    assert trace_exporter.OTLPSpanExporter is not None
