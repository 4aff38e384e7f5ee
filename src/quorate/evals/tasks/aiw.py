"""Alice in Wonderland: family and friendship problems that models fail when only the numbers change.

Nezhurina et al. 2024, arXiv 2406.02061; github.com/LAION-AI/AIW, prompts/prompts.json (Apache-2.0). The file's
types are mixed, so that `datasets` does not read it: give it with `--data prompts.json`. The task `relations`
generates such problems without end.
"""

from __future__ import annotations

import re

from .base import DataRow, Numeric, ParsedRow


class AIW(Numeric):
    """The authors' own words, some of which ask for `### Answer:`; no prompt is put around them."""

    name = "aiw"
    cite = "Nezhurina et al. 2024, arXiv 2406.02061"
    template = ""
    home = "github.com/LAION-AI/AIW"
    file_hint = ", the prompts.json of github.com/LAION-AI/AIW"

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """See `Benchmark.read_row`; questions cluster by what is told, whatever the numbers and instructions."""
        del seed
        text = row.text("question", "prompt")
        story = re.sub(r"\d+", "#", text.partition("?")[0])
        identity = row.text("id")
        gold = self.gold(row.rename_fields({"right_answer": "answer"}))
        return ParsedRow(gold, {"question": text}, identity if "-" in identity else f"aiw-{identity}", story[-120:])
