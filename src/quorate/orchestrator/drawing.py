"""Pipelines drawn as Mermaid, nested ones inside their proposer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from .protocols import Model

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["mermaid"]


def mermaid(model: Model) -> str:
    """A Mermaid flowchart of a model: its proposers, stages and answer."""
    numbers = count()
    lines = ["flowchart LR", "    question([question])", *_drawn(model, "question", "answer", numbers)]
    return "\n".join([*lines, "    answer([answer])"])


def _drawn(model: Model, before: str, after: str, numbers: Iterator[int]) -> Iterator[str]:
    from .pipeline import Pipeline

    if isinstance(model, Pipeline):
        yield from _pipeline(model, before, after, numbers)
        return
    node = f"m{next(numbers)}"
    yield f'    {before} --> {node}["{_escaped(model.name)}"] --> {after}'


def _pipeline(pipeline: Pipeline, before: str, after: str, numbers: Iterator[int]) -> Iterator[str]:
    number, sampler = next(numbers), pipeline.sampler
    drawn, made = f"s{number}", f"a{number}"
    stop = f"<br/>until {_escaped(str(sampler.stop))}" if sampler.stop is not None else ""
    yield f"    subgraph p{number} [{_escaped(pipeline.name)}]"
    for model in sampler.models:
        yield from _drawn(model, before, drawn, numbers)
    yield f'    {drawn}[["sample x {sampler.n}{stop}"]] --> {made}{{{{"{_escaped(pipeline.aggregator.name)}"}}}}'
    yield "    end"
    yield f"    {made} --> {after}"


def _escaped(text: str) -> str:
    return "".join(f"#{ord(c)};" if c in '"[]{}|<>' else c for c in text)
