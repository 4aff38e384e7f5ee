"""Who is told of a run: nobody, a user's function that may fail, or whoever looks on from around a node."""

from __future__ import annotations

import logging
from inspect import iscoroutine

from .events import (
    AnswerToken,
    Event,
    NodeEnded,
    NodeStarted,
    Observer,
    UpstreamEnded,
    UpstreamRetried,
    UpstreamStarted,
)

__all__ = ["guard_observer", "observe_inside", "unobserved"]

log = logging.getLogger("quorate")

_TOLD_FROM_INSIDE = frozenset({NodeStarted, NodeEnded, UpstreamStarted, UpstreamRetried, UpstreamEnded})


def unobserved(_: Event) -> None:
    """Nobody looks."""


def guard_observer(emit: Observer) -> Observer:
    """The same observer, except that the run goes on where it fails, and tells it nothing more."""
    return emit if emit is unobserved or isinstance(emit, _Guarded) else _Guarded(emit)


class _Guarded:
    def __init__(self, emit: Observer) -> None:
        self._emit: Observer | None = emit

    def __call__(self, event: Event) -> None:
        if self._emit is None:
            return
        try:
            told: object = self._emit(event)
            if iscoroutine(told):
                told.close()
                raise TypeError("an observer cannot be async, since nobody waits for it")
        except Exception:
            log.exception("the observer of a run raised at %s, and is told nothing more", type(event).__name__)
            self._emit = None


def observe_inside(around: Observer, asking: Observer | None) -> Observer:
    """Who is told of a model inside a node: of its nodes and upstream calls everybody, of its answer who asked it.

    Args:
        around: observer of the run that the node belongs to.
        asking: whoever asked the model; nobody, if not given.
    """
    # A model three pipelines deep reaches the outermost observer in one step.
    around = around.around if isinstance(around, _Inside) else around
    asking = asking or unobserved
    return unobserved if around is asking is unobserved else _Inside(around, asking)


class _Inside:
    def __init__(self, around: Observer, asking: Observer) -> None:
        self.around, self.asking = around, asking

    def __call__(self, event: Event) -> None:
        if type(event) in _TOLD_FROM_INSIDE:
            self.around(event)
        elif type(event) is AnswerToken:
            self.asking(event)
