"""An agent whose answers follow from the question, the seed and the index alone, and a task of sums."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from quorate.config.catalog import Catalog
from quorate.evals.task import Item, Selection, Task
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.identity import Identity, Price
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Question, SamplingParams
from quorate.orchestrator.usage import Usage

__all__ = ["Guesser", "Sums", "catalog", "ledger_of"]

PROMPT = 7
"""Tokens of every prompt."""


class Guesser(Agent):
    """Answers `What is n + n?` rightly in about two samples of three, the rest off by one.

    Args:
        shares_prompt: counts the prompt once a call, else for every sample.
        fails: raises an error for some samples, by index, or returns None.
        log: a file that gets a line for every sample drawn.
        pause: seconds between two samples.
    """

    def __init__(
        self,
        name: str = "m",
        *,
        shares_prompt: bool = True,
        fails: Callable[[Question, int], QuorateError | None] | None = None,
        log: Path | None = None,
        pause: float = 0.0,
        sampling: SamplingParams | None = None,
        fingerprint: str | None = None,
        price: Price | None = None,
    ) -> None:
        self.name = name
        self.drawn: Counter[tuple[str, int | None]] = Counter()
        """How often each sample was drawn, by question text and seed."""
        self.asked: list[list[int]] = []
        self._identity = Identity(
            kind="fake", model=name, fingerprint=fingerprint, price=price, sampling=sampling or SamplingParams()
        )
        self._shares_prompt, self._fails, self._log, self._pause = shares_prompt, fails, log, pause

    @property
    def identity(self) -> Identity:
        return self._identity

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        self.asked.append([slot.index for slot in slots])
        for position, slot in enumerate(slots):
            seed = run.sample_seed(slot.index)
            slot.start(self.name, self.name, seed=seed, prompt_counted=not self._shares_prompt)
            await asyncio.sleep(self._pause)
            text, usage = self.guess(question, seed, pays=position == 0 or not self._shares_prompt)
            error = self._fails(question, slot.index) if self._fails else None
            if error is not None:
                slot.fail(error, usage, latency=0.25)
            else:
                slot.finish("stop", usage, text=text, latency=0.25)

    def guess(self, question: Question, seed: int | None, *, pays: bool) -> tuple[str, Usage]:
        """The answer, and what it costs."""
        self.drawn[question.text, seed] += 1
        if self._log is not None:
            with self._log.open("a") as log:
                log.write(f"{question.text}|{seed}\n")
        chance = hashlib.sha256(f"{self.name} {question.key} {seed}".encode()).digest()
        n = int(re.findall(r"What is (\d+)", "\n".join(message.text for message in question.messages))[-1])
        usage = Usage(prompt_tokens=PROMPT * pays, completion_tokens=5 + chance[1] % 7, requests=int(pays))
        return f"Answer: {2 * n + (chance[0] % 3 == 0)}", usage


class Sums(Task):
    """`What is n + n?`, for as many n as asked for."""

    name = "sums"
    tiers = ("small", "large")

    def items(self, selection: Selection) -> list[Item]:
        start = 1 if self.tier(selection.tier) == "small" else 1001
        numbers = range(start, start + selection.limit)
        return [Item(f"sum-{n}", Question.of(f"What is {n} + {n}?"), str(2 * n), f"mod {n % 3}") for n in numbers]


def catalog(*models: Model) -> Catalog:
    return Catalog({model.name: model for model in models})


def ledger_of(run: RunContext) -> tuple[int, int]:
    """Prompt and generated tokens that a run was charged."""
    return run.ledger.usage.prompt_tokens, run.ledger.usage.completion_tokens
