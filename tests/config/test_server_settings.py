"""The section `server`: numbers that a server can count with, limits that limit, origins that a browser sends."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.config.server_settings import ApiKey, FileSettings, KeyBudget, RequestRate, ServerSettings, hash_key
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.frozen import Frozen

KEY = {"name": "ann", "hash": hash_key("ann")}


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (ServerSettings, {"shutdown_seconds": float("inf")}, r"shutdown_seconds\): should be"),
        (ServerSettings, {"queue_seconds": float("inf")}, "finite number"),
        (ServerSettings, {"drain_seconds": 1e300}, "less than or equal to"),
        (ServerSettings, {"trace_megabytes": float("nan")}, "trace_megabytes"),
        (FileSettings, {"folder": "files", "days": 1e300}, "less than or equal to 36500"),
        (RequestRate, {"requests": 1, "seconds": float("inf")}, "seconds"),
        (RequestRate, {"requests": 1, "seconds": 1e300}, "less than or equal to"),
        (KeyBudget, {"money": float("inf")}, "finite number"),
        (KeyBudget, {"seconds": 60}, "limits nothing: give tokens or money"),
        (ApiKey, {**KEY, "weight": float("inf")}, "finite number"),
        (ServerSettings, {"origins": ["chat.example.org"]}, "origins"),
        (ServerSettings, {"origins": ["https://chat.example.org/page"]}, "origins"),
    ],
)
def test_what_no_server_can_go_by_is_refused(kind: type[Frozen], given: dict[str, Any], words: str) -> None:
    """By the name of the field, before anything is served."""
    with pytest.raises(BadInput, match=words):
        kind(**given)


def test_every_origin_that_a_browser_sends_may_be_listed() -> None:
    """Of pages, files and extensions, with or without a slash at the end."""
    origins = ("*", "null", "https://chat.example.org", "http://localhost:3000/", "chrome-extension://abcdef")
    assert ServerSettings(origins=origins).origins == origins
