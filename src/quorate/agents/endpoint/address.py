"""Where a server is and what every request to it says, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping

from multidict import CIMultiDict
from yarl import URL

from quorate.orchestrator.errors import BadInput

__all__ = ["api_root", "common_headers"]

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def api_root(base_url: str) -> URL:
    """The address below which the API lies, with its version: `/v1` unless the path names one.

    Raises:
        BadInput: not an http(s) URL, or one that holds a password.
    """
    try:
        url = URL(base_url.strip())
    except (ValueError, AttributeError, TypeError):
        url = URL("")
    if url.raw_user is not None or url.raw_password is not None:
        raise BadInput("base_url holds a user name or password: give the key as api_key, or in headers")
    if url.scheme not in ("http", "https") or not url.host:
        shown = "" if "@" in str(base_url) else f" {base_url!r}"
        raise BadInput(f"base_url{shown} is not the URL of a server, such as 'http://localhost:8000/v1'")
    path = url.path.rstrip("/")
    root = url.with_path(path if re.search(r"/v\d", path) else f"{path}/v1", keep_query=True)
    return root.with_fragment(None)


def common_headers(api_key: str | None, headers: Mapping[str, str] | None) -> CIMultiDict[str]:
    """The headers of every request, the caller's over ours.

    Checked here because HTTP libraries quote a bad one, key and all.

    Raises:
        BadInput: a key or header that HTTP cannot carry, named without its value.
    """
    ours = {"Accept-Encoding": "gzip, deflate", "Content-Type": "application/json", "User-Agent": "quorate"}
    if api_key:
        _check("api_key", api_key)
        ours["Authorization"] = f"Bearer {api_key}"
    for name, value in (headers or {}).items():
        if not _NAME.fullmatch(name):
            raise BadInput(f"{name!r} is not the name of an HTTP header")
        _check(f"header {name}", value)
    merged = CIMultiDict(ours)
    merged.update(headers or {})
    return merged


def _check(what: str, value: object) -> None:
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()) or value != value.strip():
        raise BadInput(f"{what} must be plain ASCII text without line breaks or spaces around it")
