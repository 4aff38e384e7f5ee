"""Everything that quorate raises, in one tree.

    QuorateError
    ├── BadInput                  the caller's fault: what, where and the fix (HTTP 400, exit code 2)
    │   ├── ConfigError           quorate.yaml: file, line and field
    │   ├── DataError             a JSONL or data file: file, line and field
    │   │   └── Unwritable        it takes nothing more, as where the disk is full (HTTP 507)
    │   ├── BadGraph              a graph that cannot run: an edge to nowhere, a loop without an exit, ...
    │   ├── UnknownName           no such task, rule, run, ... , with those that exist (HTTP 404)
    │   │   └── UnknownModel      the same of models and pipelines
    │   └── MissingExtra          an optional dependency is not installed
    ├── UpstreamError             a model's server failed; its status code survives
    │   ├── Unreachable           no connection (HTTP 502)
    │   │   └── ConnectionDropped it was closed before a reply
    │   ├── RateLimited           429, with the server's Retry-After
    │   ├── CircuitOpen           not asked, because it failed too often just now (HTTP 503, with Retry-After)
    │   ├── RequestsSpent         not asked, because the run has caused as many requests as it may (HTTP 503)
    │   ├── ModelClosed           the model was closed while it answered (HTTP 503)
    │   ├── TimedOut              no reply in time (HTTP 504)
    │   ├── Rejected              another 4xx: the request or the key was refused
    │   │   └── PromptTooLong     prompt and answer do not fit into the model's context
    │   └── BadReply              a 5xx, or a reply that is not what the protocol says
    ├── Misconfigured             the graph or prompt of whoever set this up failed while it ran (HTTP 500)
    ├── NodeCrashed               the code of a node raised what is none of these (HTTP 500)
    └── NoAnswer                  every candidate failed, or the budget ran out before the first one

One agent's failure travels as a value (`Failure` on a `Candidate`); these are raised only where no
answer can be given at all. Every error knows its HTTP status, so that the server and the command
line translate by reading, never by matching messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

__all__ = [
    "BadGraph",
    "BadInput",
    "BadReply",
    "CircuitOpen",
    "ConfigError",
    "ConnectionDropped",
    "DataError",
    "Misconfigured",
    "MissingExtra",
    "ModelClosed",
    "NoAnswer",
    "NodeCrashed",
    "PromptTooLong",
    "QuorateError",
    "RateLimited",
    "Rejected",
    "RequestsSpent",
    "TimedOut",
    "UnknownModel",
    "UnknownName",
    "Unreachable",
    "Unwritable",
    "UpstreamError",
]


LISTED, NEAREST = 8, 3
"""Names that an error lists all of, and that it names of more."""


class QuorateError(Exception):
    """Root of the tree."""

    status: int = 500
    """HTTP status that a server gives this error."""
    code: str = "internal_error"
    """Machine-readable name, stable across releases."""
    retry_after: float | None = None
    """Seconds after which trying again makes sense, where the cause said so."""


class BadInput(QuorateError):
    """The caller's fault; the message names what, where and the fix."""

    status = 400
    code = "bad_input"


class BadGraph(BadInput):
    """A graph that cannot run; names the graph and the node or edge.

    Args:
        message: says what and the fix.
        node: the node concerned, if it is one.
        edge: source and target of the edge concerned, if it is one.
    """

    code = "bad_graph"

    def __init__(self, message: str, *, node: str | None = None, edge: tuple[str, str] | None = None) -> None:
        super().__init__(message)
        self.node, self.edge = node, edge


class _InFile(BadInput):
    def __init__(
        self, message: str, *, file: str | Path | None = None, line: int | None = None, field: str | None = None
    ) -> None:
        place = "".join([str(file or ""), f":{line}" if line else "", f": {field}" if field else ""])
        super().__init__(f"{place}: {message}" if place else message)
        self.message, self.file, self.line, self.field = message, file, line, field


class ConfigError(_InFile):
    """A configuration that cannot be used; names file, line and field."""

    code = "bad_config"


class DataError(_InFile):
    """A data file that cannot be read; names file, line and field."""

    code = "bad_data"


class Unwritable(DataError):
    """A file that takes nothing more, most likely since the disk is full; what it holds already is kept."""

    status = 507
    code = "unwritable"


class UnknownName(BadInput):
    """No task, rule, run or whatever it is has this name; lists those that exist, or of many the nearest.

    Args:
        kind: of thing.
        name: what was asked for.
        known: what there is.
        more: the end of the sentence, such as what else could be asked for.
        within: the longer name in which it stood.
        listed_by: what lists all of them.
    """

    status = 404
    code = "not_found"

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, more: str = "", within: str = "", listed_by: str = ""
    ) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        where = f" (in {within!r})" if within not in ("", name) else ""
        near, also = self.find_nearest(name, self.known), f", and {more}" if more else ""
        if len(self.known) <= LISTED:
            told = f"there is: {', '.join(self.known) or 'none'}{also}"
        elif near:
            told = f"nearest of {len(self.known)}: {', '.join(near)}{also}"
        else:
            told = f"none of {len(self.known)} is like it{f'; there are {more}' if more else ''}"
        everything = f"; {listed_by} lists all" if listed_by else ""
        super().__init__(f"no {kind} named {name!r}{where}; {told}{everything}")

    @staticmethod
    def find_nearest(name: str, known: Iterable[str]) -> list[str]:
        """Three names at most that were perhaps meant: those that begin with it, then those that are spelled alike."""
        known = list(known)
        longer = [one for one in known if len(name) > 2 and one.startswith(name)]
        return list(dict.fromkeys([*longer, *get_close_matches(name, known, NEAREST)]))[:NEAREST]


class UnknownModel(UnknownName):
    """No model or pipeline has this name. Clients know the error by the code that OpenAI has for it."""

    code = "model_not_found"


class MissingExtra(BadInput):
    """An optional dependency is not installed; names the extra that brings it."""

    code = "missing_extra"
    status = 501

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra = extra
        super().__init__(f"{purpose} needs an optional dependency: pip install quorate[{extra}]")


class _OfCandidates(QuorateError):
    def __init__(self, message: str, *, sampled: Any = None) -> None:
        super().__init__(message)
        self.sampled = sampled
        """The candidates (`Sampled`) that there were, where some had been drawn: what they have cost is not lost."""


class Misconfigured(_OfCandidates):
    """What whoever set this up has made failed while a question was answered: a condition that raises, a template
    that cannot be filled in. Not the caller's fault, and no fallback hides it."""

    code = "misconfigured"


class NodeCrashed(_OfCandidates):
    """The code of a node, such as an aggregator of a user's own, raised what is no error of ours: its `__cause__`."""

    code = "node_crashed"


class UpstreamError(QuorateError):
    """A model's server failed.

    Args:
        message: one line, free of secrets.
        status: what the upstream said, else the class's own.
        retry_after: the upstream's Retry-After, in seconds.
    """

    status = 502
    code = "upstream_error"

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status
        self.retry_after = retry_after


class Unreachable(UpstreamError):
    """No connection to the upstream."""

    code = "upstream_unreachable"


class ConnectionDropped(Unreachable):
    """The upstream has closed the connection before its reply, which may lie in what it was asked."""


class RateLimited(UpstreamError):
    """The upstream asked us to slow down (429)."""

    status = 429
    code = "rate_limited"


class CircuitOpen(UpstreamError):
    """The upstream was not asked: it failed too often just now, and is left alone for a while."""

    status = 503
    code = "circuit_open"


class RequestsSpent(UpstreamError):
    """The upstream was not asked: the run has caused as many requests as it may."""

    status = 503
    code = "requests_spent"


class ModelClosed(UpstreamError):
    """The model was closed while it answered; the server is not to blame, and is not asked again."""

    status = 503
    code = "model_closed"


class TimedOut(UpstreamError):
    """The upstream did not reply in time."""

    status = 504
    code = "upstream_timeout"


class Rejected(UpstreamError):
    """The upstream refused the request itself (a 4xx other than 429); trying again cannot help."""

    status = 400
    code = "upstream_rejected"


class PromptTooLong(Rejected):
    """Prompt and answer do not fit into the model's context; a shorter prompt may."""

    code = "context_length_exceeded"


class BadReply(UpstreamError):
    """The upstream failed (5xx) or its reply does not follow the protocol."""

    code = "upstream_bad_reply"


class NoAnswer(QuorateError):
    """Nothing to answer with: every candidate failed, or the budget ended before the first.

    Takes the status and Retry-After of the most telling cause, so that a 429 stays a 429.
    """

    status = 502
    code = "no_answer"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        degraded: Iterable[Any] = (),
    ) -> None:
        super().__init__(message)
        self.status = status or type(self).status
        self.code = code or type(self).code
        self.retry_after = retry_after
        self.degraded = tuple(degraded)
        """What else went wrong before (`Degradation`s), for the answer of whoever stands in."""
