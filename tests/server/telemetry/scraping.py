"""Reads metrics as Prometheus does."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from ..conftest import Serving

__all__ = ["Scrape", "scraped"]


class Scrape:
    """One exposition, parsed."""

    def __init__(self, text: str) -> None:
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Sum of the samples of this name that have these labels."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    def labels(self, name: str, label: str) -> set[str]:
        """Values that a label has."""
        return {s.labels[label] for s in self.samples if s.name == name and label in s.labels}


async def scraped(served: Serving) -> Scrape:
    reply = await served.http.get("/metrics")
    assert reply.status_code == 200, reply.text
    return Scrape(reply.text)
