"""Values of metric labels, of which a client cannot make more than the configuration has names.

A configured name stands for itself, `majority@7/anything` for `majority`: N, nesting and models are the
caller's to choose, and every combination would be a time series of its own.
"""

from __future__ import annotations

import re

from quorate.config.catalog import Catalog
from quorate.config.recipes import RECIPES, TOGETHER
from quorate.orchestrator.protocols import Model

__all__ = ["OTHER", "Few", "pipeline_label", "stage_label", "stop_label"]

OTHER = "other"
SERIES = 200
"""Most values of one label."""


class Few:
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


def pipeline_label(catalog: Catalog, model: Model) -> str:
    """The model, configured pipeline or built-in pipeline that a name begins with."""
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
    return pipeline if any(pipeline in known for known in (RECIPES, TOGETHER, catalog.pipelines)) else OTHER


def stage_label(stage: str, thread: str = "") -> str:
    """A stage without its numbers: `aggregate/layer-3` is `aggregate/layer`.

    What an aggregator asks of a model belongs to the aggregator's stage, as in the ledger.
    """
    asked = next((part for part in thread.split("/")[1:] if not part.startswith("sample.")), "")
    return re.sub(r"-\d+\b", "", asked.partition(".")[0] if asked else stage)


def stop_label(reason: str) -> str:
    """The rule or limit that a reason begins with: `adaptive consistency: 5 to 1 votes, ...`."""
    rule, colon, _ = reason.partition(":")
    return rule if colon and len(rule) <= 40 else OTHER
