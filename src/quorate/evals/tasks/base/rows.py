"""Rows of a data set, which know where they stand, and those of the Hugging Face hub, with their commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import DataError, MissingExtra


@dataclass(frozen=True)
class DataRow:
    """Fields of one question; names that differ between the hub and local files are given together."""

    values: Mapping[str, Any]
    place: str | Path
    """The file, or the hub's name of the data set."""
    line: int
    """In the file, from 1; the row's number where there are no lines."""
    part: str = ""
    """The data set's configuration that it came from, if there are several."""

    def find(self, *names: str) -> tuple[str, Any]:
        """Name and value of the first of these fields that is there.

        Raises:
            DataError: there is none of them.
        """
        for name in names:
            if self.values.get(name) is not None:
                return name, self.values[name]
        there = ", ".join(sorted(str(name) for name, value in self.values.items() if value is not None)) or "no fields"
        wanted = " or ".join(names)
        raise self.fault(names[0], f"there must be a field {wanted}; the row has {there}: is it the task's file?")

    def text(self, *names: str) -> str:
        """The first of these fields, which must be text or a number.

        Raises:
            DataError: there is none, or it is empty or no text.
        """
        name, value = self.find(*names)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.fault(name, f"must be text, not {type(value).__name__}")
        text = f"{value:.12g}" if isinstance(value, float) else str(value)
        if not text.strip():
            raise self.fault(name, "is empty: fill it in or leave the row out")
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise self.fault(name, "holds half a character (a lone surrogate), which no model can read")
        return text

    def raw(self, *names: str) -> str:
        """As `text`, for code: numbers are refused.

        Raises:
            DataError: there is none, or it is empty or no text.
        """
        name, value = self.find(*names)
        if not isinstance(value, str):
            raise self.fault(name, f"must be text, not {type(value).__name__}")
        return self.text(name)

    def texts(self, *names: str) -> list[str]:
        """The first of these fields, which must be a list of texts.

        Raises:
            DataError: there is none, or it is something else.
        """
        name, value = self.find(*names)
        if not isinstance(value, list | tuple) or not value or not all(isinstance(v, str | int | float) for v in value):
            raise self.fault(name, "must be a list of texts")
        return [str(v) for v in value]

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def rename_fields(self, names: Mapping[str, str]) -> DataRow:
        """The row with some fields under other names."""
        return replace(self, values={names.get(name, name): value for name, value in self.values.items()})

    def fault(self, field: str, message: str) -> DataError:
        """An error about one field of this row."""
        return DataError(message, file=self.place, line=self.line, field=field)


@dataclass(frozen=True)
class Hub:
    """A data set: `Hub("openai/gsm8k", "main", {"test": "test", "train": "train"})`."""

    name: str
    config: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"test": "test"})
    """The hub's name for each of the task's splits."""
    gated: bool = False
    """Its terms must be accepted on its page, by somebody who is logged in."""


def hub_rows(hub: Hub, configs: tuple[str | None, ...], split: str, revision: str | None) -> tuple[list[DataRow], str]:
    """Every row of one split, and the commit; from the cache of `datasets` where there is no network.

    Args:
        configs: the data set's configurations, one after another.
        split: the task's name for it.
        revision: a branch, tag or commit; None for the newest.

    Raises:
        DataError: the data set cannot be had, with what to do instead.
        MissingExtra: `datasets` is not installed.
    """
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        raise MissingExtra("eval", f"loading {hub.name}") from error
    rows: list[DataRow] = []
    for config in configs:
        try:
            found, revision = _load_split(hub.name, config, hub.splits[split], revision)
        except Exception as error:
            raise _explain(hub, error) from error
        rows += [DataRow(values, hub.name, n, config or "") for n, values in enumerate(found, start=1)]
    if not rows:
        raise DataError(f"split {hub.splits[split]!r} holds no questions", file=hub.name)
    return rows, revision or ""


def _load_split(name: str, config: str | None, split: str, revision: str | None) -> tuple[list[Any], str]:
    """Rows and the commit, which `datasets` calls the builder's hash."""
    from datasets import load_dataset_builder

    builder = load_dataset_builder(name, config, revision=revision)
    builder.download_and_prepare()
    return list(builder.as_dataset(split=split)), str(builder.hash or revision or "")


def _explain(hub: Hub, error: Exception) -> DataError:
    cause = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    login = f"accept its terms at huggingface.co/datasets/{hub.name} and log in (`hf auth login`), or " * hub.gated
    return DataError(
        f"cannot be loaded from the hub ({cause}): {login}give a local copy with --data PATH (docs/tasks.md)",
        file=hub.name,
    )
