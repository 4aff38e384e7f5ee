"""How endpoints stand when Prometheus asks: their circuit breakers, and how often stragglers were asked twice."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from quorate.config.catalog import Catalog
from quorate.orchestrator.protocols import Model

__all__ = ["Standing"]

STATES = ("closed", "half_open", "open")


class Standing(Collector):
    """Reads what the catalog's agents know of themselves; nothing is counted twice."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalogue = catalog

    def describe(self) -> list[Metric]:
        """Names alone, so that nothing is loaded to register."""
        return [_breakers(), _hedges()]

    def collect(self) -> Iterator[Metric]:
        from quorate.agents.endpoint import Endpoint
        from quorate.agents.hedged import Hedged

        breakers, hedges = _breakers(), _hedges()
        for agent in self._agents():
            if isinstance(agent, Endpoint):
                for state in STATES:
                    breakers.add_metric([agent.name, state], float(agent.http.breaker.state == state))
            elif isinstance(agent, Hedged):
                hedges.add_metric([agent.name], agent.hedges)
        yield from (breakers, hedges)

    def _agents(self) -> list[Model]:
        """The single models, and those that they are made of, each name of a kind once."""
        found: dict[tuple[type, str], Model] = {}
        waiting = list(self._catalogue.models.values())
        while waiting:
            model = waiting.pop()
            if found.setdefault((type(model), model.name), model) is model:
                waiting += _inside(model)
        return list(found.values())


def _inside(model: Model) -> list[Model]:
    several = getattr(model, "models", ())  # of an endpoint a method
    inside = (getattr(model, "model", None), *(several if isinstance(several, tuple) else ()))
    return [each for each in inside if isinstance(each, Model)]


def _breakers() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "quorate_breaker_state", "1 at the state of the endpoint's circuit breaker.", labels=["endpoint", "state"]
    )


def _hedges() -> CounterMetricFamily:
    return CounterMetricFamily("quorate_hedges", "Second requests for samples slow to begin.", labels=["model"])
