"""What a server answered, from its file of traces: its candidates are samples like any other.

They are of a task called `served`, whose questions have no right answers until somebody gives them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import DataError
from quorate.storage.traces import Trace, TraceStore

from ..ingest import Incoming
from ..values import BankedAgent, BankedItem

__all__ = ["TASK", "served_samples"]

TASK = "served"


def served_samples(file: Path) -> Iterator[Incoming]:
    """Every candidate that came through.

    Raises:
        DataError: the traces hold no texts.
    """
    store = TraceStore(file, create=False)
    read = told = 0
    try:
        for trace in store.all():
            read += 1
            if trace.question is not None:
                told += 1
                yield from _samples(trace)
    finally:
        store.close()
    if read and not told:
        raise DataError("its traces hold no texts: the server ran without log_prompts", file=file)


def _samples(trace: Trace) -> Iterator[Incoming]:
    assert trace.question is not None
    item = BankedItem(task=TASK, item=str(trace.question_key), question=trace.question)
    for place, choice in enumerate(trace.choices):
        # A number of its own, since two requests may ask the same without a seed.
        seed = derive_seed(0, TASK, trace.id, int(trace.began * 1e6), place)
        for candidate in choice.candidates:
            if candidate.ok:
                name = candidate.agent or candidate.model
                agent = BankedAgent(id=f"{name}~{TASK}", name=name, kind=TASK, model=candidate.model)
                facts = {"request": trace.id, "pipeline": trace.model}
                sampling = trace.question.sampling
                yield Incoming(agent, candidate, item=item, sampling=sampling, seed=seed, facts=facts)
