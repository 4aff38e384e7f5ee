"""vLLM's asynchronous engine in this process, as an agent.

Each sample is an engine request of its own, not `n` in one: vLLM makes n requests of it anyway, so
the prompt is computed once through its prefix cache either way (in whole blocks), while requests of
our own can each have the run's seed of its sample (vLLM gives child i seed + i, so that neighbouring
seeds repeat samples), allow n > 1 at temperature 0, and end one by one.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quorate.agents.embedded import list_embedded_models, locate
from quorate.agents.embedded.chat import TEMPLATE_FIELDS, encode_prompt, limit_answer, refuse_formats
from quorate.agents.embedded.weights import FAMILY
from quorate.orchestrator.checks import check_model_name, check_value
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, MissingExtra, ModelClosed
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate, failure_of
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Failure, FinishReason, Question, SamplingParams, TokenLogprob
from quorate.orchestrator.usage import Usage

from .engine import VLLMEngine, is_refusal
from .token_model import VLLMTokenModel

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
        check_model_name("VLLM", model)
        check_value("VLLM(): name", name, str)
        shipped = str(model) in list_embedded_models()
        source = str(locate(model)) if shipped else str(model)
        self._model = Path(source).name if shipped or Path(source).is_dir() else source
        self.name = name or self._model
        check_value("sampling", sampling, SamplingParams)
        self.sampling = sampling or SamplingParams()
        self._identity = Identity(
            kind="vllm",
            model=self._model,
            family=FAMILY if shipped else None,
            dtype=None if dtype == "auto" else dtype,
            context=max_model_len,
            sampling=self.sampling,
            capabilities=frozenset({"samples", "tokens"}),
        )
        small = {"kv_cache_memory_bytes": SMALL_CACHE, "max_logprobs": -1} if shipped else {}
        args = {"model": source, "dtype": dtype, "max_model_len": max_model_len, "disable_log_stats": True}
        self._engine = VLLMEngine({**args, **small, **engine_args})
        self._tokens = VLLMTokenModel(self._engine, self.name)

    @property
    def identity(self) -> Identity:
        """The model's, as far as it is known before its engine has started."""
        return self._identity

    async def learn_context(self) -> None:
        """Starts the engine, which knows how long the context is; one that cannot start says so when it is asked."""
        if self._identity.context is None:
            try:
                engine = await self._engine.get()
            except Exception as error:
                failure_of(error)
            else:
                context = engine.model_config.max_model_len
                self._identity = self._identity.model_copy(update={"context": context})

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """See `protocols.Sampler`.

        Raises:
            MissingExtra: vLLM is not installed.
        """
        for slot in slots:
            slot.start(self._model, self.name, seed=run.sample_seed(slot.index))
        try:
            engine = await self._engine.get()
            tokens, params = await asyncio.to_thread(self._prepare, engine, question)
        except MissingExtra:
            raise
        except Exception as error:
            for slot in slots:
                slot.fail(describe_failure(error))
            return
        jobs = []
        for number, slot in enumerate(slots):
            sample = VLLMSample(len(tokens) if number == 0 else 0, params.get("logprobs"))
            own = {**params, "seed": run.sample_seed(slot.index)}
            jobs.append(self._draw(engine, slot, sample, tokens, own, live=run.live))
        await gather(jobs)

    def token_model(self) -> VLLMTokenModel:
        """The same model in the same engine, asked token by token; see `tokens.TokenModel`."""
        return self._tokens

    async def aclose(self) -> None:
        """Shuts the engine down with its processes, failing what it still draws; the next question starts another."""
        await self._engine.aclose()

    def _prepare(self, engine: Any, question: Question) -> tuple[list[int], dict[str, Any]]:
        """The prompt's tokens and vLLM's sampling parameters, seed aside."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        refuse_formats(question, self.name)
        sampling = question.sampling.over(self.sampling)
        tokens = encode_prompt(engine.get_tokenizer(), question, self.name)
        most = limit_answer(len(tokens), engine.model_config.max_model_len, self.name)
        params = {**engine.model_config.get_diff_sampling_param(), **translate_settings(sampling)}
        params["max_tokens"] = min(params.get("max_tokens") or most, most)
        params["output_kind"] = RequestOutputKind.DELTA
        try:
            SamplingParams(**params)
        except TypeError as error:
            raise BadInput(f"vLLM does not know a sampling setting: {error}") from error
        return tokens, params

    async def _draw(
        self,
        engine: Any,
        slot: PartialCandidate,
        sample: VLLMSample,
        tokens: list[int],
        params: dict[str, Any],
        *,
        live: bool,
    ) -> None:
        """One sample to its end; cancelling it makes vLLM drop the request."""
        from vllm import SamplingParams

        request = uuid.uuid4().hex
        self._engine.running.add(request)
        try:
            outputs = engine.generate({"prompt_token_ids": tokens}, SamplingParams(**params), request_id=request)
            async with aclosing(outputs):
                async for output in outputs:
                    piece = sample.add(output.outputs[0])
                    if piece and live:
                        slot.write(piece, logprobs=sample.take_logprobs())
            if sample.aborted:
                raise ModelClosed(f"{self.name} was closed while it answered")
        except asyncio.CancelledError:
            slot.leave(sample.usage(cut=True), **sample.fields)
            raise
        except Exception as error:
            slot.fail(describe_failure(error), sample.usage(), **sample.fields)
        else:
            slot.finish(sample.finish_reason, sample.usage(), **sample.fields)
        finally:
            self._engine.running.discard(request)


@dataclass
class VLLMSample:
    """One sample on its way."""

    prompt: int
    """Prompt tokens to its account: the question's first sample bears them."""
    alternatives: int | None
    """How many to report for each token."""
    text: str = ""
    tokens: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list)
    delivered: int = 0
    """Of these, how many a piece of text has been told with."""
    finish_reason: FinishReason | None = None
    aborted: bool = False

    def add(self, output: Any) -> str:
        """Takes down what is new in a delta of vLLM; returns its text."""
        self.text += output.text
        self.tokens += len(output.token_ids)
        if output.logprobs is not None:
            pairs = zip(output.token_ids, output.logprobs, strict=True)
            self.logprobs += [_translate_logprob(token, known, self.alternatives or 0) for token, known in pairs]
        self.aborted = output.finish_reason == "abort"
        if output.finish_reason in ("stop", "length"):
            self.finish_reason = output.finish_reason
        return str(output.text)

    def take_logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """Those that no piece of text has been told with; None where nobody asked for any."""
        if self.alternatives is None:
            return None
        fresh = tuple(self.logprobs[self.delivered :])
        self.delivered = len(self.logprobs)
        return fresh

    def usage(self, *, cut: bool = False) -> Usage:
        """Its tokens; of a cut sample those that had arrived, so marked as our count."""
        return Usage(
            prompt_tokens=self.prompt, completion_tokens=self.tokens, requests=int(self.prompt > 0), estimated=cut
        )

    @property
    def fields(self) -> dict[str, Any]:
        """What is known of the candidate."""
        return {"text": self.text, "logprobs": None if self.alternatives is None else tuple(self.logprobs)}


def translate_settings(sampling: SamplingParams) -> dict[str, Any]:
    """What the caller and the agent set, in vLLM's words."""
    named = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "logprobs": sampling.top_logprobs,
    }
    extra = {key: value for key, value in sampling.extra.items() if key not in TEMPLATE_FIELDS}
    return {**extra, **{key: value for key, value in named.items() if value is not None}}


def _translate_logprob(token: int, known: Mapping[int, Any], alternatives: int) -> TokenLogprob:
    """One token with the likeliest; vLLM's mapping holds these and, if it is not among them, the token itself."""
    ranked = sorted(known.values(), key=lambda entry: entry.rank)[:alternatives]
    top = tuple((entry.decoded_token or "", entry.logprob) for entry in ranked)
    return TokenLogprob(token=known[token].decoded_token or "", logprob=known[token].logprob, top=top)


def describe_failure(error: Exception) -> Exception | Failure:
    """The error as a value: vLLM's refusals of a request are the caller's fault."""
    return Failure(code="upstream_rejected", message=str(error), status=400) if is_refusal(error) else error
