"""`SAFE` as a model: in pipelines, streamed, counted, and when something goes wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from math import inf
from typing import Any

import pytest

from quorate.aggregators.token_level import SAFE, Adaptive, EnsembleRule, EveryToken, GaC, Mix, Safe, safe
from quorate.aggregators.token_level.conditions import Conditions
from quorate.aggregators.token_level.engine import EnsembleStrategy
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer, QuorateError, UpstreamError
from quorate.orchestrator.events import AnswerToken, CandidateFinished, CandidateToken, Done, Event
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.tokens import Draft, DraftAsk
from quorate.orchestrator.types import Answer, Question
from quorate.orchestrator.usage import Usage
from quorate.testing import ScriptedModel
from quorate.testing.tokens import FormulaTokens

from .writers import make_engine, model, vocabulary, write

pytest.importorskip("numpy")
pytest.importorskip("tokenizers")

ASKED = "The answer is 365 apples."


def pair(**settings: Any) -> SAFE:
    """A byte-level drafter and a verifier with SentencePiece's kind of tokens."""
    return SAFE([model("bytes", 1), model("spaces", 2)], **settings)


async def ask(ensemble: SAFE, question: Any = ASKED, **settings: Any) -> Answer:
    question = Question.of(question).with_params(**{"max_tokens": 24, **settings})
    return await ensemble.answer(question)


async def test_tokens_are_streamed_as_they_stand() -> None:
    """What is streamed joins to the answer, and the candidate tells why its tokens stand."""
    question = Question.of(ASKED).with_params(max_tokens=24)
    events = [event async for event in pair().events(question)]
    done = events[-1]
    assert isinstance(done, Done)
    pieces = [event.text for event in events if isinstance(event, AnswerToken)]
    assert len(pieces) > 3
    assert "".join(pieces) == done.answer.text
    [candidate] = done.answer.candidates
    assert candidate.ensembling is not None
    assert candidate.ensembling.tokens >= len(pieces)


async def test_every_token_has_a_story_where_it_is_asked_for() -> None:
    """Text, reason, both models' first choices and the mixture's probability."""
    answer = await ask(pair(traced=True))
    told = answer.candidates[0].ensembling
    assert told is not None
    assert told.tokens == len(told.steps)
    decided = [step for step in told.steps if step.why == "ensembled"]
    assert decided
    assert all([choice.model for choice in step.choices] == ["bytes-1", "spaces-2"] for step in decided)
    assert all(0 < (step.probability or 0) <= 1 for step in decided)
    assert (await ask(pair())).candidates[0].ensembling.steps == ()  # type: ignore[union-attr]


async def test_what_every_model_reads_and_writes_is_counted() -> None:
    """Drafted tokens are the drafter's completion, positions that a verifier reads its prompt, thrown away or not."""
    answer = await ask(pair())
    told = answer.candidates[0].ensembling
    assert told is not None
    spent = {node.model: node.usage for node in answer.nodes}
    assert set(spent) == {"bytes-1", "spaces-2"}
    assert spent["bytes-1"].completion_tokens == told.drafted
    assert spent["spaces-2"].completion_tokens == 0
    assert spent["spaces-2"].prompt_tokens >= len(model("spaces", 2).prompt(Question.of(ASKED)))
    assert answer.usage.total_tokens == sum(usage.total_tokens for usage in spent.values())


async def test_a_vote_over_ensembles() -> None:
    """`majority@3/...` draws one greedy answer and two samples, which repeat with the seed."""
    from quorate import MajorityVote, sample

    vote = sample(pair(), n=3) | MajorityVote()
    question = Question.of(ASKED).with_params(max_tokens=12)
    first, second = [await vote.answer(question, seed=5) for _ in range(2)]
    assert [c.text for c in first.candidates] == [c.text for c in second.candidates]
    assert len({c.text for c in first.candidates}) == 3
    assert first.candidates[0].text == (await pair().answer(question)).text


async def test_a_verifier_that_dies_is_left_out() -> None:
    """The answer goes on with the others from there, and says which one was lost and why."""
    dying = model("spaces", 2, dies=3)
    answer = await ask(SAFE([model("bytes", 1), dying, model("words", 3)]))
    [note] = [note for note in answer.degraded if note.code == "verifier_lost"]
    assert "spaces-2" in note.detail
    assert "connection was lost" in note.detail
    told = answer.candidates[0].ensembling
    assert told is not None
    assert told.counts.get("alone", 0) == 0
    alone = await ask(SAFE([model("bytes", 1), model("spaces", 2, dies=1)]))
    assert alone.text == (await ask(SAFE([model("bytes", 1)]))).text


class Unready(FormulaTokens):
    """Cannot be opened, or cannot read questions, while there is an error for it."""

    opening: QuorateError | None = None
    reading: QuorateError | None = None
    opened = 0

    async def open(self) -> None:
        self.opened += 1
        if self.opening is not None:
            raise self.opening

    def prompt(self, question: Question) -> list[int]:
        if self.reading is not None:
            raise self.reading
        return super().prompt(question)


def unready(kind: str, seed: int, **errors: QuorateError) -> Unready:
    made = Unready(vocabulary(kind), seed, name=f"{kind}-{seed}")
    for name, error in errors.items():
        setattr(made, name, error)
    return made


@pytest.mark.parametrize("rule", [None, Mix()])
@pytest.mark.parametrize("where", ["opening", "reading"])
async def test_a_verifier_that_is_not_there_is_left_out(where: str, rule: EnsembleStrategy | None) -> None:
    """The others write as if it had never been named, each with its own weight, and it is said why."""
    down = unready("spaces", 2, **{where: UpstreamError("no connection")})
    weights = {"spaces-2": 5.0, "words-3": 2.0}
    answer = await ask(SAFE([model("bytes", 1), down, model("words", 3)], weights=weights, rule=rule), seed=5)
    rest = await ask(SAFE([model("bytes", 1), model("words", 3)], weights={"words-3": 2.0}, rule=rule), seed=5)
    assert answer.text == rest.text
    assert [(note.code, note.detail) for note in answer.degraded] == [("verifier_lost", "spaces-2: no connection")]
    assert {node.model for node in answer.nodes} == {"bytes-1", "words-3"}


async def test_a_verifier_that_comes_back_takes_part_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again after a while, and not at every question."""
    down = unready("spaces", 2, opening=UpstreamError("no connection"))
    ensemble = SAFE([model("bytes", 1), down])
    for _ in range(3):
        assert (await ask(ensemble)).degraded
    assert down.opened == 1
    monkeypatch.setattr(safe, "RETRY", 0.0)
    ensemble, down.opened = SAFE([model("bytes", 1), down]), 0
    assert (await ask(ensemble)).degraded
    down.opening = None
    whole = await ask(ensemble)
    assert down.opened == 2
    assert not whole.degraded
    assert whole.text == (await ask(pair())).text
    await ask(ensemble)
    assert down.opened == 2


@pytest.mark.parametrize("where", ["opening", "reading"])
async def test_what_no_answer_can_do_without(where: str) -> None:
    """The drafter, and a verifier that never could take part: that is for the caller to mend."""
    drafter = unready("bytes", 1, **{where: UpstreamError("no connection")})
    with pytest.raises(NoAnswer, match="no connection") as failed:
        await ask(SAFE([drafter, model("spaces", 2)]))
    assert failed.value.status == 502
    verifier = unready("spaces", 2, **{where: BadInput("spaces-2 has no fast tokenizer")})
    with pytest.raises(NoAnswer, match="no fast tokenizer") as refused:
        await ask(SAFE([model("bytes", 1), verifier]))
    assert refused.value.status == 400


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("conditions", [Safe(Adaptive()), EveryToken()])
def test_how_often_a_verifier_agrees_is_counted(temperature: float, conditions: Conditions) -> None:
    """Over every token that it looked at, as the tokens' stories tell it; a model always agrees with itself."""
    pair = make_engine([model("bytes", 1), model("bytes", 2)], conditions=conditions)
    state = write(pair, temperature=temperature, seed=1)
    drafter, verifier = state.spent
    looked = [step for step in state.steps if step.choices]
    assert (drafter.judged, drafter.agreed) == (0, 0)
    assert verifier.judged == len(looked) > 0
    assert verifier.agreed == sum(step.choices[1].key == step.drafted for step in looked)
    assert 0 < verifier.agreed < verifier.judged
    [_, itself] = write(make_engine([model("bytes", 1), model("bytes", 1)], conditions=conditions)).spent
    assert itself.agreed == itself.judged > 0


async def test_members_are_told_in_the_order_of_the_models() -> None:
    """What each spent sums to the candidate, and only verifiers judge."""
    [candidate] = (await ask(pair())).candidates
    assert candidate.ensembling is not None
    drafter, verifier = candidate.ensembling.members
    assert (drafter.model, verifier.model) == ("bytes-1", "spaces-2")
    assert drafter.usage + verifier.usage == candidate.usage
    assert drafter.judged == 0 < verifier.judged


async def test_contexts_that_are_full() -> None:
    """A verifier whose context ends is lost; a question beyond the drafter's is refused, an answer ends at its end."""
    short = model("spaces", 2, context=30)
    answer = await ask(SAFE([model("bytes", 1), short]))
    assert [note.code for note in answer.degraded] == ["verifier_lost"]
    with pytest.raises(NoAnswer, match="shorten it") as refused:
        await ask(SAFE([model("bytes", 1, context=4), model("spaces", 2)]))
    assert refused.value.status == 400
    room = len(model("bytes", 1).prompt(Question.of(ASKED))) + 5
    cut = await ask(SAFE([model("bytes", 1, context=room), model("spaces", 2)]))
    assert cut.finish_reason == "length"


async def test_a_budget_of_tokens_ends_it() -> None:
    """The best answer so far, marked, no matter how many it might have had."""
    question = Question.of(ASKED)
    answer = await pair().answer(question, budget=Budget(tokens=8))
    assert answer.finish_reason == "length"
    assert answer.text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tools": ({"type": "function", "function": {"name": "f"}},)}, "cannot call tools"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
    ],
)
async def test_what_models_cannot_do_together_is_refused(more: dict[str, Any], words: str) -> None:
    """Tools and formats: a 400 instead of an answer that ignores them."""
    with pytest.raises(NoAnswer, match=words) as refused:
        await pair().answer(Question.of(ASKED).model_copy(update=more))
    assert refused.value.status == 400


def test_impossible_ensembles_are_refused() -> None:
    """None, one that has no tokens, and weights for strangers, below zero or without the drafter."""
    with pytest.raises(BadInput, match="needs a model"):
        SAFE([])
    with pytest.raises(BadInput, match="cannot be asked token by token"):
        SAFE([model("bytes", 1), ScriptedModel(["4"], name="chat")])
    for weights in (
        {"nobody": 1.0},
        {"bytes-1": 0.0},
        {"spaces-2": -1.0},
        {"spaces-2": float("nan")},
        {"bytes-1": inf},
    ):
        with pytest.raises(BadInput, match="weights"):
            pair(weights=weights)


async def test_weights_of_zero_drop_out() -> None:
    """The drafter alone, and no verifier is asked."""
    answer = await ask(pair(weights={"spaces-2": 0.0}))
    assert answer.text == (await ask(SAFE([model("bytes", 1)]))).text
    assert [node.model for node in answer.nodes] == ["bytes-1"]


async def test_names_make_ensembles(embedded_pair: str) -> None:
    """`safe/A+B` over models of a catalog, and a vote over it; one that cannot take part is a 400 by name."""
    from quorate.agents import Embedded
    from quorate.config.catalog import Catalog

    first, second = (Embedded(name) for name in embedded_pair.split("+"))
    catalog = Catalog({first.name: first, second.name: second, "chat": ScriptedModel(["4"], name="chat")})
    ensemble = catalog.resolve(f"safe/{embedded_pair}")
    assert isinstance(ensemble, SAFE)
    answer = await ensemble.answer(Question.of("Tom has 3 apples and buys 14 more. How many apples?"))
    assert answer.text.strip()
    assert {node.model for node in answer.nodes} == {first.name, second.name}
    every = await SAFE([first, second], rule=EnsembleRule(EveryToken(), GaC())).answer("Tom has 3 apples. How many?")
    assert every.candidates[0].ensembling is not None
    assert every.candidates[0].ensembling.share > 0.9
    vote = catalog.resolve(f"majority@2/safe/{embedded_pair}")
    events = [event async for event in vote.events("Tom has 3 apples. How many?", seed=1)]  # type: ignore[attr-defined]
    assert sum(isinstance(event, CandidateFinished) for event in events) == 2
    with pytest.raises(BadInput, match="'chat' cannot be asked token by token"):
        catalog.resolve(f"safe/{first.name}+chat")
    await ensemble.aclose()


@pytest.fixture
def embedded_pair() -> str:
    pytest.importorskip("torch")
    return "quorate-tiny-product+quorate-tiny-sum"


async def test_nothing_is_lost_between_the_writing_thread_and_a_slow_reader() -> None:
    """Ten answers at once, read slowly: every one is whole, and none counts as cancelled."""
    pieces = dict.fromkeys(range(10), "")

    def read(event: Event) -> None:
        if isinstance(event, CandidateToken):
            pieces[event.index] += event.text
            time.sleep(0.002)

    run = RunContext(live=True, emit=read)
    slots = [PartialCandidate(index, run) for index in range(10)]
    await pair().sample(Question.of(ASKED).with_params(max_tokens=24), slots, run)
    candidates = [slot.result for slot in slots if slot.result is not None and slot.result.ok]
    assert {candidate.index: candidate.text for candidate in candidates} == pieces


class Remote(FormulaTokens):
    """Lets others work while it drafts, as a server does."""

    async def draft(self, asks: Sequence[DraftAsk]) -> list[Draft]:
        await asyncio.sleep(0)
        return await super().draft(asks)


@pytest.mark.parametrize("in_process", [True, False])
async def test_a_cancelled_answer_says_what_it_cost(in_process: bool) -> None:
    """What was written stays, every model's tokens are counted once, and no back end keeps its row."""
    kind = FormulaTokens if in_process else Remote
    models = [
        kind(vocabulary(name), seed, name=f"{name}-{seed}", in_process=in_process)
        for name, seed in (("bytes", 1), ("spaces", 2))
    ]
    ensemble, begun = SAFE(models), asyncio.Event()
    run = RunContext(seed=1, emit=lambda event: begun.set() if isinstance(event, CandidateToken) else None)
    slots = [PartialCandidate(index, run) for index in range(2)]
    task = asyncio.create_task(ensemble.sample(Question.of(ASKED).with_params(max_tokens=5000), slots, run))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(slot.done for slot in slots)
    for slot in slots:
        slot.cancel()
    results = [slot.result for slot in slots if slot.result is not None]
    assert [result.finish_reason for result in results] == ["cancelled"] * 2
    assert any(result.text for result in results)
    assert run.ledger.usage == Usage.total(result.usage for result in results)
    assert {node.model for node in run.ledger.nodes} == {"bytes-1", "spaces-2"}
    for _ in range(200):  # the thread lets go of them before its next cycle
        if not any(one.rows for one in models):
            break
        await asyncio.sleep(0.01)
    assert not any(one.rows for one in models)
