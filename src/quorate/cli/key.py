"""`quorate key`: a new API key of a server."""

from __future__ import annotations

from typing import Annotated

import typer

from quorate.orchestrator.errors import BadInput

from .console import echo, print_json
from .options import Json

__all__ = ["key"]


def key(
    name: Annotated[str, typer.Argument(help="How logs and metrics call its owner.")],
    json: Json = False,
) -> None:
    """Make an API key: the key for its owner, and the line with its hash for server.keys in quorate.yaml."""
    from quorate.config.server_settings import ApiKey, hash_key, make_key

    fresh = make_key()
    try:
        entry = ApiKey(name=name, hash=hash_key(fresh))
    except BadInput:
        raise BadInput(f"{name!r} cannot name a key: letters, digits and ._@- only, at most 64") from None
    if json:
        print_json({"key": fresh, "name": entry.name, "hash": entry.hash})
        return
    echo(f"key (give it to its owner; it is not shown again):\n  {fresh}")
    echo(f'under server.keys in quorate.yaml:\n  - {{name: {entry.name}, hash: "{entry.hash}"}}')
