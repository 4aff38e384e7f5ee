"""The base of agents, which is part of the contract since ensembles of token models are agents too."""

from __future__ import annotations

from quorate.orchestrator.model import Agent

__all__ = ["Agent"]
