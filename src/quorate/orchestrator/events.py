"""What happens while a question is answered: pushed to the run's observer as it happens.

Progress bars, the server's streaming, metrics and traces all read these; nothing else carries progress.
An observer is called with one event at a time, on the event loop, and never waits.

`AnswerToken`s are pieces of the final answer: joined, they are `Answer.text` (and, where
`reasoning` is set, `Answer.reasoning`). A vote has none, because its answer is decided at once.

Of a nested pipeline the outer observer hears of nodes and upstream calls, which name their `thread`;
its candidates and tokens stay inside, but for those of the candidate that it writes.

One is made for every token, so they are plain: made of validated values, not validated themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from .types import Answer, Candidate, Cluster, Code, TokenLogprob
from .usage import Usage


@dataclass(slots=True, kw_only=True)
class CandidateStarted:
    """A model begins a candidate."""

    type: ClassVar[Literal["candidate_started"]] = "candidate_started"
    node: str = ""
    index: int
    model: str


@dataclass(slots=True, kw_only=True)
class CandidateToken:
    """A piece of one candidate's text (or thinking), as it arrived."""

    type: ClassVar[Literal["candidate_token"]] = "candidate_token"
    node: str = ""
    index: int
    text: str
    reasoning: bool = False
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Of the tokens since the last piece, where they were asked for (`SamplingParams.top_logprobs`)."""


@dataclass(slots=True, kw_only=True)
class CandidateFinished:
    """A candidate is complete."""

    type: ClassVar[Literal["candidate_finished"]] = "candidate_finished"
    node: str = ""
    candidate: Candidate


@dataclass(slots=True, kw_only=True)
class CandidateFailed:
    """A candidate is not to be had; its error says why."""

    type: ClassVar[Literal["candidate_failed"]] = "candidate_failed"
    node: str = ""
    candidate: Candidate


@dataclass(slots=True, kw_only=True)
class CandidateCancelled:
    """A sample was no longer needed; the candidate holds what had arrived and what it cost."""

    type: ClassVar[Literal["candidate_cancelled"]] = "candidate_cancelled"
    node: str = ""
    candidate: Candidate


@dataclass(slots=True, kw_only=True)
class TallyChanged:
    """How the votes stand."""

    type: ClassVar[Literal["tally_changed"]] = "tally_changed"
    node: str = ""
    tally: tuple[Cluster, ...]


@dataclass(slots=True, kw_only=True)
class StoppedEarly:
    """A sampling stage ends before it has drawn all."""

    type: ClassVar[Literal["stopped_early"]] = "stopped_early"
    node: str = ""
    reason: str
    code: Code | None = None
    """How the answer is marked; None where a rule was content with the samples there are."""


@dataclass(slots=True, kw_only=True)
class AnswerToken:
    """A piece of the final answer's text (or thinking), as it is written."""

    type: ClassVar[Literal["synthesis_token"]] = "synthesis_token"
    text: str
    reasoning: bool = False


@dataclass(slots=True, kw_only=True)
class NodeStarted:
    """A node of a graph begins."""

    type: ClassVar[Literal["node_started"]] = "node_started"
    thread: str
    """Of the run: which nested pipeline, `""` for the outermost."""
    node: str


@dataclass(slots=True, kw_only=True)
class NodeEnded:
    """A node of a graph is through."""

    type: ClassVar[Literal["node_ended"]] = "node_ended"
    thread: str
    node: str
    seconds: float
    outcome: str = ""
    """In words, see `NodeVisit.outcome`."""


@dataclass(slots=True, kw_only=True)
class UpstreamStarted:
    """A call to a model's server begins, perhaps by waiting for a free place; it may hold several samples."""

    type: ClassVar[Literal["upstream_started"]] = "upstream_started"
    call: int
    """The same number in all events of one call, and no other's in this process."""
    thread: str
    node: str
    booked_node: str = ""
    """Under which the ledger of the whole request has its tokens: that of the aggregator which asked, for one."""
    agent: str
    """The endpoint's name in the configuration."""
    model: str
    """As the server names it."""
    server: str
    """Its URL, without query and secrets."""
    indices: tuple[int, ...] = (0,)
    """Of the candidates that it is for."""


@dataclass(slots=True, kw_only=True)
class UpstreamRetried:
    """A try came to nothing, and another one may follow."""

    type: ClassVar[Literal["upstream_retried"]] = "upstream_retried"
    call: int
    code: str
    """Of the error."""
    status: int


@dataclass(slots=True, kw_only=True)
class UpstreamEnded:
    """A call to a model's server is over, whatever became of it."""

    type: ClassVar[Literal["upstream_ended"]] = "upstream_ended"
    call: int
    outcome: str
    """`ok`, `cancelled` or the code of the error."""
    usage: Usage
    tries: int = 1
    waited: float = 0.0
    """Seconds before the first try had a free place."""
    first_byte: float | None = None
    """Seconds from the last try to the beginning of its reply; None where there was none."""
    seconds: float = 0.0
    """From the first try to the end."""


@dataclass(slots=True, kw_only=True)
class Done:
    """The answer; the last event of `events()`."""

    type: ClassVar[Literal["done"]] = "done"
    answer: Answer


Event = (
    CandidateStarted
    | CandidateToken
    | CandidateFinished
    | CandidateFailed
    | CandidateCancelled
    | TallyChanged
    | StoppedEarly
    | AnswerToken
    | NodeStarted
    | NodeEnded
    | UpstreamStarted
    | UpstreamRetried
    | UpstreamEnded
    | Done
)

Observer = Callable[[Event], None]
"""Is told of every event as it happens; it must not block."""
