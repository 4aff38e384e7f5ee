"""`quorate models add`: a real model, once, into the user's cache; offline from then on.

A model is written beside its place and moved there when it is whole and has been loaded, so it is there or it is not.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from quorate.orchestrator.errors import BadInput, MissingExtra

from ..home import RECORD, AddedModel, find_home, find_models, list_added_models
from ..weights import list_shipped_models
from .checking import check_folder
from .download import Progress
from .sources import KNOWN_MODELS, ModelSource, find_source

__all__ = ["KNOWN_MODELS", "ModelSource", "Progress", "add_model", "find_source"]


def add_model(
    source: ModelSource, progress: Progress, *, name: str | None = None, template: Path | None = None
) -> tuple[AddedModel, list[str]]:
    """The model, and what its user should know of it; the one that is there where it was added before.

    Args:
        source: where it comes from.
        progress: told how it goes on.
        name: what it is called; the source's own name if not given.
        template: a file with a chat template that takes the place of the model's own.

    Raises:
        MissingExtra: torch or transformers is not installed.
        BadInput: the name is taken or none, the source holds no model that can be used, or the disk is full.
        UpstreamError: the network, or what it gives.
    """
    name = name or source.name
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", name):
        raise BadInput(f"{name!r} cannot name a model: letters, digits and ._- only, at most 64; give --name")
    if name in list_shipped_models():
        raise BadInput(f"{name} ships with quorate: give the other model another --name")
    models = find_models()
    with _place_errors(models):
        models.mkdir(parents=True, exist_ok=True)
        with _alone(models / f".{name}.lock", progress):
            if (there := _find_added(name)) is not None:
                if there.source != str(source):
                    raise BadInput(
                        f"{name} is there already, from {there.source}: give another --name, or remove it first"
                    )
                return there, []
            return _write(source, name, template, progress)


def _write(source: ModelSource, name: str, template: Path | None, progress: Progress) -> tuple[AddedModel, list[str]]:
    place = find_models() / f".{name}.adding"
    shutil.rmtree(place, ignore_errors=True)  # of a run that was killed
    made, work = place / "made", place / "work"
    try:
        made.mkdir(parents=True)
        work.mkdir()
        sha256 = source.write(made, work, progress)
        if template is not None:
            (made / "chat_template.jinja").write_text(_read_template(template), encoding="utf-8")
        progress(f"loading {name}", 0, None)
        notes = check_folder(made, str(source))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        model = AddedModel(name=name, source=str(source), licence=source.licence, sha256=sha256, added=now)
        (made / RECORD).write_text(model.model_dump_json(indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(model.folder, ignore_errors=True)  # a folder without a record is none of ours
        made.rename(model.folder)
        return model, notes
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _read_template(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"--chat-template {file} cannot be read: {told}") from error


def _find_added(name: str) -> AddedModel | None:
    return next((model for model in list_added_models() if model.name == name), None)


@contextmanager
def _alone(file: Path, progress: Progress) -> Iterator[None]:
    """One process at a time: another that adds the same model waits, and finds it there."""
    try:
        from filelock import FileLock, Timeout
    except ImportError as error:
        raise MissingExtra("local", "adding models") from error
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("waiting for another quorate that adds the same model", 0, None)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _place_errors(models: Path) -> Iterator[None]:
    """Errors of the disk as one line; what was begun is gone by then."""
    try:
        yield
    except Exception as error:
        # safetensors writes from Rust, and its errors have no number.
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
            _drop_downloads()
            free = shutil.disk_usage(_existing(models)).free // 1_000_000
            raise BadInput(
                f"the disk of {models} is full ({free:,} MB are free, and a model takes two bytes a parameter and its "
                "download): make room, or set QUORATE_HOME to a folder elsewhere; nothing was kept"
            ) from error
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR):
            raise BadInput(
                f"{models} cannot be written ({error.strerror}): set QUORATE_HOME to another folder"
            ) from error
        raise


def _drop_downloads() -> None:
    shutil.rmtree(find_home() / "downloads", ignore_errors=True)


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)
