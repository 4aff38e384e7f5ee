"""Samples are drawn once, and every pipeline pays as if it had drawn them itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.agents.embedded import Embedded
from quorate.agents.endpoint import Price
from quorate.evals.bank import Bank
from quorate.evals.banked import Account, Banked
from quorate.evals.engines.slots import Paced, Slots
from quorate.orchestrator.errors import BadInput, RateLimited
from quorate.orchestrator.events import CandidateFailed, CandidateFinished
from quorate.orchestrator.protocols import Sampler
from quorate.orchestrator.run import Run
from quorate.orchestrator.sampling import sample
from quorate.orchestrator.types import Candidate, Question, Sampling
from tests.orchestrator.fakes import Plurality

from .fakes import PROMPT, Guesser, ledger_of

ASKED = Question.of("What is 3 + 3?")


async def draw(
    agent: Sampler, indices: Sequence[int], seed: int | None = 1, question: Question = ASKED
) -> tuple[list[Candidate], Run]:
    """The candidates of one call, and the run that was charged."""
    run = Run(seed=seed, ledger=Account())
    async with aclosing(agent.sample(question, indices, run)) as stream:
        events = [event async for event in stream]
    return [event.candidate for event in events if isinstance(event, CandidateFinished | CandidateFailed)], run


def texts(candidates: Sequence[Candidate]) -> list[tuple[int, str, int | None]]:
    return [(c.index, c.text, c.seed) for c in candidates]


def spent(run: Run) -> int:
    assert isinstance(run.ledger, Account)
    return run.ledger.spent.usage.completion_tokens


calls = st.lists(st.sets(st.integers(0, 11), min_size=1).map(sorted), min_size=1, max_size=6)


@given(calls, st.booleans())
@settings(max_examples=60, deadline=None)
async def test_any_calls_draw_each_sample_once_and_see_what_the_agent_alone_would_give(
    asked: list[list[int]], shared: bool
) -> None:
    """Also the tokens charged are those of the agent alone, and `spent` adds up to what was drawn."""
    agent, alone = Guesser(shares_prompt=shared), Guesser(shares_prompt=shared)
    banked, total = Banked(agent, Bank()), 0
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
    banked = Banked(Guesser(shares_prompt=False), Bank())
    await draw(banked, [0])
    for indices in ([*range(16)], [*range(4)], [4, 5, 6, 7]):
        _, run = await draw(banked, indices)
        assert ledger_of(run)[0] == PROMPT * len(indices)
    assert ledger_of((await draw(banked, [0]))[1])[0] == PROMPT


async def test_a_reopened_bank_serves_the_same_and_draws_what_is_missing(tmp_path: Path) -> None:
    """Across two processes' worth of agents, prompt counts included."""
    with Bank(tmp_path) as bank:
        first, charged = await draw(Banked(Guesser(), bank), range(8))
    agent = Guesser()
    with Bank(tmp_path) as bank:
        assert len(bank) == 8
        again, replayed = await draw(Banked(agent, bank), range(8))
        assert not agent.calls
        more, _ = await draw(Banked(agent, bank), range(12))
        assert len(bank) == 12
    assert again == first
    assert replayed.ledger.stages == charged.ledger.stages
    assert (spent(charged), spent(replayed)) == (ledger_of(charged)[1], 0)
    assert agent.calls == [[8, 9, 10, 11]]
    assert texts(more) == texts((await draw(Guesser(), range(12)))[0])


async def test_everything_that_determines_a_sample_keeps_it_apart() -> None:
    """Seed, question, sampling settings of the caller and of the agent, and the agent itself."""
    bank, agent = Bank(), Guesser()
    await draw(Banked(agent, bank), [0])
    await draw(Banked(agent, bank), [0], seed=2)
    await draw(Banked(agent, bank), [0], question=Question.of("What is 4 + 4?"))
    await draw(Banked(agent, bank), [0], question=ASKED.sampled(temperature=0.5))
    await draw(Banked(agent, bank), [0], question=ASKED.sampled(max_tokens=9))
    await draw(Banked(Guesser(sampling=Sampling(top_p=0.9)), bank), [0])
    await draw(Banked(Guesser("other"), bank), [0])
    retrained = Guesser()
    retrained.fingerprint = "another"  # type: ignore[attr-defined]
    await draw(Banked(retrained, bank), [0])
    assert len(bank) == 8


async def test_settings_that_come_to_the_same_share_their_samples() -> None:
    """A temperature of the caller's or the agent's own is the same temperature; None leaves it to the agent."""
    bank, agent = Bank(), Guesser(sampling=Sampling(temperature=0.7))
    await draw(Banked(agent, bank), [0])
    await draw(Banked(agent, bank), [0], question=ASKED.sampled(temperature=0.7))
    await draw(Banked(agent, bank), [0], question=ASKED.sampled(temperature=None, seed=5))
    assert agent.calls == [[0]]


async def test_pipelines_at_once_do_not_draw_the_same_sample_twice() -> None:
    """Ten votes of different sizes over one model."""
    agent, bank = Guesser(), Bank()
    votes = [sample(Banked(agent, bank), n=n) | Plurality() for n in range(1, 11)]
    answers = await asyncio.gather(*(vote.answer(ASKED, seed=3) for vote in votes))
    assert [len(answer.candidates) for answer in answers] == list(range(1, 11))
    assert set(agent.drawn.values()) == {1}
    assert len(agent.drawn) == 10
    assert [a.usage.prompt_tokens for a in answers] == [PROMPT] * 10
    assert bank.spent.usage.completion_tokens == answers[-1].usage.completion_tokens


async def test_the_models_own_answer_is_the_votes_first_sample() -> None:
    """`M` and `majority@16/M` share sample 0."""
    agent, bank = Guesser(), Bank()
    answer = await (sample(Banked(agent, bank), n=16) | Plurality()).answer(ASKED, seed=3)
    single = await Banked(agent, bank).answer(ASKED, seed=3)
    assert single.text == answer.candidates[0].text
    assert len(agent.calls) == 1
    assert single.usage.requests == 1


async def test_failures_are_passed_on_and_tried_again(tmp_path: Path) -> None:
    """A rate limit is not a sample, but what it cost is spent."""
    limited = Guesser(fails=lambda _, index: RateLimited("slow down") if index == 1 else None)
    with Bank(tmp_path) as bank:
        candidates, run = await draw(Banked(limited, bank), range(3))
        assert [c.ok for c in candidates] == [True, False, True]
        assert spent(run) == ledger_of(run)[1] == sum(c.usage.completion_tokens for c in candidates)
        healed = Guesser()
        candidates, _ = await draw(Banked(healed, bank), range(3))
    assert all(c.ok for c in candidates)
    assert healed.calls == [[1]]


async def test_samples_that_came_before_a_cancellation_are_kept() -> None:
    """Stopped after the second of many."""
    bank, second = Bank(), asyncio.Event()
    agent = Guesser(fails=lambda _, index: second.set() if index == 1 else None, pause=0.001)
    drawing = asyncio.create_task(draw(Banked(agent, bank), range(10_000)))
    await second.wait()
    drawing.cancel()
    await asyncio.gather(drawing, return_exceptions=True)
    kept = len(bank)
    assert 2 <= kept < 10_000
    await draw(Banked(agent, bank), range(kept))
    assert len(agent.calls) == 1


async def test_money_follows_the_tokens_charged() -> None:
    """With a price, a replay costs what it would have cost alone."""
    agent = Guesser()
    agent.price = Price(prompt=1e6, completion=2e6)  # type: ignore[attr-defined]
    banked = Banked(agent, Bank())
    await draw(banked, range(16))
    _, run = await draw(banked, range(4, 8))
    prompt, completion = ledger_of(run)
    assert (prompt, run.ledger.usage.cost) == (PROMPT, PROMPT + 2 * completion)


async def test_closing_reaches_the_agent() -> None:
    """And the wrapper keeps its name and kind."""
    closed = []

    class Closing(Guesser):
        async def aclose(self) -> None:
            closed.append(self.name)

    async with Banked(Closing("m"), Bank()) as banked:
        assert (banked.name, banked.kind) == ("m", "fake")
    assert closed == ["m"]


async def test_models_in_an_evaluation_can_write_together() -> None:
    """A banked agent passes on its token model, paced or not; one that has none says so."""
    agent = Embedded("quorate-tiny-sum")
    for inner in (agent, Paced(agent, Slots(4))):
        assert Banked(inner, Bank()).token_model() is agent.token_model()
    with pytest.raises(BadInput, match="cannot be asked token by token"):
        Banked(Guesser(), Bank()).token_model()
