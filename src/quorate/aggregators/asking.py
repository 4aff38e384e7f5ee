"""How an aggregator asks a model of its own: what it spends belongs to the aggregator's stage."""

from __future__ import annotations

from dataclasses import replace

from quorate.orchestrator.context import Ledger, RunContext, derive_seed
from quorate.orchestrator.types import Usage

__all__ = ["inner_run"]


class _StageLedger(Ledger):
    """Books everything under one stage, whatever stages the model itself has."""

    def __init__(self, parent: Ledger, stage: str) -> None:
        super().__init__(parent)
        self._stage = stage

    def record(self, stage: str, model: str, usage: Usage) -> None:  # noqa: ARG002 - renamed here
        super().record(self._stage, model, usage)


def inner_run(run: RunContext, purpose: str) -> RunContext:
    """The run of a model that an aggregator asks: same budget and stage, its own seed, thread and cut list."""
    return replace(
        run,
        seed=derive_seed(run.seed, run.node, purpose),
        ledger=_StageLedger(run.ledger, run.node),
        thread=f"{run.thread}/{run.node}.{purpose}",
        cut=[],
    )
