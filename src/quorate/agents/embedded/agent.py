"""The agent that runs a small model in this process: no server, no key, no network."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from quorate.orchestrator.checks import check_count, check_model_name, check_value
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, MissingExtra
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question, SamplingParams

from .chat import IncrementalDetokenizer, limit_answer, refuse_formats
from .weights import (
    FAMILY,
    Dtype,
    LoadedModel,
    default_dtype,
    hash_files,
    is_shipped,
    load,
    locate,
    read_aggregation_form,
    read_context,
)

if TYPE_CHECKING:
    from .batch_engine import SamplingRule
    from .token_model import TransformersTokenModel
    from .worker import BatchWorker, SampleDelta, SamplingJob


class Embedded(Agent):
    """A model that ships inside the package or was added to it, or any folder of a causal language model, run by
    transformers.

    All questions asked of one agent at once are drawn in one batch, which they join and leave at
    any step. Each sample has a random stream of its own, from the run's seed and its index, so in
    float32 it does not depend on what else is in the batch (up to rounding at near-ties).
    Nothing is loaded before the first question. Agents of the same model share its weights.

    What the caller and the agent leave open comes from the model's `generation_config.json`, then
    temperature 1 and as many tokens as the context holds. Of `SamplingParams.extra` only
    `chat_template_kwargs` is read.

    Args:
        model: the name of a shipped or added model, see `list_embedded_models`, or a folder.
        name: what it is called in answers and pipelines; the model's name if not given.
        dtype: what it computes in; bfloat16, the default of added models, takes half the memory and makes samples
            depend on the batch.
        sampling: defaults where the caller sets nothing.
        max_batch: samples drawn at once; more wait. If not given, 256, or as many as fit into a quarter of the memory
            that is free when the first is asked for, counting at most 1,024 tokens of each answer.
        threads: torch's threads, for the whole process; if not given, those of `OMP_NUM_THREADS`, else half of the
            cores that are idle when a model is loaded, and one for a shipped model.
        device: as torch names it; a GPU where there is one, if not given.

    Raises:
        UnknownName: no such model.
        BadInput: a setting is impossible.
    """

    def __init__(
        self,
        model: str | Path = "quorate-tiny-base",
        *,
        name: str | None = None,
        dtype: Dtype | None = None,
        sampling: SamplingParams | None = None,
        max_batch: int | None = None,
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        if dtype not in (None, *get_args(Dtype)):
            raise BadInput(f"Embedded(dtype={dtype!r}): choose one of {', '.join(get_args(Dtype))}")
        for what, count in (("max_batch", max_batch), ("threads", threads)):
            if count is not None:
                check_count(f"Embedded(): {what}", count, 1)
        check_model_name("Embedded", model)
        check_value("Embedded(): name", name, str)
        self._folder = locate(model)
        self._model = self._folder.name
        self._dtype: Dtype = dtype or default_dtype(self._folder)
        self.name = name or self._model
        check_value("sampling", sampling, SamplingParams)
        self.sampling = sampling or SamplingParams()
        self._load: Callable[[], LoadedModel] = lambda: load(model, self._dtype, device)
        self._max_batch, self._threads = max_batch, threads
        self._worker: BatchWorker | None = None
        self._tokens: TransformersTokenModel | None = None
        self._opening = threading.Lock()

    @cached_property
    def identity(self) -> Identity:
        """The model's; its fingerprint is a content hash of its files, which are read for it once.

        Raises:
            BadInput: its folder has an `aggregator.json` that is not what training writes.
        """
        return Identity(
            kind="embedded",
            model=self._model,
            family=FAMILY if is_shipped(self._folder) else None,
            fingerprint=hash_files(self._folder),
            dtype=self._dtype,
            context=read_context(self._folder),
            sampling=self.sampling,
            capabilities=frozenset({"samples", "tokens"}),
            aggregation_form=read_aggregation_form(self._folder),
        )

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """See `protocols.Sampler`.

        Raises:
            MissingExtra: torch or transformers is not installed.
        """
        for slot in slots:
            slot.start(self._model, self.name, seed=run.sample_seed(slot.index))
        writer = _SlotWriter(slots, live=run.live)
        try:
            worker, job = await asyncio.to_thread(self._prepare, question, slots, run, writer.deliver)
        except MissingExtra:
            raise
        except BadInput as error:
            for slot in slots:
                slot.fail(error)
            return
        worker.submit(job)
        try:
            await writer.done
        finally:
            if writer.left:
                worker.cancel(job)
                writer.leave(job)

    def token_model(self) -> TransformersTokenModel:
        """The same model asked token by token, see `tokens.TokenModel`; nothing is loaded before it is opened."""
        with self._opening:
            if self._tokens is None:
                from .token_model import TransformersTokenModel

                self._tokens = TransformersTokenModel(self._load, self._model)
            return self._tokens

    def context_tokens(self) -> int:
        """Tokens that prompt and answer may have together; loads the model."""
        return self._load().context

    def count_tokens(self, text: str) -> int:
        """Tokens of a text by the model's own tokenizer; loads the model."""
        return self._load().count(text)

    async def aclose(self) -> None:
        """Ends the worker, failing what it still draws; the next question starts another."""
        if self._worker is not None:
            await asyncio.to_thread(self._worker.close)

    def _prepare(
        self,
        question: Question,
        slots: Sequence[PartialCandidate],
        run: RunContext,
        deliver: Callable[[SamplingJob, list[SampleDelta]], bool],
    ) -> tuple[BatchWorker, SamplingJob]:
        """The worker, and what it shall draw."""
        with self._opening:
            loaded = self._load()
            from .batch_engine import BatchRow
            from .worker import BatchWorker, SampleState, SamplingJob

            if self._worker is None:
                self._worker = BatchWorker(loaded, max_batch=self._max_batch, threads=self._threads)
        refuse_formats(question, self.name)
        sampling = question.sampling.over(self.sampling)
        tokens = loaded.prompt(question)
        most, rule = limit_answer(len(tokens), loaded.context, self.name), _make_rule(loaded, sampling)
        limit = min(sampling.max_tokens or loaded.defaults.get("max_new_tokens") or most, most)
        samples = [
            SampleState(
                slot.index,
                BatchRow(rule, run.sample_seed(slot.index)),
                IncrementalDetokenizer(loaded.decode, sampling.stop),
                limit,
            )
            for slot in slots
        ]
        return self._worker, SamplingJob(tokens, samples, deliver, live=run.live)


class _SlotWriter:
    """Writes what the worker draws into the slots, on the event loop that asked."""

    def __init__(self, slots: Sequence[PartialCandidate], *, live: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._live = live
        self.left = {slot.index: slot for slot in slots}
        """Slots that have not ended."""
        self.done: asyncio.Future[None] = self._loop.create_future()

    def deliver(self, job: SamplingJob, deltas: list[SampleDelta]) -> bool:
        """Takes what is new from the worker's thread; False if the loop has been closed."""
        try:
            self._loop.call_soon_threadsafe(self._take, job, deltas)
        except RuntimeError:
            return False
        return True

    def leave(self, job: SamplingJob) -> None:
        """Nobody waits any more: says what the rest has cost, and takes nothing that is still on its way."""
        for sample in job.samples:
            if (slot := self.left.pop(sample.index, None)) is not None:
                slot.leave(job.usage_of(sample), text=sample.text.whole, logprobs=sample.told_logprobs)

    def _take(self, job: SamplingJob, deltas: list[SampleDelta]) -> None:
        try:
            for delta in deltas:
                self._write(job, delta)
        except Exception as error:  # of whoever looks on at a slot: it would be lost in the loop's own log
            if not self.done.done():
                self.done.set_exception(error)
        if not self.left and not self.done.done():
            self.done.set_result(None)

    def _write(self, job: SamplingJob, delta: SampleDelta) -> None:
        sample = delta.sample
        if (slot := self.left.get(sample.index)) is None:
            return
        if delta.text and self._live:
            slot.write(delta.text, logprobs=delta.logprobs)
        if not delta.ended:
            return
        del self.left[sample.index]
        usage = job.usage_of(sample)
        fields: dict[str, Any] = {"text": sample.text.whole, "logprobs": sample.told_logprobs}
        if sample.error is None:
            slot.finish(sample.finish_reason, usage, **fields)
        else:
            slot.fail(sample.error, usage, **fields)


def _make_rule(loaded: LoadedModel, sampling: SamplingParams) -> SamplingRule:
    from .batch_engine import SamplingRule

    temperature = loaded.defaults.get("temperature", 1.0) if sampling.temperature is None else sampling.temperature
    return SamplingRule(
        temperature=temperature,
        top_p=sampling.top_p or loaded.defaults.get("top_p") or 1.0,
        top_k=loaded.defaults.get("top_k") or 0 if sampling.top_k is None else sampling.top_k,
        min_p=loaded.defaults.get("min_p") or 0.0,
        repetition_penalty=loaded.defaults.get("repetition_penalty") or 1.0,
        top_logprobs=sampling.top_logprobs,
    )
