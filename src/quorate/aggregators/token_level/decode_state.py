"""One answer on its way: what is written, how each verifier reads it, and what became of every token."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Literal, NamedTuple, Protocol

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.tokens import NO_RUN, Draft, Scores, StoppableText
from quorate.orchestrator.types import FinishReason
from quorate.orchestrator.usage import Usage

from .alignment import VerifierContext
from .monitor import Monitor, Watch
from .token_bytes import END

Why = Literal["agreed", "sure", "boundary", "textless", "alone", "accepted", "ensembled", "spoken", "opened", "routed"]
"""Why a token stands.

agreed: it is every verifier's first choice. sure: the mean probability is above one half. boundary: a
verifier's own tokens do not meet here. textless: a special token, which only the drafter has. alone: no
verifier is left. accepted: sampling took the draft's token. ensembled: the mixture chose it. spoken: it was its
model's turn to speak. opened, routed: the first of a step, which the small or the large model writes.
"""


@dataclass(slots=True)
class MemberUsage:
    """What one model read, wrote and judged."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    requests: int = 0
    cost: float | None = None
    estimated: bool = False
    judged: int = 0
    """Drafted tokens that it looked at as a verifier, up to the first overruled one of each draft."""
    agreed: int = 0
    """Those of them that were its first choice."""

    def add(self, usage: Usage) -> None:
        """Adds what a back end counted by itself."""
        self.prompt += usage.prompt_tokens
        self.completion += usage.completion_tokens
        self.cached += usage.cached_tokens
        self.requests += usage.requests
        self.estimated |= usage.estimated
        if usage.cost is not None:
            self.cost = (self.cost or 0.0) + usage.cost

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            cached_tokens=self.cached,
            requests=self.requests,
            cost=self.cost,
            estimated=self.estimated,
        )


class FirstChoice(NamedTuple):
    """What one model would have said."""

    model: int
    """0 is the drafter, then the verifiers in order."""
    key: bytes | None
    probability: float


class CommittedToken(NamedTuple):
    """One token of the answer, and why it stands."""

    key: bytes
    why: Why
    drafted: bytes | None
    """What the drafter had proposed."""
    mass: float | None = None
    """The mixture's probability of it, where one was made."""
    choices: tuple[FirstChoice, ...] = ()


@dataclass(frozen=True)
class DecodeParams:
    """How one answer is to be written."""

    limit: int
    """Tokens of the drafter at most."""
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    top_k: int = 0
    stop: Sequence[str] = ()
    seed: int | None = None
    traced: bool = False
    """Whether every token's story is kept."""
    run: RunContext = NO_RUN
    """Whose observer hears of calls to servers."""
    index: int = 0
    """Of the candidate that it becomes."""
    monitors: Sequence[Monitor] = ()
    """What rules tokens out."""


class DraftLength(Protocol):
    """How far the drafter goes on in one answer before the verifiers look."""

    def next_length(self) -> int:
        """Tokens of the next draft at most."""
        ...

    @property
    def until(self) -> float:
        """The draft ends behind the first token that is less likely than this."""
        ...

    def note(self, drafted: int, kept: int) -> None:
        """So many tokens were drafted, and so many of them stand; the ensemble overruled or confirmed the next."""
        ...


def name_loss(name: str, reason: str) -> str:
    """Why a model was lost, with its name."""
    return reason if reason.startswith(name) else f"{name}: {reason}"


class _ByteText(StoppableText):
    """Bytes in, whole characters out."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        super().__init__(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, text: bytes) -> None:
        """More text; nothing is taken after a stop string."""
        self.append(self._decoder.decode(text))

    def end(self) -> None:
        """No more text: an unfinished character becomes a replacement mark."""
        self.append(self._decoder.decode(b"", final=True))


@dataclass(eq=False)
class DecodeState:
    """One answer that is being written; also the row under which back ends keep their caches."""

    prompt: list[int]
    """The drafter's."""
    params: DecodeParams
    verifiers: list[VerifierContext | None]
    """None for those that were lost."""
    draft_length: DraftLength
    ids: list[int] = field(default_factory=list)
    """The answer in the drafter's tokens: what it drafted as it drafted it, what was chosen for it as it spells it."""
    text: bytes = b""
    watch: Watch = field(init=False)
    characters: _ByteText = field(init=False)
    """The text as it is shown: whole characters, up to a stop string."""
    steps: list[CommittedToken] = field(default_factory=list)
    """Kept where `params.traced`."""
    counts: dict[Why, int] = field(default_factory=dict)
    drafted: int = 0
    """Tokens drafted, those thrown away included."""
    verifications: int = 0
    """Cycles in which a verifier was asked."""
    spent: list[MemberUsage] = field(init=False)
    """By model, the drafter first."""
    lost: list[str] = field(default_factory=list)
    """Verifiers that were dropped, and why."""
    bounded: bool = False
    """Whether a probability that counted was only known to lie below a bound."""
    finish_reason: FinishReason | None = None
    error: Exception | None = None
    _random: Random = field(init=False)
    _uniforms: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = Watch(self.params.monitors)
        self.characters = _ByteText(self.params.stop)
        self._random = Random(self.params.seed)
        self.spent = [MemberUsage() for _ in range(1 + len(self.verifiers))]

    @property
    def done(self) -> bool:
        """Whether nothing more will be written."""
        return self.finish_reason is not None or self.error is not None

    @property
    def tokens(self) -> list[int]:
        """The drafter's context."""
        return self.prompt + self.ids

    @property
    def greedy(self) -> bool:
        return self.params.temperature == 0

    @property
    def tokens_left(self) -> int:
        """Tokens that may still be written."""
        return self.params.limit - len(self.ids)

    @property
    def alive(self) -> list[int]:
        """Verifiers that still take part."""
        return [number for number, verifier in enumerate(self.verifiers) if verifier is not None]

    def draw_uniforms(self, place: int) -> tuple[float, float, float]:
        """Three random numbers for a place of the answer: to draft, to accept, to draw anew.

        They belong to the place, so that an answer does not depend on how far drafts go.
        """
        while len(self._uniforms) <= place:
            self._uniforms.append((self._random.random(), self._random.random(), self._random.random()))
        return self._uniforms[place]

    def note_loss(self, name: str, reason: str) -> None:
        """The answer goes on without the model of this name."""
        self.lost.append(name_loss(name, reason))

    def count(self, model: int, reply: Draft | Scores, *, prompt: int = 0, completion: int = 0) -> None:
        """Adds the server's own count of a call, or else ours."""
        spent = self.spent[model]
        if reply.usage is not None:
            spent.add(reply.usage)
            return
        spent.requests = 1
        spent.prompt += prompt
        spent.completion += completion

    def commit(self, step: CommittedToken, ids: Sequence[int]) -> None:
        """Writes one token, unless the answer has ended."""
        if self.done:
            return
        self.counts[step.why] = self.counts.get(step.why, 0) + 1
        if self.params.traced:
            self.steps.append(step)
        if step.key == END and step.why != "textless":
            self.finish("stop")
            return
        self.ids += ids
        self.text += step.key
        self.characters.push(step.key)
        if self.characters.stopped:
            self.finish("stop")
        elif self.tokens_left <= 0:
            self.finish("length")

    def finish(self, reason: FinishReason) -> None:
        """Ends the answer."""
        self.finish_reason = reason
        self.characters.end()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """What goes wrong inside ends this answer, and no other of its batch."""
        try:
            yield
        except QuorateError as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Ends the answer with an error as a value."""
        self.error = error
        self.characters.end()
