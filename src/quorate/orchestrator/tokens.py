"""Models seen token by token: what token-level ensembling asks of a back end.

For whoever writes a back end: a `TokenModel` is asked two things, both in batches and both with whole
contexts. `draft` continues each context by a few tokens of its own; `score` gives the distribution
after several prefixes of each context. A context is a plain list of token ids, prompt included, so a
back end needs no state: over HTTP it sends the ids and lets the server's prefix cache do the rest
(`draft` is one completion with `max_tokens=limit` and `logprobs=k`; `score` is one request with a list
of prompts, `tokens[:place]` for each place, each with `max_tokens=1, logprobs=k`). A back end that keeps
caches finds the longest prefix that `ask.row` still has in common with its cache and forgets the rest,
however deep: contexts shrink whenever the ensemble overrules a draft. `row` is one object for the whole
of one answer, and `release` says that it will not come again. Nothing may depend on how contexts are
batched, on the order of calls, or on how long the drafts are.

Distributions are at temperature 1, without filters, and may be partial. `TopDistribution` holds the best
k of a server that tells no more; a token it does not list gets the logarithm of the bound that the k-th
puts on it, and the engine notes that the answer rests on bounds. Ids that mean no text (special tokens,
padding of the vocabulary) have `bytes_of(id) is None`; a draft may contain special ones, never padding.
Ids in `ends` all mean the same, the end of the answer; a draft that meets one stops after it. Failures
are raised as `QuorateError`s from `draft` and `score`: a verifier that raises is dropped and the answer
marked as degraded, a drafter that raises fails the candidate. Usage is not the back end's business: the
engine counts drafted tokens as completion tokens and every position that a model had to read anew as
prompt tokens; a server's own count goes into `Draft.usage` and `Scores.usage` where it is known, and
what a call cost that failed or was cancelled goes to `ask.spend`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .context import RunContext
from .types import Question
from .usage import Usage


class Vocabulary(Protocol):
    """What the ids of one model's tokens mean, in bytes; implemented by `quorate.agents.vocabulary`."""

    fingerprint: str
    """Equal for tokenizers that are equal in all: ids are then passed from model to model as they are."""
    size: int
    """Ids from here on mean nothing, whatever the width of the model's output."""
    ends: frozenset[int]
    """Ids that end an answer."""

    def bytes_of(self, token: int) -> bytes | None:
        """The text of a token; None where it has none (special tokens, padding)."""
        ...

    def id_of(self, text: bytes) -> int | None:
        """The token that is exactly this text."""
        ...

    def encode(self, text: str) -> tuple[list[int], list[int]]:
        """Ids of a text that goes on from other text (no marks of a beginning), and the byte offset where each ends."""
        ...


class Distribution(Protocol):
    """The next token after one context, at temperature 1, without filters."""

    @property
    def best(self) -> int:
        """The likeliest token; the smallest id among equals."""
        ...

    @property
    def exact(self) -> bool:
        """Whether `logprob` is a value for every token, and not a bound for some."""
        ...

    def logprob(self, token: int) -> float:
        """Natural logarithm; a bound where the back end knows no better."""
        ...

    def top(self, k: int) -> Sequence[tuple[int, float]]:
        """The k likeliest with their log-probabilities, falling; fewer where the back end knows fewer."""
        ...

    def row(self) -> Any:
        """Log-probabilities of all ids below the vocabulary's size as a float32 numpy array; None where unknown."""
        ...


class TopDistribution:
    """The best few, as servers tell them.

    Args:
        entries: tokens with their log-probabilities, in any order; the chosen token may be among them
            although it is not one of the best.
        k: how many of the best are known; all others are at most as likely as the k-th.
    """

    exact = False

    def __init__(self, entries: Sequence[tuple[int, float]], k: int | None = None) -> None:
        self._ranked = sorted(entries, key=lambda entry: (-entry[1], entry[0]))
        self._known = dict(self._ranked)
        last = min(k or len(self._ranked), len(self._ranked)) - 1
        self.floor = self._ranked[last][1]
        """Bound on what is not listed."""
        self.best = self._ranked[0][0]

    def logprob(self, token: int) -> float:
        return self._known.get(token, self.floor)

    def top(self, k: int) -> Sequence[tuple[int, float]]:
        return self._ranked[:k]

    def row(self) -> None:
        """Unknown."""


class DenseDistribution:
    """All log-probabilities, as an array.

    Args:
        row: of all ids, a float32 numpy array of shape [vocabulary].
    """

    exact = True

    def __init__(self, row: Any) -> None:
        self._row = row
        self.best = int(row.argmax())

    def logprob(self, token: int) -> float:
        return float(self._row[token])

    def top(self, k: int) -> Sequence[tuple[int, float]]:
        order = (-self._row).argsort(kind="stable")[:k]
        return list(zip(order.tolist(), self._row[order].tolist(), strict=True))

    def row(self) -> Any:
        return self._row


@dataclass(frozen=True, slots=True)
class Draw:
    """How a draft is sampled; a draft without one is greedy."""

    temperature: float
    uniforms: Sequence[float]
    """One in [0, 1) for each token: the token is where the cumulative distribution, in the order of ids, passes it.

    A back end that samples by itself (a server) may ignore these.
    """
    seed: int | None = None
    """For a back end that samples by itself; differs from ask to ask."""


def _ignore_usage(_: Usage) -> None:
    """Nobody counts."""


NO_RUN = RunContext()
"""The run of an ask that belongs to none."""


@dataclass(frozen=True, slots=True)
class DraftAsk:
    """Go on from a context."""

    row: Hashable
    tokens: Sequence[int]
    """The whole context; never empty."""
    limit: int
    """Tokens at most, from 1."""
    until: float = 0.0
    """Stop after the first token less likely than this (at temperature 1); a back end that cannot may go on."""
    draw: Draw | None = None
    spend: Callable[[Usage], None] = _ignore_usage
    """Told what the call cost where it gives no draft."""
    run: RunContext = NO_RUN
    """Whose observer hears of calls to servers."""
    index: int = 0
    """Of the candidate that it is for."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a model went on with: from 1 to `limit` tokens, and the distribution that each was chosen from."""

    tokens: Sequence[int]
    """Ends with one of the ends where the model ended."""
    distributions: Sequence[Distribution]
    usage: Usage | None = None
    """The server's own count; None where the engine shall count."""


@dataclass(frozen=True, slots=True)
class ScoreAsk:
    """Distributions after prefixes of a context."""

    row: Hashable
    tokens: Sequence[int]
    """The whole context; its last place is its end."""
    places: Sequence[int]
    """Lengths of the prefixes, rising, from 1; the last is the length of `tokens`."""
    spend: Callable[[Usage], None] = _ignore_usage
    """See `DraftAsk`."""
    run: RunContext = NO_RUN
    """See `DraftAsk`."""
    index: int = 0
    """See `DraftAsk`."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One distribution for each place."""

    distributions: Sequence[Distribution]
    usage: Usage | None = None
    """See `Draft`."""


@runtime_checkable
class TokenModel(Protocol):
    """A model that can be asked token by token, and forgets what turned out otherwise."""

    @property
    def name(self) -> str: ...

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together; known once it is open."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """Known once it is open."""
        ...

    @property
    def in_process(self) -> bool:
        """Whether calls compute in the calling thread.

        The engine then runs in a thread of its own and puts many answers into one batch. Otherwise each
        answer is a task of its own on the caller's event loop, and the back end's server batches them.
        """
        ...

    async def open(self) -> None:
        """Loads or connects, once however often it is called.

        Raises:
            QuorateError: it cannot serve here; says what is missing (a fast tokenizer, a cache that can
                be cut, log-probabilities, token ids).
        """
        ...

    def prompt(self, question: Question) -> list[int]:
        """The conversation by the model's own chat template, ready for the assistant to speak.

        Raises:
            BadInput: there is no template, or it refuses the messages.
        """
        ...

    async def draft(self, asks: Sequence[DraftAsk]) -> Sequence[Draft]:
        """One draft for each ask, in order.

        Raises:
            QuorateError: the model failed.
        """
        ...

    async def score(self, asks: Sequence[ScoreAsk]) -> Sequence[Scores]:
        """Scores for each ask, in order.

        Raises:
            QuorateError: the model failed.
        """
        ...

    def release(self, rows: Sequence[Hashable]) -> None:
        """These rows will not come again; unknown ones are passed over."""
        ...

    async def aclose(self) -> None:
        """Gives back what `open` took; the next `open` takes it again."""
        ...


@runtime_checkable
class Tokenized(Protocol):
    """An agent whose model can be asked token by token."""

    def token_model(self) -> TokenModel:
        """The same model at every call.

        Raises:
            BadInput: this one cannot, and why.
        """
        ...


class StoppableText:
    """A text that grows until a stop string, handed out only as far as no stop string can take it away again.

    Args:
        stop: strings before which the text ends.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(stop)
        self._taken = 0
        self.whole = ""
        """All of it so far, without what a stop string cut away."""
        self.stopped = False
        """Whether a stop string was met; nothing is added any more."""

    def append(self, piece: str) -> None:
        """Adds a piece, up to the first stop string."""
        if self.stopped:
            return
        start = len(self.whole)
        self.whole += piece
        found = [self.whole.find(stop, max(0, start - len(stop) + 1)) for stop in self._stop]
        if places := [place for place in found if place >= 0]:
            self.whole, self.stopped = self.whole[: min(places)], True

    def take(self, *, ended: bool = False) -> str:
        """What is certain and has not been taken yet.

        Args:
            ended: nothing follows, so that what looks like the beginning of a stop string is none.
        """
        end = len(self.whole) - (0 if ended or self.stopped else self._held_back())
        start, self._taken = self._taken, max(self._taken, end)
        return self.whole[start : self._taken]

    def _held_back(self) -> int:
        """Characters at the end that may be the beginning of a stop string."""
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        for size in range(min(longest, len(self.whole) - self._taken), 0, -1):
            if any(stop.startswith(self.whole[-size:]) for stop in self._stop):
                return size
        return 0


def common_prefix_length(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """How many tokens two contexts have in common from their beginning."""
    both = min(len(ours), len(theirs))
    if ours[:both] == theirs[:both]:
        return both
    return next((place for place in range(both) if ours[place] != theirs[place]), both)
