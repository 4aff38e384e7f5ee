"""MMLU-Pro: 12,032 questions with up to ten options, harder than MMLU. Wang et al. 2024, arXiv 2406.01574;
hub: TIGER-Lab/MMLU-Pro (MIT)."""

from __future__ import annotations

from .base import DataRow, Hub, MultipleChoice

__all__ = ["MMLUPro"]


class MMLUPro(MultipleChoice):
    """Tiers are the categories, `all` by default."""

    name = "mmlu-pro"
    cite = "Wang et al. 2024, arXiv 2406.01574"
    letters = "ABCDEFGHIJ"
    tiers = (
        *("all", "biology", "business", "chemistry", "computer-science", "economics", "engineering", "health"),
        *("history", "law", "math", "other", "philosophy", "physics", "psychology"),
    )
    splits = ("test", "validation")
    hub = Hub("TIGER-Lab/MMLU-Pro", None, {"test": "test", "validation": "validation"})

    def identity(self, row: DataRow) -> str:
        """The data set's number of the question."""
        return row.text("id", "question_id")

    def belongs(self, row: DataRow, tier: str | None) -> bool:
        """Whether it is of the tier's category."""
        return tier == "all" or row.text("category").replace(" ", "-") == tier
