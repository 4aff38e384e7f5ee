"""Pipelines are models: they answer, nest, stream, account for every token and can be resumed."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from quorate import Answer, Budget, Checkpoints, Question, sample
from quorate.orchestrator.drawing import draw_mermaid
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.events import AnswerToken, Done, TallyChanged
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.protocols import Model, Sampler, is_sampler
from quorate.orchestrator.types import Message
from quorate.orchestrator.usage import Usage
from quorate.testing import ScriptedModel

from .fakes import Echo, First, Hangs, Plurality, PowerCut, Texts


async def test_a_pipeline_answers_with_all_that_led_to_it() -> None:
    """Text, candidates in order, tally, usage by node."""
    answer = await (sample(Texts("a", "b b", "a"), n=3) | Plurality()).answer("which?", seed=1)
    assert (answer.text, answer.answer, answer.stopped) == ("a", "a", "complete")
    assert [c.text for c in answer.candidates] == ["a", "b b", "a"]
    assert [(c.answer, c.votes, c.voters) for c in answer.tally] == [("a", 2, (0, 2)), ("b b", 1, (1,))]
    assert answer.usage == Usage(prompt_tokens=30, completion_tokens=4, requests=3)
    assert [(s.node, s.model) for s in answer.nodes] == [("sample", "texts")]
    assert answer.winner == answer.candidates[0]


async def test_failures_show_as_degradation() -> None:
    """An answer given in spite of a failed candidate says so, machine-readably."""
    answer = await (sample(Texts("a", "!"), n=2) | Plurality()).answer("which?")
    assert [(d.code, d.where) for d in answer.degraded] == [("candidate_failed", "sample: texts #1")]


async def test_a_budget_that_ran_out_shows_as_degradation() -> None:
    """The best answer so far is marked as such."""
    answer = await (sample(Texts("a"), n=8) | Plurality()).answer("which?", budget=Budget(samples=2))
    assert answer.stopped == "budget: 2 samples"
    assert [d.code for d in answer.degraded] == ["budget_exhausted"]


async def test_pipelines_nest_and_their_tokens_count_once() -> None:
    """A vote over two votes: inner answers are candidates, and no token is counted twice."""
    inner = sample(Texts("a"), n=3) | Plurality()
    outer = sample(inner, n=2) | Plurality()
    answer = await outer.answer("which?", seed=5)
    assert [(c.model, c.answer, c.usage.completion_tokens) for c in answer.candidates] == [(inner.name, "a", 3)] * 2
    assert answer.usage.completion_tokens == 6
    assert len({c.seed for c in answer.candidates}) == 2


async def test_nested_pipelines_never_share_samples() -> None:
    """Inner pipelines of one vote draw with different seeds, none of them the caller's own."""
    model = Texts("a")
    await (sample(sample(model, n=4) | Plurality(), n=4) | Plurality()).answer("which?", seed=5)
    seeds = [seed for _, seed in model.asked]
    assert len(set(seeds)) == 16


async def test_a_nested_failure_is_one_failed_candidate() -> None:
    """An inner pipeline without an answer fails alone, with its cause."""
    broken = sample(Texts("!"), n=2) | Plurality()
    answer = await (sample([broken, Texts("a")], n=2) | Plurality()).answer("which?")
    assert answer.text == "a"
    assert answer.candidates[0].error is not None
    assert answer.candidates[0].error.status == 429


async def test_the_stream_ends_in_done_and_its_tokens_are_the_text() -> None:
    """Synthesis tokens joined are the answer's text."""
    events = [event async for event in (sample(Texts("so it is"), n=1) | First()).events("which?")]
    assert isinstance(events[-1], Done)
    assert [e.text for e in events if isinstance(e, AnswerToken)] == ["so", "it", "is"]


async def test_a_bare_model_passes_through() -> None:
    """One candidate, its tokens, the caller's own seed."""
    model = Texts("so it is")
    answer = await model.answer("which?", seed=9)
    assert (answer.text, answer.model, len(answer.candidates)) == ("so it is", "texts", 1)
    assert model.asked == [(0, 9)]
    assert answer.usage.completion_tokens == 3


async def test_a_bare_model_that_fails_raises_with_its_status() -> None:
    """No candidate to fall back on: the upstream's status reaches the caller."""
    with pytest.raises(NoAnswer, match="slow down") as caught:
        await Texts("!").answer("which?")
    assert (caught.value.status, caught.value.retry_after) == (429, 7)


async def test_a_bare_model_cut_by_the_deadline_gives_what_it_said() -> None:
    """The text so far, marked as cut."""
    answer = await Hangs("so", "far").answer("which?", budget=Budget(seconds=0.05))
    assert (answer.text, answer.finish_reason) == ("so far", "length")
    assert [d.code for d in answer.degraded] == ["budget_exhausted"]


async def test_leaving_a_pipeline_early_cancels_upstream_work() -> None:
    """Closing the event stream stops the samples."""
    model = Hangs("a")
    events = (sample(model, n=2) | Plurality()).events("which?")
    await anext(events)
    await events.aclose()
    assert model.cancelled == 1


async def test_cancelling_an_answer_cancels_upstream_work() -> None:
    """A task that is cancelled leaves nothing running."""
    model = Hangs("a")
    task = asyncio.create_task((sample([model, model], n=2) | Plurality()).answer("which?"))
    await model.asking.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.cancelled == len(model.questions)


async def test_a_finished_stage_is_not_repeated_after_a_crash(tmp_path: Path) -> None:
    """The samples survive in the checkpoint; the resumed answer still counts what they cost."""
    model, aggregator = Texts("a", "b", "a"), Echo()
    pipeline = sample(model, n=3) | aggregator
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        with pytest.raises(PowerCut):
            await pipeline.answer("which?", seed=3, checkpoints=kept, thread="t")
    aggregator.broken = False
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        answer = await pipeline.answer("which?", seed=3, checkpoints=kept, thread="t")
    assert len(model.asked) == 3
    assert (answer.text, answer.usage.completion_tokens, len(answer.candidates)) == ("a", 3, 3)


async def test_another_question_in_the_same_thread_starts_anew(tmp_path: Path) -> None:
    """A checkpoint serves only the question it was made for."""
    model, aggregator = Texts("a"), Echo()
    pipeline = sample(model, n=2) | aggregator
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        with pytest.raises(PowerCut):
            await pipeline.answer("which?", checkpoints=kept, thread="t")
        aggregator.broken = False
        await pipeline.answer("something else?", checkpoints=kept, thread="t")
    assert len(model.asked) == 4


async def test_the_second_question_of_a_thread_votes_on_its_own_samples(tmp_path: Path) -> None:
    """Nothing of an unfinished question is left in the answer to the next one."""
    model, aggregator = Texts("a"), Echo()
    pipeline = sample(model, n=2) | aggregator
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        with pytest.raises(PowerCut):
            await pipeline.answer("which?", checkpoints=kept, thread="t")
        aggregator.broken, model.texts = False, ("b",)
        answer = await pipeline.answer("something else?", checkpoints=kept, thread="t")
    assert (answer.text, [c.text for c in answer.candidates]) == ("b", ["b", "b"])


@pytest.mark.parametrize("texts", [("a", "b b", "a"), ("a", "!", "b"), ("so it is",)], ids=" ".join)
@pytest.mark.parametrize("budget", [Budget(), Budget(samples=2)], ids=["whole", "cut"])
async def test_a_pipeline_tells_the_same_with_checkpoints_and_without(
    tmp_path: Path, texts: tuple[str, ...], budget: Budget
) -> None:
    """Both executors run the same nodes: equal events, equal answer, equal accounts.

    Samples that are drawn side by side may take turns in another order, and those that end together are counted once.
    """
    pipeline = sample(sample(Texts(*texts), n=2) | First(), n=3) | Plurality()
    plain = [event async for event in pipeline.events("which?", seed=4, budget=budget, thread="t")]
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        events = pipeline.events("which?", seed=4, budget=budget, checkpoints=kept, thread="t")
        through_the_graph = [event async for event in events]
    told = [[_timeless(e) for e in run if not isinstance(e, TallyChanged)] for run in (through_the_graph, plain)]
    assert sorted(map(repr, told[0])) == sorted(map(repr, told[1]))
    assert told[0][-1] == told[1][-1]
    final = [[e.tally for e in run if isinstance(e, TallyChanged)][-1:] for run in (through_the_graph, plain)]
    assert final[0] == final[1]


async def test_leaving_a_pipeline_with_checkpoints_cancels_upstream_work(tmp_path: Path) -> None:
    """Closing the event stream stops the samples, through the graph."""
    model = Hangs("a")
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        events = (sample(model, n=2) | Plurality()).events("which?", checkpoints=kept)
        await anext(events)
        await events.aclose()
    assert model.cancelled == 1


async def test_closed_checkpoints_are_refused(tmp_path: Path) -> None:
    """A file that was never opened is the caller's mistake, and said so."""
    with pytest.raises(BadInput, match="async with"):
        await (sample(Texts("a")) | First()).answer("which?", checkpoints=Checkpoints(tmp_path / "x.sqlite"))


@pytest.mark.parametrize("content", [None, b"\x00not a database" * 100])
async def test_a_file_that_holds_no_checkpoints_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A folder or a file of another kind is one line that names it, not sqlite3's error."""
    path = tmp_path
    if content is not None:
        path = tmp_path / "other.bin"
        path.write_bytes(content)
    with pytest.raises(BadInput, match=re.escape(f"{path} cannot be opened")):
        async with Checkpoints(path):
            pass


def test_answers_synchronously_even_inside_a_running_loop() -> None:
    """Notebooks have a loop running; `answer_sync` works there as in a script."""
    pipeline = sample(Texts("a"), n=2) | Plurality()

    async def notebook() -> Answer:
        return pipeline.answer_sync("which?")

    assert pipeline.answer_sync("which?").text == asyncio.run(notebook()).text == "a"


async def test_events_without_an_event_loop() -> None:
    """`events_sync` tells what `events` does; a synchronous call inside it would wait for itself, and is refused."""
    pipeline = sample(Texts("a"), n=2) | Plurality()
    told = [type(event) async for event in pipeline.events("which?")]
    assert [type(event) for event in pipeline.events_sync("which?")] == told

    def ask_inside(_: Question, __: int) -> str:
        return pipeline.answer_sync("which?").text

    with pytest.raises(RuntimeError, match="would wait for itself"):
        list(ScriptedModel(ask_inside).events_sync("which?"))


@pytest.mark.parametrize("question", ["", [], [Message(role="user", content="")], [{"role": "system", "content": "x"}]])
async def test_an_empty_question_is_refused(question: str) -> None:
    """Before anything is sent."""
    with pytest.raises(BadInput, match="empty"):
        await Texts("a").answer(question)


async def test_closing_a_pipeline_closes_its_models() -> None:
    """Once each, nested or not."""
    model = Texts("a")
    async with sample(model) | First():
        pass
    assert model.closed == 1


def test_everything_satisfies_its_protocol() -> None:
    """A pipeline is a model; an agent is a sampler too."""
    pipeline = sample(Texts("a"), n=2) | Plurality()
    assert isinstance(pipeline, Model)
    assert not isinstance(pipeline, Sampler)
    assert not is_sampler(pipeline)
    assert isinstance(Texts("a"), Sampler)
    assert is_sampler(Texts("a"))


def test_a_pipeline_is_drawn_with_its_nested_ones() -> None:
    """Mermaid text with every model, stage and aggregator, and names escaped."""
    inner = sample(Texts("a", name='m"1'), n=3) | Plurality()
    drawing = draw_mermaid(sample([inner, Texts("b", name="m2")], n=2) | First())
    assert drawing.startswith("flowchart LR")
    assert drawing.count("subgraph") == drawing.count("end\n") == 2
    assert "m#34;1" in drawing
    assert "sample x 3" in drawing


def test_questions_are_equal_by_content_but_for_the_seed() -> None:
    """The key names what is asked and how, not which repetition it is."""
    question = Question.of("a")
    assert question.key == question.with_params(seed=1).key
    assert question.key != question.with_params(temperature=0.5).key
    assert question.key != Question.of("b").key


def _timeless(told: Any) -> Any:
    """An event without the time that things took."""
    if is_dataclass(told):
        fields_of = {each.name: getattr(told, each.name) for each in fields(told)}
        return {"type": type(told).__name__, **_timeless(fields_of)}
    if isinstance(told, Frozen):
        return {"type": type(told).__name__, **_timeless(dict(told))}
    if isinstance(told, dict):
        return {key: _timeless(value) for key, value in told.items() if key not in ("latency", "seconds")}
    return [_timeless(value) for value in told] if isinstance(told, tuple) else told
