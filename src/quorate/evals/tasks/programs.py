"""Data sets whose answers are programs or what programs return, judged by running them.

HumanEval: 164 Python functions to complete, judged by running their tests. Chen et al. 2021,
arXiv 2107.03374; hub: openai/openai_humaneval (MIT).

CRUXEval: what 800 short Python functions return, or what they must be given. Gu et al. 2024,
arXiv 2401.03065; hub: cruxeval-org/cruxeval (MIT).
"""

from __future__ import annotations

import json
from functools import cached_property

from quorate.aggregators.execution import CodeExtractor
from quorate.orchestrator.reading import Equivalence, Extractor

from .base import Benchmark, DataRow, Executed, Hub, ParsedRow
from .base.literals import SameValue, TaggedLiteral, call_of, literal


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


_HUB = Hub("cruxeval-org/cruxeval")


class CRUXEvalOutput(Benchmark):
    """Which value the function returns; compared as values, nothing is run."""

    name = "cruxeval-output"
    cite = "Gu et al. 2024, arXiv 2401.03065"
    template = "task-output"
    hub = _HUB

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        del seed
        name, _ = row.find("gold", "output")
        gold = row.raw(name).strip()
        try:
            literal(gold)
        except ValueError:
            raise row.fault(name, f"{gold[:80]!r} is no Python literal: correct the row or leave it out") from None
        given = row.values.get("input")
        if not isinstance(given, str):
            raise row.fault("input", "must be the arguments, as text")
        return ParsedRow(gold, {"code": row.raw("code"), "input": given}, row.text("id"))

    @cached_property
    def extractor(self) -> Extractor:
        """What stands between the tags, else behind `==`."""
        return TaggedLiteral(after="==")

    @cached_property
    def equivalence(self) -> Equivalence:
        """Equal values, however they are written."""
        return SameValue()


class CRUXEvalInput(Executed):
    """Any call that returns the value; judged by running the function in a sandbox."""

    name = "cruxeval-input"
    cite = "Gu et al. 2024, arXiv 2401.03065"
    template = "task-input"
    hub = _HUB

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """See `Benchmark.read_row`; gold holds the function and the value, since many calls are right."""
        del seed
        code, output = row.raw("code"), row.raw("output").strip()
        self.check_python(row, "code", code)
        self.check_python(row, "output", output)
        return ParsedRow(json.dumps({"code": code, "output": output}), {"code": code, "output": output}, row.text("id"))

    @cached_property
    def extractor(self) -> Extractor:
        """The call between the tags, else before `==`."""
        return TaggedLiteral(before="==")

    async def correct(self, answer: str | None, gold: str) -> bool:
        """Whether the call returns the value; anything but a call of `f` with literals is wrong."""
        call = call_of(answer)
        if call is None:
            return False
        parts = json.loads(gold)
        return await self.passes(parts["code"], f"assert {call} == {parts['output']}")
