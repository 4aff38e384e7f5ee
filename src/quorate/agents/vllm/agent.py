"""vLLM's asynchronous engine in this process, as an agent.

Each sample is an engine request of its own, not `n` in one: vLLM makes n requests of it anyway, so
the prompt is computed once through its prefix cache either way (in whole blocks), while requests of
our own can each have the run's seed of its sample (vLLM gives child i seed + i, so that neighbouring
seeds repeat samples), allow n > 1 at temperature 0, and end one by one.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from quorate.agents.agent import Agent
from quorate.agents.embedded import embedded_models, locate
from quorate.agents.embedded.chat import Closed, answer_room, prompt_tokens, refuse_formats
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, MissingExtra
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, CandidateStarted, CandidateToken, Event
from quorate.orchestrator.merging import merge
from quorate.orchestrator.types import Candidate, Question, SamplingParams

from .draft import Draft, failed, settings
from .engine import Engine
from .tokens import VLLMTokens

__all__ = ["VLLM"]

SMALL_CACHE = 256 * 2**20
"""Bytes of key-value cache for the embedded models, which need no share of the whole memory."""


class VLLM(Agent):
    """A model run by vLLM in this process; its engine starts at the first question.

    The engine belongs to the event loop that asked first, until `aclose`. vLLM starts processes of
    its own by running the main script again, so a script needs `if __name__ == "__main__":`.

    What the caller and the agent leave open comes from the model's `generation_config.json`, then
    from vLLM. `SamplingParams.extra` may hold `chat_template_kwargs` and any field of vLLM's
    `SamplingParams`.

    Args:
        model: the name of an embedded model, a folder, or a name that vLLM finds.
        name: what it is called in answers and pipelines; the model's name if not given.
        sampling: defaults where the caller sets nothing.
        dtype: what it computes in, as vLLM names it.
        max_model_len: tokens that prompt and answer may have together.
        engine_args: further arguments of vLLM's `AsyncEngineArgs`.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        name: str | None = None,
        sampling: SamplingParams | None = None,
        dtype: str = "auto",
        max_model_len: int | None = None,
        **engine_args: Any,
    ) -> None:
        shipped = str(model) in embedded_models()
        source = str(locate(model)) if shipped else str(model)
        self.model = Path(source).name if shipped or Path(source).is_dir() else source
        self.name = name or self.model
        self.sampling = sampling or SamplingParams()
        small = {"kv_cache_memory_bytes": SMALL_CACHE, "max_logprobs": -1} if shipped else {}
        args = {"model": source, "dtype": dtype, "max_model_len": max_model_len, "disable_log_stats": True}
        self._engine = Engine({**args, **small, **engine_args})
        self._tokens = VLLMTokens(self._engine, self.name)

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`.

        Raises:
            MissingExtra: vLLM is not installed.
        """
        start = time.monotonic()
        for index in indices:
            yield CandidateStarted(index=index, model=self.model)
        try:
            engine = await self._engine.get()
            tokens, params = await asyncio.to_thread(self._prepared, engine, question)
        except MissingExtra:
            raise
        except Exception as error:
            for index in indices:
                yield failed(self._blank(index, run), error)
            return
        drafts = [
            Draft(self._blank(index, run), start, len(tokens) if number == 0 else 0, params.get("logprobs"))
            for number, index in enumerate(indices)
        ]
        left = {draft.blank.index: draft for draft in drafts}
        try:
            async with aclosing(merge([self._draw(engine, draft, tokens, params) for draft in drafts])) as events:
                async for event in events:
                    if isinstance(event, CandidateFinished | CandidateFailed):
                        del left[event.candidate.index]
                        run.record(self.model, event.candidate.usage)
                    if run.live or not isinstance(event, CandidateToken):
                        yield event
        finally:
            for draft in left.values():
                run.record(self.model, draft.usage(cut=True))
                run.cut.append(draft.candidate(cut=True))

    def token_model(self) -> VLLMTokens:
        """The same model in the same engine, asked token by token; see `tokens.TokenModel`."""
        return self._tokens

    async def aclose(self) -> None:
        """Shuts the engine down with its processes, failing what it still draws; the next question starts another."""
        await self._engine.aclose()

    def _prepared(self, engine: Any, question: Question) -> tuple[list[int], dict[str, Any]]:
        """The prompt's tokens and vLLM's sampling parameters, seed aside."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        refuse_formats(question, self.name)
        sampling = question.sampling.over(self.sampling)
        tokens = prompt_tokens(engine.get_tokenizer(), question, self.name)
        room = answer_room(len(tokens), engine.model_config.max_model_len, self.name)
        params = {**engine.model_config.get_diff_sampling_param(), **settings(sampling)}
        params["max_tokens"] = min(params.get("max_tokens") or room, room)
        params["output_kind"] = RequestOutputKind.DELTA
        try:
            SamplingParams(**params)
        except TypeError as error:
            raise BadInput(f"vLLM does not know a sampling setting: {error}") from error
        return tokens, params

    async def _draw(
        self, engine: Any, draft: Draft, tokens: list[int], params: dict[str, Any]
    ) -> AsyncGenerator[Event, None]:
        """One sample, with its text as it comes; closing it makes vLLM drop the request."""
        from vllm import SamplingParams

        own = SamplingParams(**params, seed=draft.blank.seed)
        request = uuid.uuid4().hex
        outputs = engine.generate({"prompt_token_ids": tokens}, own, request_id=request)
        self._engine.running.add(request)
        try:
            async with aclosing(outputs):
                async for output in outputs:
                    if piece := draft.note(output.outputs[0]):
                        yield CandidateToken(index=draft.blank.index, text=piece, logprobs=draft.fresh())
            if draft.aborted:
                raise Closed(f"{self.name} was closed while it answered")
        except Exception as error:
            yield failed(draft.candidate(), error)
        else:
            yield CandidateFinished(candidate=draft.candidate())
        finally:
            self._engine.running.discard(request)

    def _blank(self, index: int, run: RunContext) -> Candidate:
        return Candidate(index=index, model=self.model, agent=self.name, seed=run.sample_seed(index))
