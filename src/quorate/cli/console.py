"""What is printed for people: nothing that a model, a server or a file says acts on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from quorate.aggregators.markup import CONTROLS, strip_controls

__all__ = ["SafeConsole", "echo", "print_json", "wide_console"]

WIDTH = 150
"""Columns of a table that goes into a file or a pipe."""


class SafeConsole(Console):
    """A console on which only rich's own controls and styles act."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See `Console`; what is taken out has no width, so nothing is displaced."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(strip_controls(segment.text), segment.style)


def wide_console() -> SafeConsole:
    """Standard output: as wide as the terminal, and wide enough for a table where there is none."""
    console = SafeConsole(file=sys.stdout, highlight=False)
    return console if console.is_terminal else SafeConsole(file=sys.stdout, highlight=False, width=WIDTH)


def echo(text: str, *, err: bool = False) -> None:
    """A plain line on standard output, or on standard error."""
    typer.echo(strip_controls(text), err=err)


def print_json(value: Any) -> None:
    """One JSON document on standard output; characters that a terminal might obey are escaped in it."""
    document = json.dumps(value, indent=2, ensure_ascii=False)
    typer.echo(CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", document))
