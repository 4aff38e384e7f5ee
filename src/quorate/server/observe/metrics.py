"""Prometheus metrics of one server, in a registry of its own so that two servers in a process never mix.

prometheus-client is the reference implementation: exposition, content negotiation and histograms are its.
Every label takes its values from the configuration (see `labels`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder

from quorate import __version__
from quorate.config.catalog import Catalog
from quorate.orchestrator.events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    Event,
    StoppedEarly,
)
from quorate.orchestrator.types import NodeUsage

from .labels import Few, stage_label, stop_label
from .standing import Standing

if TYPE_CHECKING:
    from .observation import Observation, ObservedCall

__all__ = ["Metrics"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Buckets of durations, from a cached prompt to a long deliberation."""
ENDED: dict[type[Event], str] = {
    CandidateFinished: "finished",
    CandidateFailed: "failed",
    CandidateCancelled: "cancelled",
}


class Metrics:
    """Counters, gauges and histograms, and their text for a scrape."""

    def __init__(self, catalog: Catalog) -> None:
        self.registry = registry = CollectorRegistry()
        registry.register(Standing(catalog))
        self._codes, self._rules, self._stages = Few(), Few(), Few()

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"quorate_{name}", says, labels, registry=registry)

        def histogram(name: str, says: str, *labels: str) -> Histogram:
            return Histogram(f"quorate_{name}_seconds", says, labels, buckets=SECONDS, registry=registry)

        def gauge(name: str, says: str, *labels: str) -> Gauge:
            return Gauge(f"quorate_{name}", says, labels, registry=registry)

        ProcessCollector(registry=registry)
        Info("quorate", "The running version.", registry=registry).info({"version": __version__})
        self.in_flight = gauge("requests_in_flight", "Requests that have no complete reply yet.")
        self.queue_length = gauge("queue_length", "Requests that wait for their turn.")
        self.queue_seconds = histogram("queue", "How long requests waited for their turn.")
        self._requests = counter(
            "requests", "Requests by the status of their reply; 499: the client left.", "route", "pipeline", "status"
        )
        self._seconds = histogram("request", "From a request to the end of its reply.", "pipeline")
        self._first_byte = histogram(
            "first_byte", "From a request to the first byte of its reply.", "pipeline", "stream"
        )
        self._calls = counter(
            "upstream_calls", "Calls to endpoints: ok, cancelled or an error's code.", "endpoint", "stage", "outcome"
        )
        self._call_seconds = histogram("upstream_call", "From a free place to the end.", "endpoint", "stage")
        self._wait_seconds = histogram("upstream_wait", "Waiting for a free place of an endpoint.", "endpoint")
        self._retries = counter("upstream_retries", "Tries after the first one of a call.", "endpoint")
        self._tokens = counter(
            "tokens", "Tokens that upstreams counted, or our estimate.", "stage", "model", "kind", "estimated"
        )
        self._cost = counter("cost", "Money spent, by the configured prices.", "stage", "model")
        self._candidates = counter("candidates", "Samples by how they ended.", "pipeline", "outcome")
        self._stops = counter("early_stops", "Sampling stages ended by a rule or a budget.", "pipeline", "rule")
        self._degraded = counter("degradations", "Answers by what did not go as configured.", "pipeline", "code")
        self.traces_lost = counter("traces_lost", "Traces that the store could not keep up with, or not write.")

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Reads the queue's length when it is asked for."""
        self.queue_length.set_function(length)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All metrics in the format that an Accept header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def called(self, call: ObservedCall) -> None:
        """A call to an upstream ended."""
        endpoint, stage = call.call.agent, self._stages(stage_label(call.call.stage, call.call.thread))
        self._calls.labels(endpoint, stage, self._codes(call.outcome)).inc()
        if call.sent_at:
            placed = call.sent_at[0]
            self._wait_seconds.labels(endpoint).observe(placed - call.started)
            self._call_seconds.labels(endpoint, stage).observe((call.ended_at or placed) - placed)
            if len(call.sent_at) > 1:
                self._retries.labels(endpoint).inc(len(call.sent_at) - 1)

    def ended(self, seen: Observation) -> None:
        """A request ended."""
        pipeline = seen.pipeline
        self._requests.labels(seen.route or "other", pipeline, str(seen.status)).inc()
        if seen.queued is not None:
            self.queue_seconds.observe(seen.queued)
        if seen.asking is None:
            return
        self._seconds.labels(pipeline).observe(seen.seconds)
        if seen.first_byte is not None:
            self._first_byte.labels(pipeline, str(seen.streamed).lower()).observe(seen.first_byte)
        for entry in seen.asking.ledger.nodes:
            self._spent(entry)
        for choice in seen.choices.values():
            for _, event in choice.events:
                self._noted(pipeline, event)
        for code in seen.degraded:
            self._degraded.labels(pipeline, self._codes(code)).inc()

    def _noted(self, pipeline: str, event: Event) -> None:
        if (outcome := ENDED.get(type(event))) is not None:
            self._candidates.labels(pipeline, outcome).inc()
        elif isinstance(event, StoppedEarly):
            self._stops.labels(pipeline, self._rules(stop_label(event.reason))).inc()

    def _spent(self, entry: NodeUsage) -> None:
        stage, usage = self._stages(stage_label(entry.stage)), entry.usage
        estimated = str(usage.estimated).lower()
        for kind, tokens in (("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens)):
            if tokens:
                self._tokens.labels(stage, entry.model, kind, estimated).inc(tokens)
        if usage.cost:
            self._cost.labels(stage, entry.model).inc(usage.cost)
