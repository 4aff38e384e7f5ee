"""What each key has spent in its period, kept across restarts where a file is given."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from quorate.config.server_settings import ApiKey
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import Usage

from .errors import KeyBudgetExceeded

__all__ = ["Accounts"]

T = TypeVar("T", int, float)

log = logging.getLogger("quorate.server")

SCHEMA = "CREATE TABLE IF NOT EXISTS spent (key TEXT PRIMARY KEY, since REAL, tokens INTEGER, money REAL)"
SAVE_INTERVAL = 1.0
"""Seconds between saves: so much spending a crash can forget."""


@dataclass
class _Spending:
    """What one key has spent since its period began, on the wall clock."""

    since: float
    tokens: int = 0
    money: float = 0.0


class Accounts:
    """Spending by key.

    Args:
        keys: those with a budget are counted.
        file: an SQLite file that keeps it; in memory if not given. One server writes one file.
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
        self._unsaved: set[str] = set()

    def limit_budget(self, key: ApiKey, asked: Budget) -> Budget:
        """The budget of one request: what it asks for, and no more than the key has left.

        Requests of one key that run at the same time may together exceed it by what each of them uses.

        Raises:
            KeyBudgetExceeded: the key has nothing left in this period.
        """
        if key.name not in self._keys or key.budget is None:
            return asked
        spending, most = self._spending(key), key.budget
        tokens = None if most.tokens is None else most.tokens - spending.tokens
        money = None if most.money is None else most.money - spending.money
        if (tokens is not None and tokens <= 0) or (money is not None and money <= 0):
            wait = max(1.0, spending.since + most.seconds - self._clock())
            raise KeyBudgetExceeded(f"the key {key.name!r} has spent its budget for {most.seconds:g} s", wait)
        return asked.model_copy(
            update={"tokens": _minimum(asked.tokens, tokens), "money": _minimum(asked.money, money)},
        )

    def spend(self, key: ApiKey, usage: Usage) -> None:
        """Counts what a request used, whether or not it succeeded."""
        if key.name not in self._keys:
            return
        spending = self._spending(key)
        spending.tokens += usage.total_tokens
        spending.money += usage.cost or 0.0
        self._unsaved.add(key.name)

    async def keep_saved(self) -> None:
        """Saves now and then, until cancelled; saves a last time then."""
        try:
            while True:
                await asyncio.sleep(SAVE_INTERVAL)
                await asyncio.to_thread(self.save)
        finally:
            self.save()

    def save(self) -> None:
        """Writes what has changed since the last time; what cannot be written now is tried again with the next."""
        if self._file is None or not self._unsaved:
            return
        names, self._unsaved = self._unsaved, set()
        rows = [(name, s.since, s.tokens, s.money) for name in names if (s := self._spent.get(name))]
        try:
            with closing(_open(self._file)) as database, database:
                database.executemany("INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            self._unsaved |= names
            log.error("%s cannot be written, so a restart would forget what keys have spent: %s", self._file, error)

    def _spending(self, key: ApiKey) -> _Spending:
        assert key.budget is not None
        spending = self._spent.get(key.name)
        if spending is None or self._clock() >= spending.since + key.budget.seconds:
            spending = self._spent[key.name] = _Spending(self._clock())
        return spending


def _minimum(asked: T | None, left: T | None) -> T | None:
    return min((value for value in (asked, left) if value is not None), default=None)


def _read_spending(file: Path) -> dict[str, _Spending]:
    try:
        with closing(_open(file)) as database:
            rows = database.execute("SELECT key, since, tokens, money FROM spent").fetchall()
    except sqlite3.Error as error:
        raise DataError(f"cannot be used as the server's accounts: {error}", file=file) from None
    return {key: _Spending(since, tokens, money) for key, since, tokens, money in rows}


def _open(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=10)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute(SCHEMA)
    return database
