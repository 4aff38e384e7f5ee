"""`jsonl`: questions of your own, one JSON object a line: {"id": ..., "question": ..., "gold": ...}."""

from __future__ import annotations

from .base import Benchmark, DataRow, ParsedRow


class JsonLines(Benchmark):
    """Questions from a local file (JSON, Parquet and folders of `datasets` too), asked in their own words."""

    name = "jsonl"
    cite = "your own questions"
    home = "a local file"
    file_hint = " with id, question and gold on each line"

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """See `Benchmark.read_row`; further fields are left alone."""
        del seed
        cluster = row.text("cluster") if row.has("cluster") and row.values["cluster"] != "" else ""
        return ParsedRow(self.gold(row), {"question": row.text("question")}, row.text("id"), cluster)

    def gold(self, row: DataRow) -> str:
        """The right answer."""
        return row.text("gold")


class Questions(JsonLines):
    """The same where a question may come without its gold answer, which is "" then."""

    file_hint = " with id, question and perhaps gold on each line"

    def gold(self, row: DataRow) -> str:
        return row.text("gold") if row.has("gold") else ""
