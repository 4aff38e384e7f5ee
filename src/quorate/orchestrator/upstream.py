"""One call to a model's server, from the first try to the last token, as the run's observer hears of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import count

from .context import RunContext
from .events import UpstreamEnded, UpstreamRetried, UpstreamStarted
from .usage import Usage

_numbers = count(1)


class UpstreamCall:
    """Whoever asks a server makes one, and says what happens.

    Args:
        run: that asks.
        agent: the endpoint's name in the configuration.
        model: as the server names it.
        server: its URL, without query and secrets.
        indices: of the candidates that it is for.
    """

    def __init__(self, run: RunContext, *, agent: str, model: str, server: str, indices: Sequence[int] = (0,)) -> None:
        self.tries = 0
        """Sent so far."""
        self._run = run
        self._observed = run.observed
        self._begun = self._sent = time.monotonic()
        self._first_sent: float | None = None
        self._first_byte: float | None = None
        if self._observed:
            self._started = UpstreamStarted(
                call=next(_numbers),
                thread=run.thread,
                node=run.node,
                booked_node=run.ledger.booked_node(run.node),
                agent=agent,
                model=model,
                server=server,
                indices=tuple(indices),
            )
            run.emit(self._started)

    def headers(self) -> Mapping[str, str]:
        """Sent with the next try, such as the caller's trace context."""
        return self._run.trace_headers(self._started) if self._observed else {}

    def sent(self) -> None:
        """A try begins; it has a free place by now."""
        self.tries += 1
        self._sent = time.monotonic()
        if self._first_sent is None:
            self._first_sent = self._sent

    def failed(self, code: str, status: int) -> None:
        """A try came to nothing, by the error's code and HTTP status; another one may follow."""
        if self._observed:
            self._run.emit(UpstreamRetried(call=self._started.call, code=code, status=status))

    def answered(self) -> None:
        """The reply begins."""
        self._first_byte = time.monotonic() - self._sent

    def ended(self, outcome: str, usage: Usage) -> None:
        """It is over: `ok`, `cancelled` or the code of the error, and what it used in all."""
        if not self._observed:
            return
        now = time.monotonic()
        first = self._first_sent
        self._run.emit(
            UpstreamEnded(
                call=self._started.call,
                outcome=outcome,
                usage=usage,
                tries=self.tries,
                waited=(now if first is None else first) - self._begun,
                first_byte=self._first_byte,
                seconds=0.0 if first is None else now - first,
            )
        )
