"""Spans for OpenTelemetry, by its semantic conventions for generative AI.

A request is a server span, each stage a span inside it, each call to an upstream a client span that carries
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
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from quorate import __version__
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.types import Usage
from quorate.orchestrator.watch import UpstreamCall

from ..asking import Asking
from .observation import Choice, Observation, ObservedCall

__all__ = ["NAMES", "Spans"]

PROVIDER = "quorate"
NAMES = (
    *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.workflow.name"),
    *("gen_ai.request.choice.count", "gen_ai.request.seed", "gen_ai.request.max_tokens", "gen_ai.request.temperature"),
    *("gen_ai.request.top_p", "gen_ai.request.stream", "gen_ai.response.finish_reasons"),
    *("gen_ai.response.time_to_first_chunk", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
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
            provider = self._own = _exporting(os.environ)
        self._tracer = provider.get_tracer("quorate", __version__)

    def request(self, seen: Observation, headers: Mapping[str, str]) -> _Request:
        """A request came, perhaps with the trace context of its caller."""
        span = self._tracer.start_span(
            seen.method,
            context=None if trace.get_current_span().get_span_context().is_valid else propagate.extract(headers),
            kind=SpanKind.SERVER,
            start_time=_nanoseconds(seen, 0.0),
            attributes={"http.request.method": seen.method, "quorate.request_id": seen.id},
        )
        return _Request(self._tracer, span, seen)

    def close(self) -> None:
        """Sends what is left."""
        if self._own is not None:
            self._own.shutdown()


class _Request:
    """See `observation.RequestSpan`."""

    def __init__(self, tracer: trace.Tracer, span: Span, seen: Observation) -> None:
        self._tracer = tracer
        self._span = span
        self._seen = seen
        self._stages: dict[tuple[int, str, str], _Stage] = {}

    def stage(self, choice: Choice, thread: str, stage: str) -> None:
        """A stage begins."""
        at = self._seen.now()
        if "/" not in stage:
            for place, earlier in self._stages.items():
                if place[:2] == (choice.index, thread) and earlier.ended is None:
                    earlier.ended = at
        attributes: dict[str, Any] = {"quorate.stage": stage}
        if choice.index:
            attributes["quorate.choice"] = choice.index
        span = self._tracer.start_span(
            stage, self._around(choice.index, thread, stage), start_time=self._time(at), attributes=attributes
        )
        self._stages[choice.index, thread, stage] = _Stage(span, at)

    def call(self, call: UpstreamCall, choice: Choice) -> _Call:
        """A call begins, in its stage."""
        server = urlsplit(call.server)
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": call.agent,
            "gen_ai.request.model": call.model,
            "gen_ai.request.choice.count": len(call.indices),
            "server.address": server.hostname or call.server,
            "quorate.candidates": list(call.indices),
        }
        if server.port is not None:
            attributes["server.port"] = server.port
        around = self._stages.get((choice.index, call.thread, call.stage))
        span = self._tracer.start_span(
            f"chat {call.model}",
            trace.set_span_in_context(around.span if around is not None else self._span),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=self._time(self._seen.now()),
        )
        return _Call(span, self, around)

    def end(self, seen: Observation) -> None:
        """The request is over, and all that lies in it."""
        for stage in self._stages.values():
            stage.span.end(self._time(stage.ended if stage.ended is not None else max(stage.last, stage.began)))
        span = self._span
        span.update_name(f"{seen.method} {seen.route}".strip())
        span.set_attributes({"http.route": seen.route, "http.response.status_code": seen.status})
        if seen.key:
            span.set_attribute("quorate.key", seen.key)
        if seen.asking is not None:
            span.update_name(_name(seen.asking))
            span.set_attributes(_asked(seen, seen.asking))
        if seen.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        if seen.status >= 400:
            span.set_attribute("error.type", seen.error.code if seen.error is not None else str(seen.status))
        span.end(self._time(seen.seconds))

    def _around(self, choice: int, thread: str, stage: str) -> Context:
        """What a stage lies in: a stage of the same thread, or the one in which its thread began."""
        outer, _, _ = stage.rpartition("/")
        above, _, place = thread.rpartition("/")
        places = [(choice, thread, outer)] if outer else []
        while place:
            places.append((choice, above, place.rpartition(".")[0]))
            above, _, higher = above.rpartition("/")
            place = f"{higher}/{place}" if higher else ""
        found = next((self._stages[each].span for each in places if each in self._stages), self._span)
        return trace.set_span_in_context(found)

    def _time(self, at: float) -> int:
        return _nanoseconds(self._seen, at)


class _Stage:
    """A stage that began; it ends when the next one begins, else with the last of its calls."""

    def __init__(self, span: Span, began: float) -> None:
        self.span = span
        self.began = self.last = began
        self.ended: float | None = None


class _Call:
    """See `observation.CallSpan`."""

    def __init__(self, span: Span, request: _Request, stage: _Stage | None) -> None:
        self._span = span
        self._request = request
        self._stage = stage

    def headers(self) -> Mapping[str, str]:
        """The context, as the propagators write it."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier, trace.set_span_in_context(self._span))
        return carrier

    def end(self, call: ObservedCall) -> None:
        at = call.ended_at or call.started
        self._span.set_attributes(_usage(call.usage))
        if len(call.sent_at) > 1:
            self._span.set_attribute("http.request.resend_count", len(call.sent_at) - 1)
        for failed, code, status in call.failures:
            attributes: dict[str, str | int] = {"error.type": code, "http.response.status_code": status}
            self._span.add_event("try failed", attributes, self._request._time(failed))
        if call.outcome != "ok":
            self._span.set_attribute("error.type", call.outcome)
            if call.outcome != "cancelled":
                self._span.set_status(Status(StatusCode.ERROR))
        if call.answered_at is not None:
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", call.answered_at - call.started)
        if self._stage is not None:
            self._stage.last = max(self._stage.last, at)
        self._span.end(self._request._time(at))


def _exporting(environment: Mapping[str, str]) -> TracerProvider:
    """A provider as the environment says; the SDK itself reads the sampler, the resource and much else.

    Raises:
        BadInput: an exporter that is neither otlp nor console.
    """
    exporters = {"otlp": _otlp, "console": ConsoleSpanExporter}
    name = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if name not in exporters:
        raise BadInput(f"OTEL_TRACES_EXPORTER={name}: there is {', '.join(exporters)} and none")
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "quorate"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporters[name]()))
    return provider


def _otlp() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _name(asking: Asking) -> str:
    return f"{'invoke_workflow' if isinstance(asking.model, Pipeline) else 'chat'} {asking.model.name}"


def _asked(seen: Observation, asking: Asking) -> dict[str, Any]:
    sampling = asking.question(0).sampling
    workflow = isinstance(asking.model, Pipeline)
    attributes = {
        "gen_ai.operation.name": "invoke_workflow" if workflow else "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": asking.model.name,
        "gen_ai.workflow.name": seen.pipeline if workflow else None,
        "gen_ai.request.choice.count": asking.choices if asking.choices > 1 else None,
        "gen_ai.request.seed": sampling.seed,
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.stream": seen.streamed,
        "gen_ai.response.time_to_first_chunk": seen.first_byte if seen.streamed else None,
        "gen_ai.response.finish_reasons": [answer.finish_reason for answer in seen.answers] or None,
        "quorate.pipeline": seen.pipeline,
        "quorate.stopped": seen.stopped or None,
        "quorate.degraded": seen.degraded or None,
        "quorate.cost": seen.usage.cost,
        "quorate.queued_seconds": seen.queued,
        "quorate.candidates": sum(len(answer.candidates) for answer in seen.answers),
        **_usage(seen.usage),
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _usage(usage: Usage) -> dict[str, int]:
    counted = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }
    return counted | (
        {"gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens} if usage.reasoning_tokens else {}
    )


def _nanoseconds(seen: Observation, at: float) -> int:
    return int((seen.began + at) * 1e9)
