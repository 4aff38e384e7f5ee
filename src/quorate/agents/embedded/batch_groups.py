"""Rows of like length are drawn as one batch, the others in batches of their own.

A batch is padded to its longest row, so one long prompt would make every short row as long. A group of its own
costs a forward pass more at each step; padding is bought as long as it costs less than that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .batch_engine import BatchEngine, BatchPrompt, DrawnToken

PADDING = 4000
"""Tokens of padding that cost as much as a forward pass on a CPU, see docs/real-models.md."""

PADDING_ELSEWHERE = 1 << 16
"""The same for a GPU, where a pass of few rows waits for its launches and reads padding quickly; not measured."""


class BatchGroups:
    """Batches of one model's rows, used as one: `join`, `draw`, mark what ended, `advance`.

    Args:
        model: a transformers causal language model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._groups: list[BatchEngine] = []
        self._padding = PADDING if model.device.type == "cpu" else PADDING_ELSEWHERE

    @property
    def running(self) -> int:
        """Rows that have not ended."""
        return sum(group.running for group in self._groups)

    def join(self, prompts: Sequence[BatchPrompt]) -> None:
        """Reads new prompts; on an error some of their rows may be in, and leave at the next step once marked done."""
        waiting = self._pack([*self._groups, *prompts])
        ready: list[BatchEngine] = []
        try:
            while waiting:
                ready.append(self._fill(waiting[-1]))
                waiting.pop()
        finally:
            self._groups = ready + [part for parts in waiting for part in parts if isinstance(part, BatchEngine)]

    def draw(self) -> list[DrawnToken]:
        """The next token of every running row."""
        return [drawn for group in self._groups for drawn in group.draw()]

    def advance(self) -> None:
        """The logits after the tokens just drawn, for the rows that are not done."""
        for group in self._groups:
            group.advance()
        self._groups = [group for group in self._groups if group.running]
        if len(self._groups) > 1 and len(self._pack(self._groups)) < len(self._groups):
            self.join([])

    def _pack(self, parts: Sequence[BatchEngine | BatchPrompt]) -> list[list[BatchEngine | BatchPrompt]]:
        """Groups and prompts that go together: by length, cut where passes and padding cost least in all."""
        ordered = sorted(parts, key=lambda part: part.longest)
        costs, cuts = [0], [0]
        for end in range(1, len(ordered) + 1):
            best, cut, padding, longest = math.inf, 0, 0, ordered[end - 1].longest
            for start in range(end - 1, -1, -1):
                part = ordered[start]
                padding += part.padding + part.running * (longest - part.longest)
                if padding >= best:
                    break
                if costs[start] + padding < best:
                    best, cut = costs[start] + padding, start
            costs.append(int(best) + self._padding)
            cuts.append(cut)
        packed, end = [], len(ordered)
        while end:
            packed.append(ordered[cuts[end] : end])
            end = cuts[end]
        return packed

    def _fill(self, parts: Sequence[BatchEngine | BatchPrompt]) -> BatchEngine:
        """One batch of all these."""
        engines = [part for part in parts if isinstance(part, BatchEngine)] or [BatchEngine(self._model)]
        prompts = [part for part in parts if isinstance(part, BatchPrompt)]
        if prompts or len(engines) > 1:
            engines[0].join(prompts, engines[1:])
        return engines[0]
