"""Metrics of several processes as one."""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from quorate.server.telemetry.adding import add_up


def test_samples_of_one_name_and_labels_are_added() -> None:
    """Gauges too; of the times at which processes began the first one stands."""
    families = []
    for number in (1.0, 2.0):
        counter = CounterMetricFamily("hedges", "Second requests.", labels=["model"])
        counter.add_metric(["a"], number)
        counter.add_metric([f"only-{number:g}"], number)
        families += [counter, GaugeMetricFamily("under_way", "Calls.", value=number)]
        families.append(GaugeMetricFamily("process_start_time_seconds", "When.", value=100 + number))
    found = {(s.name, s.labels.get("model")): s.value for family in add_up(families) for s in family.samples}
    assert found == {
        ("hedges_total", "a"): 3,
        ("hedges_total", "only-1"): 1,
        ("hedges_total", "only-2"): 2,
        ("under_way", None): 3,
        ("process_start_time_seconds", None): 101,
    }
