"""AQuA-RAT: algebraic word problems with five options. Ling et al. 2017, arXiv 1705.04146;
hub: deepmind/aqua_rat (Apache-2.0)."""

from __future__ import annotations

from .base import Hub, MultipleChoice

__all__ = ["AQuA"]


class AQuA(MultipleChoice):
    """254 test questions."""

    name = "aqua"
    cite = "Ling et al. 2017, arXiv 1705.04146"
    letters = "ABCDE"
    splits = ("test", "validation", "train")
    hub = Hub("deepmind/aqua_rat", "raw", {"test": "test", "validation": "validation", "train": "train"})
