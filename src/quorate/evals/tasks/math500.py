"""MATH-500: competition problems with answers in TeX. Hendrycks et al. 2021, arXiv 2103.03874; the 500 of
Lightman et al. 2023, arXiv 2305.20050; hub: HuggingFaceH4/MATH-500 (MIT)."""

from __future__ import annotations

from .base import DataRow, Hub, Maths

__all__ = ["MATH500"]


class MATH500(Maths):
    """Tiers are the levels 1 to 5 of the original, `all` by default."""

    name = "math-500"
    cite = "Hendrycks et al. 2021, arXiv 2103.03874; Lightman et al. 2023, arXiv 2305.20050"
    tiers = ("all", "level-1", "level-2", "level-3", "level-4", "level-5")
    hub = Hub("HuggingFaceH4/MATH-500")

    def identity(self, row: DataRow) -> str:
        """Such as `test/algebra/1072.json`."""
        return row.text("id", "unique_id")

    def belongs(self, row: DataRow, tier: str | None) -> bool:
        """Whether it is of the tier's level."""
        return tier == "all" or tier == f"level-{row.text('level').removeprefix('Level ')}"
