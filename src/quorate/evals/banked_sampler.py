"""A model that takes from the bank what is there, and draws into the bank what is missing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from quorate.orchestrator.context import Ledger, RunContext
from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.identity import Identity, Price
from quorate.orchestrator.model import Agent, Wrapper
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.protocols import Forwarding, Model, Sampler, is_sampler
from quorate.orchestrator.types import Candidate, Failure, Question

from .bank import Bank, BankedAgent, BankedSample, SampleRequest

WAIT = 0.05
"""Seconds between two looks at samples that another process is drawing."""
IDENTITY_FIELDS = ("model", "fingerprint", "dtype", "prompt_version")
"""What makes the samples of a single model its own."""


class DualLedger(Ledger):
    """What one question would have cost a pipeline that ran alone, and what it really cost.

    Args:
        total: the ledger of everything really generated.
    """

    def __init__(self, total: Ledger | None = None) -> None:
        super().__init__()
        self.spent = Ledger(total)
        """What was drawn into the bank for this pipeline, because nobody had drawn it before."""
        self.banked_tokens = 0
        """Generated tokens charged for samples of the bank, drawn now or before."""
        self.saved_seconds = 0.0
        """How much longer samples from the bank took when they were drawn."""

    @property
    def spent_tokens(self) -> int:
        """Generated now for this pipeline: into the bank, or by models that do not draw through it."""
        return self.spent.usage.completion_tokens + self.usage.completion_tokens - self.banked_tokens


class SampleBank(Protocol):
    """Where samples are kept: a `Bank`, or a worker's view of one."""

    spent: Ledger
    """Everything that was really generated."""

    def lock(self, request: SampleRequest) -> AbstractAsyncContextManager[Any]:
        """Held while a request's missing samples are drawn, so that two pipelines never draw the same."""
        ...

    def note_request(self, request: SampleRequest, question: Question, agent: BankedAgent) -> None:
        """Takes note of what stands behind a request's hashes: to be called before its samples are drawn."""
        ...

    def find(self, request: SampleRequest, indices: Sequence[int]) -> dict[int, BankedSample]:
        """Those of the samples that are there."""
        ...

    def claim(self, request: SampleRequest, indices: Sequence[int]) -> list[int]:
        """Those of the samples that are now the caller's to draw."""
        ...

    def release(self, request: SampleRequest) -> None:
        """Gives up what was claimed of a request and not drawn."""
        ...

    def add(self, sample: BankedSample) -> None:
        """Keeps one sample for good; one that is there already stays as it is.

        Raises:
            DataError: it cannot be written.
        """
        ...

    def prompt_tokens(self, request: SampleRequest) -> int:
        """Tokens of the request's prompt, 0 while no reply has told."""
        ...

    def note_prompt(self, request: SampleRequest, tokens: int) -> None:
        """Takes note of what a reply, failed ones included, counted for the prompt."""
        ...


class BankedSampler(Wrapper, Agent):
    """Serves recorded candidates and draws only the missing ones.

    All candidates of a call are drawn to the end before the first is passed on, in the order of their
    indices; so a stopping rule sees the same in every run, and a sample that it would have cut off is
    in the bank for the next pipeline.

    The run's ledger is charged as if there were no bank, for all candidates of a call; what is really
    drawn goes to `spent` of the run's `DualLedger`, or of the bank where the root ledger is another.
    Failures are not kept: the next call tries again.

    Args:
        model: draws what is missing.
        bank: keeps it.
    """

    model: Sampler

    def __init__(self, model: Sampler, bank: SampleBank) -> None:
        super().__init__(model)
        self._bank = bank

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        begun = time.monotonic()
        identity = self.identity
        complete = question.model_copy(update={"sampling": question.sampling.over(identity.sampling)})
        agent = as_banked(self.name, identity)
        request = SampleRequest(agent.id, complete.key, run.seed)
        by_index = {slot.index: slot for slot in sorted(slots, key=lambda slot: slot.index)}
        async with self._bank.lock(request):
            self._bank.note_request(request, complete, agent)
            failed = await self._draw_missing(question, request, list(by_index), run)
        candidates = self._charge(request, list(by_index), failed)
        for candidate in candidates:
            for model, usage in candidate.charges:
                run.record(model, usage)
        if isinstance(ledger := run.ledger.root, DualLedger):
            ledger.banked_tokens += sum(c.usage.completion_tokens for c in candidates)
            longest = max((c.latency or 0.0 for c in candidates), default=0.0)
            ledger.saved_seconds += max(0.0, longest - (time.monotonic() - begun))
        for candidate in candidates:
            slot = by_index[candidate.index]
            slot.start(self.name, self.name)
            slot.adopt(candidate)
            await slot.reviewed()

    async def _draw_missing(
        self, question: Question, request: SampleRequest, indices: Sequence[int], run: RunContext
    ) -> dict[int, Candidate]:
        """Gets what is missing into the bank, where other processes may be at it too; the failed ones, by index."""
        failed: dict[int, Candidate] = {}
        missing = self._list_missing(request, indices)
        while missing:
            mine = self._bank.claim(request, missing)
            try:
                if mine:
                    failed |= await self._draw(question, request, mine, run)
                else:
                    await asyncio.sleep(WAIT)
            finally:
                self._bank.release(request)
            missing = self._list_missing(request, [index for index in missing if index not in mine])
        return failed

    def _list_missing(self, request: SampleRequest, indices: Sequence[int]) -> list[int]:
        there = self._bank.find(request, indices) if indices else {}
        return [index for index in indices if index not in there]

    async def _draw(
        self, question: Question, request: SampleRequest, missing: Sequence[int], run: RunContext
    ) -> dict[int, Candidate]:
        """Draws these samples into the bank, each as it ends; returns the candidates that failed, by index.

        Raises:
            DataError: the bank cannot be written.
        """
        root, failed = run.ledger.root, dict[int, Candidate]()
        unwritten: list[QuorateError] = []

        def keep(slot: PartialCandidate) -> None:
            candidate = slot.result
            assert candidate is not None
            self._bank.note_prompt(request, candidate.usage.prompt_tokens)
            if candidate.error is not None:
                failed[candidate.index] = candidate
            elif candidate.ok:
                try:
                    self._bank.add(BankedSample(**request._asdict(), index=candidate.index, candidate=candidate))
                except QuorateError as error:
                    # Not the model's fault, which is what an error inside its call would be taken for.
                    unwritten.append(error)

        inner = run.replace(ledger=root.spent if isinstance(root, DualLedger) else self._bank.spent, live=False)
        slots = [PartialCandidate(index, inner, on_end=keep, quiet=True) for index in missing]
        try:
            await self.model.sample(question, slots, inner)
            for slot in slots:
                slot.fail(Failure(code="model_silent", message=f"{self.name} ended without this candidate"))
        finally:
            for slot in slots:
                slot.cancel()  # what has not ended by now has cost something nevertheless
        if unwritten:
            raise unwritten[0]
        return failed

    def _charge(self, request: SampleRequest, indices: Sequence[int], failed: dict[int, Candidate]) -> list[Candidate]:
        """The candidates of one call, the prompt counted once or for each, as the model does it."""
        banked = {index: sample.candidate for index, sample in self._bank.find(request, indices).items()}
        candidates = [(banked | failed)[index] for index in indices]
        if not any(c.ok or c.usage.requests for c in candidates):
            return candidates  # failed before anything was sent
        alone = sum(c.prompt_counted for c in banked.values())
        prompt, price = self._bank.prompt_tokens(request), self.identity.price
        # One that was drawn by itself may not know how the model counts, and says nothing against the others.
        if alone and 2 * alone >= len(banked) - 1:
            return [
                c if c.prompt_counted or c.error is not None else _charge_prompt(c, prompt, price) for c in candidates
            ]
        return [_charge_prompt(c, prompt if place == 0 else None, price) for place, c in enumerate(candidates)]


class _ForwardingBankedSampler(BankedSampler):
    """The same for a model whose server has further APIs, whose replies are not kept."""

    model: _ForwardingSampler

    async def forward(self, path: str, body: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
        return await self.model.forward(path, body, run)


class _ForwardingSampler(Sampler, Forwarding, Protocol):
    """Both."""


def bank_model(model: Model, bank: SampleBank) -> Model:
    """The model over a bank; one that does not sample as it is."""
    if not is_sampler(model):
        return model
    return _ForwardingBankedSampler(model, bank) if isinstance(model, Forwarding) else BankedSampler(model, bank)


@contextmanager
def keep_samples(path: Path) -> Generator[Callable[[Model], Model]]:
    """A bank in this file while it is open: gives each model one that draws through it.

    Raises:
        BadInput: the file cannot be used.
    """
    with Bank(path) as bank:
        yield lambda model: bank_model(model, bank)


def _charge_prompt(candidate: Candidate, prompt_tokens: int | None, price: Price | None) -> Candidate:
    """The candidate as the first of its request, which counts the prompt, or (None) as one of the others."""
    prompt, counted = prompt_tokens or 0, int(prompt_tokens is not None)
    known = price is None or candidate.usage.cost is not None
    if known and (candidate.usage.prompt_tokens, candidate.usage.requests) == (prompt, counted):
        return candidate  # with what its server said that it cost
    share: dict[str, Any] = {"prompt_tokens": prompt, "requests": counted}
    share |= dict.fromkeys(("cached_tokens", "cache_write_tokens", "prompt_audio_tokens"), 0)
    if price is not None:
        share["cost"] = price.of(prompt, candidate.usage.completion_tokens)
    return candidate.model_copy(update={"usage": candidate.usage.model_copy(update=share)})


def sample_identity(identity: Identity) -> dict[str, str]:
    """What makes a model's samples its own, in words that are the same in every process.

    Of models that answer together, or take each other's place, what makes theirs: in a fingerprint, where there is one.
    """
    if identity.members and identity.fingerprint is None:
        # More servers of one model change nothing.
        members = dict.fromkeys(json.dumps(sample_identity(member), sort_keys=True) for member in identity.members)
        return {"kind": identity.kind, "members": " ".join(members)}
    kind = {"kind": identity.kind} if identity.members else {}
    facts = {name: getattr(identity, name) for name in IDENTITY_FIELDS}
    return {**kind, **{name: str(value) for name, value in facts.items() if value is not None}}


def as_banked(name: str, identity: Identity) -> BankedAgent:
    """Who a model of this name is in a bank."""
    facts = sample_identity(identity)
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return BankedAgent(
        id=f"{name}~{digest}",
        name=name,
        kind=facts.get("kind", ""),
        model=identity.model,
        fingerprint=identity.fingerprint,
    )
