"""CRUXEval: what 800 short Python functions return, or what they must be given. Gu et al. 2024,
arXiv 2401.03065; hub: cruxeval-org/cruxeval (MIT)."""

from __future__ import annotations

import json
from functools import cached_property

from quorate.orchestrator.protocols import Equivalence, Extractor

from .base import Benchmark, DataRow, Executed, Hub, ParsedRow
from .base.literals import SameValue, TaggedLiteral, call_of, literal

__all__ = ["CRUXEvalInput", "CRUXEvalOutput"]

_HUB = Hub("cruxeval-org/cruxeval")


class CRUXEvalOutput(Benchmark):
    """Which value the function returns; compared as values, nothing is run."""

    name = "cruxeval-output"
    cite = "Gu et al. 2024, arXiv 2401.03065"
    template = "task-output"
    hub = _HUB

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """See `Benchmark.read_row`."""
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
