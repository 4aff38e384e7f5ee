"""vLLM in this process; importing this needs no vLLM."""

from __future__ import annotations

from .agent import VLLM

__all__ = ["VLLM"]
