"""What a run's events do not tell, told to who wants to know: its stages and its calls to models' servers.

A nested pipeline keeps its events to itself, judges and reward models have none, and a call has to carry the
caller's trace before it is answered. So a run carries a `Watch`, which reaches every one of them, as its
ledger does. The bases here ignore everything; override what you want to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .types import Usage

__all__ = ["UNWATCHED", "CallWatch", "UpstreamCall", "Watch"]


class CallWatch:
    """One exchange with a model's server, from the first try to the last token; a call may hold several samples."""

    def headers(self) -> Mapping[str, str]:
        """Sent with the next try, such as the caller's trace context."""
        return {}

    def sent(self) -> None:
        """A try begins; it has a free place by now."""

    def failed(self, code: str, status: int) -> None:
        """A try came to nothing, by the error's code and HTTP status; another one may follow."""

    def answered(self) -> None:
        """The reply begins."""

    def ended(self, outcome: str, usage: Usage) -> None:
        """It is over: `ok`, `cancelled` or the code of the error, and what it used in all."""


class UpstreamCall:
    """Who is asked, from where in the pipeline."""

    __slots__ = ("agent", "indices", "model", "server", "stage", "thread")

    def __init__(
        self, thread: str, stage: str, *, agent: str, model: str, server: str, indices: Sequence[int] = (0,)
    ) -> None:
        self.thread = thread
        """Of the run: which nested pipeline or asked model, `""` for the outermost."""
        self.stage = stage
        self.agent = agent
        """The endpoint's name in the configuration."""
        self.model = model
        """As the server names it."""
        self.server = server
        """Its URL, without query and secrets."""
        self.indices = tuple(indices)
        """Of the candidates that it is for."""


class Watch:
    """Looks on; nothing that it does changes the run."""

    def stage(self, thread: str, stage: str) -> None:
        """A stage begins; the one before it in the same thread has ended."""

    def call(self, call: UpstreamCall) -> CallWatch:  # noqa: ARG002 - for those who look
        """A call to a model's server begins, perhaps by waiting for a free place."""
        return _BLIND


_BLIND = CallWatch()
UNWATCHED = Watch()
"""Nobody looks."""
