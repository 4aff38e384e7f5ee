"""How many requests a server gets at once: learnt from how it answers, and handed out fairly.

The limit is a relative of Gradient2 in Netflix's concurrency-limits (github.com/Netflix/concurrency-limits, 2018):
it shrinks by the factor by which latency has grown beyond a tolerance, and grows by the root of itself. What
differs, because answers of language models take from tenths of a second to minutes and nobody wants to set a number:

- It starts out generous instead of small, since a server of models queues by itself, and latency tells soon enough.
- Latency is the mean over a cohort, requests sent one after the other of which the slowest quarter is not waited
  for: a mean over whatever comes back first would take many requests at once for a fast server.
- The latency it is held against is not Gradient2's long average, which takes an overload for granted after a
  while, but that of calm cohorts. In return, a cut that does not bring latency down is taken back: then answers
  have become longer, and the server is not overloaded.
- A 429, a 503 or a timeout cuts it at once, once a round trip, and afterwards it grows slowly (TCP Reno, RFC 5681).
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import count

__all__ = ["AdaptiveLimit", "Places", "Ticket"]

START = 1024.0
COHORT, COUNTED = 16, 12
"""Requests whose latencies are compared, and how many of them are waited for."""
SLACK = 0.1
"""Seconds of latency that are not worth a limit, such as those that our own event loop takes."""
CALM, HOLD, TOLERANCE = 1.5, 2.0, 2.5
"""Latency, as a multiple of the usual one, up to which it is the usual one, up to which the limit may grow, and
beyond which it shrinks."""
STEEPEST = 0.5
"""Smallest factor of one cut that latency makes."""
REFUSED = 0.7
"""Factor of the cut that a refusal makes, of the requests under way."""
IN_VAIN = 0.75
"""Share of the worst latency that is left once the requests under way are half as many, from which on the cuts were
in vain: in a server that is overloaded it would be half of it."""
FALLING, RISING = 0.25, 0.05
"""Weights of a calm cohort in the usual latency."""


class _Cohort:
    """Requests sent one after the other."""

    __slots__ = ("latencies", "most", "sent", "short")

    def __init__(self) -> None:
        self.sent = 0
        self.latencies: list[tuple[Hashable, float]] = []
        self.most = 0
        """Requests under way when one of them was sent."""
        self.short = False
        """Somebody has waited for a place meanwhile."""


@dataclass
class _SlowTime:
    """Slow cohorts one after the other."""

    limit: float
    """Before the first of them."""
    used: float
    """Requests under way in the worst of them."""
    growth: float
    """Of latency in the worst of them."""


class Ticket:
    """One request, as the limit sees it: it ends by `note_reply`, `note_refusal` or `drop`."""

    __slots__ = ("_cohort", "_cuts", "_limit")

    def __init__(self, limit: AdaptiveLimit, cohort: _Cohort | None) -> None:
        self._limit, self._cohort, self._cuts = limit, cohort, limit.cuts

    def note_reply(self, kind: Hashable, seconds: float) -> None:
        """Its reply begins.

        Args:
            kind: latencies of different kinds are not comparable.
            seconds: since it was sent.
        """
        cohort = self._cohort
        if cohort is not None and cohort is self._limit.cohort:
            cohort.latencies.append((kind, seconds))
            if len(cohort.latencies) == COUNTED:
                self._limit.judge(cohort)

    def note_refusal(self, under_way: int) -> None:
        """The server has too much to do: a 429, a 503, no reply in time.

        Args:
            under_way: requests, with this one.
        """
        if self._cuts == self._limit.cuts:  # what was sent before the last cut says nothing new
            self._limit.refuse(under_way)
        else:
            self.drop()

    def drop(self) -> None:
        """It was cancelled, or failed for another reason: nothing is learnt of it, and another one takes its seat."""
        if self._cohort is not None:
            self._cohort.sent -= 1


class AdaptiveLimit:
    """The number of requests that a server gets at once.

    Args:
        ceiling: is never exceeded; None for no other limit than what is learnt.
        on_growth: is told that there may be free places now.
    """

    def __init__(self, ceiling: int | None = None, on_growth: Callable[[], None] = lambda: None) -> None:
        self._ceiling = math.inf if ceiling is None else float(ceiling)
        self._on_growth = on_growth
        self.value = min(START, self._ceiling)
        self.cuts = 0
        """So far."""
        self.cohort = _Cohort()
        """The one that is being sent, or waited for."""
        self._usual: dict[Hashable, float] = {}
        """Latency of calm cohorts by kind, in seconds."""
        self._slow_from = math.inf
        """From here on it grows by its root only: there has been a refusal at more."""
        self._slow: _SlowTime | None = None

    def admit(self, under_way: int) -> Ticket:
        """A request is sent.

        Args:
            under_way: requests, with this one.
        """
        cohort = self.cohort
        if cohort.sent == COHORT:
            return Ticket(self, None)
        cohort.sent += 1
        cohort.most = max(cohort.most, under_way)
        return Ticket(self, cohort)

    def note_shortage(self) -> None:
        """Somebody has to wait for a place."""
        self.cohort.short = True

    def refuse(self, under_way: int) -> None:
        """Cuts the limit, because the server has refused one of so many requests."""
        self._cut(max(1.0, REFUSED * min(self.value, under_way)))
        self._slow_from, self._slow = self.value, None

    def judge(self, cohort: _Cohort) -> None:
        """Moves the limit by what the latencies of a cohort say."""
        self.cohort = _Cohort()
        growth = self._growth(cohort)
        if growth > TOLERANCE:
            self._judge_slow(cohort, min(self.value, cohort.most), growth)
            return
        self._slow = None
        if growth <= CALM:
            self._learn(cohort)
        if cohort.short and growth <= HOLD:
            doubled = growth <= CALM and self.value < self._slow_from
            self._grow(self.value * 2 if doubled else self.value + math.sqrt(self.value))

    def _judge_slow(self, cohort: _Cohort, used: float, growth: float) -> None:
        """One slow cohort may be chance; from the second one on the limit shrinks, unless that has been in vain."""
        slow = self._slow
        if slow is None:
            self._slow = _SlowTime(self.value, used, growth)
        elif used <= 1 or (used <= slow.used / 2 and IN_VAIN * slow.growth < growth <= slow.growth):
            self._slow = None
            self._learn(cohort, at_once=True)
            self._grow(slow.limit)
        else:
            if growth > slow.growth:  # it still gets worse
                slow.used, slow.growth = used, growth
            self._cut(max(1.0, used * max(STEEPEST, TOLERANCE / growth)))

    def _growth(self, cohort: _Cohort) -> float:
        """Latency as a multiple of the usual one."""
        usual = self._usual
        ratios = [(seconds + SLACK) / (usual[kind] + SLACK) for kind, seconds in cohort.latencies if kind in usual]
        return sum(ratios) / len(ratios) if ratios else 1.0

    def _learn(self, cohort: _Cohort, *, at_once: bool = False) -> None:
        """Takes note of what latency is usual; quickly where it falls."""
        by_kind: dict[Hashable, list[float]] = {}
        for kind, seconds in cohort.latencies:
            by_kind.setdefault(kind, []).append(seconds)
        for kind, latencies in by_kind.items():
            mean = sum(latencies) / len(latencies)
            usual = self._usual.get(kind, mean)
            weight = 1.0 if at_once else FALLING if mean < usual else RISING
            self._usual[kind] = usual + weight * (mean - usual)

    def _cut(self, value: float) -> None:
        self.value = min(self.value, value)
        self.cuts += 1
        self.cohort = _Cohort()

    def _grow(self, value: float) -> None:
        self.value = min(self._ceiling, value)
        self._on_growth()


class Places:
    """The places among the requests at once of one event loop, under an adaptive limit.

    Those who wait are served in turn by whose request it is, so that one with few requests does not stand behind
    all of one with many; of one caller's, the one with the lowest priority number first, then first come, first
    served.

    Args:
        ceiling: see `AdaptiveLimit`.
    """

    def __init__(self, ceiling: int | None = None) -> None:
        self.limit = AdaptiveLimit(ceiling, self._hand_out)
        self.taken = 0
        self._waiting: OrderedDict[str, list[tuple[float, int, asyncio.Future[None]]]] = OrderedDict()
        """By caller; whose turn it is stands first."""
        self._numbers = count()

    async def acquire(self, caller: str = "", priority: float = 0.0) -> None:
        """Waits for a place, and takes it."""
        if self.taken < self.limit.value and not self._waiting:
            self.taken += 1
            return
        self.limit.note_shortage()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting.setdefault(caller, []), (priority, next(self._numbers), place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was handed out in the very moment
                self.release()
            else:
                place.cancel()
                self._hand_out()
            raise

    def release(self) -> None:
        """Gives a place back."""
        self.taken -= 1
        if self._waiting:
            self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self.taken < self.limit.value:
            caller, queue = next(iter(self._waiting.items()))
            _, _, place = heapq.heappop(queue)
            if queue:
                self._waiting.move_to_end(caller)
            else:
                del self._waiting[caller]
            if not place.done():
                self.taken += 1
                place.set_result(None)
