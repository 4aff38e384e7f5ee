"""Who is told of a run."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import Event, NodeStarted


def test_an_observer_is_guarded_once_however_often_its_run_is_copied(caplog: pytest.LogCaptureFixture) -> None:
    """One that raises is told nothing more, by any copy, and it is logged once."""
    told: list[Event] = []

    def note(event: Event) -> None:
        told.append(event)
        raise RuntimeError("no")

    run = RunContext(emit=note)
    copies = [run, run.replace(live=False), replace(run, live=False), replace(replace(run), seed=3)]
    assert {id(copy.emit) for copy in copies} == {id(run.emit)}
    with caplog.at_level(logging.ERROR):
        for copy in copies:
            copy.emit(NodeStarted(thread="", node="a"))
    assert (len(told), len(caplog.records)) == (1, 1)
    assert not replace(RunContext(), seed=3).observed
