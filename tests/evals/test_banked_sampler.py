"""Samples are drawn once, and every pipeline pays as if it had drawn them itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate import Fallback, Pool, prompted
from quorate.aggregators.token_level import SAFE, EnsembleRule, EveryToken, GaC
from quorate.config.catalog import Catalog
from quorate.evals.bank import Bank
from quorate.evals.banked_sampler import BankedSampler, DualLedger, as_banked
from quorate.evals.local_engine import bank_models
from quorate.evals.throttle import PrioritySemaphore
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.ensembling import Ensembling
from quorate.orchestrator.errors import RateLimited, UpstreamError
from quorate.orchestrator.identity import Price
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.protocols import Model, Sampler, is_sampler
from quorate.orchestrator.types import Candidate, Question, SamplingParams
from quorate.orchestrator.usage import Usage
from quorate.testing.tokens import FormulaTokens
from tests.aggregators.token_level.writers import model, vocabulary
from tests.orchestrator.fakes import Plurality

from .fakes import PROMPT, Guesser, ledger_of

ASKED = Question.of("What is 3 + 3?")
WRITTEN = Question.of("The answer is 365 apples.").with_params(max_tokens=12)


async def draw(
    agent: Sampler, indices: Sequence[int], seed: int | None = 1, question: Question = ASKED
) -> tuple[list[Candidate], RunContext]:
    """The candidates of one call in the order in which they ended, and the run that was charged."""
    run = RunContext(seed=seed, ledger=DualLedger())
    ended: list[Candidate] = []

    def keep(slot: PartialCandidate) -> None:
        assert slot.result is not None
        ended.append(slot.result)

    await agent.sample(question, [PartialCandidate(index, run, on_end=keep) for index in indices], run)
    return ended, run


def texts(candidates: Sequence[Candidate]) -> list[tuple[int, str, int | None]]:
    return [(c.index, c.text, c.seed) for c in candidates]


def spent(run: RunContext) -> int:
    assert isinstance(run.ledger, DualLedger)
    return run.ledger.spent.usage.completion_tokens


calls = st.lists(st.sets(st.integers(0, 11), min_size=1).map(sorted), min_size=1, max_size=6)


@given(calls, st.booleans())
@settings(max_examples=60, deadline=None)
async def test_any_calls_draw_each_sample_once_and_see_what_the_agent_alone_would_give(
    asked: list[list[int]], shared: bool
) -> None:
    """Also the tokens charged are those of the agent alone, and `spent` adds up to what was drawn."""
    agent, alone = Guesser(shares_prompt=shared), Guesser(shares_prompt=shared)
    banked, total = BankedSampler(agent, Bank()), 0
    for indices in asked:
        candidates, run = await draw(banked, indices)
        expected, reference = await draw(alone, indices)
        assert texts(candidates) == texts(expected)
        assert ledger_of(run)[1] == ledger_of(reference)[1]
        if shared:
            assert [c.usage for c in candidates] == [c.usage for c in expected]
            assert run.ledger.usage == reference.ledger.usage
        total += spent(run)
    assert set(agent.drawn.values()) == {1}
    assert len(agent.drawn) == len({i for indices in asked for i in indices})
    _, once = await draw(alone, sorted({i for indices in asked for i in indices}))
    assert total == ledger_of(once)[1]


async def test_where_every_sample_pays_its_prompt_so_does_every_replay() -> None:
    """As with a server that takes no n."""
    banked = BankedSampler(Guesser(shares_prompt=False), Bank())
    await draw(banked, [0])
    for indices in ([*range(16)], [*range(4)], [4, 5, 6, 7]):
        _, run = await draw(banked, indices)
        assert ledger_of(run)[0] == PROMPT * len(indices)
    assert ledger_of((await draw(banked, [0]))[1])[0] == PROMPT


async def test_a_reopened_bank_serves_the_same_and_draws_what_is_missing(tmp_path: Path) -> None:
    """Across two processes' worth of agents, prompt counts included."""
    with Bank(tmp_path) as bank:
        first, charged = await draw(BankedSampler(Guesser(), bank), range(8))
    agent = Guesser()
    with Bank(tmp_path) as bank:
        assert len(bank) == 8
        again, replayed = await draw(BankedSampler(agent, bank), range(8))
        assert not agent.asked
        more, _ = await draw(BankedSampler(agent, bank), range(12))
        assert len(bank) == 12
    assert again == first
    assert replayed.ledger.nodes == charged.ledger.nodes
    assert (spent(charged), spent(replayed)) == (ledger_of(charged)[1], 0)
    assert agent.asked == [[8, 9, 10, 11]]
    assert texts(more) == texts((await draw(Guesser(), range(12)))[0])


async def test_everything_that_determines_a_sample_keeps_it_apart() -> None:
    """Seed, question, sampling settings of the caller and of the agent, and the agent itself."""
    bank, agent = Bank(), Guesser()
    await draw(BankedSampler(agent, bank), [0])
    await draw(BankedSampler(agent, bank), [0], seed=2)
    await draw(BankedSampler(agent, bank), [0], question=Question.of("What is 4 + 4?"))
    await draw(BankedSampler(agent, bank), [0], question=ASKED.with_params(temperature=0.5))
    await draw(BankedSampler(agent, bank), [0], question=ASKED.with_params(max_tokens=9))
    await draw(BankedSampler(Guesser(sampling=SamplingParams(top_p=0.9)), bank), [0])
    await draw(BankedSampler(Guesser("other"), bank), [0])
    await draw(BankedSampler(Guesser(fingerprint="another"), bank), [0])
    assert len(bank) == 8


async def test_words_around_a_question_keep_samples_apart() -> None:
    """Other words or settings are other samples: under one name, one in another, and in a fallback."""
    bank, agent = Bank(), Guesser()
    warm = SamplingParams(temperature=0.9)
    brief, kind = prompted(agent, system="Be brief."), prompted(agent, system="Be kind.")
    both, again = prompted(brief, system="Be kind."), prompted(agent, system="Be brief.")
    for asked in (agent, brief, kind, prompted(agent, system="Be brief.", sampling=warm), both, again):
        assert is_sampler(asked)
        await draw(BankedSampler(asked, bank), [0])
    assert len(bank) == 5
    orders: list[list[Model]] = [[brief, kind], [kind, brief], [kind, agent]]
    fallbacks = [Fallback(*models) for models in orders]
    assert len({as_banked("one", each.identity).id for each in fallbacks}) == 3
    pools = [Pool([agent] * 2), Pool([agent] * 3)]
    assert len({as_banked("one", each.identity).id for each in pools}) == 1


async def test_settings_that_come_to_the_same_share_their_samples() -> None:
    """A temperature of the caller's or the agent's own is the same temperature; None leaves it to the agent."""
    bank, agent = Bank(), Guesser(sampling=SamplingParams(temperature=0.7))
    await draw(BankedSampler(agent, bank), [0])
    await draw(BankedSampler(agent, bank), [0], question=ASKED.with_params(temperature=0.7))
    await draw(BankedSampler(agent, bank), [0], question=ASKED.with_params(temperature=None, seed=5))
    assert agent.asked == [[0]]


async def test_pipelines_at_once_do_not_draw_the_same_sample_twice() -> None:
    """Ten votes of different sizes over one model."""
    agent, bank = Guesser(), Bank()
    votes = [sample(BankedSampler(agent, bank), n=n) | Plurality() for n in range(1, 11)]
    answers = await asyncio.gather(*(vote.answer(ASKED, seed=3) for vote in votes))
    assert [len(answer.candidates) for answer in answers] == list(range(1, 11))
    assert set(agent.drawn.values()) == {1}
    assert len(agent.drawn) == 10
    assert [a.usage.prompt_tokens for a in answers] == [PROMPT] * 10
    assert bank.spent.usage.completion_tokens == answers[-1].usage.completion_tokens


async def test_the_models_own_answer_is_the_votes_first_sample() -> None:
    """`M` and `majority@16/M` share sample 0."""
    agent, bank = Guesser(), Bank()
    answer = await (sample(BankedSampler(agent, bank), n=16) | Plurality()).answer(ASKED, seed=3)
    single = await BankedSampler(agent, bank).answer(ASKED, seed=3)
    assert single.text == answer.candidates[0].text
    assert len(agent.asked) == 1
    assert single.usage.requests == 1


async def test_failures_are_passed_on_and_tried_again(tmp_path: Path) -> None:
    """A rate limit is not a sample, but what it cost is spent."""
    limited = Guesser(fails=lambda _, index: RateLimited("slow down") if index == 1 else None)
    with Bank(tmp_path) as bank:
        candidates, run = await draw(BankedSampler(limited, bank), range(3))
        assert [c.ok for c in candidates] == [True, False, True]
        assert spent(run) == ledger_of(run)[1] == sum(c.usage.completion_tokens for c in candidates)
        healed = Guesser()
        candidates, _ = await draw(BankedSampler(healed, bank), range(3))
    assert all(c.ok for c in candidates)
    assert healed.asked == [[1]]


async def test_samples_that_came_before_a_cancellation_are_kept() -> None:
    """Stopped after the second of many."""
    bank, second = Bank(), asyncio.Event()
    agent = Guesser(fails=lambda _, index: second.set() if index == 1 else None, pause=0.001)
    drawing = asyncio.create_task(draw(BankedSampler(agent, bank), range(10_000)))
    await second.wait()
    drawing.cancel()
    await asyncio.gather(drawing, return_exceptions=True)
    kept = len(bank)
    assert 2 <= kept < 10_000
    await draw(BankedSampler(agent, bank), range(kept))
    assert len(agent.asked) == 1


async def test_money_follows_the_tokens_charged() -> None:
    """With a price, a replay costs what it would have cost alone."""
    agent = Guesser(price=Price(prompt=1e6, completion=2e6))
    banked = BankedSampler(agent, Bank())
    await draw(banked, range(16))
    _, run = await draw(banked, range(4, 8))
    prompt, completion = ledger_of(run)
    assert (prompt, run.ledger.usage.cost) == (PROMPT, PROMPT + 2 * completion)


async def test_closing_reaches_the_agent() -> None:
    """And the wrapper keeps its name, and what it is."""
    closed = []

    class Closing(Guesser):
        async def aclose(self) -> None:
            closed.append(self.name)

    async with BankedSampler(Closing("m"), Bank()) as banked:
        assert (banked.name, banked.identity.kind) == ("m", "fake")
    assert closed == ["m"]


def together(**settings: Any) -> SAFE:
    """A drafter and a verifier that dies where it is told to."""
    dies = settings.pop("dies", None)
    return SAFE([model("bytes", 1), model("spaces", 2, dies=dies)], **settings)


def by_model(run: RunContext) -> dict[str, Usage]:
    return {stage.model: stage.usage for stage in run.ledger.nodes}


def told(candidates: Sequence[Candidate]) -> list[tuple[str, Ensembling | None, Usage]]:
    return [(c.text, c.ensembling, c.usage) for c in sorted(candidates, key=lambda c: c.index)]


def asked_of(ensemble: SAFE) -> list[int]:
    """Calls that each of its models had."""
    return [each.calls for each in cast("list[FormulaTokens]", ensemble.models)]


@pytest.mark.parametrize("traced", [False, True])
async def test_what_models_write_together_is_drawn_once_and_paid_by_each_of_them(tmp_path: Path, traced: bool) -> None:
    """As without a bank, whatever is in it: texts, counts, steps where they are kept, and the ledger by model."""
    alone, reference = await draw(together(traced=traced), range(3), question=WRITTEN)
    with Bank(tmp_path) as bank:
        first, charged = await draw(BankedSampler(together(traced=traced), bank), range(3), question=WRITTEN)
    resumed = together(traced=traced)
    with Bank(tmp_path) as bank:
        again, replayed = await draw(BankedSampler(resumed, bank), range(3), question=WRITTEN)
        assert asked_of(resumed) == [0, 0]
        assert spent(replayed) == 0
        more, longer = await draw(BankedSampler(resumed, bank), range(4), question=WRITTEN)
        assert len(bank) == 4
    assert again == first
    assert told(first) == told(alone)
    assert all(bool(c.ensembling and c.ensembling.steps) == traced for c in again)
    assert by_model(charged) == by_model(replayed) == by_model(reference)
    assert set(by_model(reference)) == {"bytes-1", "spaces-2"}
    assert spent(charged) == ledger_of(reference)[1]
    assert more[:3] == first
    assert by_model(longer) == by_model((await draw(together(), range(4), question=WRITTEN))[1])


async def test_a_lost_verifier_is_told_of_from_the_bank_too() -> None:
    """What was degraded when it was drawn stays so."""
    banked = BankedSampler(together(dies=2), Bank())
    for _ in range(2):
        answer = await banked.answer(WRITTEN, seed=1)
        assert [note.code for note in answer.degraded] == ["verifier_lost"]
        assert "the connection was lost" in answer.degraded[0].detail


class Leaving(FormulaTokens):
    """Reads no more questions once it is gone."""

    gone = False

    def prompt(self, question: Question) -> list[int]:
        if self.gone:
            raise UpstreamError("no connection")
        return super().prompt(question)


async def test_an_ensemble_that_cannot_begin_costs_nothing() -> None:
    """Although the bank knows from earlier samples what its prompts take; and it is tried again."""
    drafter = Leaving(vocabulary("bytes"), 1, name="bytes-1")
    banked = BankedSampler(SAFE([drafter, model("spaces", 2)]), Bank())
    await draw(banked, [0], question=WRITTEN)
    drafter.gone = True
    for _ in range(2):
        candidates, run = await draw(banked, range(2), seed=2, question=WRITTEN)
        assert [c.error and c.error.status for c in candidates] == [502, 502]
        assert run.ledger.usage == Usage()
    drafter.gone = False
    assert all(c.ok for c in (await draw(banked, range(2), seed=2, question=WRITTEN))[0])


def test_other_members_weights_and_rules_are_other_samples() -> None:
    """An ensemble's fingerprint has all that decides what it writes, and nothing else."""
    others = [
        together(weights={"spaces-2": 2.0}),
        together(rule=EnsembleRule(EveryToken(), GaC())),
        SAFE([model("bytes", 1), model("spaces", 3)]),
        SAFE([model("spaces", 2), model("bytes", 1)]),
    ]
    assert len({ensemble.identity.fingerprint for ensemble in (together(), *others)}) == 5
    assert together().identity.fingerprint == together(traced=True, name="another").identity.fingerprint


class Noting(PrioritySemaphore):
    """Remembers how many were wanted."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.wanted: list[int] = []

    async def acquire(self, wanted: int, priority: float = 0.0) -> int:
        self.wanted.append(wanted)
        return await super().acquire(wanted, priority)


async def test_pipelines_over_one_ensemble_share_its_samples_and_wait_for_free_places() -> None:
    """The vote's first sample is the ensemble's own answer; its models are not banked by themselves."""
    models = cast("dict[str, Model]", {each.name: each for each in (model("bytes", 1), model("spaces", 2))})
    bank, places = Bank(), Noting(2)
    names = ["safe/bytes-1+spaces-2", "majority@3/safe/bytes-1+spaces-2"]
    over = bank_models(Catalog(models), names, bank, places)
    answers = [await over[name].answer(WRITTEN, RunContext(seed=1, live=False)) for name in names]
    assert places.wanted == [1, 2]
    assert len(bank) == 3
    assert [agent.name for agent in bank.agents()] == [names[0]]
    assert answers[0].text == answers[1].candidates[0].text
    assert {stage.model for answer in answers for stage in answer.nodes} == set(models)
