"""ARC: grade-school science questions. Clark et al. 2018, arXiv 1803.05457; hub: allenai/ai2_arc (CC BY-SA 4.0)."""

from __future__ import annotations

from .base import Hub, MultipleChoice

__all__ = ["ARC"]


class ARC(MultipleChoice):
    """Tier `challenge` (1,172 test questions) or `easy` (2,376)."""

    name = "arc"
    cite = "Clark et al. 2018, arXiv 1803.05457"
    letters = "ABCDE"
    tiers = ("challenge", "easy")
    splits = ("test", "validation", "train")
    hub = Hub("allenai/ai2_arc", None, {"test": "test", "validation": "validation", "train": "train"})

    def configs(self, tier: str | None) -> tuple[str | None, ...]:
        """See `Benchmark.configs`."""
        return ("ARC-Easy" if tier == "easy" else "ARC-Challenge",)
