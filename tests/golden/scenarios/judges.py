"""Judges, tournaments and gates."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..answering import SUM, solver
from ..scenario import Ask, scenario
from ..telling import build, failure, recipe

SPREAD = (17, 18, 17, 16)


@scenario
async def usc() -> AsyncIterator[Ask]:
    """A model names one of the samples."""
    yield Ask(build("usc@4/m", m=solver(*SPREAD)), SUM)


@scenario
async def usc_unreadable() -> AsyncIterator[Ask]:
    """A judge that names nobody leaves it to the vote."""
    yield Ask(build("usc@4/m", m=solver(*SPREAD, judges="They are all fine.")), SUM)


@scenario
async def usc_judge_fails() -> AsyncIterator[Ask]:
    """A judge that fails leaves it to the vote."""
    yield Ask(build("usc@4/m", m=solver(*SPREAD, judges=failure(500))), SUM)


@scenario
async def genselect() -> AsyncIterator[Ask]:
    """A model compares samples in writing and names the best."""
    yield Ask(build("genselect@4/m", m=solver(*SPREAD)), SUM)


@scenario
async def knockout() -> AsyncIterator[Ask]:
    """Samples in a knockout, judged in both orders."""
    yield Ask(build("knockout@4/m", m=solver(15, 18, 17, 16)), SUM)


@scenario
async def swiss() -> AsyncIterator[Ask]:
    """Samples in a Swiss tournament: all pairs of three."""
    yield Ask(recipe("swiss", solver(16, 18, 17), n=3, options={"rounds": 3}), SUM)


@scenario
async def judge_run_off() -> AsyncIterator[Ask]:
    """A judge decides between the two most frequent answers."""
    yield Ask(build("judge-run-off@5/m", m=solver(17, 18, 17, 18, 17)), SUM)


@scenario
async def gate_agreeing() -> AsyncIterator[Ask]:
    """Samples agree, so the vote answers."""
    yield Ask(build("gate@8/m", m=solver(17)), SUM)


@scenario
async def gate_divided() -> AsyncIterator[Ask]:
    """Samples do not agree, so the expensive aggregator is asked."""
    yield Ask(build("gate@4/m", m=solver(*SPREAD)), SUM)


@scenario
async def gate_by_share() -> AsyncIterator[Ask]:
    """A share of the votes decides which way, and a judge is the expensive one."""
    options = {"expensive": "usc", "rule": "agreement", "rule_options": {"share": 0.9}}
    yield Ask(recipe("gate", solver(17, 17, 18), n=3, options=options), SUM)
