"""The agent that runs a small model in this process: no server, no key, no network."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from quorate.agents.agent import Agent
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, MissingExtra, QuorateError
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, CandidateStarted, CandidateToken, Event
from quorate.orchestrator.sampling import failure_of
from quorate.orchestrator.types import Candidate, Failure, Question, SamplingParams, Usage

from .chat import answer_room, refuse_formats
from .text import Text
from .weights import Dtype, Loaded, aggregation_form, fingerprint, load, locate

if TYPE_CHECKING:
    from .choosing import Rule
    from .stepping import TransformersTokens
    from .worker import Draft, Job, Update, Worker

__all__ = ["Embedded"]


class Embedded(Agent):
    """A model that ships inside the package, or any folder of a causal language model, run by transformers.

    All questions asked of one agent at once are drawn in one batch, which they join and leave at
    any step. Each sample has a random stream of its own, from the run's seed and its index, so in
    float32 it does not depend on what else is in the batch (up to rounding at near-ties).
    Nothing is loaded before the first question. Agents of the same model share its weights.

    What the caller and the agent leave open comes from the model's `generation_config.json`, then
    temperature 1 and as many tokens as the context holds. Of `SamplingParams.extra` only
    `chat_template_kwargs` is read.

    Args:
        model: the name of a shipped model, see `embedded_models`, or a folder.
        name: what it is called in answers and pipelines; the model's name if not given.
        dtype: what it computes in; bfloat16 takes half the memory and makes samples depend on the batch.
        sampling: defaults where the caller sets nothing.
        max_batch: samples drawn at once; more wait.
        threads: torch's threads, for the whole process; torch's own choice if not given.
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
        dtype: Dtype = "float32",
        sampling: SamplingParams | None = None,
        max_batch: int = 256,
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        if dtype not in get_args(Dtype):
            raise BadInput(f"Embedded(dtype={dtype!r}): choose one of {', '.join(get_args(Dtype))}")
        if max_batch < 1 or (threads is not None and threads < 1):
            raise BadInput(f"Embedded(max_batch={max_batch}, threads={threads}): each must be at least 1")
        folder = locate(model)
        self.model = folder.name
        self.dtype = dtype
        self.name = name or self.model
        self.sampling = sampling or SamplingParams()
        self._folder = folder
        self._load: Callable[[], Loaded] = lambda: load(model, dtype, device)
        self._max_batch, self._threads = max_batch, threads
        self._worker: Worker | None = None
        self._tokens: TransformersTokens | None = None
        self._opening = threading.Lock()

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`.

        Raises:
            MissingExtra: torch or transformers is not installed.
        """
        start = time.monotonic()
        for index in indices:
            yield CandidateStarted(index=index, model=self.model)
        news: asyncio.Queue[list[Update]] = asyncio.Queue()
        deliver = _into(news, asyncio.get_running_loop())
        try:
            worker, job = await asyncio.to_thread(self._prepare, question, indices, run, deliver)
        except MissingExtra:
            raise
        except BadInput as error:
            failure = failure_of(error)
            for index in indices:
                yield CandidateFailed(candidate=self._blank(index, run).model_copy(update={"error": failure}))
            return
        left = dict.fromkeys(job.drafts)
        worker.submit(job)
        try:
            while left:
                for update in await news.get():
                    if update.piece and run.live:
                        yield CandidateToken(index=update.draft.index, text=update.piece, logprobs=update.logprobs)
                    if update.ended:
                        del left[update.draft]
                        yield self._ended(job, update.draft, run, start)
        finally:
            if left:
                worker.cancel(job)
            for draft in left:
                candidate = self._candidate(job, draft, run, start)
                run.cut.append(candidate.model_copy(update={"finish_reason": "cancelled"}))

    @cached_property
    def fingerprint(self) -> str:
        """Content hash of its files: other weights under the same name have other samples."""
        return fingerprint(self._folder)

    @cached_property
    def aggregation_form(self) -> str | None:
        """How candidates were shown in its training, for a model that was trained to aggregate."""
        return aggregation_form(self._folder)

    def token_model(self) -> TransformersTokens:
        """The same model asked token by token, see `tokens.TokenModel`; nothing is loaded before it is opened."""
        with self._opening:
            if self._tokens is None:
                from .stepping import TransformersTokens

                self._tokens = TransformersTokens(self._load, self.model)
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
        self, question: Question, indices: Sequence[int], run: RunContext, deliver: Callable[[list[Update]], bool]
    ) -> tuple[Worker, Job]:
        """The worker, and what it shall draw."""
        with self._opening:
            loaded = self._load()
            from .engine import Row
            from .worker import Draft, Job, Worker

            if self._worker is None:
                self._worker = Worker(loaded, max_batch=self._max_batch, threads=self._threads)
        refuse_formats(question, self.name)
        sampling = question.sampling.over(self.sampling)
        tokens = loaded.prompt(question)
        room, rule = answer_room(len(tokens), loaded.context, self.name), _rule(loaded, sampling)
        limit = min(sampling.max_tokens or loaded.defaults.get("max_new_tokens") or room, room)
        drafts = [
            Draft(index, Row(rule, run.sample_seed(index)), Text(loaded.decode, sampling.stop), limit)
            for index in indices
        ]
        return self._worker, Job(tokens, drafts, deliver, live=run.live)

    def _blank(self, index: int, run: RunContext) -> Candidate:
        return Candidate(index=index, model=self.model, agent=self.name, seed=run.sample_seed(index))

    def _ended(self, job: Job, draft: Draft, run: RunContext, start: float) -> Event:
        candidate = self._candidate(job, draft, run, start)
        if draft.error is None:
            return CandidateFinished(candidate=candidate)
        if isinstance(draft.error, QuorateError):
            failure = failure_of(draft.error)
        else:
            failure = Failure(code="model_crashed", message=f"{type(draft.error).__name__}: {draft.error}", status=500)
        return CandidateFailed(candidate=candidate.model_copy(update={"error": failure}))

    def _candidate(self, job: Job, draft: Draft, run: RunContext, start: float) -> Candidate:
        """The draft as a candidate; what it cost goes to the ledger, the prompt with the question's first."""
        first = draft is job.drafts[0]
        usage = Usage(
            prompt_tokens=len(job.tokens) if first and job.read else 0,
            completion_tokens=len(draft.tokens),
            requests=int(first),
        )
        run.record(self.model, usage)
        return self._blank(draft.index, run).model_copy(
            update={
                "text": draft.text.whole,
                "finish_reason": draft.finish_reason,
                "usage": usage,
                "logprobs": None if draft.row.rule.top_logprobs is None else tuple(draft.logprobs),
                "latency": (draft.ended or time.monotonic()) - start,
            }
        )


def _rule(loaded: Loaded, sampling: SamplingParams) -> Rule:
    from .choosing import Rule

    temperature = loaded.defaults.get("temperature", 1.0) if sampling.temperature is None else sampling.temperature
    return Rule(
        temperature=temperature,
        top_p=sampling.top_p or loaded.defaults.get("top_p") or 1.0,
        top_k=loaded.defaults.get("top_k") or 0 if sampling.top_k is None else sampling.top_k,
        top_logprobs=sampling.top_logprobs,
    )


def _into(queue: asyncio.Queue[list[Update]], loop: asyncio.AbstractEventLoop) -> Callable[[list[Update]], bool]:
    """Puts updates into a queue from another thread; False if its loop has been closed."""

    def deliver(updates: list[Update]) -> bool:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, updates)
        except RuntimeError:
            return False
        return True

    return deliver
