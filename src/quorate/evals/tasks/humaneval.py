"""HumanEval: 164 Python functions to complete, judged by running their tests. Chen et al. 2021,
arXiv 2107.03374; hub: openai/openai_humaneval (MIT)."""

from __future__ import annotations

import json
from functools import cached_property

from quorate.aggregators.execution import CodeExtractor
from quorate.orchestrator.protocols import Extractor

from .base import DataRow, Executed, Hub, ParsedRow

__all__ = ["HumanEval"]


class HumanEval(Executed):
    """An answer is right if the original's `check` passes, in a sandbox and within ten seconds."""

    name = "humaneval"
    cite = "Chen et al. 2021, arXiv 2107.03374"
    template = "task-code"
    hub = Hub("openai/openai_humaneval")

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """See `Benchmark.read_row`; gold is what it takes to judge: prompt, tests and the function's name."""
        del seed
        prompt, entry, test = row.raw("prompt"), row.text("entry_point"), row.raw("test")
        for field, code in (("prompt", f"{prompt}\n    pass\n"), ("test", test)):
            self.check_python(row, field, code)
        if f"def {entry}" not in prompt:
            raise row.fault("entry_point", f"the prompt defines no function {entry!r}")
        gold = json.dumps({"entry_point": entry, "prompt": prompt, "test": test})
        return ParsedRow(gold, {"question": prompt.strip("\n")}, row.text("id", "task_id"))

    @cached_property
    def extractor(self) -> Extractor:
        """The longest Python block."""
        return CodeExtractor()

    async def correct(self, answer: str | None, gold: str) -> bool:
        """Whether the function passes its tests; a body alone is put under the prompt's head."""
        if answer is None:
            return False
        parts = json.loads(gold)
        prompt, entry = parts["prompt"], parts["entry_point"]
        whole = f"def {entry}" in answer
        # Helpers and imports stand before the function; a reply may leave them out.
        head = prompt.partition(f"def {entry}")[0] if whole else prompt
        code = f"{head}\n{answer}"
        return await self.passes(code, f"{parts['test']}\n\ncheck({entry})")
