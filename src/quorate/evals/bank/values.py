"""What goes into a bank and comes out of it, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.types import Candidate, Question, SamplingParams


class SampleRequest(NamedTuple):
    """What samples of one question have in common."""

    agent: str
    """Name of the agent and content hash of its own settings, `NAME~HASH`."""
    question: str
    """`Question.key`: messages, tools, format and all sampling settings but the seed."""
    seed: int | None
    """Seed of the run that asks; that of a sample follows from it and the index."""


class BankedSample(Frozen):
    """One sample with its key."""

    agent: str
    question: str
    seed: int | None = None
    index: int
    candidate: Candidate

    @property
    def request(self) -> SampleRequest:
        return SampleRequest(self.agent, self.question, self.seed)


class BankedAgent(Frozen):
    """Who samples: everything of an agent that determines them."""

    id: str
    """`NAME~HASH`; other weights or settings of its own are another id."""
    name: str
    kind: str = ""
    model: str = ""
    fingerprint: str | None = None
    """Content hash of the weights, where the agent knows it."""

    @classmethod
    def of(cls, key: str) -> BankedAgent:
        """What an id alone tells."""
        name = key.rpartition("~")[0] or key
        return cls(id=key, name=name, model=name)


class BankedItem(Frozen):
    """One question of a task as it read when it was asked."""

    task: str
    item: str
    """Its id in the task."""
    question: Question
    gold: str | None = None
    cluster: str = ""
    split: str = ""
    revision: str = ""
    """Of the task; its questions' content is compared beside it."""
    prompt: str = ""
    """Name and content hash of the template that the question was put into; "" where there is none."""


class RunRecord(Frozen):
    """One run of `quorate eval run`, or one import."""

    id: int
    task: str
    started: str
    """UTC, ISO 8601."""
    finished: str | None = None
    """None while it runs, and where it was killed."""
    revision: str = ""
    content: str = ""
    """Hash of its questions and their right answers."""
    questions: int = 0
    pipelines: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}
    """What was asked for: tier, split, seed, limit, sampling, ..."""
    versions: Mapping[str, str] = {}
    """Of Python, quorate and the libraries that decide what comes out."""

    @property
    def models(self) -> Mapping[str, str]:
        """By name, agent and settings of each model's samples (`alike.describe_draws`); none of an import."""
        found: Mapping[str, str] | None = self.settings.get("models")
        return found or {}


def content_key(question: Question) -> str:
    """`Question.key` without the sampling settings: the same for everybody who asks the same."""
    return question.model_copy(update={"sampling": SamplingParams()}).key
