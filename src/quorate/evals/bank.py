"""The sample bank: every sample drawn once, kept with everything that determines it.

Pipelines over the same model share their samples through it, and a run that was killed goes on with
exactly those that are missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self
from weakref import WeakValueDictionary

from quorate.orchestrator.run import Ledger
from quorate.orchestrator.types import Candidate, Frozen

from .journal import Journal

__all__ = ["Bank", "Drawn", "Request"]


class Request(NamedTuple):
    """What samples of one question have in common."""

    agent: str
    """Name of the agent and content hash of its own settings."""
    question: str
    """`Question.key`: messages, tools, format and all sampling settings but the seed."""
    seed: int | None
    """Seed of the run that asks; that of a sample follows from it and the index."""


class Drawn(Frozen):
    """One line of the bank."""

    agent: str
    question: str
    seed: int | None = None
    index: int
    own_prompt: bool = False
    """Drawn after others of one call which, like this one, each had their prompt counted."""
    candidate: Candidate

    @property
    def request(self) -> Request:
        return Request(self.agent, self.question, self.seed)


class Bank:
    """Samples by request and index.

    Args:
        path: its journal, such as `OUT/samples.jsonl`; without one the bank lives in memory.

    Raises:
        BadInput: the journal cannot be written, or another run has it open.
        DataError: a line of the journal is broken; names file, line and field.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._samples: dict[Request, dict[int, Drawn]] = {}
        self._locks: WeakValueDictionary[Request, asyncio.Lock] = WeakValueDictionary()
        self._prompts: dict[tuple[str, str], int] = {}
        self._journal = Journal(path, Drawn) if path is not None else None
        self.spent = Ledger()
        """Everything that was really generated since the bank was opened, failed requests included."""
        if self._journal is not None:
            self._read(self._journal)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was repaired when the journal was read."""
        return tuple(self._journal.notes) if self._journal is not None else ()

    def get(self, request: Request, index: int) -> Drawn | None:
        return self._samples.get(request, {}).get(index)

    def add(self, sample: Drawn) -> None:
        """Keeps one sample for good.

        Raises:
            DataError: it cannot be written.
        """
        if self._journal is not None:
            self._journal.append(sample)
        self._note(sample)

    def prompt_tokens(self, request: Request) -> int:
        """Tokens of the request's prompt, 0 while no reply has told."""
        return self._prompts.get((request.agent, request.question), 0)

    def saw_prompt(self, request: Request, tokens: int) -> None:
        """Takes note of what a reply, failed ones included, counted for the prompt."""
        key = (request.agent, request.question)
        self._prompts[key] = max(tokens, self._prompts.get(key, 0))

    def lock(self, request: Request) -> asyncio.Lock:
        """Held while a request's missing samples are drawn, so that two pipelines never draw the same."""
        return self._locks.setdefault(request, asyncio.Lock())

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def __len__(self) -> int:
        return sum(len(samples) for samples in self._samples.values())

    def __iter__(self) -> Iterator[Drawn]:
        return (sample for samples in self._samples.values() for sample in samples.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, journal: Journal[Drawn]) -> None:
        try:
            for sample in journal.rows():
                self._note(sample)
        except BaseException:
            journal.close()
            raise

    def _note(self, sample: Drawn) -> None:
        self._samples.setdefault(sample.request, {})[sample.index] = sample
        self.saw_prompt(sample.request, sample.candidate.usage.prompt_tokens)
