"""The file of a bank and its tables. What is in `samples` never changes; all else says what the samples are of.

Which process is drawing which samples, so that several share a bank and draw nothing twice.

A claim names its holder. A holder is a file beside the bank that its process keeps locked; the
system drops that lock when the process ends, however it ends. So a dead holder is one whose lock can
be had, and its claims are free at once; a process that is only slow keeps them. Like SQLite itself
this needs a file system whose locks work. Where there are no such locks (Windows), claims of others
are not seen: a sample may then be drawn twice, of which the bank keeps the first.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from quorate.storage.sqlite import LATER, PARTS, Database

FILE = "bank.sqlite"
FORMAT = 3
"""`PRAGMA user_version` of banks written by this code."""

SCHEMA = f"""
CREATE TABLE questions (key TEXT PRIMARY KEY, question TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    id INTEGER PRIMARY KEY, task TEXT NOT NULL, item TEXT NOT NULL, question TEXT NOT NULL, gold TEXT,
    cluster TEXT NOT NULL, split TEXT NOT NULL, revision TEXT NOT NULL, prompt TEXT NOT NULL,
    current INTEGER NOT NULL
);
CREATE UNIQUE INDEX items_by_content ON items (task, item, question, ifnull(gold, char(0)));
CREATE INDEX items_by_question ON items (question);
CREATE TABLE agents (id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL, fingerprint TEXT)
    WITHOUT ROWID;
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, agent TEXT NOT NULL, key TEXT NOT NULL, seed INTEGER, question TEXT, sampling TEXT
);
CREATE UNIQUE INDEX requests_by_key ON requests (agent, key, ifnull(seed, 'none'));
CREATE INDEX requests_by_question ON requests (question);
CREATE TABLE samples (
    id INTEGER PRIMARY KEY, request INTEGER NOT NULL, idx INTEGER NOT NULL, own_prompt INTEGER NOT NULL,
    model TEXT NOT NULL, agent TEXT NOT NULL, text TEXT NOT NULL, reasoning TEXT, answer TEXT, finish_reason TEXT,
    seed INTEGER, prompt_version TEXT, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL, requests INTEGER NOT NULL, cost REAL, estimated INTEGER NOT NULL, latency REAL,
    mean_logprob REAL, logprobs BLOB, tool_calls TEXT, facts TEXT, added REAL NOT NULL,
    ensembling TEXT, degraded TEXT, {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in PARTS)}
);
CREATE UNIQUE INDEX samples_by_key ON samples (request, idx);
CREATE TABLE grades (sample INTEGER, item INTEGER, extracted TEXT, correct INTEGER, PRIMARY KEY (sample, item))
    WITHOUT ROWID;
CREATE TABLE claims (request INTEGER, idx INTEGER, holder TEXT NOT NULL, PRIMARY KEY (request, idx)) WITHOUT ROWID;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, task TEXT NOT NULL, started TEXT NOT NULL, finished TEXT, revision TEXT NOT NULL,
    content TEXT NOT NULL, questions INTEGER NOT NULL, pipelines TEXT NOT NULL, settings TEXT NOT NULL,
    versions TEXT NOT NULL
);
CREATE TABLE outcomes (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, pipeline TEXT NOT NULL, item TEXT NOT NULL,
    correct INTEGER NOT NULL, outcome TEXT NOT NULL
);
CREATE INDEX outcomes_by_run ON outcomes (run);
"""

UPGRADES = {
    1: [f"ALTER TABLE samples ADD COLUMN {name} TEXT" for name in LATER],
    2: [f"ALTER TABLE samples ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0" for name in PARTS],
}
"""What makes a bank of an older format one of the next."""


def bank_file(path: Path) -> Path:
    """The file that a path given by a user means: itself, or `bank.sqlite` in that folder."""
    return path if path.suffix == ".sqlite" and not path.is_dir() else path / FILE


class Store(Database):
    """One connection.

    Args:
        path: the file, or its folder; without one everything lives in memory.
        create: make it if there is none.

    Raises:
        BadInput: it cannot be opened, or there is none and it shall not be made.
        DataError: the file is no bank, or broken.
    """

    kind = "sample bank"
    format = FORMAT
    schema = SCHEMA
    upgrades = UPGRADES
    made_by = "`quorate eval run --out DIR` or `quorate eval bank import` makes one"
    rescue = (
        "`quorate eval bank export {file} --out FOLDER` saves what can still be read, "
        "`quorate eval bank import FOLDER --bank NEW` makes a bank of it"
    )

    def __init__(self, path: Path | None = None, *, create: bool = True) -> None:
        super().__init__(None if path is None else bank_file(path), create=create)


class Holder:
    """This process's mark beside a bank.

    Args:
        bank: the bank's file.
    """

    def __init__(self, bank: Path) -> None:
        self._folder = bank.with_name(bank.name + ".holders")
        self.name = uuid.uuid4().hex
        self._file: int | None = None

    def hold(self) -> None:
        """From now on claims in this name count."""
        if self._file is None:
            self._folder.mkdir(exist_ok=True)
            self._file = os.open(self._folder / self.name, os.O_CREAT | os.O_RDWR, 0o600)
            _lock(self._file)

    def alive(self, name: str) -> bool:
        """Whether the holder of this name, this one included, still runs."""
        if name == self.name:
            return True
        path = self._folder / name
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            if not _lock(file):
                return True
            path.unlink(missing_ok=True)
            return False
        finally:
            os.close(file)

    def close(self) -> None:
        """Gives the name up; its claims must be gone."""
        if self._file is None:
            return
        (self._folder / self.name).unlink(missing_ok=True)
        os.close(self._file)
        self._file = None
        try:
            self._folder.rmdir()
        except OSError:  # other processes are there
            return


def _lock(file: int) -> bool:
    """Takes the lock until the file is closed; False where another has it."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
