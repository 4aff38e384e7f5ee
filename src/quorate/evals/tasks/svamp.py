"""SVAMP: simple word problems, varied so that surface patterns mislead. Patel et al. 2021, arXiv 2103.07191;
hub: ChilleD/SVAMP (MIT)."""

from __future__ import annotations

from .base import DataRow, Hub, Numeric

__all__ = ["SVAMP"]


class SVAMP(Numeric):
    """300 test problems on the hub; the original file has 1,000."""

    name = "svamp"
    cite = "Patel et al. 2021, arXiv 2103.07191"
    splits = ("test", "train")
    hub = Hub("ChilleD/SVAMP", None, {"test": "test", "train": "train"})

    def identity(self, row: DataRow) -> str:
        """Such as `chal-777`."""
        return row.text("id", "ID")

    def question(self, row: DataRow) -> str:
        """The story and what is asked about it."""
        return row.text("question") if row.has("question") else f"{row.text('Body')} {row.text('Question')}"

    def gold(self, row: DataRow) -> str:
        """See `Numeric.gold`."""
        return super().gold(row.rename_fields({"Answer": "answer"}))
