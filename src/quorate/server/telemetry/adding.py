"""Metrics of several processes as one."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric

__all__ = ["add_up"]

LEAST = ("process_start_time_seconds", "process_max_fds")
"""Of which the least stands for all; everything else is added up."""


def add_up(families: Iterable[Metric]) -> list[Metric]:
    """One family of each name, with one sample of each name and labels.

    Numbers are added, gauges too: calls under way, memory, the workers whose breaker is open.
    """
    found: dict[str, Metric] = {}
    values: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
    for family in families:
        found.setdefault(family.name, Metric(family.name, family.documentation, family.type, family.unit))
        for sample in family.samples:
            place = (family.name, sample.name, tuple(sorted(sample.labels.items())))
            known = values.get(place)
            if known is None:
                values[place] = sample.value
            else:
                values[place] = min(known, sample.value) if sample.name in LEAST else known + sample.value
    for (family_name, name, labels), value in values.items():
        found[family_name].add_sample(name, dict(labels), value)
    return list(found.values())
