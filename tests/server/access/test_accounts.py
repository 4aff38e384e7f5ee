"""Budgets of keys: what is left, when it comes back, and that a restart forgets nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.config.server_settings import ApiKey, KeyBudget, hash_key
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.usage import Usage
from quorate.server.access.accounts import Accounts, narrow
from quorate.server.access.errors import KeyBudgetExceeded


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def limit_budget(accounts: Accounts, key: ApiKey, asked: Budget) -> Budget:
    """What a request gets that asks for so much."""
    return narrow(asked, accounts.left(key))


def key(**budget: float) -> ApiKey:
    return ApiKey(name="ann", hash=hash_key("ann"), budget=KeyBudget.model_validate(budget))


def used(tokens: int, cost: float | None = None) -> Usage:
    return Usage(prompt_tokens=tokens // 2, completion_tokens=tokens - tokens // 2, cost=cost)


def test_a_request_gets_what_is_left() -> None:
    """Its own budget where that is smaller, the key's rest where not; other limits stay as they are."""
    ann = key(tokens=100, money=1.0)
    accounts = Accounts([ann])
    accounts.spend(ann, used(70, 0.25))
    assert limit_budget(accounts, ann, Budget(seconds=5)) == Budget(tokens=30, money=0.75, seconds=5)
    assert limit_budget(accounts, ann, Budget(tokens=10)) == Budget(tokens=10, money=0.75)


@pytest.mark.parametrize("spent", [used(100), used(1, 1.0)])
def test_a_spent_budget_comes_back_with_the_next_period(spent: Usage) -> None:
    """Refused until then with the seconds that are left, whole again after."""
    ann, clock = key(tokens=100, money=1.0, seconds=60), Clock()
    accounts = Accounts([ann], clock=clock)
    accounts.spend(ann, spent)
    clock.now += 20
    with pytest.raises(KeyBudgetExceeded, match="'ann'") as refused:
        limit_budget(accounts, ann, Budget())
    assert (refused.value.status, refused.value.retry_after) == (429, 40)
    clock.now += 40
    assert limit_budget(accounts, ann, Budget()).tokens == 100


def test_a_key_without_a_budget_is_not_counted() -> None:
    """Its requests keep the budget that they ask for."""
    free = ApiKey(name="free", hash=hash_key("free"))
    accounts = Accounts([free])
    accounts.spend(free, used(10**9))
    assert limit_budget(accounts, free, Budget(tokens=5)) == Budget(tokens=5)


def test_spending_survives_a_restart(tmp_path: Path) -> None:
    """What was saved counts in the next process; keys that are gone are ignored."""
    ann, clock, file = key(tokens=100), Clock(), tmp_path / "accounts.db"
    first = Accounts([ann], file, clock=clock)
    first.spend(ann, used(60))
    first.save()
    assert limit_budget(Accounts([ann], file, clock=clock), ann, Budget()).tokens == 40
    assert limit_budget(Accounts([], file, clock=clock), ann, Budget()) == Budget()


def test_a_disk_that_fails_for_a_while_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What could not be saved is told of, and saved once it can be."""
    folder = tmp_path / "accounts"
    folder.mkdir()
    ann, clock, file = key(tokens=100), Clock(), folder / "accounts.db"
    accounts = Accounts([ann], file, clock=clock)
    away = folder.rename(tmp_path / "away")
    accounts.spend(ann, used(60))
    accounts.save()
    assert "accounts.db cannot be written" in caplog.text
    away.rename(folder)
    accounts.save()
    assert limit_budget(Accounts([ann], file, clock=clock), ann, Budget()).tokens == 40


@pytest.mark.parametrize("kept", [False, True])
def test_a_clock_that_is_set_back_locks_nobody_out(tmp_path: Path, kept: bool) -> None:
    """What was spent counts on, for one period from then."""
    ann, clock, file = key(tokens=50, seconds=60), Clock(), tmp_path / "accounts.db" if kept else None
    clock.now = 10**9
    accounts = Accounts([ann], file, clock=clock)
    accounts.spend(ann, used(50))
    accounts.save()
    clock.now = 1000
    for _ in range(2):
        with pytest.raises(KeyBudgetExceeded) as refused:
            accounts.left(ann)
        assert refused.value.retry_after == 60
        accounts.spend(ann, used(1))
        accounts.save()
    clock.now += 60
    assert accounts.left(ann).tokens == 50
    assert Accounts([ann], file, clock=clock).left(ann).tokens == 50


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """Named, before the server starts."""
    file = tmp_path / "accounts.db"
    file.write_text("not a database, but long enough to be read as one" * 40)
    with pytest.raises(DataError, match=r"accounts\.db"):
        Accounts([key(tokens=1)], file)


@given(moves=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30), st.booleans()), max_size=6))
@settings(max_examples=15, deadline=None)
def test_servers_that_share_a_file_count_together(moves: list[tuple[int, int, bool]]) -> None:
    """Whoever spends and saves when: the file has the sum, and a server knows what was saved before it last did."""
    ann, clock = key(tokens=10**6, seconds=60), Clock()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "accounts.db"
        servers, total = [Accounts([ann], file, clock=clock) for _ in range(2)], 0
        for who, tokens, saved in moves:
            servers[who].spend(ann, used(tokens))
            total += tokens
            if saved:
                servers[who].save()
        for server in servers * 2:
            server.spend(ann, used(1))
            server.save()
        left = 10**6 - total - 4
        assert limit_budget(Accounts([ann], file, clock=clock), ann, Budget()).tokens == left
        assert limit_budget(servers[1], ann, Budget()).tokens == left
        clock.now += 60
        servers[0].spend(ann, used(7))
        servers[0].save()
        assert limit_budget(Accounts([ann], file, clock=clock), ann, Budget()).tokens == 10**6 - 7


async def test_spending_is_saved_without_being_asked_to(tmp_path: Path) -> None:
    """Soon after it; nothing is left to the server's end, which may never come."""
    ann, file = key(tokens=100), tmp_path / "accounts.db"
    accounts = Accounts([ann], file)
    saving = asyncio.create_task(accounts.keep_saved())
    for spent in (10, 30):
        accounts.spend(ann, used(spent))
        while limit_budget(Accounts([ann], file), ann, Budget()) != limit_budget(accounts, ann, Budget()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
    assert limit_budget(accounts, ann, Budget()).tokens == 60


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 300))
def test_nothing_is_granted_twice(uses: list[int], limit: int) -> None:
    """One after the other, requests never get more than the budget in all."""
    ann = key(tokens=limit)
    accounts, total = Accounts([ann], clock=lambda: 5.0), 0
    for wanted in uses:
        try:
            granted = limit_budget(accounts, ann, Budget()).tokens
        except KeyBudgetExceeded:
            break
        assert granted is not None
        spent = min(wanted, granted)
        accounts.spend(ann, used(spent))
        total += spent
    assert total <= limit
