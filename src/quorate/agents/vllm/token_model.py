"""vLLM in this process, asked token by token.

A draft is one engine request that is dropped once it meets a token it was to stop at. Distributions
after prefixes are as many requests of one token each: the prefix cache makes each cost a block at most,
while log-probabilities of a prompt would have vLLM read it anew.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import aclosing
from typing import Any

from quorate.agents.embedded.chat import encode_prompt
from quorate.agents.vocabulary import ALL, MOST, SMALL, TokenizerVocabulary, make_vocabulary, top_k_distribution
from quorate.orchestrator.errors import BadInput, ModelClosed, QuorateError, Rejected, UpstreamError
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.tokens import Distribution, Draft, DraftAsk, Draw, ScoreAsk, Scores
from quorate.orchestrator.types import Question
from quorate.orchestrator.usage import Usage

from .engine import VLLMEngine, is_refusal

ChosenToken = tuple[int, Distribution]
"""One that was chosen, and what it was chosen from."""


class VLLMTokenModel:
    """See `orchestrator.tokens.TokenModel`.

    Distributions are whole where the engine allows it (`max_logprobs=-1`) and the vocabulary is small;
    else they are the best few.

    Args:
        engine: started with the first `open`, and shared with whoever else draws from it.
        name: of the model.
    """

    in_process = False

    def __init__(self, engine: VLLMEngine, name: str) -> None:
        self.name = name
        self._engine = engine
        self._vocabulary: TokenizerVocabulary | None = None
        self._context = 0
        self._rows: dict[Hashable, Any] = {}
        """The engine that each answer began with."""

    @property
    def context(self) -> int:
        return self._context

    @property
    def vocabulary(self) -> TokenizerVocabulary:
        if self._vocabulary is None:
            raise RuntimeError(f"{self.name} has not been opened")
        return self._vocabulary

    async def open(self) -> None:
        """See `TokenModel`.

        Raises:
            MissingExtra: vLLM is not installed.
            BadInput: vLLM cannot run the model, the engine tells no log-probabilities, or no fast tokenizer.
        """
        engine = await self._start()
        if self._vocabulary is None:
            await asyncio.to_thread(self._inspect, engine)

    def prompt(self, question: Question) -> list[int]:
        return encode_prompt(self._tokenizer, question, self.name)

    async def draft(self, asks: Sequence[DraftAsk]) -> list[Draft]:
        engine = await self._find_engine(asks)
        return await gather([self._draft(engine, ask) for ask in asks])

    async def score(self, asks: Sequence[ScoreAsk]) -> list[Scores]:
        engine = await self._find_engine(asks)
        nexts = await gather([self._predict(engine, ask.tokens[:place]) for ask in asks for place in ask.places])
        left = iter(nexts)
        return [Scores([next(left) for _ in ask.places]) for ask in asks]

    def release(self, rows: Sequence[Hashable]) -> None:
        """See `TokenModel`; the engine's cache forgets by itself."""
        for row in rows:
            self._rows.pop(row, None)

    async def aclose(self) -> None:
        """Shuts the engine down."""
        await self._engine.aclose()

    async def _find_engine(self, asks: Sequence[DraftAsk | ScoreAsk]) -> Any:
        """The engine; an answer does not wait for another one if its own has died."""
        if any(engine.errored for ask in asks if (engine := self._rows.get(ask.row)) is not None):
            raise UpstreamError(f"{self.name}: vLLM's engine has died")
        engine = await self._start()
        self._rows.update((ask.row, engine) for ask in asks)
        return engine

    async def _start(self) -> Any:
        try:
            return await self._engine.get()
        except (QuorateError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise BadInput(f"vLLM cannot run {self.name}: {error}") from error

    def _inspect(self, engine: Any) -> None:
        config, tokenizer = engine.model_config, engine.get_tokenizer()
        allowed = config.get_vocab_size() if config.max_logprobs == ALL else config.max_logprobs
        if allowed < 1:
            raise BadInput(f"{self.name} runs with max_logprobs=0: token-level ensembling needs log-probabilities")
        vocabulary = make_vocabulary(tokenizer, _find_ends(engine), self.name)
        whole = allowed >= config.get_vocab_size() and vocabulary.size <= SMALL
        self._k = ALL if whole else min(MOST, allowed)
        self._context, self._tokenizer, self._vocabulary = config.max_model_len, tokenizer, vocabulary

    async def _draft(self, engine: Any, ask: DraftAsk) -> Draft:
        chosen: list[ChosenToken] = []
        try:
            async with aclosing(self._generate(engine, ask.tokens, ask.limit, ask.draw)) as steps:
                async for token, distribution in steps:
                    chosen.append((token, distribution))
                    if ask.until and math.exp(distribution.logprob(token)) < ask.until:
                        break
        except (QuorateError, asyncio.CancelledError):
            ask.spend(Usage(completion_tokens=len(chosen), estimated=bool(chosen)))
            raise
        return Draft([token for token, _ in chosen], [distribution for _, distribution in chosen])

    async def _predict(self, engine: Any, tokens: Sequence[int]) -> Distribution:
        async with aclosing(self._generate(engine, tokens, 1, None)) as steps:
            async for _, distribution in steps:
                return distribution
        raise UpstreamError(f"{self.name}: vLLM gave no token")

    async def _generate(
        self, engine: Any, tokens: Sequence[int], limit: int, draw: Draw | None
    ) -> AsyncGenerator[ChosenToken, None]:
        """Token after token; closing it makes vLLM drop the request."""
        request = uuid.uuid4().hex
        self._engine.running.add(request)
        count, aborted = 0, False
        try:
            outputs = engine.generate({"prompt_token_ids": list(tokens)}, self._params(limit, draw), request_id=request)
            async with aclosing(outputs):
                async for output in outputs:
                    [choice] = output.outputs
                    aborted = choice.finish_reason == "abort"
                    for token, known in zip(choice.token_ids, choice.logprobs or (), strict=True):
                        entries = {other: entry.logprob for other, entry in known.items()}
                        yield token, top_k_distribution(entries, self._k, self.vocabulary.size)
                        count += 1
        except QuorateError:
            raise
        except Exception as error:
            raise self._translate(error) from error
        finally:
            self._engine.running.discard(request)
        if aborted or not count:
            raise ModelClosed(f"{self.name} was closed while it answered")

    def _params(self, limit: int, draw: Draw | None) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=draw.temperature if draw else 0.0,
            seed=draw.seed if draw else None,
            max_tokens=limit,
            logprobs=self._k,
            stop_token_ids=sorted(self.vocabulary.ends),
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )

    def _translate(self, error: Exception) -> QuorateError:
        if is_refusal(error):
            return Rejected(f"{self.name}: {error}")
        return UpstreamError(f"{self.name}: vLLM failed ({type(error).__name__}: {error})")


def _find_ends(engine: Any) -> set[int]:
    """Ids that vLLM stops at by itself."""
    told = engine.model_config.try_get_generation_config().get("eos_token_id")
    ends = {told} if isinstance(told, int) else set(told or ())
    own = engine.get_tokenizer().eos_token_id
    return ends if own is None else ends | {own}
