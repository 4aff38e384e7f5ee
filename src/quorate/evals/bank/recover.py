"""What can still be read of a broken or truncated bank."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quorate.orchestrator.errors import DataError

from .bank import Bank
from .store import FILE, SCHEMA, bank_file

MISSES = 20_000
"""Numbers in a row at which nothing was found or could be read, after which a table is taken to end."""
_NUMBERED = ("items", "requests", "samples", "runs", "outcomes")
_KEYED = {"questions": "key", "agents": "id", "grades": "sample, item"}
_LOST = """
INSERT INTO requests (id, agent, key) SELECT DISTINCT request, agent || '~lost', 'lost-' || request FROM samples
WHERE request NOT IN (SELECT id FROM requests)
"""
_UNNAMED = """
INSERT OR IGNORE INTO agents SELECT DISTINCT r.agent, s.agent, '', s.model, NULL
FROM requests r JOIN samples s ON s.request = r.id WHERE r.agent NOT IN (SELECT id FROM agents)
"""


def is_sound(path: Path) -> bool:
    """Whether the whole bank can be read; looks at every page."""
    try:
        with Bank(path, create=False) as bank:
            return bool(bank.store.value("PRAGMA quick_check(1)") == "ok")
    except DataError:
        return False


@contextmanager
def recover(path: Path) -> Iterator[tuple[Bank, bool]]:
    """The bank, or where it is broken a whole one of what can be read of it, and whether it was whole.

    Raises:
        BadInput: there is no bank.
        DataError: not even its tables can be read.
    """
    if is_sound(path):
        with Bank(path, create=False) as bank:
            yield bank, True
        return
    with tempfile.TemporaryDirectory(prefix="quorate-bank-") as folder, Bank(Path(folder) / FILE) as rest:
        _copy(bank_file(path), rest)
        yield rest, False


def _copy(file: Path, rest: Bank) -> None:
    broken = sqlite3.connect(file, isolation_level=None)
    try:
        # Only so SQLite opens a file that is shorter than it says of itself.
        broken.execute("PRAGMA writable_schema=ON")
        broken.execute("PRAGMA query_only=ON")
        broken.row_factory = sqlite3.Row
        found = {row[0] for row in broken.execute("SELECT name FROM sqlite_master")}
    except sqlite3.DatabaseError as error:
        broken.close()
        raise DataError(
            f"is no sample bank, or its beginning is lost: nothing can be read ({error})", file=file
        ) from error
    try:
        with rest.store.transaction():
            for table in (*_KEYED, *_NUMBERED):
                if table in found:
                    rows = _by_key(broken, table, _KEYED[table]) if table in _KEYED else _by_number(broken, table)
                    for row in rows:
                        # By name: an older bank lacks the columns that came later.
                        names, marks = ", ".join(row.keys()), ", ".join("?" * len(row))
                        rest.store.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", tuple(row))
            rest.store.execute(_LOST)
            rest.store.execute(_UNNAMED)
    finally:
        broken.close()


def _by_number(broken: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """Rows up to a place that cannot be read, then those behind it."""
    number, misses = 0, 0
    while misses < MISSES:
        try:
            for row in broken.execute(f"SELECT * FROM {table} NOT INDEXED WHERE id > ? ORDER BY id", (number,)):
                number, misses = row["id"], 0
                yield row
            return
        except sqlite3.DatabaseError:
            number, misses = number + 1, misses + 1


def _by_key(broken: sqlite3.Connection, table: str, key: str) -> Iterator[sqlite3.Row]:
    """Rows from both ends up to a place that cannot be read."""
    for order in ("ASC", "DESC"):
        keys = ", ".join(f"{name} {order}" for name in key.split(", "))
        try:
            yield from broken.execute(f"SELECT * FROM {table} ORDER BY {keys}")
            return
        except sqlite3.DatabaseError:
            continue


assert all(f"CREATE TABLE {table} " in SCHEMA for table in (*_NUMBERED, *_KEYED)), "every table is known here"
