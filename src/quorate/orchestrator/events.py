"""What happens while a question is answered, as one typed stream.

Progress bars, the server's streaming and traces all read these; nothing else carries progress.
A stream ends in exactly one `Done`, or raises a `QuorateError`.

`SynthesisToken`s are pieces of the final answer: joined, they are `Answer.text` (and, where
`reasoning` is set, `Answer.reasoning`). A vote has none, because its answer is decided at once.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .types import Answer, Candidate, Cluster, Code, Frozen, TokenLogprob

__all__ = [
    "CandidateCancelled",
    "CandidateFailed",
    "CandidateFinished",
    "CandidateStarted",
    "CandidateToken",
    "Done",
    "Event",
    "StoppedEarly",
    "SynthesisToken",
    "TallyChanged",
]


class CandidateStarted(Frozen):
    type: Literal["candidate_started"] = "candidate_started"
    index: int
    model: str


class CandidateToken(Frozen):
    """A piece of one candidate's text (or thinking), as it arrived."""

    type: Literal["candidate_token"] = "candidate_token"
    index: int
    text: str
    reasoning: bool = False
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Of the tokens since the last piece, where they were asked for (`Sampling.top_logprobs`)."""


class CandidateFinished(Frozen):
    type: Literal["candidate_finished"] = "candidate_finished"
    candidate: Candidate


class CandidateFailed(Frozen):
    type: Literal["candidate_failed"] = "candidate_failed"
    candidate: Candidate


class CandidateCancelled(Frozen):
    """A sample was no longer needed; the candidate holds what had arrived and what it cost."""

    type: Literal["candidate_cancelled"] = "candidate_cancelled"
    candidate: Candidate


class TallyChanged(Frozen):
    type: Literal["tally_changed"] = "tally_changed"
    tally: tuple[Cluster, ...]


class StoppedEarly(Frozen):
    type: Literal["stopped_early"] = "stopped_early"
    reason: str
    code: Code | None = None
    """How the answer is marked; None where a rule was content with the samples there are."""


class SynthesisToken(Frozen):
    """A piece of the final answer's text (or thinking), as it is written."""

    type: Literal["synthesis_token"] = "synthesis_token"
    text: str
    reasoning: bool = False


class Done(Frozen):
    type: Literal["done"] = "done"
    answer: Answer


Event = Annotated[
    CandidateStarted
    | CandidateToken
    | CandidateFinished
    | CandidateFailed
    | CandidateCancelled
    | TallyChanged
    | StoppedEarly
    | SynthesisToken
    | Done,
    Field(discriminator="type"),
]
