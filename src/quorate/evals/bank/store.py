"""The file of a bank."""

from __future__ import annotations

from pathlib import Path

from quorate.storage.sqlite import Database

from .schema import FORMAT, SCHEMA, UPGRADES

__all__ = ["FILE", "Store", "bank_file"]

FILE = "bank.sqlite"


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
