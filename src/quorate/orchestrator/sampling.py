"""The loop: draw candidates until there are enough.

sample(qwen, n=16)                                   one wave of sixteen
sample(qwen, n=16, stop=AdaptiveConsistency(0.95))   waves, until the rule is sure
sample([qwen, llama], n=16)                          dealt round-robin: eight each
sample(vote, n=3)                                    a graph is a model, so it can propose
sample(qwen, n=5, quorum=4, grace=0.5)               four will do; the fifth gets half a second more
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .context import RunContext, explain_cut
from .copies import note_copies
from .errors import Misconfigured, NoAnswer, NodeCrashed, QuorateError
from .events import AnswerToken, Event, StoppedEarly, TallyChanged
from .partial import PartialCandidate, failure_of
from .progress import SamplingProgress
from .protocols import Model, StoppingRule, VoteCounter, is_sampler
from .stage import SamplingStage
from .types import Answer, Candidate, Cluster, Code, Degradation, Failure, Question, Sampled

SLACK = 0.02
"""Seconds that the count of the votes may take beyond a deadline."""
_ACTIONABLE = (429, 503, 504)

T = TypeVar("T")


def most_actionable(failures: Sequence[Failure]) -> Failure:
    """The failure that tells the caller most of what to do, the first of equals.

    One that says when to come back before one that says to come back: 429, 503, 504, any other 5xx, then the 4xx
    that trying again cannot help. Its Retry-After is the shortest of those with its status, since one good
    sample is enough.
    """
    chosen = min(failures, key=_rank)
    waits = [f.retry_after for f in failures if f.status == chosen.status and f.retry_after is not None]
    return chosen.model_copy(update={"retry_after": min(waits, default=None)})


def _rank(failure: Failure) -> int:
    if failure.status in _ACTIONABLE:
        return _ACTIONABLE.index(failure.status)
    return len(_ACTIONABLE) + (failure.status < 500)


async def gather(jobs: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What all jobs return, in order; where one fails or the caller is cancelled, none runs on."""
    if len(jobs) == 1:
        return [await jobs[0]]
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await _cancel(tasks)


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    if left:  # else this would cost turns of the loop, in which all other work gets its turn first
        await asyncio.gather(*left, return_exceptions=True)


async def fill(model: Model, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
    """Any model as a proposer: agents draw their samples themselves, graphs are asked once a sample.

    Whatever the model raises fails the slots that have not ended.
    """
    try:
        if is_sampler(model):
            await model.sample(question, slots, run)
        else:
            await gather([_fill_one(model, question, slot, run) for slot in slots])
        failure = None
    except Exception as error:
        failure = failure_of(error)
    for slot in slots:
        if not slot.done:
            slot.start(model.name, model.name)
            slot.fail(failure or Failure(code="model_silent", message=f"{model.name} ended without this candidate"))


async def _fill_one(model: Model, question: Question, slot: PartialCandidate, run: RunContext) -> None:
    """One answer of a graph as one candidate; of what happens inside, its tokens are told."""

    def pass_on(event: Event) -> None:
        if isinstance(event, AnswerToken):
            slot.write(event.text, reasoning=event.reasoning)

    inner = run.nested(slot.index, emit=pass_on)
    slot.start(model.name, model.name, seed=inner.seed)
    try:
        answer = await model.answer(question.with_params(seed=inner.seed), inner)
    except asyncio.CancelledError:
        slot.leave(inner.ledger.usage, booked=True)
        raise
    except Exception as error:
        slot.leave(inner.ledger.usage, booked=True)
        slot.fail(failure_of(error), inner.ledger.usage)
    else:
        slot.adopt(_candidate_of(answer, model.name, inner.seed, slot))


def _candidate_of(answer: Answer, name: str, seed: int | None, slot: PartialCandidate) -> Candidate:
    return Candidate(
        index=slot.index,
        model=name,
        agent=name,
        seed=seed,
        text=answer.text,
        reasoning=answer.reasoning,
        answer=answer.answer,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        latency=slot.seconds,
        degraded=answer.degraded,
    )


async def sample_candidates(
    stage: SamplingStage,
    question: Question,
    run: RunContext,
    counter: VoteCounter | None = None,
    *,
    questions: Mapping[int, Question] | None = None,
    required: bool = True,
) -> Sampled:
    """The candidates of a stage, and how their votes stand.

    Args:
        stage: who draws how many.
        question: with the caller's settings; the stage's own fill in what is open.
        run: at the node of the stage.
        counter: counts the votes; while they come where somebody looks on or a rule may stop, else once in the end.
        questions: what each index is asked where that differs; an index that is not in it is not drawn.
        required: whether too few good candidates are an error; else they come as they are.

    Raises:
        NoAnswer: fewer good candidates than the stage needs, with the status of the most actionable failure.
    """
    question = question.model_copy(update={"sampling": question.sampling.over(stage.sampling)})
    stage, question = stage.begin(question)
    stage_run = _StageRun(stage, question, run, counter, questions)
    return await stage_run.run_waves(required=required)


def settle_answer(candidate: Candidate, counter: VoteCounter | None) -> Candidate:
    """The candidate with the answer by which it was counted, where that differs from what its text gave alone."""
    if counter is None or not candidate.ok or candidate.answer == (answer := counter.extract(candidate)):
        return candidate
    return candidate.model_copy(update={"answer": answer})


def note_undecided(tally: Iterable[Cluster], where: str) -> tuple[Degradation, ...]:
    """A note, where answers that may be one count as several."""
    undecided = [cluster for cluster in tally if cluster.undecided]
    if not undecided:
        return ()
    votes = sum(cluster.votes for cluster in undecided)
    detail = f"comparing answers took too long: {len(undecided)} of them, with {votes} votes, may be one with others"
    return (Degradation(code="comparison_cut", where=where, detail=detail),)


@dataclass(frozen=True)
class _Ending:
    """Why sampling ends, and how the answer is marked for it; without a code a rule was content."""

    reason: str
    code: Code | None = None


class _StageRun:
    """One run of a sampling stage: the candidates so far and what they amount to."""

    def __init__(
        self,
        stage: SamplingStage,
        question: Question,
        run: RunContext,
        counter: VoteCounter | None,
        questions: Mapping[int, Question] | None,
    ) -> None:
        limit = run.budget.samples
        self.stage, self.question, self.counter, self.questions = stage, question, counter, questions
        self.n = stage.n if limit is None else min(stage.n, limit)
        self.run = run
        self.live = run.live or stage.cuts or run.frugal or run.deadline is not None
        self.progress = SamplingProgress(limit=self.n)
        self.quorum = stage.quorum_size(self.n)
        self.patience: float | None = None
        """When the others' grace ends, once there is a quorum."""
        self.writing: dict[int, PartialCandidate] = {}
        """Slots of this wave that have not ended."""
        self.ended: deque[PartialCandidate] = deque()
        """Slots that have, and that the loop has not looked at."""
        self.wake = asyncio.Event()
        """Something has ended, or a budget ran out in the middle of it."""
        self.crash: BaseException | None = None
        """What ended a task that should have ended its slots."""
        self.arrived = self.good = self.counted = 0
        """Good candidates that have ended, those of them that were looked at, and those in the tally."""

    async def run_waves(self, *, required: bool) -> Sampled:
        indices = [i for i in range(self.n) if self.questions is None or i in self.questions]
        stop = None
        for wave in self.stage.waves(indices, frugal=self.run.frugal):
            if (stop := self._stop_beforehand()) is not None or (stop := await self._draw_wave(wave)) is not None:
                break
        else:
            if len(indices) < (self.stage.n if self.questions is None else len(self.questions)):
                stop = _Ending(f"budget: {self.n} samples", "budget_exhausted")
        await self._count()
        if stop is not None:
            self._emit_stop(stop)
        if required:
            self._check()
        return self._sampled(stop)

    async def _draw_wave(self, indices: Sequence[int]) -> _Ending | None:
        """One wave; why it shall be the last, if it shall."""
        slots = [self._slot(index) for index in indices]
        self.writing = {slot.index: slot for slot in slots}
        run = self.run.replace(live=True) if self.live and not self.run.live else self.run
        tasks = [asyncio.create_task(fill(m, q, mine, run)) for m, q, mine in self._shares(slots)]
        for task in tasks:
            task.add_done_callback(self._task_ended)
        stop, until = None, self._until()
        try:
            async with run.time_limit(until) as limit:
                # Who has ended all its slots may have something left to do, such as to remember what a server refused.
                while self.writing or self.ended or not all(task.done() for task in tasks):
                    if (slot := self._take()) is None:
                        await self.wake.wait()
                        slot = self._take()
                    self.wake.clear()
                    if self.crash is not None:
                        raise self.crash
                    if slot is not None:
                        await self._note(slot)
                    if (stop := self._stop_now()) is not None:
                        break
                    if slot is not None and slot.review is not None:
                        slot.review.set()
                    if until != self._until():
                        until = self._until()
                        limit.move(until)
        except TimeoutError:
            stop = self._overtime()
        finally:
            await _cancel(tasks)
            self._end_slots()
        while self.ended:
            await self._note(self.ended.popleft(), late=True, surplus=stop is not None and stop.code is None)
        whole = len(self.progress.candidates) == self.stage.n and not any(
            c.finish_reason == "cancelled" for c in self.progress.candidates
        )
        return None if stop is not None and stop.code == "stragglers_cancelled" and whole else stop

    def _take(self) -> PartialCandidate | None:
        """The next one to look at: whichever ended first; where a rule may stop, that of the lowest index.

        Such a rule decides on the first samples by index, so that the same samples give the same answer in whatever
        order they come, and short ones, which come first, weigh no more than others.
        """
        if not self.ended or self.stage.stop is None:
            return self.ended.popleft() if self.ended else None
        first = min(self.ended, key=lambda slot: slot.index)
        if any(index < first.index for index in self.writing):
            return None
        self.ended.remove(first)
        return first

    def _slot(self, index: int) -> PartialCandidate:
        extract = None if self.counter is None else self.counter.extract
        slot = PartialCandidate(index, self.run, on_end=self._slot_ended, extract=extract)
        if self.run.frugal:
            slot.on_write = self._watch_budget
        if self.run.frugal or self.stage.stop is not None:
            slot.review = asyncio.Event()
        return slot

    def _slot_ended(self, slot: PartialCandidate) -> None:
        self.writing.pop(slot.index, None)
        self.ended.append(slot)
        self.arrived += slot.result is not None and slot.result.ok
        if self.stage.quorum is not None and self.arrived >= self.quorum and self.patience is None:
            self.patience = time.monotonic() + self.stage.grace
        self.wake.set()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.crash = error
        self.wake.set()

    def _watch_budget(self, *_: object) -> None:
        if self.run.exhausted(self._unrecorded()) is not None:
            self.wake.set()

    def _unrecorded(self) -> int:
        """Tokens of candidates that no ledger holds yet."""
        return sum(slot.pieces for slot in self.writing.values())

    def _shares(self, slots: Sequence[PartialCandidate]) -> Iterator[tuple[Model, Question, list[PartialCandidate]]]:
        """Who is asked what, for which slots."""
        shares: dict[tuple[int, int], tuple[Model, Question, list[PartialCandidate]]] = {}
        for slot in slots:
            asked = self.question if self.questions is None else self.questions[slot.index]
            place = slot.index % len(self.stage.models)
            share = shares.setdefault((place, id(asked)), (self.stage.models[place], asked, []))
            share[2].append(slot)
        left = self.run.tokens_left()
        for model, asked, mine in shares.values():
            if left is not None:
                asked = asked.with_params(max_tokens=min(left, asked.sampling.max_tokens or left))  # noqa: PLW2901
            yield model, asked, mine

    async def _note(self, slot: PartialCandidate, *, late: bool = False, surplus: bool = False) -> None:
        candidate = slot.result
        assert candidate is not None
        if surplus and candidate.ok:  # a rule has decided without it, and would have cancelled it had it been slower
            candidate = candidate.model_copy(update={"finish_reason": "cancelled"})
        self.progress.candidates.append(candidate)
        if not candidate.ok:
            return
        self.good += 1
        # For who looks on, once for what ended together; where nobody does and nothing can be cut short, in the end.
        if not late and (self.stage.stop is not None or (self.run.live and not self.ended)):
            await self._count()

    async def _count(self) -> None:
        """Updates the votes, unless that takes too long."""
        if self.counter is None or self.counted == self.good:
            return
        try:
            async with asyncio.timeout_at(self._slack()):
                self.progress.tally = await self.counter.tally(self.progress.candidates)
        except TimeoutError:
            return
        except Exception as error:
            if isinstance(error, QuorateError):
                raise
            raise NodeCrashed(
                f"{self.run.node}: counting the votes raised {error!r}", sampled=self._so_far()
            ) from error
        self.counted = self.good
        if self.run.observed:
            self.run.emit(TallyChanged(node=self.run.node, tally=self.progress.tally))

    def _slack(self) -> float | None:
        deadline = self.run.deadline
        return None if deadline is None else max(deadline, time.monotonic() + SLACK)

    def _until(self) -> float | None:
        """When the samples that run are given up."""
        ends = (self.run.deadline, self.patience)
        return min((end for end in ends if end is not None), default=None)

    def _stop_beforehand(self) -> _Ending | None:
        """Why a wave need not begin."""
        if (reason := self.run.exhausted()) is not None:
            return _cut_off(reason)
        if self.patience is not None:
            return _Ending(f"quorum: {self.arrived} good samples")
        return None

    def _stop_now(self) -> _Ending | None:
        """Why to stop; a budget that ends just with the wave has cut nothing off."""
        if self.stage.stop is not None and (reason := self._ask_rule(self.stage.stop)) is not None:
            return _Ending(reason)
        if not self.writing and not self.ended:
            return None
        if (reason := self.run.exhausted(self._unrecorded())) is not None:
            return _cut_off(reason)
        return self._overtime() if self.patience is not None and time.monotonic() >= self.patience else None

    def _ask_rule(self, rule: StoppingRule) -> str | None:
        """Why the rule would stop now.

        Raises:
            Misconfigured: it raised, or gave what is no text.
        """
        try:
            reason: object = rule.stop(self.progress)
        except Exception as error:
            raise self._fault_of(rule, f"raised {error!r}") from error
        if isinstance(reason, str | None):
            return reason
        raise self._fault_of(rule, f"gave {reason!r:.80}: give a text or None")

    def _fault_of(self, rule: StoppingRule, fault: str) -> Misconfigured:
        return Misconfigured(f"{self.run.node}: the stopping rule {rule!r:.80} {fault}", sampled=self._so_far())

    def _so_far(self) -> Sampled:
        return Sampled(candidates=tuple(self.progress.candidates), stopped="an error")

    def _overtime(self) -> _Ending:
        """A deadline has passed: the run's, the node's, or that of the grace after a quorum."""
        deadline = self.run.deadline
        if self.patience is None or (deadline is not None and deadline <= self.patience):
            return _cut_off(self.run.exhausted() or self.run.timed_out())
        reason = f"quorum: {self.quorum} good samples, and {self.stage.grace:g} s for the others"
        return _Ending(reason, "stragglers_cancelled")

    def _end_slots(self) -> None:
        """Ends what was still written; where nothing has finished, partial texts stand: the best answer so far.

        What nobody has begun to write is no candidate.
        """
        best = not self.good and not any(slot.result.ok for slot in self.ended if slot.result is not None)
        for slot in list(self.writing.values()):
            if slot.untouched:
                del self.writing[slot.index]
            else:
                slot.cut() if best and slot.text else slot.cancel()

    def _emit_stop(self, stop: _Ending) -> None:
        if self.run.observed:
            self.run.emit(StoppedEarly(node=self.run.node, reason=stop.reason, code=stop.code))

    def _sampled(self, stop: _Ending | None) -> Sampled:
        candidates = [settle_answer(c, self.counter) for c in sorted(self.progress.candidates, key=lambda c: c.index)]
        node = self.run.node
        notes = [
            Degradation(
                code="candidate_failed", where=f"{node}: {c.agent or c.model} #{c.index}", detail=c.error.message
            )
            for c in candidates
            if c.error is not None
        ]
        if stop is not None and stop.code is not None:
            notes.append(Degradation(code=stop.code, where=node, detail=stop.reason))
        good, wanted = self.good, self.stage.quorum_size(self.stage.n)
        if self.stage.quorum is not None and good < wanted:
            detail = f"{good} good samples of {self.stage.n}, and {wanted} were to be a quorum"
            notes.append(Degradation(code="quorum_missed", where=node, detail=detail))
        if self.counter is not None and self.counted < good:
            detail = f"no time was left to count the votes of {good - self.counted} of {good} samples"
            notes.append(Degradation(code="deadline_passed", where=node, detail=detail))
        notes += note_undecided(self.progress.tally, node)
        notes += note_copies(self.question, self.stage.models, candidates, node)
        return Sampled(
            candidates=tuple(candidates),
            tally=None if self.counter is None else self.progress.tally,
            stopped="complete" if stop is None else stop.reason,
            degraded=(*notes, *(note for c in candidates for note in c.degraded)),
        )

    def _check(self) -> None:
        good, drawn = self.good, len(self.progress.candidates)
        if good >= self.stage.min_candidates:
            return
        failures = [c.error for c in self.progress.candidates if c.error is not None]
        if not failures:
            raise NoAnswer(f"{self._too_few()} before the end ({self.run.exhausted() or 'cut off'})", status=504)
        if len(failures) < drawn - good:
            cut = f"{drawn - good - len(failures)} samples were cut off"
            failures.append(Failure(code="budget_exhausted", message=cut, status=504))
        worst = most_actionable(failures)
        count = f"all {drawn} candidates failed; " if not good and drawn > 1 else ""
        count = f"{self._too_few()}; " if good else count
        which = "the first: " if all(f.status == worst.status for f in failures) else "among them: "
        raise NoAnswer(
            f"{count}{which if count else ''}{worst.message}",
            status=worst.status,
            code=worst.code,
            retry_after=worst.retry_after,
        )

    def _too_few(self) -> str:
        good = self.good
        if not good:
            return "no candidate"
        drawn, wanted = len(self.progress.candidates), self.stage.min_candidates
        return f"{good} good of {drawn} candidates where at least {wanted} are needed"


def _cut_off(reason: str) -> _Ending:
    return _Ending(reason, explain_cut(reason, "sample").code)
