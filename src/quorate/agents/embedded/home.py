"""The user's own models: `quorate models add` puts them into one folder, and every command finds them there.

The folder is `models` in `$QUORATE_HOME`, else in the user's cache by the platform's rules (XDG on Linux). A model
is a Hugging Face folder with one more file that says where it came from; without that file it is none of ours.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path
from pydantic import ValidationError

from quorate.orchestrator.errors import UnknownName
from quorate.orchestrator.frozen import Frozen

__all__ = ["RECORD", "AddedModel", "find_home", "find_models", "list_added_models", "remove_model"]

RECORD = "quorate.json"
"""The file that makes a folder one of the added models."""


class AddedModel(Frozen):
    """One model in the user's cache."""

    name: str
    source: str
    """Where it came from, in words."""
    licence: str | None = None
    sha256: str | None = None
    """Of the file that it was made of, where it was one."""
    added: str
    """When, as ISO 8601 has it."""

    @property
    def folder(self) -> Path:
        """Where its weights, tokenizer and template are."""
        return find_models() / self.name


def find_home() -> Path:
    """The folder of everything that is kept between runs."""
    given = os.environ.get("QUORATE_HOME")
    return Path(given).expanduser() if given else user_cache_path("quorate", appauthor=False)


def find_models() -> Path:
    """The folder that holds a folder for each model."""
    return find_home() / "models"


def list_added_models() -> tuple[AddedModel, ...]:
    """Every one of them, the first that was added first."""
    found = [model for file in find_models().glob(f"[!.]*/{RECORD}") if (model := _read(file)) is not None]
    return tuple(sorted(found, key=lambda model: (model.added, model.name)))


def remove_model(name: str) -> AddedModel:
    """Takes a model out of the cache.

    Raises:
        UnknownName: none of this name was added.
    """
    added = {model.name: model for model in list_added_models()}
    if name not in added:
        raise UnknownName("added model", name, added)
    (added[name].folder / RECORD).unlink()  # it is gone at once, even if the rest of this is interrupted
    shutil.rmtree(added[name].folder)
    return added[name]


def _read(file: Path) -> AddedModel | None:
    """None for a record that nobody can read: such a model can be added again."""
    try:
        described: Any = AddedModel.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
    return described if described.name == file.parent.name else None
