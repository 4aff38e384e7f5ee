"""The command line: `quorate ask | serve | batch | mcp | key | eval | train | models | graph`.

Results go to standard output and nothing else does; progress and errors go to standard error.
Errors are one line and exit code 2; Ctrl-C keeps what is done and exits with 130.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quorate.orchestrator.errors import QuorateError

from . import ask, batch, evaluate, inspect, key, mcp, models, serve, trace, train
from .console import echo
from .options import Commands

__all__ = ["app", "main"]

app = typer.Typer(
    name="quorate",
    cls=Commands,
    help="Many language-model answers in, one better answer out.",
    epilog="Without --upstream or --config, the embedded models answer: no GPU, network or key needed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("ask")(ask.ask)
app.command("serve")(serve.serve)
app.command("batch")(batch.batch)
app.command("mcp")(mcp.mcp)
app.command("key")(key.key)
app.add_typer(evaluate.app, name="eval")
app.add_typer(train.app, name="train")
app.add_typer(models.app, name="models")
app.command("aggregators")(inspect.aggregators)
app.command("graph")(inspect.graph)
app.command("trace")(trace.trace)
app.command("config-schema")(inspect.config_schema)


def _version(asked: bool) -> None:
    if asked:
        from quorate import __version__

        echo(f"quorate {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Many language-model answers in, one better answer out."""


def main() -> None:
    """Entry point: every error is one line on standard error, with exit code 2; Ctrl-C is 130."""
    try:
        code = app(standalone_mode=False)
    except QuorateError as error:
        # What a user's own code or a server said may have several lines.
        _end(" ".join(f"error: {error}".split()), 2)
    except (KeyboardInterrupt, typer.Abort):
        _end("interrupted; what was done is kept where --out or --checkpoint said so", 130)
    except Exception as error:
        # Typer's errors of usage know their exit code and words; anything else is ours to see in full.
        words, exit_code = getattr(error, "format_message", None), getattr(error, "exit_code", None)
        if words is None or exit_code is None:
            raise
        told = words().partition(", unable to parse")[0].replace("Input should", "it should")  # pydantic's words
        _end(told if told.startswith("Usage:") else f"error: {told}", exit_code)
    if code == 130:
        _end("interrupted; what was done is kept where --out or --checkpoint said so", code)
    sys.exit(code or 0)


def _end(line: str, code: int) -> None:
    echo(line, err=True)
    sys.exit(code)
