"""Spans for OpenTelemetry, by its semantic conventions for generative AI.

A request is a server span, each node of its graph a span inside it, each call to an upstream a client span that carries
its context on. Attributes hold names and numbers, never texts. A provider of the program around us is used
where there is one; else ours exports over OTLP as OpenTelemetry's environment variables say, and is not made
global, so that two servers in a process stay apart. Imported only where spans are wanted (extra `otel`).

Names: semantic conventions 1.3x, `gen_ai.*` (development status) and `http.*`; a test compares them with the
installed package.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from quorate import __version__
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Event, NodeEnded, NodeStarted, UpstreamEnded, UpstreamStarted
from quorate.orchestrator.types import SamplingParams
from quorate.orchestrator.usage import Usage

from .record import CallRecord, ChoiceRecord, RequestRecord

__all__ = ["NAMES", "RequestSpans", "Spans"]

PROVIDER = "quorate"
NAMES = (
    *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.workflow.name"),
    *("gen_ai.request.choice.count", "gen_ai.request.seed", "gen_ai.request.max_tokens", "gen_ai.request.temperature"),
    *("gen_ai.request.top_p", "gen_ai.request.stream", "gen_ai.response.finish_reasons"),
    *("gen_ai.response.time_to_first_chunk", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    *("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
    *("gen_ai.usage.reasoning.output_tokens", "http.request.method", "http.response.status_code", "http.route"),
    *("server.address", "server.port", "error.type", "http.request.resend_count"),
)
"""Attributes from the conventions that we set; further ones of ours begin with `quorate.`."""


class Spans:
    """Makes the spans of one server.

    Args:
        provider: where spans go; the program's own or one made from the environment if not given.

    Raises:
        BadInput: the environment asks for an exporter that there is not.
    """

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._own: TracerProvider | None = None
        if provider is None:
            provider = trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
            provider = self._own = _make_provider(os.environ)
        self._tracer = provider.get_tracer("quorate", __version__)

    def begin(self, record: RequestRecord, headers: Mapping[str, str]) -> RequestSpans:
        """A request came, perhaps with the trace context of its caller."""
        span = self._tracer.start_span(
            record.method,
            context=None if trace.get_current_span().get_span_context().is_valid else propagate.extract(headers),
            kind=SpanKind.SERVER,
            start_time=_nanoseconds(record, 0.0),
            attributes={"http.request.method": record.method, "quorate.request_id": record.id},
        )
        return RequestSpans(self._tracer, span, record)

    def close(self) -> None:
        """Sends what is left."""
        if self._own is not None:
            self._own.shutdown()


class RequestSpans:
    """The spans of one request; see `record.RequestSpan`."""

    def __init__(self, tracer: trace.Tracer, span: Span, record: RequestRecord) -> None:
        self._tracer = tracer
        self._span = span
        self._record = record
        self._nodes: dict[tuple[int, str], Span] = {}
        """By choice, and by the beginning of the threads inside it."""
        self._calls: dict[int, Span] = {}

    def note(self, choice: ChoiceRecord, event: Event) -> None:
        """Begins and ends the spans of nodes and calls."""
        match event:
            case NodeStarted():
                self._begin_node(choice.index, event)
            case NodeEnded(thread=thread, node=node):
                self._nodes[choice.index, f"{thread}/{node}."].end(self._now())
            case UpstreamStarted():
                self._begin_call(choice.index, event)
            case UpstreamEnded(call=call):
                self._end_call(choice.calls[call])

    def headers(self, choice: ChoiceRecord, call: UpstreamStarted) -> Mapping[str, str]:  # noqa: ARG002
        """The context of a call, as the propagators write it."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier, trace.set_span_in_context(self._calls[call.call]))
        return carrier

    def end(self, record: RequestRecord) -> None:
        """The request is over."""
        span = self._span
        span.update_name(f"{record.method} {record.route}".strip())
        span.set_attributes({"http.route": record.route, "http.response.status_code": record.status})
        if record.key:
            span.set_attribute("quorate.key", record.key)
        if record.understood:
            span.update_name(f"{'invoke_workflow' if record.composed else 'chat'} {record.model}")
            span.set_attributes(_describe(record))
        if record.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        if record.status >= 400:
            span.set_attribute("error.type", record.error.code if record.error is not None else str(record.status))
        span.end(_nanoseconds(record, record.seconds))

    def _begin_node(self, choice: int, event: NodeStarted) -> None:
        attributes: dict[str, Any] = {"quorate.node": event.node}
        if choice:
            attributes["quorate.choice"] = choice
        span = self._tracer.start_span(
            event.node,
            trace.set_span_in_context(self._find_node(choice, event.thread)),
            start_time=self._now(),
            attributes=attributes,
        )
        self._nodes[choice, f"{event.thread}/{event.node}."] = span

    def _find_node(self, choice: int, thread: str) -> Span:
        """The node in which a thread began, the innermost that there is; the request itself where there is none."""
        inside = [begin for index, begin in self._nodes if index == choice and thread.startswith(begin)]
        return self._nodes[choice, max(inside, key=len)] if inside else self._span

    def _begin_call(self, choice: int, event: UpstreamStarted) -> None:
        server = urlsplit(event.server)
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": event.agent,
            "gen_ai.request.model": event.model,
            "gen_ai.request.choice.count": len(event.indices),
            "server.address": server.hostname or event.server,
            "quorate.candidates": list(event.indices),
        }
        if server.port is not None:
            attributes["server.port"] = server.port
        self._calls[event.call] = self._tracer.start_span(
            f"chat {event.model}",
            trace.set_span_in_context(self._find_node(choice, f"{event.thread}/{event.node}.")),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=self._now(),
        )

    def _end_call(self, call: CallRecord) -> None:
        span = self._calls.pop(call.call.call)
        span.set_attributes(_usage(call.usage))
        if len(call.sent) > 1:
            span.set_attribute("http.request.resend_count", len(call.sent) - 1)
        for failed, code, status in call.failures:
            attributes: dict[str, str | int] = {"error.type": code, "http.response.status_code": status}
            span.add_event("try failed", attributes, _nanoseconds(self._record, failed))
        if call.outcome != "ok":
            span.set_attribute("error.type", call.outcome)
            if call.outcome != "cancelled":
                span.set_status(Status(StatusCode.ERROR))
        if call.end is not None:
            span.set_attribute("quorate.waited", call.end.waited)
        if call.answered is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", call.answered - call.started)
        span.end(self._now())

    def _now(self) -> int:
        return _nanoseconds(self._record, self._record.seconds_so_far())


def _make_provider(environment: Mapping[str, str]) -> TracerProvider:
    """A provider as the environment says; the SDK itself reads the sampler, the resource and much else.

    Raises:
        BadInput: an exporter that is neither otlp nor console.
    """
    exporters = {"otlp": _make_otlp_exporter, "console": ConsoleSpanExporter}
    name = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if name not in exporters:
        raise BadInput(f"OTEL_TRACES_EXPORTER={name}: there is {', '.join(exporters)} and none")
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "quorate"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporters[name]()))
    return provider


def _make_otlp_exporter() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _describe(record: RequestRecord) -> dict[str, Any]:
    sampling = record.question.sampling if record.question is not None else SamplingParams()
    attributes = {
        "gen_ai.operation.name": "invoke_workflow" if record.composed else "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": record.model,
        "gen_ai.workflow.name": record.pipeline if record.composed else None,
        "gen_ai.request.choice.count": record.asked_choices if record.asked_choices > 1 else None,
        "gen_ai.request.seed": sampling.seed,
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.stream": record.streamed,
        "gen_ai.response.time_to_first_chunk": record.first_byte if record.streamed else None,
        "gen_ai.response.finish_reasons": [answer.finish_reason for answer in record.answers] or None,
        "quorate.pipeline": record.pipeline,
        "quorate.stopped": record.stopped or None,
        "quorate.degraded": record.degraded or None,
        "quorate.cost": record.usage.cost,
        "quorate.queued_seconds": record.queued,
        "quorate.candidates": sum(len(answer.candidates) for answer in record.answers),
        **_usage(record.usage),
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _usage(usage: Usage) -> dict[str, int]:
    counted = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }
    parts = {
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
    }
    return counted | {name: tokens for name, tokens in parts.items() if tokens}


def _nanoseconds(record: RequestRecord, at: float) -> int:
    return int((record.began + at) * 1e9)
