"""How many requests a server gets at once: learnt from how it answers. `places` hands them out.

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
  Who is never answered cuts it a few times only: a prompt that is always refused takes nobody's places.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass

__all__ = ["AdaptiveLimit", "Ticket"]

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
TELLING = 3
"""Refusals."""
REMEMBERED = 1000
"""Most callers and prompts that are remembered as refused."""
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

    def note_refusal(self, under_way: int, of: Hashable = None) -> None:
        """The server has too much to do: a 429, a 503, no reply in time.

        Args:
            under_way: requests, with this one.
            of: whose request it was, see `AdaptiveLimit.refuse`.
        """
        if self._cuts == self._limit.cuts:  # what was sent before the last cut says nothing new
            self._limit.refuse(under_way, of)
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
        self.refused: dict[Hashable, int] = {}
        """Callers and prompts by how often they have made a cut since they were last answered."""
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

    def refuse(self, under_way: int, of: Hashable = None) -> None:
        """Cuts the limit, because the server has refused one of so many requests.

        Args:
            under_way: requests, with that one.
            of: a caller or a prompt; being refused `TELLING` times without an answer tells of it, not of the server.
        """
        if of is not None:
            if self.refused.get(of, 0) == TELLING:
                return
            if len(self.refused) == REMEMBERED:
                self.refused.clear()
            self.refused[of] = self.refused.get(of, 0) + 1
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
