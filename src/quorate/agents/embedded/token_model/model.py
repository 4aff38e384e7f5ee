"""A transformers model as a `TokenModel`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quorate.agents.embedded.weights import LoadedModel
from quorate.agents.vocabulary import TokenizerVocabulary, make_vocabulary
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.tokens import Draft, DraftAsk, ScoreAsk, Scores, common_prefix_length
from quorate.orchestrator.types import Question

if TYPE_CHECKING:
    from .forward import CachedForward, LogitsDistribution, TokenFeed


@dataclass(eq=False, slots=True)
class _CachedRow:
    """What the cache holds of one answer."""

    slot: int
    tokens: list[int] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class _DraftInProgress:
    """One draft on its way."""

    ask: DraftAsk
    row: _CachedRow
    tokens: list[int] = field(default_factory=list)
    distributions: list[LogitsDistribution] = field(default_factory=list)
    ended: bool = False


class TransformersTokenModel:
    """See `orchestrator.tokens.TokenModel`.

    Rows of several answers lie in one cache, each cut to the prefix that it shares with what is asked.

    Args:
        load: gives the model; called once.
        name: of the model.
    """

    in_process = True

    def __init__(self, load: Callable[[], LoadedModel], name: str) -> None:
        self.name = name
        self._load = load
        self._loaded: LoadedModel | None = None
        self._rows: dict[Hashable, _CachedRow] = {}
        self._lock = threading.RLock()

    @property
    def context(self) -> int:
        return self._open_model.context

    @property
    def vocabulary(self) -> TokenizerVocabulary:
        return self._vocabulary

    async def open(self) -> None:
        """See `TokenModel`; loads in a thread.

        Raises:
            MissingExtra: torch or transformers is not installed.
            BadInput: no fast tokenizer, or a cache that cannot be cut.
        """
        if self._loaded is None:
            await asyncio.to_thread(self._open)

    def prompt(self, question: Question) -> list[int]:
        return self._open_model.prompt(question)

    async def draft(self, asks: Sequence[DraftAsk]) -> list[Draft]:
        """See `TokenModel`; computes in the calling thread."""
        import torch

        with self._lock, torch.inference_mode():
            return self._draft(asks)

    async def score(self, asks: Sequence[ScoreAsk]) -> list[Scores]:
        """See `TokenModel`; computes in the calling thread."""
        import torch

        with self._lock, torch.inference_mode():
            return self._score(asks)

    def release(self, rows: Sequence[Hashable]) -> None:
        with self._lock:
            for row in rows:
                self._rows.pop(row, None)
            if not self._rows and self._loaded is not None:
                self._forward.clear()

    async def aclose(self) -> None:
        """Drops the caches; the weights are shared and stay."""
        self.release(list(self._rows))

    @property
    def _open_model(self) -> LoadedModel:
        if self._loaded is None:
            raise RuntimeError(f"{self.name} has not been opened")
        return self._loaded

    def _open(self) -> None:
        with self._lock:
            if self._loaded is not None:
                return
            loaded = self._load()
            from .forward import CachedForward

            self._vocabulary = make_vocabulary(loaded.tokenizer, loaded.ends, self.name)
            self._width = min(self._vocabulary.size, loaded.model.config.get_text_config().vocab_size)
            self._forward: CachedForward = CachedForward(loaded.model, self.name)
            _probe_cache(self._forward, self.name, self._width)
            self._forward.clear()
            self._loaded = loaded

    def _draft(self, asks: Sequence[DraftAsk]) -> list[Draft]:
        from .forward import sample_token

        drafts = [_DraftInProgress(ask, self._row_of(ask.row)) for ask in asks]
        going = drafts
        feeds = [self._make_feed(draft.row, draft.ask.tokens, len(draft.ask.tokens) - 1) for draft in drafts]
        while going:
            for draft, distribution in zip(going, self._read_last(feeds), strict=True):
                draw = draft.ask.draw
                token = distribution.best
                if draw is not None:
                    token = sample_token(distribution, draw.temperature, draw.uniforms[len(draft.tokens)])
                draft.tokens.append(token)
                draft.distributions.append(distribution)
                draft.ended = (
                    len(draft.tokens) >= draft.ask.limit
                    or token in self._vocabulary.ends
                    or distribution.is_unsure(token, draft.ask.until)
                )
            going = [draft for draft in going if not draft.ended]
            feeds = [self._grow(draft.row, draft.tokens[-1]) for draft in going]
        return [Draft(draft.tokens, draft.distributions) for draft in drafts]

    def _score(self, asks: Sequence[ScoreAsk]) -> list[Scores]:
        from .forward import make_distributions

        feeds = [self._make_feed(self._row_of(ask.row), ask.tokens, ask.places[0] - 1) for ask in asks]
        width = max(len(feed.tokens) for feed in feeds)
        first = min(ask.places[0] - 1 - feed.start for ask, feed in zip(asks, feeds, strict=True))
        logits = self._compute_logits(feeds, width - first)
        scores = []
        for ask, feed, block in zip(asks, feeds, logits, strict=True):
            wanted = [place - 1 - feed.start - first for place in ask.places]
            scores.append(Scores(make_distributions(block[wanted])))
        return scores

    def _row_of(self, key: Hashable) -> _CachedRow:
        row = self._rows.get(key)
        if row is None:
            taken = {other.slot for other in self._rows.values()}
            slot = next(number for number in range(len(taken) + 1) if number not in taken)
            row = self._rows[key] = _CachedRow(slot)
        return row

    def _make_feed(self, row: _CachedRow, tokens: Sequence[int], first: int) -> TokenFeed:
        """What the cache lacks of these tokens, from the one at `first` at the latest."""
        from .forward import TokenFeed

        start = min(common_prefix_length(row.tokens, tokens), first)
        row.tokens[start:] = tokens[start:]
        return TokenFeed(row.slot, start, tokens[start:])

    @staticmethod
    def _grow(row: _CachedRow, token: int) -> TokenFeed:
        from .forward import TokenFeed

        row.tokens.append(token)
        return TokenFeed(row.slot, len(row.tokens) - 1, (token,))

    def _read_last(self, feeds: Sequence[TokenFeed]) -> list[LogitsDistribution]:
        """The distribution after each feed."""
        from .forward import make_distributions

        lengths = [len(feed.tokens) for feed in feeds]
        keep = max(lengths) - min(lengths) + 1
        logits = self._compute_logits(feeds, keep)
        if keep == 1:
            return make_distributions(logits[:, 0])
        ends = [length - min(lengths) for length in lengths]
        return make_distributions(logits[range(len(feeds)), ends])

    def _compute_logits(self, feeds: Sequence[TokenFeed], keep: int) -> Any:
        """Float32 of shape [feeds, keep, vocabulary]; on an error no row counts as read."""
        try:
            return self._forward(feeds, keep)[..., : self._width].float()
        except Exception:
            self._rows.clear()
            self._forward.clear()
            raise


def _probe_cache(forward: CachedForward, name: str, width: int) -> None:
    """Compares a row that was cut with one that was not.

    Raises:
        BadInput: they differ, so the model keeps more than columns; or it does not run with a cache of ours.
    """
    import torch

    from .forward import TokenFeed

    tokens = [number % width for number in range(11, 11 + 8 * 7, 7)]
    with torch.inference_mode():
        try:
            whole = forward([TokenFeed(0, 0, tokens)], 1)
            forward([TokenFeed(1, 0, [*tokens[:5], *tokens[:3]])], 1)
            cut = forward([TokenFeed(1, 5, tokens[5:])], 1)
        except Exception as error:
            raise BadInput(
                f"{name} does not run with a key-value cache that can be rolled back, which token-level ensembling "
                f"needs ({type(error).__name__}: {error})"
            ) from error
    if not torch.allclose(whole.float(), cut.float(), atol=0.05, rtol=0.05):
        raise BadInput(
            f"{name} says something else after its cache was rolled back than before: it keeps a state that "
            "cannot be, and token-level ensembling needs one that can"
        )
