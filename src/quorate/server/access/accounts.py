"""What each key has spent in its period, kept across restarts where a file is given."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from quorate.config.server_settings import ApiKey
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.usage import Usage

from .errors import KeyBudgetExceeded

__all__ = ["Accounts", "narrow"]

T = TypeVar("T", int, float)

log = logging.getLogger("quorate.server")

SCHEMA = "CREATE TABLE IF NOT EXISTS spent (key TEXT PRIMARY KEY, since REAL, tokens INTEGER, money REAL)"
WINDOW = 0.05
"""Seconds that spending waits to be saved: so much a killed server can forget."""
PAUSE = 1.0
"""Seconds until what could not be saved is tried again."""


@dataclass
class _KeySpending:
    """What one key has spent since its period began, on the wall clock."""

    since: float
    tokens: int = 0
    money: float = 0.0

    def add(self, tokens: int, money: float) -> None:
        self.tokens += tokens
        self.money += money


class Accounts:
    """Spending by key.

    Args:
        keys: those with a budget are counted.
        file: an SQLite file that keeps it; in memory if not given. Servers that share one count together: each adds
            what it has not saved yet, and learns what the others have saved.
        clock: seconds since the epoch.

    Raises:
        DataError: the file is no such account.
    """

    def __init__(
        self, keys: Iterable[ApiKey], file: Path | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = {key.name: key for key in keys if key.budget is not None}
        self._file = file
        self._clock = clock
        self._spent = {} if file is None else {k: v for k, v in _read_spending(file).items() if k in self._keys}
        self._unsaved: dict[str, _KeySpending] = {}
        """What the file does not have yet."""
        self._some_unsaved = asyncio.Event()

    def left(self, key: ApiKey) -> Budget:
        """What the key has left in this period.

        Requests of one key that run at the same time may together exceed it by what each of them uses.

        Raises:
            KeyBudgetExceeded: nothing.
        """
        if key.name not in self._keys or key.budget is None:
            return Budget()
        spending, most = self._spending(key), key.budget
        tokens = None if most.tokens is None else most.tokens - spending.tokens
        money = None if most.money is None else most.money - spending.money
        if (tokens is not None and tokens <= 0) or (money is not None and money <= 0):
            wait = max(1.0, spending.since + most.seconds - self._clock())
            raise KeyBudgetExceeded(f"the key {key.name!r} has spent its budget for {most.seconds:g} s", wait)
        return Budget(tokens=tokens, money=money)

    def spend(self, key: ApiKey, usage: Usage) -> None:
        """Counts what a request used, whether or not it succeeded."""
        if key.name not in self._keys:
            return
        spending, cost = self._spending(key), usage.cost or 0.0
        spending.add(usage.total_tokens, cost)
        if self._file is None:
            return
        unsaved = self._unsaved.get(key.name)
        if unsaved is None or unsaved.since != spending.since:
            unsaved = self._unsaved[key.name] = _KeySpending(spending.since)
        unsaved.add(usage.total_tokens, cost)
        self._some_unsaved.set()

    async def keep_saved(self) -> None:
        """Saves soon after each spending, until cancelled; saves a last time then."""
        try:
            while True:
                await self._some_unsaved.wait()
                await asyncio.sleep(WINDOW)
                new = self._take_unsaved()
                if not self._learn(new, await asyncio.to_thread(self._add_to_file, new)):
                    await asyncio.sleep(PAUSE)
        finally:
            self.save()

    def save(self) -> None:
        """Writes what was spent since the last time; what cannot be written now is tried again with the next."""
        if new := self._take_unsaved():
            self._learn(new, self._add_to_file(new))

    def _take_unsaved(self) -> dict[str, _KeySpending]:
        new, self._unsaved = self._unsaved, {}
        self._some_unsaved.clear()
        return new

    def _add_to_file(self, new: Mapping[str, _KeySpending]) -> dict[str, _KeySpending] | None:
        """What the file says then; None where it cannot be written. Done in a thread: it touches nothing else."""
        assert self._file is not None
        try:
            with closing(_open(self._file)) as database, database:
                database.execute("BEGIN IMMEDIATE")
                known = _select(database)
                for name, spending in new.items():
                    old, budget = known.get(name), self._keys[name].budget
                    if old is not None:
                        old.since = min(old.since, self._clock())
                    if old is None or budget is None or spending.since >= old.since + budget.seconds:
                        old = known[name] = _KeySpending(spending.since)
                    old.add(spending.tokens, spending.money)
                    values = (name, old.since, old.tokens, old.money)
                    database.execute("INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?)", values)
                return known
        except sqlite3.Error as error:
            log.error("%s cannot be written, so a restart would forget what keys have spent: %s", self._file, error)
            return None

    def _learn(self, new: Mapping[str, _KeySpending], known: Mapping[str, _KeySpending] | None) -> bool:
        """What the file says, and what was spent meanwhile; whether the new is in it."""
        for name in self._keys:
            later = self._unsaved.get(name)
            if known is None and name in new:
                waiting = self._unsaved.setdefault(name, _KeySpending(new[name].since))
                if waiting.since == new[name].since:
                    waiting.add(new[name].tokens, new[name].money)
                self._some_unsaved.set()
            elif known is not None and name in known and (later is None or later.since <= known[name].since):
                self._spent[name] = known[name]
                if later is not None:
                    later.since = known[name].since
                    self._spent[name].add(later.tokens, later.money)
        return known is not None

    def _spending(self, key: ApiKey) -> _KeySpending:
        assert key.budget is not None
        spending, now = self._spent.get(key.name), self._clock()
        if spending is None or now >= spending.since + key.budget.seconds:
            spending = self._spent[key.name] = _KeySpending(now)
        spending.since = min(spending.since, now)  # the clock may have been set back, by years
        return spending


def narrow(asked: Budget, left: Budget) -> Budget:
    """The budget of one request: what it asks for, and no more than its key has left."""
    tokens, money = _minimum(asked.tokens, left.tokens), _minimum(asked.money, left.money)
    return asked.model_copy(update={"tokens": tokens, "money": money})


def _minimum(asked: T | None, left: T | None) -> T | None:
    return min((value for value in (asked, left) if value is not None), default=None)


def _read_spending(file: Path) -> dict[str, _KeySpending]:
    try:
        with closing(_open(file)) as database:
            return _select(database)
    except sqlite3.Error as error:
        raise DataError(f"cannot be used as the server's accounts: {error}", file=file) from None


def _select(database: sqlite3.Connection) -> dict[str, _KeySpending]:
    rows = database.execute("SELECT key, since, tokens, money FROM spent").fetchall()
    return {key: _KeySpending(since, tokens, money) for key, since, tokens, money in rows}


def _open(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=10)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute(SCHEMA)
    return database
