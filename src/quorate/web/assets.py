"""The files for browsers, by name, as they are sent: their type, their hash, and compressed."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources

__all__ = ["Asset", "find_asset", "read_part"]

TYPES = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "txt": b"text/plain; charset=utf-8",
    "svg": b"image/svg+xml",
}
FOLDERS = ("page", "parts", "vendor")
NAME = re.compile(r"[a-z0-9-]+/[A-Za-z0-9-]+\.[a-z]+")
MODULE = re.compile(r"^(?:import .*?;\n|export )", re.MULTILINE)
"""What makes a script a module."""


@dataclass(frozen=True)
class Asset:
    """One file."""

    body: bytes
    compressed: bytes
    """The same by gzip."""
    content_type: bytes
    etag: bytes
    """Changes with its content."""


@cache
def find_asset(name: str) -> Asset | None:
    """A file by its folder and name, as in `page/app.js`; None where there is none."""
    folder, _, file = name.partition("/")
    kind = file.rpartition(".")[2]
    if folder not in FOLDERS or kind not in TYPES or not NAME.fullmatch(name):
        return None
    path = resources.files(__package__) / folder / file
    if not path.is_file():
        return None
    body = path.read_bytes()
    etag = f'"{sha256(body).hexdigest()[:20]}"'.encode()
    return Asset(body, gzip.compress(body, 9, mtime=0), TYPES[kind], etag)


@cache
def read_part(name: str) -> str:
    """A part that reports share, for a page that is one file: a script without what makes it a module."""
    text = (resources.files(__package__) / "parts" / name).read_text(encoding="utf-8")
    return MODULE.sub("", text) if name.endswith(".js") else text
