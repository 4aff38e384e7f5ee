"""The order of classes of answers in a tally."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from quorate.orchestrator.types import Cluster


def by_weight(clusters: Iterable[Cluster]) -> tuple[Cluster, ...]:
    """Clusters by falling weight, those of equal weight by a hash of their answers.

    So no kind of answer (the smallest number, the first letter) is preferred.
    """
    return tuple(
        sorted(clusters, key=lambda c: (-c.weight, hashlib.sha256(c.answer.encode("utf-8", "replace")).digest()))
    )
