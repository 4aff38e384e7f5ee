"""What all sources of samples have in common: how they are read, and what they say in the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quorate.evals.task import BETWEEN
from quorate.orchestrator.types import FinishReason

from ..ingest import Found, Remark
from ..values import BankedAgent

__all__ = ["ImportOptions", "Reader", "RepeatWatch", "banked_agent", "finish_reason_of", "join_accepted"]

_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


@dataclass(frozen=True)
class ImportOptions:
    """How a source is read."""

    task: str | None = None
    """What questions are noted under where the file names no task; the file's name if not given."""
    scorer: str | None = None
    """Whose grades count, of an Inspect log; the first that grades, if not given."""
    answer_filter: str | None = None
    """Whose answers and grades count, of lm-eval's samples; the first if not given."""

    def task_of(self, file: Path) -> str:
        """The name of the file, where no task was named."""
        return self.task or file.name.split(".")[0]


Reader = Callable[[Path, ImportOptions], Iterator[Found]]
"""Reads a file of one kind.

Raises:
    DataError: the file is broken, or is none of its kind; names file and place.
"""


def banked_agent(model: str, tool: str, key: str = "") -> BankedAgent:
    """A model as a tool asked it.

    Args:
        model: its name.
        tool: that asked.
        key: tells ways of asking it apart.
    """
    return BankedAgent(id=f"{model}~{tool}{key and f'-{key}'}", name=model, kind=tool, model=model)


def join_accepted(target: Any) -> str | None:
    """A right answer, or several any of which is right, as text; None where there is none."""
    if isinstance(target, list | tuple):
        return BETWEEN.join(str(one) for one in target if one is not None) or None
    return None if target is None else str(target)


def finish_reason_of(word: Any) -> FinishReason | None:
    """Why a text ended, in the field's words; None where nobody knows."""
    return _REASONS.get(str(word or ""))


class RepeatWatch:
    """Whether the samples of a question are copies of each other, though they were drawn."""

    def __init__(self) -> None:
        self._seen: Counter[bool] = Counter()

    def note(self, texts: Sequence[str], temperature: float | None) -> None:
        """The texts of one question."""
        if len(texts) > 1 and temperature != 0:
            self._seen[len(set(texts)) == 1] += 1

    def remark(self, file: Path, why: str) -> Iterator[Remark]:
        """What there is to say of them, if there is."""
        if copies := self._seen[True]:
            of = self._seen.total()
            yield Remark(f"{file.name}: the samples of {copies:,} of {of:,} questions are copies of each other: {why}")
