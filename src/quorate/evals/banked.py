"""An agent that takes from the bank what is there, and draws into the bank what is missing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from quorate.agents.agent import Agent
from quorate.orchestrator.context import Ledger, RunContext
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, CandidateStarted, Event
from quorate.orchestrator.protocols import Sampler, identity
from quorate.orchestrator.types import Candidate, Question, SamplingParams

from .bank import Bank, BankedAgent, Drawn, Request

__all__ = ["Account", "Banked"]

WAIT = 0.05
"""Seconds between two looks at samples that another process is drawing."""


class Account(Ledger):
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


class Banked(Agent):
    """Serves recorded candidates and draws only the missing ones.

    All candidates of a call are drawn to the end before the first is passed on, in the order of their
    indices; so a stopping rule sees the same in every run, and a sample that it would have cut off is
    in the bank for the next pipeline.

    The run's ledger is charged as if there were no bank, for all candidates of a call; what is really
    drawn goes to `spent` of the run's `Account`, or of the bank where the root ledger is another.
    Failures are not kept: the next call tries again.
    """

    def __init__(self, agent: Sampler, bank: Bank) -> None:
        self.name = agent.name
        self.kind = getattr(agent, "kind", type(agent).__name__.lower())
        self.model = getattr(agent, "model", agent.name)
        self.members = agent.members if isinstance(agent, Agent) else ()
        self._agent, self._bank = agent, bank

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`."""
        start = time.monotonic()
        asked = self._asked(question)
        agent = self._identity()
        request = Request(agent.id, asked.key, run.seed)
        for index in indices:
            yield CandidateStarted(index=index, model=self.name)
        async with self._bank.lock(request):
            self._bank.note_request(request, asked, agent)
            failed = await self._fill(question, request, indices, run)
        candidates = self._as_if_alone(request, indices, failed)
        for candidate in candidates:
            for model, usage in candidate.charges:
                run.record(model, usage)
        if isinstance(account := run.ledger.root, Account):
            account.banked_tokens += sum(c.usage.completion_tokens for c in candidates)
            longest = max((c.latency or 0.0 for c in candidates), default=0.0)
            account.saved_seconds += max(0.0, longest - (time.monotonic() - start))
        for candidate in candidates:
            yield CandidateFinished(candidate=candidate) if candidate.ok else CandidateFailed(candidate=candidate)

    async def aclose(self) -> None:
        close = getattr(self._agent, "aclose", None)
        if close is not None:
            await close()

    def _asked(self, question: Question) -> Question:
        """The question with the agent's own defaults where its settings are open."""
        default = getattr(self._agent, "sampling", None)
        if not isinstance(default, SamplingParams):
            return question
        return question.model_copy(update={"sampling": question.sampling.over(default)})

    def _identity(self) -> BankedAgent:
        """What determines the samples beside the question, the seed and their indices."""
        told = identity(self._agent)
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
        return BankedAgent(
            id=f"{self.name}~{digest}",
            name=self.name,
            kind=told.get("kind", ""),
            model=told.get("model", self.name),
            fingerprint=told.get("fingerprint"),
        )

    async def _fill(
        self, question: Question, request: Request, indices: Sequence[int], run: RunContext
    ) -> dict[int, Candidate]:
        """Gets what is missing into the bank, where other processes may be at it too; the failed ones, by index."""
        failed: dict[int, Candidate] = {}
        missing = self._missing(request, indices)
        while missing:
            mine = self._bank.claim(request, missing)
            try:
                if mine:
                    failed |= await self._draw(question, request, mine, run)
                else:
                    await asyncio.sleep(WAIT)
            finally:
                self._bank.release(request)
            missing = self._missing(request, [index for index in missing if index not in mine])
        return failed

    def _missing(self, request: Request, indices: Sequence[int]) -> list[int]:
        there = self._bank.found(request, indices) if indices else {}
        return [index for index in indices if index not in there]

    async def _draw(self, question: Question, request: Request, missing: list[int], run: RunContext) -> dict[int, Candidate]:
        """Draws these samples into the bank; returns the candidates that failed, by index."""
        failed: dict[int, Candidate] = {}
        root = run.ledger.root
        spent = root.spent if isinstance(root, Account) else self._bank.spent
        each_pays, arrived = True, 0
        drawing = self._agent.sample(question, missing, replace(run, ledger=spent, live=False, cut=[]))
        async with aclosing(drawing) as events:
            async for event in events:
                if not isinstance(event, CandidateFinished | CandidateFailed):
                    continue
                candidate = event.candidate
                each_pays, arrived = each_pays and candidate.usage.prompt_tokens > 0, arrived + 1
                self._bank.saw_prompt(request, candidate.usage.prompt_tokens)
                if candidate.ok:
                    self._bank.add(_row(request, candidate, own_prompt=each_pays and arrived > 1))
                else:
                    failed[candidate.index] = candidate
        return failed

    def _as_if_alone(self, request: Request, indices: Sequence[int], failed: dict[int, Candidate]) -> list[Candidate]:
        """The candidates of one call, the prompt counted once or for each, as the agent does it."""
        found = self._bank.found(request, indices)
        candidates = {index: drawn.candidate for index, drawn in found.items()} | failed
        if _counted_alone(candidates.values()):
            return [candidates[index] for index in sorted(candidates)]
        own = sum(drawn.own_prompt for drawn in found.values())
        # The first of a call has no mark, and one that was drawn alone tells nothing.
        each = own > 0 and 2 * own >= len(found) - 1
        prompt = self._bank.prompt_tokens(request)
        return [
            self._paying(candidates[index], prompt if each or position == 0 else None)
            for position, index in enumerate(sorted(candidates))
        ]

    def _paying(self, candidate: Candidate, prompt_tokens: int | None) -> Candidate:
        """The candidate as the first of its request, which counts the prompt, or (None) as one of the others."""
        prompt, price = prompt_tokens or 0, getattr(self._agent, "price", None)
        share: dict[str, Any] = {"prompt_tokens": prompt, "requests": int(prompt_tokens is not None)}
        if price is not None:
            share["cost"] = price.of(prompt, candidate.usage.completion_tokens)
        return candidate.model_copy(update={"usage": candidate.usage.model_copy(update=share)})


def _counted_alone(candidates: Collection[Candidate]) -> bool:
    """Whether each has its own exact usage: written together, every answer reads its prompts by itself.

    What failed before anything was written has no `ensembling`, and cost nothing.
    """
    return any(c.ensembling is not None for c in candidates) or not any(c.ok or c.usage.requests for c in candidates)


def _row(request: Request, candidate: Candidate, *, own_prompt: bool) -> Drawn:
    return Drawn(**request._asdict(), index=candidate.index, own_prompt=own_prompt, candidate=candidate)
