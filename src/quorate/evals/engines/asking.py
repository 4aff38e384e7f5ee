"""Asks one pipeline one question, grades what comes, and says what it cost."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from quorate.aggregators.reading import reading
from quorate.orchestrator.context import Ledger, RunContext, derive_seed
from quorate.orchestrator.errors import MissingExtra
from quorate.orchestrator.model import answer_of
from quorate.orchestrator.protocols import Model, Sampler
from quorate.orchestrator.sampling import failure_of
from quorate.orchestrator.types import Answer, Candidate, Question, SamplingParams

from ..bank import Bank, grade
from ..banked import Account, Banked
from ..outcome import Outcome, Together
from ..task import in_task
from .needed import needed_tokens
from .slots import Paced, Slots, Turn, turn

if TYPE_CHECKING:
    from quorate.config.catalog import Catalog
    from quorate.orchestrator.events import Event

    from ..task import Item, Task

__all__ = ["Asker", "over_bank"]

Grades = Callable[["Item", Mapping[str | None, bool]], Awaitable[Any]]
"""Keeps which answers to a question are right."""


class Asker:
    """The engine of one process: pipelines over banked agents, all in one event loop.

    Args:
        task: says when an answer is right.
        pipelines: what is evaluated, by name.
        seed: of the run; each question has one derived from it.
        sampling: settings that the questions are asked with.
        spent: the ledger of everything really generated.
        grades: told which answers are right.
        breadth: questions that may be under way.
    """

    def __init__(
        self,
        task: Task,
        pipelines: Mapping[str, Model],
        *,
        seed: int,
        sampling: SamplingParams | None,
        spent: Ledger,
        grades: Grades,
        breadth: int,
    ) -> None:
        self._task, self._pipelines, self._seed = task, pipelines, seed
        self._sampling, self._spent, self._grades = sampling, spent, grades
        self.breadth = breadth
        """See `runner.Engine`."""

    @classmethod
    def here(
        cls,
        task: Task,
        catalog: Catalog,
        names: Sequence[str],
        bank: Bank,
        *,
        seed: int,
        sampling: SamplingParams | None,
        slots: Slots,
    ) -> Self:
        """The engine over a bank of this process."""

        async def grades(item: Item, known: Mapping[str | None, bool]) -> None:
            await grade(bank, task, item, known)

        return cls(
            task,
            over_bank(catalog, names, bank, slots),
            seed=seed,
            sampling=sampling,
            spent=bank.spent,
            grades=grades,
            # As many questions as samples: one that has drawn all it needs is graded while others draw.
            breadth=slots.capacity,
        )

    async def ask(self, name: str, place: int, item: Item) -> Outcome:
        """The pipeline's answer, or the failure in its place, as an outcome.

        Args:
            name: of the pipeline.
            place: of the question among those of the run; earlier ones get free slots first.
            item: the question.

        Raises:
            MissingExtra: a library is missing, which would fail every question.
            BadInput: the answer cannot be graded, whoever gives it.
        """
        # Every vote inside counts what the task counts: letters, programs, literals.
        with reading(self._task.extractor, self._task.equivalence):
            return await self._asked(name, place, item)

    async def _asked(self, name: str, place: int, item: Item) -> Outcome:
        model, question, start = self._pipelines[name], self._question(item), time.monotonic()
        account = Account(self._spent)
        outcome = Outcome(pipeline=name, item=item.id, cluster=item.cluster, gold=item.gold)
        with turn(place) as mine:
            try:
                answer = await answer_of(self._events(model, question, item, account))
            except MissingExtra:
                raise
            except Exception as error:
                return _charged(outcome.model_copy(update={"error": failure_of(error)}), account, mine, start)
        took = time.monotonic() - start
        graded = await self._graded(outcome, item, answer)
        needed = await needed_tokens(model, question, answer)
        return _charged(graded.model_copy(update={"needed": needed}), account, mine, time.monotonic() - took)

    def _question(self, item: Item) -> Question:
        question = item.question
        if self._sampling is None:
            return question
        return question.model_copy(update={"sampling": question.sampling.over(self._sampling)})

    def _events(self, model: Model, question: Question, item: Item, account: Account) -> AsyncGenerator[Event, None]:
        return model.stream(question, RunContext(seed=derive_seed(self._seed, item.id), ledger=account, live=False))

    async def _graded(self, blank: Outcome, item: Item, answer: Answer) -> Outcome:
        """The outcome of an answer; every distinct extracted answer is compared with the gold one once."""
        with in_task(self._task, f"the answers to {item.id} cannot be graded"):
            extract = self._task.extractor.extract
            found = [extract(c.text) if c.ok else None for c in answer.candidates]
            final = extract(answer.text)
            right = {text: await self._task.correct(text, item.gold) for text in {final, *found}}
        await self._grades(item, right)
        return blank.model_copy(
            update={
                "text": answer.text,
                "answer": final,
                "correct": right[final],
                "samples": tuple(right[text] for text in found),
                "stopped": answer.stopped,
                "degraded": tuple(sorted({d.code for d in answer.degraded})),
                **_writing([c for c in answer.candidates if c.ok]),
            }
        )


def over_bank(catalog: Catalog, names: Sequence[str], bank: Bank, slots: Slots) -> dict[str, Model]:
    """The pipelines over the same models, which draw through the bank, so many at a time, where they draw samples."""
    over = catalog.wrapped(lambda model: Banked(Paced(model, slots), bank) if isinstance(model, Sampler) else model)
    return {name: over.resolve(name) for name in names}


def _writing(candidates: Sequence[Candidate]) -> dict[str, Any]:
    """How fast candidates came, and what those decided who wrote them together."""
    timed = [c for c in candidates if c.latency]
    lengths = [c.ensembling.tokens if c.ensembling else c.usage.completion_tokens for c in timed]
    seconds = sum(c.latency or 0.0 for c in timed)
    return {"written": sum(lengths), "writing": seconds, "together": Together.of(candidates)}


def _charged(outcome: Outcome, account: Account, mine: Turn, start: float) -> Outcome:
    alone, spent = account.usage, account.spent.usage
    return outcome.model_copy(
        update={
            "tokens": alone.completion_tokens,
            "prompt_tokens": alone.prompt_tokens,
            "spent": account.spent_tokens,
            "spent_prompt": spent.prompt_tokens,
            "spent_cost": spent.cost,
            "cost": alone.cost,
            "seconds": max(0.0, time.monotonic() - start - mine.waited) + account.saved_seconds,
        }
    )
