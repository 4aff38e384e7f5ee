"""Rows of a data set on the Hugging Face hub, through `datasets`, with the commit that they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quorate.orchestrator.errors import DataError, MissingExtra

from .row import Row

__all__ = ["Hub", "hub_rows"]


@dataclass(frozen=True)
class Hub:
    """A data set: `Hub("openai/gsm8k", "main", {"test": "test", "train": "train"})`."""

    name: str
    config: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"test": "test"})
    """The hub's name for each of the task's splits."""
    gated: bool = False
    """Its terms must be accepted on its page, by somebody who is logged in."""


def hub_rows(hub: Hub, configs: tuple[str | None, ...], split: str, revision: str | None) -> tuple[list[Row], str]:
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
    rows: list[Row] = []
    for config in configs:
        try:
            found, revision = _load_split(hub.name, config, hub.splits[split], revision)
        except Exception as error:
            raise _explain(hub, error) from error
        rows += [Row(values, hub.name, n, config or "") for n, values in enumerate(found, start=1)]
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
