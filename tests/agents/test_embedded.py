"""The embedded agent on a random model: what it draws, what it counts, and how it ends."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from quorate.agents.embedded import Embedded, load
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import CandidateToken, Event
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Candidate, Message, Question, SamplingParams
from tests.orchestrator.fakes import First

from .tiny import CONTEXT

torch = pytest.importorskip("torch")

TOM = Question.of("Tom has 3 apples.").with_params(max_tokens=40)


async def draw(
    agent: Embedded, question: Question, indices: Sequence[int] = (0,), run: RunContext | None = None
) -> list[Candidate]:
    """The candidates of these indices, in their order."""
    run = run or RunContext(seed=7, live=False)
    slots = [PartialCandidate(index, run) for index in indices]
    await agent.sample(question, slots, run)
    return [slot.result for slot in slots if slot.result is not None]


async def cancel_after(
    agent: Embedded, question: Question, indices: Sequence[int], run: RunContext, pieces: int
) -> list[Candidate]:
    """What is left of the candidates where the asking task is cancelled after so many pieces of text."""
    enough, seen = asyncio.Event(), 0

    def note(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, CandidateToken)
        if seen == pieces:
            enough.set()

    slots = [PartialCandidate(index, replace(run, emit=note)) for index in indices]
    task = asyncio.create_task(agent.sample(question, slots, run))
    await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for slot in slots:
        slot.cancel()
    return [slot.result for slot in slots if slot.result is not None]


def reference(tiny: Path, question: Question, tokens: int) -> list[int]:
    """What transformers' own `generate` writes greedily."""
    loaded = load(tiny)
    prompt = torch.tensor([loaded.prompt(question)])
    out = loaded.model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=tokens, do_sample=False, temperature=None
    )
    return [int(token) for token in out[0, prompt.shape[1] :]]


async def test_greedy_equals_generate(model: Embedded, tiny: Path) -> None:
    """At temperature 0 the text is that of transformers, whatever else is in the batch."""
    questions = [
        Question.of(text).with_params(temperature=0, max_tokens=30) for text in ("Tom", "3 apples and 14", "a" * 90)
    ]
    alone = [(await draw(model, question))[0] for question in questions]
    together = await asyncio.gather(*(draw(model, question) for question in questions))
    for question, one, (other,) in zip(questions, alone, together, strict=True):
        tokens = reference(tiny, question, 30)
        assert one.text == load(tiny).decode(tokens)
        assert one.usage.completion_tokens == len(tokens)
        assert other.text == one.text


def test_it_counts_tokens_as_it_reads_them(tiny: Path) -> None:
    """By its own tokenizer, and it knows its context: what a synthesizer cuts its candidates to."""
    agent = Embedded(tiny)
    text = "Tom has 3 apples."
    assert agent.count_tokens(text) == len(load(tiny).tokenizer.encode(text, add_special_tokens=False))
    assert agent.context_tokens() == CONTEXT


async def test_bfloat16_draws(tiny: Path) -> None:
    """The same interface computes in bfloat16."""
    async with Embedded(tiny, dtype="bfloat16") as agent:
        (candidate,) = await draw(agent, TOM)
    assert candidate.ok
    assert load(tiny, "bfloat16").model.dtype == torch.bfloat16


async def test_seed_decides_each_sample(model: Embedded) -> None:
    """A sample follows from the run's seed and its index: not from its batch, nor from the others."""
    first = await draw(model, TOM, range(8))
    again = await draw(model, TOM, range(8))
    assert [c.text for c in again] == [c.text for c in first]
    assert [c.seed for c in first] == [RunContext(seed=7).sample_seed(i) for i in range(8)]
    assert len({c.text for c in first}) == 8
    (third,) = await draw(model, TOM, [3])
    assert third.text == first[3].text
    other = await draw(model, TOM, range(8), RunContext(seed=8, live=False))
    assert not {c.text for c in other} & {c.text for c in first}


async def test_batch_does_not_change_samples(model: Embedded, tiny: Path) -> None:
    """In float32 samples are the same alone, beside longer and shorter questions, and in a small batch."""
    questions = [Question.of("Tom " * size).with_params(max_tokens=5 + 7 * size) for size in range(1, 8)]
    alone = [[c.text for c in await draw(model, question, range(3))] for question in questions]
    together = await asyncio.gather(*(draw(model, question, range(3)) for question in questions))
    assert [[c.text for c in candidates] for candidates in together] == alone
    async with Embedded(tiny, max_batch=2) as narrow:
        split = await asyncio.gather(*(draw(narrow, question, range(3)) for question in questions))
    assert [[c.text for c in candidates] for candidates in split] == alone


async def test_no_seed_is_random(model: Embedded) -> None:
    """Without a seed two runs differ."""
    one, two = [await draw(model, TOM, run=RunContext(live=False)) for _ in range(2)]
    assert one[0].seed is None
    assert one[0].text != two[0].text


async def test_usage_counts_every_token_once(model: Embedded, tiny: Path) -> None:
    """The prompt is counted once a question, answers with their end token, and the ledger agrees."""
    run = RunContext(seed=1, live=False)
    candidates = await draw(model, TOM.with_params(max_tokens=200), range(12), run)
    prompt = len(load(tiny).prompt(TOM))
    assert [c.usage.prompt_tokens for c in candidates] == [prompt] + [0] * 11
    assert [c.usage.requests for c in candidates] == [1] + [0] * 11
    assert run.ledger.usage.prompt_tokens == prompt
    assert run.ledger.usage.completion_tokens == sum(c.usage.completion_tokens for c in candidates)
    ended = [c for c in candidates if c.finish_reason == "stop"]
    assert ended, "the random model ends some answers"
    assert all(c.usage.completion_tokens == 200 for c in candidates if c.finish_reason == "length")


async def test_end_token_is_counted(model: Embedded, tiny: Path) -> None:
    """An answer that ends by itself has one log-probability for every token, the last the end token's."""
    candidates = await draw(model, TOM.with_params(max_tokens=200, top_logprobs=0), range(12))
    ended = next(c for c in candidates if c.finish_reason == "stop")
    assert ended.logprobs is not None
    assert len(ended.logprobs) == ended.usage.completion_tokens
    assert ended.logprobs[-1].token == "<|end|>"
    assert "<|end|>" not in ended.text


async def test_live_text_equals_final_text(model: Embedded) -> None:
    """The pieces join to the text, hold no half characters but broken ones, and do not change it."""
    pieces: dict[int, str] = {}
    question = TOM.with_params(max_tokens=120)
    live = await draw(model, question, range(6), RunContext(seed=3, emit=partial(collect, pieces)))
    quiet = await draw(model, question, range(6), RunContext(seed=3, live=False))
    assert pieces == {c.index: c.text for c in live} == {c.index: c.text for c in quiet}


async def test_stop_strings_end_the_text(model: Embedded) -> None:
    """The text ends before the first stop string; pieces never show any of it; its tokens are counted."""
    (whole,) = await draw(model, TOM.with_params(max_tokens=120))
    stop = whole.text[20:23]
    at = whole.text.index(stop)
    pieces: dict[int, str] = {}
    question = TOM.with_params(max_tokens=120, stop=("never seen", stop))
    (cut,) = await draw(model, question, run=RunContext(seed=7, emit=partial(collect, pieces)))
    assert cut.text == pieces[0] == whole.text[:at]
    assert cut.finish_reason == "stop"
    assert 0 < cut.usage.completion_tokens < whole.usage.completion_tokens


def collect(pieces: dict[int, str], event: Event) -> None:
    """Joins the pieces of each candidate."""
    if isinstance(event, CandidateToken):
        pieces[event.index] = pieces.get(event.index, "") + event.text


async def test_logprobs_are_the_models_own(model: Embedded, tiny: Path) -> None:
    """Log-probabilities are those of the model before temperature, with the asked number of alternatives."""
    question = TOM.with_params(max_tokens=1, temperature=0.5, top_logprobs=3)
    (candidate,) = await draw(model, question)
    loaded = load(tiny)
    with torch.inference_mode():
        logits = loaded.model(torch.tensor([loaded.prompt(question)])).logits[0, -1]
    expected = torch.log_softmax(logits, -1)
    assert candidate.logprobs is not None
    (token,) = candidate.logprobs
    values, tokens = expected.topk(3)
    assert [lp for _, lp in token.top] == pytest.approx(values.tolist(), abs=1e-4)
    assert [text for text, _ in token.top] == [loaded.spell(int(t)) for t in tokens]
    assert any(token.logprob == pytest.approx(float(lp), abs=1e-4) for lp in expected)
    assert (await draw(model, TOM))[0].logprobs is None


async def test_cancelling_drops_the_rest(model: Embedded) -> None:
    """A cancelled call leaves its unfinished samples as they are, each token counted, and the agent serves on."""
    run = RunContext(seed=5)
    cut = await cancel_after(model, TOM.with_params(max_tokens=200), range(4), run, pieces=12)
    assert {c.finish_reason for c in cut} == {"cancelled"}
    counted = run.ledger.usage
    assert counted.completion_tokens >= 12
    assert counted.completion_tokens < 800
    assert counted.requests == 1
    assert sum(c.usage.completion_tokens for c in cut) == counted.completion_tokens
    whole = await draw(model, TOM.with_params(max_tokens=200), range(4), RunContext(seed=5, live=False))
    for part in cut:
        assert whole[part.index].text.startswith(part.text.rstrip("\ufffd"))
    assert run.ledger.usage == counted


async def test_cancelling_at_the_worst_moment_harms_nobody_else(
    model: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call is cancelled while the batch drops another row: it has counted its rows, and moves them now."""
    from quorate.agents.embedded.batch_engine import BatchEngine

    question = TOM.with_params(max_tokens=30)
    alone = await draw(model, question, [0])
    run, counted = RunContext(seed=5, live=False), vars(BatchEngine)["running"].fget
    doomed = asyncio.create_task(draw(model, TOM.with_params(max_tokens=200), [1, 2], run))
    times = 0

    def count(engine: BatchEngine) -> int:
        nonlocal times
        found = int(counted(engine))
        times += 0 < found < len(engine._rows)
        if times == 2 and model._worker is not None:
            for job in {job for job, sample in model._worker._active.values() if sample.limit == 200}:
                model._worker.cancel(job)
        return found

    monkeypatch.setattr(BatchEngine, "running", property(count))
    short = asyncio.create_task(draw(model, TOM.with_params(max_tokens=3), [3]))
    assert (await draw(model, question, [0]))[0].text == alone[0].text
    assert (await short)[0].ok
    assert times > 1
    doomed.cancel()
    await asyncio.gather(doomed, return_exceptions=True)


async def test_cancelled_samples_keep_no_memory(model: Embedded) -> None:
    """Their cache goes once nothing else is drawn, not only when the next question comes."""
    await cancel_after(model, TOM.with_params(max_tokens=200), range(4), RunContext(seed=5), pieces=3)
    assert model._worker is not None
    for _ in range(1000):
        if not model._worker._engine._groups:
            break
        await asyncio.sleep(0.005)
    assert not model._worker._engine._groups


async def test_what_is_not_read_is_left_too(model: Embedded) -> None:
    """Where nobody wanted pieces, a cancelled sample still has the text and the log-probabilities that were drawn."""
    question, run = TOM.with_params(max_tokens=240, top_logprobs=0), RunContext(seed=5, live=False)
    slots = [PartialCandidate(index, run) for index in range(2)]
    task = asyncio.create_task(model.sample(question, slots, run))
    for _ in range(1000):
        await asyncio.sleep(0.005)
        if model._worker is not None and any(len(s.tokens) > 5 for _, s in list(model._worker._active.values())):
            break
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for slot in slots:
        slot.cancel()
        assert slot.result is not None
        assert slot.result.text
        assert slot.result.logprobs is not None
        assert len(slot.result.logprobs) == slot.result.usage.completion_tokens > 0


async def test_prompt_too_long_is_a_failure(model: Embedded) -> None:
    """A prompt that leaves no room fails as a value that names both lengths; a tight one is cut off."""
    (failed, _) = await draw(model, Question.of("y" * 2 * CONTEXT), [0, 1])
    assert failed.error is not None
    assert failed.error.code == "context_length_exceeded"
    assert failed.error.status == 400
    assert str(CONTEXT) in failed.error.message
    (tight,) = await draw(model, Question.of("y" * (CONTEXT - 5)).with_params(max_tokens=50, stop=()))
    assert tight.usage.prompt_tokens + tight.usage.completion_tokens <= CONTEXT


async def test_half_a_character_is_read_as_one_that_is_lost(model: Embedded) -> None:
    """As UTF-8 has it: JSON can name half of a surrogate pair, and no tokenizer can read that."""
    half, lost = [(await draw(model, Question.of(text)))[0] for text in ("Tom \ud83d has", "Tom \ufffd has")]
    assert half.ok
    assert (half.text, half.usage.prompt_tokens) == (lost.text, lost.usage.prompt_tokens)


async def test_unplain_format_is_a_failure(model: Embedded) -> None:
    """A format that cannot be kept is refused, not ignored."""
    question = TOM.model_copy(update={"response_format": {"type": "json_object"}})
    (failed,) = await draw(model, question)
    assert failed.error is not None
    assert "response_format" in failed.error.message


async def test_conversations_use_the_template(model: Embedded, tiny: Path) -> None:
    """System and earlier messages reach the model; parts of text are joined."""
    parts = ({"type": "text", "text": "To"}, {"type": "text", "text": "m"})
    question = Question.of([Message(role="system", content="Count."), Message(role="user", content=parts)])
    loaded = load(tiny)
    text = loaded.tokenizer.decode(loaded.prompt(question))
    assert text == "<|system|>Count.<|end|><|user|>Tom<|end|><|assistant|>"


async def test_crash_fails_candidates_only(model: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error inside the model becomes the failure of what was drawn; the next question works."""
    from quorate.agents.embedded.batch_engine import BatchEngine

    def broken(self: BatchEngine) -> None:
        raise RuntimeError("no such kernel")

    with monkeypatch.context() as patch:
        patch.setattr(BatchEngine, "advance", broken)
        failed = await draw(model, TOM, [0, 1])
    assert [c.error.message for c in failed if c.error] == ["RuntimeError: no such kernel"] * 2
    assert failed[0].usage.completion_tokens == 1
    assert (await draw(model, TOM))[0].ok


@pytest.mark.parametrize("logprobs", [None, 2])
async def test_logits_that_are_no_numbers_fail_their_samples_only(
    model: Embedded, monkeypatch: pytest.MonkeyPatch, logprobs: int | None
) -> None:
    """As of weights that overflow for one prompt: what was drawn before is kept, others go on."""
    from quorate.agents.embedded.batch_engine import BatchEngine

    question, real = TOM.with_params(max_tokens=9, top_logprobs=logprobs), BatchEngine._forward
    whole = await draw(model, question, [0, 1])

    def overflow(self: BatchEngine, tokens: Any, lengths: Any, *others: Any) -> Any:
        logits = real(self, tokens, lengths, *others)
        if len(tokens) == 2:
            logits[1, 3] = torch.nan
        return logits

    monkeypatch.setattr(BatchEngine, "_forward", overflow)
    sound, lost = await draw(model, question, [0, 1])
    assert (sound.text, sound.usage) == (whole[0].text, whole[0].usage)
    assert lost.error is not None
    assert "logits are not numbers" in lost.error.message
    assert lost.usage.completion_tokens == 1
    assert whole[1].text.startswith(lost.text.rstrip("\ufffd"))


async def test_close_fails_what_runs_and_restarts(tiny: Path) -> None:
    """`aclose` ends running samples as failures; the agent can be used again."""
    agent, begun = Embedded(tiny), asyncio.Event()
    run = RunContext(seed=1, emit=lambda event: begun.set() if isinstance(event, CandidateToken) else None)
    task = asyncio.create_task(draw(agent, TOM.with_params(max_tokens=240), range(2), run))
    await begun.wait()
    await agent.aclose()
    ends = await task
    assert len(ends) == 2
    assert {c.error.code for c in ends if c.error is not None} == {"model_closed"}
    assert (await draw(agent, TOM))[0].ok
    await agent.aclose()


async def test_an_error_of_who_looks_on_is_not_lost(model: Embedded) -> None:
    """It comes out of the call, and nothing waits for ever."""
    run = RunContext(seed=1)
    slot = PartialCandidate(0, run)

    def refuse(*_: object) -> None:
        raise RuntimeError("no such reader")

    slot.on_write = refuse
    with pytest.raises(RuntimeError, match="no such reader"):
        await model.sample(TOM, [slot], run)


async def test_pipeline_of_the_agent(model: Embedded) -> None:
    """An agent proposes in a pipeline; a stage's settings are defaults below the caller's."""
    pipeline = sample(model, n=5, sampling=SamplingParams(max_tokens=6)) | First()
    answer = await pipeline.answer("Tom has 3 apples.", seed=7)
    assert len(answer.candidates) == 5
    assert all(c.usage.completion_tokens <= 6 for c in answer.candidates)
    assert answer.candidates[0].agent == model.name


async def test_repetitions_are_penalized_as_generate_does(tiny: Path, tmp_path: Path) -> None:
    """By the model's own setting, prompt included; log-probabilities stay the model's."""
    own = Path(shutil.copytree(tiny, tmp_path / "own"))
    said = json.loads((own / "generation_config.json").read_text()) | {"repetition_penalty": 1.3, "min_p": 0.1}
    (own / "generation_config.json").write_text(json.dumps(said))
    greedy = TOM.with_params(temperature=0, top_logprobs=1)
    async with Embedded(own) as agent, Embedded(tiny) as plain:
        (penalized,), (free,) = await draw(agent, greedy), await draw(plain, greedy)
        shorter = await draw(agent, greedy.with_params(max_tokens=20), [0, 1])
    loaded = load(own)
    assert penalized.text == loaded.decode(reference(own, TOM, 40))
    assert penalized.text != free.text
    assert all(penalized.text.startswith(one.text.rstrip("\ufffd")) for one in shorter)
    assert penalized.logprobs
    assert free.logprobs
    assert penalized.logprobs[0].top == free.logprobs[0].top


async def test_waiting_questions_are_served_in_turn(tiny: Path) -> None:
    """More samples than the batch holds are all drawn, and counted once."""
    async with Embedded(tiny, max_batch=4) as narrow:
        runs = [RunContext(seed=i, live=False) for i in range(5)]
        results = await asyncio.gather(*(draw(narrow, TOM, range(6), run) for run in runs))
    assert Counter(c.index for candidates in results for c in candidates) == Counter(list(range(6)) * 5)
    for run, candidates in zip(runs, results, strict=True):
        assert run.ledger.usage.completion_tokens == sum(c.usage.completion_tokens for c in candidates)


async def test_a_few_that_come_one_by_one_join_a_large_batch_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joining makes all rows move, so it is done less often than samples arrive; what is said stays the same."""
    from quorate.agents.embedded import worker
    from quorate.agents.embedded.batch_engine import BatchPrompt
    from quorate.agents.embedded.batch_groups import BatchGroups

    joins: list[int] = []
    real = BatchGroups.join

    def count(groups: BatchGroups, prompts: Sequence[BatchPrompt]) -> None:
        joins.append(groups.running)
        real(groups, prompts)

    monkeypatch.setattr(BatchGroups, "join", count)
    texts: dict[int, list[str]] = {}
    counts: dict[int, int] = {}
    for patience in (0, worker.PATIENCE):
        monkeypatch.setattr(worker, "PATIENCE", patience)
        agent, places = Embedded(sampling=SamplingParams(temperature=0.0, max_tokens=24)), asyncio.Semaphore(32)

        async def one(number: int, agent: Embedded = agent, places: asyncio.Semaphore = places) -> str:
            async with places:
                question = Question.of(f"Tom has {number} apples.").with_params(max_tokens=4 + number % 20)
                return (await agent.answer(question)).text

        joins.clear()
        texts[patience] = list(await asyncio.gather(*map(one, range(96))))
        counts[patience] = sum(running >= 8 for running in joins)
        await agent.aclose()
    assert texts[0] == texts[worker.PATIENCE]
    assert counts[worker.PATIENCE] < counts[0]
