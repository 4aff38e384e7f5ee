"""One answer on its way: what is written, how each verifier reads it, and what became of every token."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal, NamedTuple

from quorate.orchestrator.tokens import Draft, Scores, Watching, unwatched
from quorate.orchestrator.types import FinishReason, Usage

from .follower import Follower
from .lexicon import END
from .lookahead import Pace

__all__ = ["Choice", "Count", "Settings", "Speech", "Step", "Why", "Writing", "told_of"]

Why = Literal["agreed", "sure", "boundary", "textless", "alone", "accepted", "ensembled", "spoken"]
"""Why a token stands.

agreed: it is every verifier's first choice. sure: the mean probability is above one half. boundary: a
verifier's own tokens do not meet here. textless: a special token, which only the drafter has. alone: no
verifier is left. accepted: sampling took the draft's token. ensembled: the mixture chose it. spoken: its
model was drawn to speak.
"""


@dataclass(slots=True)
class Count:
    """What one model read, wrote and judged."""

    prompt: int = 0
    completion: int = 0
    requests: int = 0
    cost: float | None = None
    estimated: bool = False
    judged: int = 0
    """Drafted tokens that it looked at as a verifier, up to the first overruled one of each draft."""
    agreed: int = 0
    """Those of them that were its first choice."""

    def add(self, usage: Usage) -> None:
        """What a back end counted by itself."""
        self.prompt += usage.prompt_tokens
        self.completion += usage.completion_tokens
        self.requests += usage.requests
        self.estimated |= usage.estimated
        if usage.cost is not None:
            self.cost = (self.cost or 0.0) + usage.cost

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            requests=self.requests,
            cost=self.cost,
            estimated=self.estimated,
        )


class Choice(NamedTuple):
    """What one model would have said."""

    model: int
    """0 is the drafter, then the verifiers in order."""
    key: bytes | None
    probability: float


class Step(NamedTuple):
    """One committed token."""

    key: bytes
    why: Why
    drafted: bytes | None
    """What the drafter had proposed."""
    mass: float | None = None
    """The mixture's probability of it, where one was made."""
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Settings:
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
    watch: Watching = unwatched


def told_of(name: str, reason: str) -> str:
    """Why a model was lost, with its name."""
    return reason if reason.startswith(name) else f"{name}: {reason}"


class Speech:
    """Bytes in, whole characters out; holds back what may be the beginning of a stop string."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(stop)
        self._said = 0
        self.whole = ""
        self.stopped = False

    def push(self, text: bytes) -> None:
        """More text; nothing is taken after a stop string."""
        if self.stopped:
            return
        start = len(self.whole)
        self.whole += self._decoder.decode(text)
        found = [self.whole.find(stop, max(0, start - len(stop) + 1)) for stop in self._stop]
        if places := [place for place in found if place >= 0]:
            self.whole, self.stopped = self.whole[: min(places)], True

    def end(self) -> None:
        """No more text: an unfinished character becomes a replacement mark."""
        if not self.stopped:
            self.whole += self._decoder.decode(b"", final=True)

    def fresh(self, *, ended: bool = False) -> str:
        """What is certain and has not been told."""
        end = len(self.whole) - (0 if ended or self.stopped else self._held())
        said, self._said = self._said, max(self._said, end)
        return self.whole[said : self._said]

    def _held(self) -> int:
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        for size in range(min(longest, len(self.whole) - self._said), 0, -1):
            if any(stop.startswith(self.whole[-size:]) for stop in self._stop):
                return size
        return 0


@dataclass(eq=False)
class Writing:
    """The state of one answer; also the row under which back ends keep their caches."""

    prompt: list[int]
    """The drafter's."""
    settings: Settings
    followers: list[Follower | None]
    """One a verifier; None for those that were lost."""
    pace: Pace
    ids: list[int] = field(default_factory=list)
    """The answer in the drafter's tokens: what it drafted as it drafted it, what was chosen for it as it spells it."""
    text: bytes = b""
    speech: Speech = field(init=False)
    steps: list[Step] = field(default_factory=list)
    """Kept where `settings.traced`."""
    counts: dict[Why, int] = field(default_factory=dict)
    drafted: int = 0
    """Tokens drafted, those thrown away included."""
    verifications: int = 0
    """Cycles in which a verifier was asked."""
    spent: list[Count] = field(init=False)
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
        self.speech = Speech(self.settings.stop)
        self._random = Random(self.settings.seed)
        self.spent = [Count() for _ in range(1 + len(self.followers))]

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
        return self.settings.temperature == 0

    @property
    def room(self) -> int:
        """Tokens that may still be written."""
        return self.settings.limit - len(self.ids)

    @property
    def alive(self) -> list[int]:
        """Verifiers that still take part."""
        return [number for number, follower in enumerate(self.followers) if follower is not None]

    def uniforms(self, place: int) -> tuple[float, float, float]:
        """Three random numbers for a place of the answer: to draft, to accept, to draw anew.

        They belong to the place, so that an answer does not depend on how far drafts go.
        """
        while len(self._uniforms) <= place:
            self._uniforms.append((self._random.random(), self._random.random(), self._random.random()))
        return self._uniforms[place]

    def lose(self, name: str, reason: str) -> None:
        """Notes that the answer goes on without the model of this name."""
        self.lost.append(told_of(name, reason))

    def count(self, model: int, told: Draft | Scores, *, prompt: int = 0, completion: int = 0) -> None:
        """Adds the server's own count of a call, or else ours."""
        spent = self.spent[model]
        if told.usage is not None:
            spent.add(told.usage)
            return
        spent.requests = 1
        spent.prompt += prompt
        spent.completion += completion

    def commit(self, step: Step, ids: Sequence[int]) -> None:
        """Writes one token, unless the answer has ended."""
        if self.done:
            return
        self.counts[step.why] = self.counts.get(step.why, 0) + 1
        if self.settings.traced:
            self.steps.append(step)
        if step.key == END and step.why != "textless":
            self.finish("stop")
            return
        self.ids += ids
        self.text += step.key
        self.speech.push(step.key)
        if self.speech.stopped:
            self.finish("stop")
        elif self.room <= 0:
            self.finish("length")

    def finish(self, reason: FinishReason) -> None:
        """Ends the answer."""
        self.finish_reason = reason
        self.speech.end()

    def fail(self, error: Exception) -> None:
        """Ends the answer with an error as a value."""
        self.error = error
        self.speech.end()
