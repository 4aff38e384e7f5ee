"""Asks one pipeline one question, grades what comes, and says what it cost: the engine of one process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from quorate.aggregators.extraction import read_answer
from quorate.orchestrator.context import Ledger, RunContext, derive_seed
from quorate.orchestrator.errors import MissingExtra
from quorate.orchestrator.events import CandidateCancelled, CandidateFailed, CandidateFinished
from quorate.orchestrator.graph import is_composed
from quorate.orchestrator.partial import failure_of
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.progress import SamplingProgress
from quorate.orchestrator.protocols import Model, VoteCounter, is_sampler
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.types import Answer, Candidate, Question, SamplingParams

from .bank import Bank, describe_draws, grade
from .banked_sampler import BankedSampler, DualLedger, SampleBank, as_banked
from .outcome import Outcome, Together
from .task import in_task
from .throttle import PrioritySemaphore, QueueTime, Throttled

if TYPE_CHECKING:
    from quorate.config.catalog import Catalog
    from quorate.orchestrator.events import Event

    from .task import Item, Task

KeepGrades = Callable[["Item", Mapping[str | None, bool]], Awaitable[Any]]
"""Keeps which answers to a question are right."""
Length = Callable[[Candidate], int]


class LocalEngine:
    """Pipelines over banked models, all in one event loop.

    Args:
        task: says when an answer is right.
        pipelines: what is evaluated, by name.
        seed: of the run; each question has one derived from it.
        sampling: settings that the questions are asked with.
        spent: the ledger of everything really generated.
        keep_grades: told which answers are right.
        places: for samples in flight.
    """

    def __init__(
        self,
        task: Task,
        pipelines: Mapping[str, Model],
        *,
        seed: int,
        sampling: SamplingParams | None,
        spent: Ledger,
        keep_grades: KeepGrades,
        places: PrioritySemaphore,
    ) -> None:
        self._task, self._pipelines, self._seed = task, pipelines, seed
        self._sampling, self._spent, self._keep_grades = sampling, spent, keep_grades
        self._places = places

    @classmethod
    def over_bank(
        cls,
        task: Task,
        catalog: Catalog,
        names: Sequence[str],
        bank: Bank,
        *,
        seed: int,
        sampling: SamplingParams | None,
        places: PrioritySemaphore,
    ) -> Self:
        """The engine over a bank of this process."""

        async def keep_grades(item: Item, known: Mapping[str | None, bool]) -> None:
            await grade(bank, task, item, known)

        return cls(
            task,
            bank_models(catalog, names, bank, places),
            seed=seed,
            sampling=sampling,
            spent=bank.spent,
            keep_grades=keep_grades,
            places=places,
        )

    @property
    def breadth(self) -> int:
        """See `runner.Engine`: as many questions as samples, as one that has all it needs is graded meanwhile."""
        return self._places.capacity

    async def ask(self, name: str, place: int, item: Item) -> Outcome:
        """The pipeline's answer, or the failure in its place, as an outcome.

        Args:
            name: of the pipeline.
            place: of the question among those of the run; earlier ones get free places first.
            item: the question.

        Raises:
            MissingExtra: a library is missing, which would fail every question.
            BadInput: the answer cannot be graded, whoever gives it.
        """
        model, question, begun = self._pipelines[name], item.ask(self._sampling), time.monotonic()
        ledger, samples = DualLedger(self._spent), _FirstSamples(model)
        run = RunContext(
            seed=derive_seed(self._seed, item.id),
            ledger=ledger,
            live=False,
            emit=samples,
            # Every vote inside counts what the task counts: letters, programs, literals.
            answer_reader=self._task.answer_reader,
            priority=place,
        )
        outcome = Outcome(pipeline=name, item=item.id, cluster=item.cluster, gold=item.gold)
        with self._places.time_queue(place) as queue:
            try:
                answer = await model.answer(question, run)
            except MissingExtra:
                raise
            except Exception as error:
                took = time.monotonic() - begun
                return _add_costs(outcome.model_copy(update={"error": failure_of(error)}), ledger, queue, took)
        took = time.monotonic() - begun
        graded = await self._grade(outcome, item, answer, samples.of(answer))
        needed = await streaming_cost(model, question, answer, samples.of(answer), run)
        return _add_costs(graded.model_copy(update={"needed": needed}), ledger, queue, took)

    async def _grade(self, blank: Outcome, item: Item, answer: Answer, samples: Sequence[Candidate]) -> Outcome:
        """The outcome of an answer; every distinct extracted answer is compared with the gold one once."""
        with in_task(self._task, f"the answers to {item.id} cannot be graded"):
            extractor = self._task.extractor
            found = [read_answer(extractor, c.text, c.reasoning, c.finish_reason) if c.ok else None for c in samples]
            final = read_answer(extractor, answer.text, answer.reasoning, answer.finish_reason)
            right = {text: await self._task.correct(text, item.gold) for text in {final, *found}}
        await self._keep_grades(item, right)
        return blank.model_copy(
            update={
                "text": answer.text,
                "answer": final,
                "correct": right[final],
                "samples": tuple(right[text] for text in found),
                "cut": sum(c.finish_reason == "length" for c in samples),
                "stopped": answer.stopped,
                "degraded": tuple(sorted({d.code for d in answer.degraded})),
                **_measure_writing([c for c in samples if c.ok]),
            }
        )


class _FirstSamples:
    """The candidates that a pipeline samples first: later ones have read them, and are no samples of the question."""

    def __init__(self, model: Model) -> None:
        self._node = model.entry.name if isinstance(model, Pipeline) else None
        self._found: dict[int, Candidate] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, CandidateFinished | CandidateFailed | CandidateCancelled) and event.node == self._node:
            self._found[event.candidate.index] = event.candidate

    def of(self, answer: Answer) -> tuple[Candidate, ...]:
        """By rising index; those of the answer where the model is no pipeline."""
        return tuple(self._found[index] for index in sorted(self._found)) or answer.candidates


def bank_models(
    catalog: Catalog, names: Sequence[str], bank: SampleBank, places: PrioritySemaphore
) -> dict[str, Model]:
    """The pipelines over the same models, which draw through the bank, so many at a time, where they draw samples."""

    def wrap(model: Model) -> Model:
        return BankedSampler(Throttled(model, places), bank) if is_sampler(model) else model

    over = catalog.wrap_models(wrap)
    return {name: over.resolve(name) for name in names}


def list_draws(models: Iterable[Model], question: Question) -> dict[str, str]:
    """How each single model below these samples the question (see `RunRecord.models`)."""
    found: dict[str, str] = {}

    def note(model: Model) -> Model:
        if is_composed(model):
            model.map_models(note)
        elif is_sampler(model):
            identity = model.identity
            sampling = question.sampling.over(identity.sampling)
            found[model.name] = describe_draws(as_banked(model.name, identity).id, sampling)
        return model

    for model in models:
        note(model)
    return found


def _measure_writing(candidates: Sequence[Candidate]) -> dict[str, Any]:
    """How fast candidates came, and what those decided who wrote them together."""
    timed = [c for c in candidates if c.latency]
    lengths = [c.ensembling.tokens if c.ensembling else c.usage.completion_tokens for c in timed]
    seconds = sum(c.latency or 0.0 for c in timed)
    return {"written": sum(lengths), "writing": seconds, "together": Together.of(candidates)}


def _add_costs(outcome: Outcome, ledger: DualLedger, queue: QueueTime, took: float) -> Outcome:
    alone, spent = ledger.usage, ledger.spent.usage
    return outcome.model_copy(
        update={
            "tokens": alone.completion_tokens,
            "prompt_tokens": alone.prompt_tokens,
            "drawn": queue.samples,
            "spent": ledger.spent_tokens,
            "spent_prompt": spent.prompt_tokens,
            "spent_cost": spent.cost,
            "cost": alone.cost,
            "seconds": max(0.0, took - queue.seconds) + ledger.saved_seconds,
        }
    )


async def streaming_cost(
    model: Model, question: Question, answer: Answer, samples: Sequence[Candidate], run: RunContext
) -> int | None:
    """Generated tokens had every sample been cut off when sampling stopped; None for a model without a rule.

    The bank draws every sample to its end, so that the next pipeline finds it whole; and a wave is drawn
    together. Alone and streaming, the pipeline would have cut off what was in flight when its rule was
    sure. A server that batches writes all samples of a wave at one pace, so they end in the order of
    their lengths: the answer is the same, only its price is told more exactly.

    Args:
        model: that answered.
        question: as it was asked.
        answer: its answer.
        samples: the candidates that it sampled first.
        run: in which it answered.
    """
    if not isinstance(model, Pipeline) or model.stage.stop is None:
        return None
    counter = model.aggregator.counter(question, run)
    if counter is None:
        return None
    good = [c for c in samples if c.ok]
    sampled = await _sampling_cost(model.stage, good, counter)
    return sampled + answer.usage.completion_tokens - sum(c.usage.completion_tokens for c in good)


async def _sampling_cost(stage: SamplingStage, samples: Sequence[Candidate], counter: VoteCounter) -> int:
    rule, length = stage.stop, _length(stage, samples)
    assert rule is not None
    progress, total = SamplingProgress(limit=stage.n), 0
    for indices in stage.waves(range(stage.n)):
        wave = sorted((c for c in samples if c.index in indices), key=lambda c: (length(c), c.index))
        for candidate in wave:
            progress.candidates.append(candidate)
            progress.tally = await counter.tally(progress.candidates)
            if rule.stop(progress) is not None:
                return total + sum(min(length(c), length(candidate)) for c in wave)
        total += sum(map(length, wave))
    return total


def _length(stage: SamplingStage, samples: Sequence[Candidate]) -> Length:
    """Tokens of a candidate, for DeepConf up to where its trace would have been stopped."""
    from quorate.aggregators.confidence import DeepConfSample, Threshold, stopped_at

    if not isinstance(stage, DeepConfSample):
        return lambda c: c.usage.completion_tokens
    warm_up = Threshold(stage.warm_up, stage.keep, stage.window)
    for candidate in samples:
        if candidate.index < stage.warm_up:
            warm_up.note(candidate)
    threshold = warm_up.value
    cuts = {
        c.index: stopped_at(c.logprobs or (), threshold, stage.window)
        for c in samples
        if threshold is not None and c.index >= stage.warm_up
    }

    def length(candidate: Candidate) -> int:
        whole = candidate.usage.completion_tokens
        return min(whole, cuts.get(candidate.index) or whole)

    return length
