"""What runs on a Ray cluster (see `engine`): the writer of the bank, and the workers that ask."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from quorate.config.catalog import MAX_SAMPLES
from quorate.orchestrator.context import Ledger
from quorate.orchestrator.errors import BadInput, DataError, NoAnswer, QuorateError
from quorate.orchestrator.types import Question, SamplingParams

from ..bank import Bank, BankedAgent, BankedSample, SampleRequest, grade
from ..local_engine import LocalEngine, bank_models
from ..outcome import Outcome
from ..throttle import PrioritySemaphore

if TYPE_CHECKING:
    from quorate.config.catalog import Catalog

    from ..task import Item, Task

REMEMBERED = 4096
"""Requests whose samples a worker holds; those of the questions under way are far fewer."""


Opened = TypeVar("Opened")
"""What a worker asks its models through."""
OpenCatalog = Callable[[], Awaitable["Catalog"]]
"""Makes the models anew on a worker; sent there, so a function of a module or a `partial` of one."""


@dataclass(frozen=True)
class WorkerJob:
    """What every worker is told once."""

    opens: OpenCatalog
    task: Task
    pipelines: tuple[str, ...]
    seed: int
    sampling: SamplingParams | None
    places: int
    """For samples in flight of one worker."""


@dataclass(frozen=True)
class RemoteError:
    """An error of ours as a value that travels between processes."""

    words: str
    code: str
    status: int
    bad_input: bool

    @classmethod
    def of(cls, error: QuorateError) -> RemoteError:
        return cls(str(error), error.code, error.status, isinstance(error, BadInput))

    def error(self) -> QuorateError:
        if self.bad_input:
            return BadInput(self.words)
        return NoAnswer(self.words, status=self.status, code=self.code)


class RequestSource(NamedTuple):
    """What stands behind a request's hashes (see `Bank.note_request`)."""

    question: Question
    agent: BankedAgent


class BankWriter:
    """The bank, on the machine that the run was started on."""

    def __init__(self, path: Path | None) -> None:
        self._bank = Bank(path)

    async def fetch(self, request: SampleRequest) -> tuple[list[BankedSample], int]:
        """The samples of a request, and the tokens of its prompt."""
        found = self._bank.find(SampleRequest(*request), range(MAX_SAMPLES))
        return list(found.values()), self._bank.prompt_tokens(SampleRequest(*request))

    async def keep(self, sample: BankedSample, source: RequestSource) -> str | None:
        """Adds a sample; says what is wrong if it cannot be written."""
        try:
            self._bank.note_request(sample.request, source.question, source.agent)
            self._bank.add(sample)
            self._bank.note_prompt(sample.request, sample.candidate.usage.prompt_tokens)
        except QuorateError as error:
            return str(error)
        return None

    async def close(self) -> None:
        """After everything that was sent before."""
        self._bank.close()


class GradingWriter(BankWriter):
    """The same, which grades."""

    def __init__(self, path: Path | None, task: Task) -> None:
        super().__init__(path)
        self._task = task

    async def grade(self, item: Item, known: Mapping[str | None, bool]) -> None:
        """Keeps which answers to a noted question are right."""
        await grade(self._bank, self._task, item, known)


class RemoteBank:
    """A worker's view of the bank, as `BankedSampler` uses it.

    Taking a request's lock fetches what is recorded, giving it back waits until what was drawn is
    written; in between everything is at hand.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self.spent = Ledger()
        self._samples: OrderedDict[SampleRequest, dict[int, BankedSample]] = OrderedDict()
        self._prompts: dict[tuple[str, str], int] = {}
        self._sources: dict[SampleRequest, RequestSource] = {}
        self._sent: dict[SampleRequest, list[Any]] = {}
        self._locks: WeakValueDictionary[SampleRequest, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def lock(self, request: SampleRequest) -> AsyncGenerator[None, None]:
        async with self._locks.setdefault(request, asyncio.Lock()):
            samples, prompt = await self._writer.fetch.remote(tuple(request))
            self._samples[request] = {sample.index: sample for sample in samples}
            self.note_prompt(request, prompt)
            while len(self._samples) > REMEMBERED:
                self._samples.popitem(last=False)
            try:
                yield
            finally:
                wrong = [words for words in await asyncio.gather(*self._sent.pop(request, [])) if words]
                self._sources.pop(request, None)
            if wrong:
                raise DataError(wrong[0])

    def note_request(self, request: SampleRequest, question: Question, agent: BankedAgent) -> None:
        self._sources[request] = RequestSource(question, agent)

    def claim(self, request: SampleRequest, indices: Sequence[int]) -> list[int]:
        """All that is missing: the turns of one question go to one worker, so no other draws them."""
        return [index for index in indices if index not in self._samples[request]]

    def release(self, request: SampleRequest) -> None:
        """Nothing is held."""

    def find(self, request: SampleRequest, indices: Sequence[int]) -> dict[int, BankedSample]:
        known = self._samples.get(request, {})
        return {index: known[index] for index in indices if index in known}

    def add(self, sample: BankedSample) -> None:
        """Sends the sample off at once, so that it outlives this worker."""
        request = sample.request
        self._samples[request][sample.index] = sample
        self._sent.setdefault(request, []).append(self._writer.keep.remote(sample, self._sources[request]))

    def prompt_tokens(self, request: SampleRequest) -> int:
        return self._prompts.get((request.agent, request.question), 0)

    def note_prompt(self, request: SampleRequest, tokens: int) -> None:
        self._prompts[request.agent, request.question] = max(tokens, self.prompt_tokens(request))


class CatalogWorker(ABC, Generic[Opened]):
    """Models of its own over the far bank, opened once; started anew by Ray when it dies.

    Args:
        opens: makes the models.
        writer: name of the bank's writer: a worker that starts anew gets the same arguments, which must not hold
            references.
    """

    def __init__(self, opens: OpenCatalog, writer: str) -> None:
        import ray

        self._opens, self._writer = opens, ray.get_actor(writer)
        self._bank = RemoteBank(self._writer)
        self._opening = asyncio.Lock()
        self._catalog: Catalog | None = None
        self._opened: Opened | None = None

    async def ready(self) -> RemoteError | None:
        """Opens the models; what is wrong with them, if anything is."""
        try:
            await self._open()
        except QuorateError as error:
            return RemoteError.of(error)
        return None

    async def close(self) -> None:
        """Closes the models."""
        if self._catalog is not None:
            await self._catalog.aclose()

    async def _open(self) -> Opened:
        async with self._opening:
            if self._opened is None:
                self._catalog = await self._opens()
                self._opened = self._begin(self._catalog)
            return self._opened

    @abstractmethod
    def _begin(self, catalog: Catalog) -> Opened:
        """What asks these models."""


class RayWorker(CatalogWorker[LocalEngine]):
    """Asks pipelines."""

    def __init__(self, job: WorkerJob, writer: str) -> None:
        super().__init__(job.opens, writer)
        self._job = job

    async def ask(self, name: str, place: int, item: Item) -> Outcome | RemoteError:
        try:
            return await (await self._open()).ask(name, place, item)
        except QuorateError as error:
            return RemoteError.of(error)

    def _begin(self, catalog: Catalog) -> LocalEngine:
        job, places = self._job, PrioritySemaphore(self._job.places)

        async def keep_grades(item: Item, known: Mapping[str | None, bool]) -> None:
            await self._writer.grade.remote(item, known)

        return LocalEngine(
            job.task,
            bank_models(catalog, job.pipelines, self._bank, places),
            seed=job.seed,
            sampling=job.sampling,
            spent=self._bank.spent,
            keep_grades=keep_grades,
            places=places,
        )
