"""Prometheus metrics of one server, in a registry of its own so that two servers in a process never mix.

prometheus-client is the reference implementation: exposition, content negotiation and histograms are its.
Every label takes its values from the configuration, of which a client cannot make more than it has names: a
configured name stands for itself, `majority@7/anything` for `majority`, since N, nesting and models are the
caller's to choose, and every combination would be a time series of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from quorate import __version__
from quorate.aggregators.registry import ENSEMBLES, GRAPHS, PIPELINES
from quorate.config.catalog import Catalog
from quorate.orchestrator.events import CandidateCancelled, CandidateFailed, CandidateFinished, Event, StoppedEarly
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer
from quorate.orchestrator.usage import NodeUsage

from ..access.state import SharedState
from ..names import find_models
from .record import CallRecord, RequestRecord

__all__ = ["LabelLimiter", "Metrics", "StateCollector", "label_node", "label_pipeline", "label_stop"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Buckets of durations, from a cached prompt to a long deliberation."""
OUTCOMES: dict[type[Event], str] = {
    CandidateFinished: "finished",
    CandidateFailed: "failed",
    CandidateCancelled: "cancelled",
}
PARTS = ("cached", "cache_write", "reasoning", "prompt_audio", "completion_audio")
"""Kinds of tokens that are among others: the first two and `prompt_audio` among a prompt's."""
OTHER = "other"
SERIES = 200
"""Most values of one label."""
STATES = ("closed", "half_open", "open")


class LabelLimiter:
    """Lets the first values of a label pass, and calls all later ones `other`."""

    def __init__(self, most: int = SERIES) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value


def label_pipeline(catalog: Catalog, model: Model) -> str:
    """The model, configured pipeline or built-in pipeline that a model's name begins with."""
    for known, configured in catalog.pipelines.items():
        if configured is model:
            return known
    name = model.name
    if name in catalog.models or name in catalog.pipelines:
        return name
    head, _, _ = name.partition("/")
    pipeline, _, _ = head.partition("@")
    if (sized := re.sub(r"@\d+$", "", name)) in catalog.pipelines:
        return sized
    return pipeline if any(pipeline in known for known in (PIPELINES, GRAPHS, ENSEMBLES, catalog.pipelines)) else OTHER


@lru_cache(SERIES)
def label_node(node: str) -> str:
    """A node without its numbers: `layer-3` is `layer`."""
    return re.sub(r"-\d+\b", "", node)


def label_stop(reason: str) -> str:
    """The rule or limit that a reason begins with: `adaptive consistency: 5 to 1 votes, ...`."""
    rule, colon, _ = reason.partition(":")
    return rule if colon and len(rule) <= 40 else OTHER


class Metrics:
    """Counters, gauges and histograms, and their text for a scrape."""

    def __init__(self, catalog: Catalog) -> None:
        self.registry = registry = CollectorRegistry()
        self._live: tuple[Collector, ...] = (EndpointCollector(catalog), ProcessCollector(registry=None))
        for collector in self._live:
            registry.register(collector)
        self._codes, self._rules, self._nodes = LabelLimiter(), LabelLimiter(), LabelLimiter()

        # Their children are looked up for every request; the client's own way takes a lock and checks all labels.
        def counter(name: str, says: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(f"quorate_{name}", says, labels, registry=registry).labels)

        def histogram(name: str, says: str, *labels: str) -> Callable[..., Histogram]:
            made = Histogram(f"quorate_{name}_seconds", says, labels, buckets=SECONDS, registry=registry)
            return cache(made.labels) if labels else lambda: made

        def gauge(name: str, says: str) -> Gauge:
            # Where workers write into files: those of the workers that are there, added up.
            return Gauge(f"quorate_{name}", says, registry=registry, multiprocess_mode="livesum")

        Info("quorate", "The running version.", registry=registry).info({"version": __version__})
        self.in_flight = gauge("requests_in_flight", "Requests that have no complete reply yet.")
        self._queue_seconds = histogram("queue", "How long requests waited for their turn.")
        self._requests = counter(
            "requests", "Requests by the status of their reply; 499: the client left.", "route", "pipeline", "status"
        )
        self._seconds = histogram("request", "From a request to the end of its reply.", "pipeline")
        self._first_byte = histogram(
            "first_byte", "From a request to the first byte of its reply.", "pipeline", "stream"
        )
        self._calls = counter(
            "upstream_calls", "Calls to endpoints: ok, cancelled or an error's code.", "endpoint", "node", "outcome"
        )
        self._call_seconds = histogram("upstream_call", "From a free place to the end.", "endpoint", "node")
        self._wait_seconds = histogram("upstream_wait", "Until a call was sent or given up.", "endpoint")
        self._retries = counter("upstream_retries", "Tries after the first one of a call.", "endpoint")
        self._tokens = counter(
            "tokens", "Tokens that upstreams counted, or our estimate.", "node", "model", "kind", "estimated"
        )
        self._parts = counter("token_parts", "Tokens of these kinds among those in `tokens`.", "node", "model", "part")
        self._cost = counter("cost", "Money spent, as upstreams tell it or by the configured prices.", "node", "model")
        self._candidates = counter("candidates", "Samples by how they ended.", "pipeline", "outcome")
        self._stops = counter("early_stops", "Sampling stages ended by a rule or a budget.", "pipeline", "rule")
        self._routes = counter(
            "routes", "Answers of graphs that choose, by the node that answered.", "pipeline", "node"
        )
        self._watched = counter(
            "watched_savings",
            "Stops and acceptances that were only watched; same: as what was given.",
            "pipeline",
            "same",
        )
        self._watched_tokens = counter("watched_tokens", "Tokens that these would have saved.", "pipeline")
        self._watched_cost = counter("watched_cost", "Money that these would have saved.", "pipeline")
        self._degraded = counter("degradations", "Answers by what did not go as configured.", "pipeline", "code")
        self.traces_lost = Counter(
            "quorate_traces_lost", "Traces that the store could not keep up with, or not write.", registry=registry
        )

    def watch(self, state: SharedState, *, remote: bool) -> None:
        """Tells how what is counted elsewhere stands, and who waits.

        Args:
            state: where requests are counted.
            remote: whether that can be away.
        """
        collector = StateCollector(state, remote=remote)
        self.registry.register(collector)
        self._live += (collector,)

    def collect_live(self) -> list[Metric]:
        """How this process and its endpoints stand: what nobody counts and all must be asked for."""
        return [family for collector in self._live for family in collector.collect()]

    def write_exposition(self, accept: str) -> tuple[bytes, str]:
        """All metrics in the format that an Accept header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def count_call(self, call: CallRecord) -> None:
        """A call to an upstream ended."""
        end = call.end
        if end is None:
            return
        endpoint, node = call.call.agent, self._nodes(label_node(call.call.booked_node))
        self._calls(endpoint, node, self._codes(end.outcome)).inc()
        self._wait_seconds(endpoint).observe(end.waited)
        if end.tries:
            self._call_seconds(endpoint, node).observe(end.seconds)
            if end.tries > 1:
                self._retries(endpoint).inc(end.tries - 1)

    def count_request(self, record: RequestRecord) -> None:
        """A request ended."""
        pipeline = record.pipeline
        self._requests(record.route or OTHER, pipeline, str(record.status)).inc()
        if record.queued is not None:
            self._queue_seconds().observe(record.queued)
        if not record.understood:
            return
        self._seconds(pipeline).observe(record.seconds)
        if record.first_byte is not None:
            self._first_byte(pipeline, "true" if record.streamed else "false").observe(record.first_byte)
        for entry in record.ledger.nodes:
            self._count_usage(entry)
        for choice in record.choices.values():
            for _, event in choice.events:
                self._count_event(pipeline, event)
            if choice.answer is not None:
                self._count_answer(pipeline, choice.answer)
        for code in record.degraded:
            self._degraded(pipeline, self._codes(code)).inc()

    def _count_event(self, pipeline: str, event: Event) -> None:
        if (outcome := OUTCOMES.get(type(event))) is not None:
            self._candidates(pipeline, outcome).inc()
        elif isinstance(event, StoppedEarly):
            self._stops(pipeline, self._rules(label_stop(event.reason))).inc()

    def _count_answer(self, pipeline: str, answer: Answer) -> None:
        if answer.route and answer.path:
            self._routes(pipeline, self._nodes(label_node(answer.path[-1].node))).inc()
        for saving in answer.savings:
            self._watched(pipeline, {True: "yes", False: "no", None: "unknown"}[saving.same]).inc()
            self._watched_tokens(pipeline).inc(saving.tokens)
            if saving.cost:
                self._watched_cost(pipeline).inc(saving.cost)

    def _count_usage(self, entry: NodeUsage) -> None:
        node, usage = self._nodes(label_node(entry.node)), entry.usage
        estimated = "true" if usage.estimated else "false"
        if usage.prompt_tokens:
            self._tokens(node, entry.model, "prompt", estimated).inc(usage.prompt_tokens)
        if usage.completion_tokens:
            self._tokens(node, entry.model, "completion", estimated).inc(usage.completion_tokens)
        for part in PARTS:
            if tokens := getattr(usage, f"{part}_tokens"):
                self._parts(node, entry.model, part).inc(tokens)
        if usage.cost:
            self._cost(node, entry.model).inc(usage.cost)


class EndpointCollector(Collector):
    """How endpoints stand when Prometheus asks: breakers, places, and how often stragglers were asked twice.

    Reads what the catalog's agents know of themselves; nothing is counted twice.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def describe(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily, CounterMetricFamily]:
        """Names alone, so that nothing is loaded to register."""
        return _make_breakers(), _make_calls(), _make_limits(), _make_hedges()

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        from quorate.agents.endpoint import Endpoint
        from quorate.agents.hedged import Hedged

        breakers, calls, limits, hedges = self.describe()
        for agent in find_models(self._catalog):
            if isinstance(agent, Endpoint):
                for state in STATES:
                    breakers.add_metric([agent.name, state], float(agent.http.breaker.state == state))
                places = agent.http.all_places()
                calls.add_metric([agent.name, "under_way"], sum(each.taken for each in places))
                calls.add_metric([agent.name, "waiting"], sum(each.waiting for each in places))
                if places:
                    limits.add_metric([agent.name], sum(each.limit.value for each in places))
            elif isinstance(agent, Hedged):
                hedges.add_metric([agent.name], agent.hedges)
        yield from (breakers, calls, limits, hedges)


class StateCollector(Collector):
    """The queue, and whether the shared state can be reached."""

    def __init__(self, state: SharedState, *, remote: bool) -> None:
        self._state, self._remote = state, remote

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        yield GaugeMetricFamily("quorate_queue_length", "Requests that wait for their turn.", self._state.waiting)
        if self._remote:
            says = "1 where the state that replicas share cannot be reached."
            yield GaugeMetricFamily("quorate_state_down", says, float(bool(self._state.fault)))


def _make_breakers() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "quorate_breaker_state", "1 at the state of the endpoint's circuit breaker.", labels=["endpoint", "state"]
    )


def _make_calls() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "quorate_upstream_calls_now",
        "Calls with a place at the endpoint, or without.",
        labels=["endpoint", "state"],
    )


def _make_limits() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "quorate_upstream_limit", "Places at the endpoint, as the adaptive limit has them.", labels=["endpoint"]
    )


def _make_hedges() -> CounterMetricFamily:
    return CounterMetricFamily("quorate_hedges", "Second requests for samples slow to begin.", labels=["model"])
