"""GPQA-Diamond: 198 graduate-level science questions that a search does not answer. Rein et al. 2023,
arXiv 2311.12022; hub: Idavidrein/gpqa (CC BY 4.0, gated: please do not publish its questions)."""

from __future__ import annotations

from .base import DataRow, Hub, MultipleChoice, ParsedRow

__all__ = ["GPQADiamond"]


class GPQADiamond(MultipleChoice):
    """The right answer comes first in the data, so the options are shuffled by the seed."""

    name = "gpqa-diamond"
    cite = "Rein et al. 2023, arXiv 2311.12022"
    random = True
    hub = Hub("Idavidrein/gpqa", "gpqa_diamond", {"test": "train"}, gated=True)

    def identity(self, row: DataRow) -> str:
        """The record's id."""
        return row.text("id", "Record ID") if row.has("id") or row.has("Record ID") else ""

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """See `Benchmark.read_row`."""
        if row.has("options"):
            return super().read_row(row, seed)
        wrong = [row.text(f"Incorrect Answer {n}") for n in (1, 2, 3)]
        return self.make_problem(row, row.text("Question"), [row.text("Correct Answer"), *wrong], 0, seed)
