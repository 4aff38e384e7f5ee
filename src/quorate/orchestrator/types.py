"""The contract's values: what goes in, what comes out, and nothing else.

All are frozen and validated when built. A field that a backend does not report is None, never a
guess; what we had to guess is marked `estimated`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from .analysis import Analysis, Dissent
from .ensembling import Ensembling
from .errors import BadInput
from .frozen import Frozen, first_fault
from .usage import NodeUsage, Usage

__all__ = [
    "Answer",
    "Candidate",
    "CandidateSet",
    "Cluster",
    "Code",
    "Degradation",
    "Failure",
    "FinishReason",
    "Message",
    "Question",
    "Saving",
    "TokenLogprob",
]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "cancelled", "error"]

Code = Literal[
    # sampling
    "candidate_failed",
    "stragglers_cancelled",
    "quorum_missed",
    "deadline_passed",
    "budget_exhausted",
    "halted",
    "samples_identical",
    # models and nodes
    "fallback_used",
    "setting_refused",
    "held_back",
    "node_failed",
    "logprobs_missing",
    # aggregation
    "aggregator_failed",
    "analysis_missing",
    "member_failed",
    "candidate_cut",
    "candidate_dropped",
    "score_missing",
    "verdict_missing",
    "tests_missing",
    "comparison_cut",
    "tied",
    "lone_vote",
    "all_abstained",
    "answer_in_reasoning",
    "no_confidence",
    "assembled_invalid",
    "selector_fell_back",
    "unknown_model",
    "unsure",
    "abilities_not_saved",
    # token-level ensembling
    "verifier_lost",
    "probabilities_bounded",
    # the reply
    "schema_missed",
    "choice_failed",
]
"""Every way in which an answer can be worse than configured; docs/faults.md says what each means."""


class Message(Frozen):
    """One chat message; fields beyond these (name, tool_calls, ...) pass through unread."""

    model_config = ConfigDict(frozen=True, extra="allow")

    role: str
    content: str | Annotated[tuple[Mapping[str, Any], ...], Field(fail_fast=True)] | None = None

    @property
    def text(self) -> str:
        """The message's text; image and other parts are left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(str(part.get("text", "")) for part in self.content or () if part.get("type") == "text")


class SamplingParams(Frozen):
    """The caller's sampling settings; None leaves the choice to the model's own default."""

    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    top_logprobs: int | None = Field(default=None, ge=0)
    """How many alternatives a token to report; 0 reports the chosen token alone, None nothing."""
    extra: Mapping[str, Any] = Field(default_factory=dict)
    """Further fields of the request body, passed to the endpoint as they are."""

    def over(self, default: SamplingParams) -> SamplingParams:
        """These settings where they are set and not None, `default`'s elsewhere."""
        if not default.model_fields_set:
            return self
        extra = {**default.extra, **self.extra}
        return default.model_copy(
            update={**self.model_dump(exclude_unset=True, exclude_none=True, exclude={"extra"}), "extra": extra}
        )


def _read_message(message: Message | Mapping[str, Any], place: int) -> Message:
    if isinstance(message, Message):
        return message
    if not isinstance(message, Mapping):
        raise BadInput(
            f"messages.{place}: {message!r:.60} is no message, as {{'role': 'user', 'content': 'How many?'}}"
        )
    try:
        return Message.model_validate(message)
    except ValidationError as error:
        field, words = first_fault(error)
        raise BadInput(f"messages.{place}.{field}: {words}") from None


class Question(Frozen):
    """What is asked: the conversation so far, its tools and format, and how to sample."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    response_format: Mapping[str, Any] | None = None
    sampling: SamplingParams = Field(default_factory=SamplingParams)

    @classmethod
    def of(cls, question: Question | str | Sequence[Message | Mapping[str, Any]]) -> Question:
        """A question from plain text or chat messages.

        Raises:
            BadInput: there is no message, none says anything, or it is nothing of the kind.
        """
        if isinstance(question, Question):
            return question
        if isinstance(question, str):
            question = [Message(role="user", content=question)]
        if isinstance(question, bytes | Mapping | Message) or not isinstance(question, Iterable):
            raise BadInput(f"{question!r:.60} is no question: give a text, a list of chat messages or a Question")
        messages = tuple(_read_message(message, place) for place, message in enumerate(question))
        if not any(_says_something(m.content) for m in messages if m.role != "system"):
            raise BadInput("the question is empty: give some text, or messages of which one has content")
        return cls(messages=messages)

    @property
    def text(self) -> str:
        """The last user message, which prompts of later stages quote."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def key(self) -> str:
        """Content hash of all but the seed: equal questions have equal keys in every process."""
        content = self.model_dump(mode="json", exclude={"sampling": {"seed"}})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]

    def with_params(self, **changes: Any) -> Question:
        """This question with some sampling settings changed."""
        return self.model_copy(update={"sampling": self.sampling.model_copy(update=changes)})

    def with_messages(self, *messages: Message) -> Question:
        """These messages in place of the conversation, with the same settings and format."""
        return self.model_copy(update={"messages": messages})


def _says_something(content: str | Sequence[Any] | None) -> bool:
    return bool(content.strip() if isinstance(content, str) else content)


class NodeVisit(Frozen):
    """What one node of a graph did, once."""

    node: str
    seconds: float = 0.0
    outcome: str = ""
    """In words: how sampling ended, what was chosen, why it failed."""
    edges: Mapping[str, str] = Field(default_factory=dict)
    """The nodes that it led to, and why."""


class Failure(Frozen):
    """Why a candidate is missing: an error as a value."""

    code: str
    message: str
    status: int = 502
    retry_after: float | None = None


class Degradation(Frozen):
    """Something that did not go as configured although an answer was given."""

    code: Code
    where: str
    """The stage and model concerned."""
    detail: str


class TokenLogprob(Frozen):
    """One generated token with its natural-log probability and, where asked, the alternatives."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Candidate(Frozen):
    """One sampled answer, or the failure that took its place."""

    index: int = Field(ge=0)
    """Position among the candidates of its stage; tallies refer to it."""
    model: str
    """The model as its server names it."""
    agent: str = ""
    """The agent that asked it: its name in the configuration, else the model's."""
    text: str = ""
    reasoning: str | None = None
    """Thinking that the backend kept apart from the text."""
    answer: str | None = None
    """What the extractor found in the text; None abstains."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: FinishReason | None = None
    seed: int | None = None
    prompt_version: str | None = None
    """Name and content hash of the prompt template used, None for the caller's own words."""
    usage: Usage = Usage()
    prompt_counted: bool = False
    """Whether its prompt was counted for itself, and not on the first of several samples of one request; False where
    that is not known, as of a sample that was asked for alone."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    ensembling: Ensembling | None = None
    """How models wrote it together token by token, where they did."""
    latency: float | None = None
    """Seconds from asking to the last token."""
    error: Failure | None = None
    degraded: tuple[Degradation, ...] = ()
    """What did not go as configured on the way to it, such as a fallback model or inside a nested pipeline."""

    @property
    def ok(self) -> bool:
        return self.error is None and self.finish_reason != "cancelled"

    @property
    def charges(self) -> tuple[tuple[str, Usage], ...]:
        """What it cost by model, as a ledger counts it: several where models wrote it together."""
        if self.ensembling is None or not self.ensembling.members:
            return ((self.model, self.usage),)
        return tuple((member.model, member.usage) for member in self.ensembling.members if member.usage.requests)


class CandidateSet(Frozen):
    """Candidates for one question and which of them are right: what is learned from and measured on.

    It does not matter where they came from: a sample bank, recorded answers, another tool's log.
    """

    task: str = ""
    item: str
    """The question's id in its task."""
    cluster: str = ""
    """What the question has in common with others, such as its template; a split keeps it together."""
    question: Question
    gold: str | None = None
    candidates: tuple[Candidate, ...]
    correct: tuple[bool | None, ...]
    """One entry a candidate; None where nobody graded it."""

    @model_validator(mode="after")
    def _one_label_each(self) -> Self:
        if len(self.correct) != len(self.candidates):
            raise ValueError(f"{self.item}: {len(self.candidates)} candidates, but {len(self.correct)} labels")
        return self


class Cluster(Frozen):
    """One equivalence class of answers and who voted for it."""

    answer: str
    """The spelling that most of its voters used."""
    votes: int
    weight: float
    voters: tuple[int, ...]
    """Indices of the candidates that voted for it."""
    certain: bool = True
    """False where the classes are approximate: they order the answers, but stop no sampling and state no confidence."""
    undecided: bool = False
    """It may be one with another class: comparing them took too long, so they count as two."""


class Saving(Frozen):
    """What a stop would have saved that was only watched, so that nothing came of it."""

    where: str
    """The node."""
    reason: str
    """Why it would have stopped."""
    after: int
    """Samples, reviews or models that it would have taken."""
    of: int
    """Those that were taken."""
    tokens: int
    """That were spent after it."""
    cost: float | None = None
    """Money that was spent after it, where that is known."""
    answer: str | None = None
    """That it would have given."""
    same: bool | None = None
    """Whether that is the one that was given; None where they cannot be compared."""


class Sampled(Frozen):
    """What a sampling stage gave: all candidates, the failed ones too, and how their votes stand."""

    candidates: tuple[Candidate, ...]
    """By rising index."""
    tally: tuple[Cluster, ...] | None = None
    """Clusters by falling weight; None where nobody has counted yet."""
    stopped: str = "complete"
    """Why sampling stopped: `complete`, a stopping rule's words, or the budget that ran out."""
    degraded: tuple[Degradation, ...] = ()
    analysis: Analysis | None = None
    """Where they agree and differ, where a model has said so."""
    savings: tuple[Saving, ...] = ()
    """Of rules that were only watched."""

    @property
    def good(self) -> tuple[Candidate, ...]:
        """The candidates that did not fail."""
        return tuple(c for c in self.candidates if c.ok)


class Answer(Frozen):
    """What a model or a pipeline answered, and everything that led to it."""

    text: str
    model: str
    """Name of the model or pipeline that answered."""
    answer: str | None = None
    """The extracted answer; None where nothing could be extracted."""
    reasoning: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    prompt_version: str | None = None
    """Name and content hash of the prompt that synthesized it; None where no prompt of ours did."""
    finish_reason: FinishReason = "stop"
    candidates: tuple[Candidate, ...] = ()
    tally: tuple[Cluster, ...] = ()
    """Clusters by falling weight; candidates in none of them abstained."""
    stopped: str = "complete"
    """Why sampling stopped: `complete`, a stopping rule's words, or the budget that ran out."""
    selected: int | None = None
    """Index of the candidate whose text and tool calls these are, if they are one's."""
    route: str | None = None
    """Which way a gate or a router went, and why; None where there was no choice."""
    degraded: tuple[Degradation, ...] = ()
    usage: Usage = Usage()
    nodes: tuple[NodeUsage, ...] = ()
    """The usage by node and model."""
    path: tuple[NodeVisit, ...] = ()
    """The nodes of the graph in the order in which they ended; none where a single model answered."""
    analysis: Analysis | None = None
    """Where the candidates agree and differ, where a model has said so."""
    dissents: tuple[Dissent, ...] = ()
    """The classes of answers that lost, best first, where they were asked for."""
    scores: Mapping[int, float] = Field(default_factory=dict)
    """What each candidate's reviewers gave it, by its index; none where nobody ranked them."""
    savings: tuple[Saving, ...] = ()
    """What stops would have saved that were only watched."""
    effective_votes: float | None = None
    """How many independent voters the candidates amount to, where the correlation of their errors is known."""

    @property
    def winner(self) -> Candidate | None:
        """The candidate that was selected, if the answer is one's."""
        return next((c for c in self.candidates if c.index == self.selected), None)

    @classmethod
    def of(cls, candidate: Candidate, **changes: Any) -> Self:
        """A candidate as the answer.

        Args:
            candidate: the one that is selected.
            changes: fields of the answer that differ from the candidate's, or that it does not have.
        """
        fields: dict[str, Any] = {
            "text": candidate.text,
            "model": candidate.model,
            "answer": candidate.answer,
            "reasoning": candidate.reasoning,
            "tool_calls": candidate.tool_calls,
            "prompt_version": candidate.prompt_version,
            "finish_reason": candidate.finish_reason or "stop",
            "selected": candidate.index,
        }
        return cls(**(fields | changes))

    def replace(self, **changes: Any) -> Self:
        """The same answer with other values in some fields."""
        return self.model_copy(update=changes)
