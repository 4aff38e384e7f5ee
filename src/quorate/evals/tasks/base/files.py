"""Rows of local files: JSON lines, JSON, Parquet, and folders that `datasets` made or reads.

Of a folder is read: what `Dataset.save_to_disk` wrote, else the file named after the split
(`test.jsonl`), else whatever `datasets.load_dataset` finds in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import DataError, MissingExtra

from .rows import DataRow

SUFFIXES = (".jsonl", ".json", ".parquet")


def file_rows(path: Path, splits: Sequence[str], parts: tuple[str | None, ...] = (None,)) -> list[DataRow]:
    """Every row of a file, or of one split of a folder.

    Args:
        path: as `--data` gives it.
        splits: names that the split may have there, the likeliest first.
        parts: configurations of the data set to read from a folder that has several.

    Raises:
        DataError: nothing can be read there; names file, line and field.
        MissingExtra: Parquet files and folders of `datasets` need the extra `eval`.
    """
    if not path.exists():
        raise DataError("cannot be read: No such file or directory", file=path)
    rows = _folder(path, splits, parts) if path.is_dir() else _file(path)
    if not rows:
        raise DataError("holds no questions", file=path)
    return rows


def path_hash(path: Path) -> str:
    """Hash of a file's bytes, or of those of all files in a folder with their names."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode() if file != path else b"")
        with file.open("rb") as content:
            while piece := content.read(2**20):
                digest.update(piece)
    return digest.hexdigest()[:16]


def stamp(path: Path) -> float:
    """When a file, or anything in a folder, was last written; 0 for none."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def _file(path: Path) -> list[DataRow]:
    match path.suffix:
        case ".parquet":
            return _number_rows(_parquet(path), path)
        case ".json":
            return _number_rows(_json(path), path)
        case ".jsonl" | ".ndjson":
            return list(_lines(path))
    raise DataError(f"has no known ending: give {', '.join(SUFFIXES)} or a folder", file=path)


def _folder(path: Path, splits: Sequence[str], parts: tuple[str | None, ...]) -> list[DataRow]:
    if any((path / name).exists() for name in ("dataset_dict.json", "state.json")):
        return _number_rows(_load_saved(path, splits), path)
    for name in (f"{split}{suffix}" for split in splits for suffix in SUFFIXES):
        if (path / name).is_file():
            return _file(path / name)
    return [row for part in parts for row in _load_folder(path, splits, part)]


def _lines(path: Path) -> Iterator[DataRow]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield DataRow(_object(line, path, number), path, number)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=path) from error


def _object(text: bytes, path: Path, line: int) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"is no JSON ({error})", file=path, line=line) from None
    if not isinstance(value, dict):
        raise DataError(f"must be a JSON object, not {type(value).__name__}", file=path, line=line)
    return value


def _json(path: Path) -> list[Any]:
    """A list of rows, or BIG-Bench's object with the list under `examples`."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=path) from error
    except ValueError as error:
        raise DataError(f"is no JSON ({error})", file=path) from None
    rows = value.get("examples") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise DataError("must hold a list of objects, or one under 'examples'", file=path)
    return rows


def _parquet(path: Path) -> list[Any]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra("eval", f"reading {path.name}") from error
    try:
        rows: list[Any] = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise DataError(f"is no Parquet file ({_first_line(error)})", file=path) from error
    return rows


def _load_saved(path: Path, splits: Sequence[str]) -> Iterable[Any]:
    """What `save_to_disk` wrote: one split, or several by name."""
    try:
        from datasets import DatasetDict, load_from_disk
    except ImportError as error:
        raise MissingExtra("eval", f"reading {path}") from error
    try:
        found = load_from_disk(str(path))
    except Exception as error:
        raise DataError(f"is no folder of `save_to_disk` ({_first_line(error)})", file=path) from error
    if not isinstance(found, DatasetDict):
        return list(found)
    split = next((split for split in splits if split in found), None)
    if split is None:
        raise DataError(f"has no split {splits[0]!r}; there is: {', '.join(sorted(found))}", file=path)
    return list(found[split])


def _load_folder(path: Path, splits: Sequence[str], part: str | None) -> list[DataRow]:
    """What `load_dataset` makes of a folder, such as a copy of the hub's."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtra("eval", f"reading {path}") from error
    try:
        rows = list(load_dataset(str(path), part, split=splits[0]))
    except Exception as error:
        wanted = " or ".join(f"{splits[-1]}{suffix}" for suffix in SUFFIXES)
        raise DataError(
            f"no {wanted} there, nor a data set that `datasets` reads ({_first_line(error)})", file=path
        ) from error
    return _number_rows(rows, path, part or "")


def _number_rows(rows: Iterable[Any], path: Path, part: str = "") -> list[DataRow]:
    numbered = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DataError(f"must be a JSON object, not {type(row).__name__}", file=path, line=number)
        numbered.append(DataRow(row, path, number, part))
    return numbered


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
