"""The sampling stage: how many candidates, when it stops, what it leaves behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate import Budget, sample
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    Event,
    StoppedEarly,
    TallyChanged,
)
from quorate.orchestrator.progress import SamplingProgress
from quorate.orchestrator.sampling import gather, most_actionable, sample_candidates
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.types import Candidate, Failure, Question, Sampled, SamplingParams

from .fakes import First, Hangs, Plurality, Texts

QUESTION = Question.of("how many?")


class After:
    """Stops after so many candidates."""

    def __init__(self, n: int) -> None:
        self.n = n

    def stop(self, progress: SamplingProgress) -> str | None:
        return f"after {self.n}" if len(progress.candidates) >= self.n else None


async def observe(stage: SamplingStage, run: RunContext | None = None) -> list[Event]:
    """All that happens while a stage is sampled."""
    events: list[Event] = []
    run = replace(run or RunContext(seed=1), emit=events.append, node="sample")
    await sample_candidates(stage, QUESTION, run, Plurality())
    return events


def finished(events: list[Event]) -> list[Candidate]:
    return [event.candidate for event in events if isinstance(event, CandidateFinished)]


async def test_draws_n_candidates_with_seeds_of_their_own() -> None:
    """Sample 0 has the caller's seed, the others derived ones, all different and the same every time."""
    model, again = Texts("a", "b"), Texts("a", "b")
    candidates = finished(await observe(sample(model, n=5)))
    await observe(sample(again, n=5))
    assert [c.index for c in candidates] == [0, 1, 2, 3, 4]
    assert model.asked[0] == (0, 1)
    assert len({seed for _, seed in model.asked}) == 5
    assert model.asked == again.asked


async def test_several_models_are_dealt_round_robin() -> None:
    """Of five samples over two models, the first model draws three; an index never changes hands."""
    a, b = Texts("a", name="a"), Texts("b", name="b")
    await observe(sample([a, b], n=5, wave=2))
    assert [i for i, _ in a.asked] == [0, 2, 4]
    assert [i for i, _ in b.asked] == [1, 3]


async def test_the_tally_follows_every_candidate() -> None:
    """After each finished candidate the votes are told anew, and they add up."""
    events = await observe(sample(Texts("x", "y", "x"), n=3))
    counts = [sum(c.votes for c in event.tally) for event in events if isinstance(event, TallyChanged)]
    assert counts == [1, 2, 3]


async def test_a_stopping_rule_saves_the_remaining_waves() -> None:
    """With waves of two, a rule that is sure after two candidates leaves the other eight undrawn."""
    model = Texts("x")
    events = await observe(sample(model, n=10, wave=2, stop=After(2)))
    assert len(model.asked) == 2
    assert isinstance(events[-1], StoppedEarly)
    assert events[-1].reason == "after 2"


async def test_a_rule_that_is_sure_within_a_wave_cancels_its_rest() -> None:
    """The sample still running is cancelled upstream, and shows as cancelled with what it had said."""
    quick, slow = Texts("x", name="quick"), Hangs("so", "far", name="slow")
    events = await observe(sample([quick, slow], n=2, wave=2, stop=After(1)))
    cancelled = [event.candidate for event in events if isinstance(event, CandidateCancelled)]
    assert slow.cancelled == 1
    assert [(c.index, c.text, c.ok) for c in cancelled] == [(1, "so far", False)]


async def test_one_failure_leaves_the_siblings_alone() -> None:
    """A rate-limited sample is a failed candidate with its status; the others finish."""
    events = await observe(sample(Texts("x", "!", "x"), n=3))
    failed = [event.candidate.error for event in events if isinstance(event, CandidateFailed)]
    assert len(finished(events)) == 2
    assert failed[0] is not None
    assert (failed[0].status, failed[0].retry_after) == (429, 7)


async def test_when_all_fail_the_first_status_survives() -> None:
    """Nothing to answer with: the 429 stays a 429 with its Retry-After."""
    with pytest.raises(NoAnswer, match="all 3 candidates failed") as caught:
        await observe(sample(Texts("!"), n=3))
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "rate_limited", 7)


async def test_a_model_that_raises_fails_only_its_own_candidates(caplog: pytest.LogCaptureFixture) -> None:
    """Any exception of a model becomes failures of what it had not delivered, and is logged."""

    class Raises(Texts):
        async def sample(self, question, slots, run):  # type: ignore[no-untyped-def]
            await super().sample(question, slots[:1], run)
            raise ZeroDivisionError("oops")

    events = await observe(sample([Raises("x"), Texts("y")], n=4))
    failed = [event.candidate for event in events if isinstance(event, CandidateFailed)]
    assert [c.index for c in failed] == [2]
    assert failed[0].error is not None
    assert failed[0].error.message == "ZeroDivisionError: oops"
    assert len(finished(events)) == 3
    assert "ZeroDivisionError" in caplog.text


async def test_a_model_that_ends_silently_fails_what_is_missing() -> None:
    """A model that forgets an index does not make the stage wait or lose count."""

    class Forgets(Texts):
        async def sample(self, question, slots, run):  # type: ignore[no-untyped-def]
            await super().sample(question, slots[:1], run)

    events = await observe(sample(Forgets("x"), n=2))
    assert [e.candidate.error.code for e in events if isinstance(e, CandidateFailed) and e.candidate.error] == [
        "model_silent"
    ]


async def test_the_budget_of_tokens_ends_sampling() -> None:
    """Once the tokens are used up no further wave starts, and the reason says so."""
    model = Texts("one two three")
    events = await observe(sample(model, n=8, wave=1), RunContext(budget=Budget(tokens=30)))
    assert len(finished(events)) == 3
    assert isinstance(events[-1], StoppedEarly)
    assert events[-1].reason == "budget: 30 tokens used"


async def test_the_budget_of_tokens_caps_what_a_sample_may_say() -> None:
    """A call gets no more max_tokens than the budget has left."""
    model = Texts("x")
    await observe(sample(model, n=1), RunContext(budget=Budget(tokens=50)))
    assert model.questions[0].sampling.max_tokens == 50


async def test_the_budget_of_samples_is_a_ceiling() -> None:
    """Four of sixteen samples allowed: four drawn, and said."""
    events = await observe(sample(Texts("x"), n=16), RunContext(budget=Budget(samples=4)))
    assert len(finished(events)) == 4
    assert events[-1] == StoppedEarly(node="sample", reason="budget: 4 samples", code="budget_exhausted")


async def test_the_deadline_keeps_what_there_is() -> None:
    """A sample that hangs is cut at the deadline; the one that came counts."""
    stage = sample([Texts("x"), Hangs("never")], n=2)
    events = await observe(stage, RunContext(budget=Budget(seconds=0.05)))
    assert len(finished(events)) == 1
    assert [e.candidate.text for e in events if isinstance(e, CandidateCancelled)] == ["never"]
    assert events[-1] == StoppedEarly(node="sample", reason="budget: 0.05 seconds passed", code="budget_exhausted")


async def test_when_nothing_finished_the_partial_texts_are_the_best_so_far() -> None:
    """Two samples cut by the deadline stand as cut by their length, and can still be voted on."""
    events = await observe(sample(Hangs("so", "far"), n=1), RunContext(budget=Budget(seconds=0.05)))
    assert [(c.text, c.finish_reason, c.ok) for c in finished(events)] == [("so far", "length", True)]


async def test_a_deadline_before_the_first_candidate_is_an_error() -> None:
    """Nothing came in time: a 504, not an empty answer."""
    with pytest.raises(NoAnswer, match="no candidate before the end") as caught:
        await observe(sample(Hangs(), n=2), RunContext(budget=Budget(seconds=0.02)))
    assert caught.value.status == 504


async def test_cancelling_a_stage_cancels_everything() -> None:
    """All upstream work has stopped, and is accounted for, before the cancelled call returns."""
    model, run = Hangs("a"), RunContext()
    task = asyncio.create_task(sample_candidates(sample([model, model, model], n=3), QUESTION, run))
    await model.asking.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.cancelled == 3
    assert run.ledger.usage.completion_tokens == 3


async def test_stage_settings_are_defaults_for_the_callers() -> None:
    """The caller's temperature wins over the stage's; what it leaves open the stage sets."""
    model = Texts("x")
    stage = sample(model, n=1, sampling=SamplingParams(temperature=0.2, top_p=0.9))
    question = QUESTION.with_params(temperature=1.5)
    await (stage | First()).answer(question)
    assert (model.questions[0].sampling.temperature, model.questions[0].sampling.top_p) == (1.5, 0.9)


@pytest.mark.parametrize(("n", "wave"), [(0, None), (-1, None), (1, 0)])
def test_impossible_settings_are_refused(n: int, wave: int | None) -> None:
    """n and wave start at 1."""
    with pytest.raises(BadInput, match="at least 1"):
        sample(Texts("x"), n=n, wave=wave)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: sample(Texts("x"), n=1.5), "whole number"),  # type: ignore[arg-type]
        (lambda: sample(Texts("x"), n=True), "whole number"),
        (lambda: sample("qwen"), "is no model"),  # type: ignore[arg-type]
        (lambda: sample(Texts("x"), stop=5), "not a stopping rule"),  # type: ignore[arg-type]
        (lambda: sample(Texts("x")) | Plurality, "an instance"),
        (lambda: sample(Texts("x")) | 5, "not an aggregator"),  # type: ignore[operator]
    ],
)
def test_wrong_parts_are_refused_when_they_are_put_together(wrong: Callable[[], object], says: str) -> None:
    """Not when the first question is asked, and in words that say what was expected."""
    with pytest.raises(BadInput, match=says):
        wrong()


def test_no_model_is_refused() -> None:
    """There must be somebody to ask."""
    with pytest.raises(BadInput, match="at least one model"):
        sample([], n=1)


@given(n=st.integers(1, 60), wave=st.integers(1, 70), models=st.integers(1, 5))
def test_waves_and_shares_deal_every_index_once(n: int, wave: int, models: int) -> None:
    """However waves and models are cut, every index is drawn exactly once, by the same model."""
    stage = sample([Texts("x", name=str(i)) for i in range(models)], n=n, wave=wave)
    dealt = [(i, stage.model_of(i).name) for indices in stage.waves(range(n)) for i in indices]
    assert sorted(dealt) == [(i, str(i % models)) for i in range(n)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"quorum": 0},
        {"quorum": 6},
        {"quorum": 1.0},
        {"grace": -1},
        {"min_candidates": 0},
        {"min_candidates": 6},
        {"seconds": 0},
    ],
)
def test_impossible_limits_are_refused(wrong: dict[str, Any]) -> None:
    """Named, when the stage is made."""
    with pytest.raises(BadInput, match=next(iter(wrong))):
        sample(Texts("x"), n=5, **wrong)


@given(n=st.integers(1, 40), share=st.floats(0.01, 0.99), smaller=st.integers(1, 40))
def test_a_quorum_follows_the_number_of_samples(n: int, share: float, smaller: int) -> None:
    """A share is rounded up; a number shrinks with n, so that another n is always possible."""
    stage = sample(Texts("x"), n=n, quorum=share)
    assert 1 <= stage.quorum_size(n) <= n
    assert stage.quorum_size(n) >= share * n
    fixed = sample(Texts("x"), n=n, quorum=n, min_candidates=n).with_n(smaller)
    assert fixed.quorum == fixed.min_candidates == min(n, smaller)


async def test_a_quorum_ends_sampling_between_waves() -> None:
    """With enough good samples no further wave starts, and nothing is degraded by it."""
    model = Texts("x")
    events = await observe(sample(model, n=12, wave=4, quorum=4))
    assert len(model.asked) == 4
    assert events[-1] == StoppedEarly(node="sample", reason="quorum: 4 good samples")


@given(st.lists(st.sampled_from([400, 404, 429, 500, 502, 503, 504]), min_size=1, max_size=6), st.randoms())
def test_the_most_telling_failure_does_not_depend_on_the_order(statuses: list[int], rng: random.Random) -> None:
    """429, 503, 504, other 5xx, 4xx; its Retry-After is the shortest of its status."""
    failures = [Failure(code="x", message="x", status=s, retry_after=i or None) for i, s in enumerate(statuses)]
    told = most_actionable(failures)
    shuffled = rng.sample(failures, len(failures))
    rank = [429, 503, 504]
    best = next((s for s in rank if s in statuses), None)
    assert best is None or told.status == best
    assert told.status >= 500 or told.status == 429 or max(statuses) < 500
    again = most_actionable(shuffled)
    if best is not None:
        assert (again.status, again.retry_after) == (told.status, told.retry_after)


async def _count_to(n: int, ended: list[int], *, fails: bool = False, pause: float = 0) -> int:
    try:
        for _ in range(n):
            await asyncio.sleep(pause)
        if fails:
            raise ValueError("broken")
        return n
    finally:
        ended.append(n)


@given(st.lists(st.integers(0, 5), max_size=6))
def test_gathered_jobs_return_in_order(sizes: list[int]) -> None:
    """Whichever ends first."""
    assert asyncio.run(gather([_count_to(n, []) for n in sizes])) == sizes


async def test_one_failure_ends_all_gathered_jobs() -> None:
    """The error reaches the caller after every other job has been cleaned up."""
    ended: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        await gather([_count_to(1, ended, fails=True), _count_to(10_000, ended, pause=1)])
    assert sorted(ended) == [1, 10_000]


async def test_cancelling_ends_all_gathered_jobs() -> None:
    """The cancelled call returns when every job's clean-up has run."""
    ended: list[int] = []
    task = asyncio.create_task(gather([_count_to(10_000, ended, pause=1), _count_to(10_001, ended, pause=1)]))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [10_000, 10_001]


async def test_a_sample_that_nobody_began_is_no_candidate() -> None:
    """A model that writes one sample after the other was stopped before it came to the others."""
    sampled = await sample_candidates(
        sample(Texts("x"), n=4, wave=4, stop=After(1)), QUESTION, RunContext(), Plurality()
    )
    assert {c.model for c in sampled.candidates} == {"texts"}
    assert isinstance(sampled, Sampled)
