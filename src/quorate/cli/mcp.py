"""`quorate mcp`: pipelines as tools of agents, by the Model Context Protocol."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quorate.orchestrator.errors import BadInput, MissingExtra

from .ask import default_pipeline
from .console import echo
from .options import ConfigFile, Pipeline, Upstream, open_catalog

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from quorate.server import ServerSettings
    from quorate.server.context import ServerContext

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def mcp(
    pipeline: Pipeline = None,
    upstream: Upstream = None,
    config: ConfigFile = None,
    http: Annotated[
        bool, typer.Option("--http", help="Streamable HTTP at /mcp instead of standard input and output.")
    ] = False,
    host: Annotated[str, typer.Option(help="With --http: other addresses than loopback need keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http: 0 takes a free one.")] = 8765,
    traces: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep a trace of every question; with texts if --log-prompts.")
    ] = None,
    log_prompts: Annotated[bool, typer.Option("--log-prompts", help="Let traces and logs hold texts.")] = False,
) -> None:
    """Offer pipelines as tools to Claude, editors and other agents (Model Context Protocol).

    Tools: ask, compare, list_models, list_traces, read_trace.
    """
    own = {"traces": traces} if traces else {}
    asyncio.run(_run(pipeline, upstream, config, (host, port) if http else None, {**own, "log_prompts": log_prompts}))


async def _run(
    pipeline: str | None,
    upstream: str | None,
    config: Path | None,
    address: tuple[str, int] | None,
    own: Mapping[str, Any],
) -> None:
    try:
        from .mcp_tools import make_mcp_server
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "mcp":
            raise
        raise MissingExtra("mcp", "quorate mcp") from None
    from quorate.server.app import make_app
    from quorate.server.context import ServerContext
    from quorate.server.telemetry.logs import configure

    catalog = await open_catalog(upstream, config)
    try:
        default = default_pipeline(catalog) if pipeline is None else pipeline
        catalog.resolve(default)  # which says now, and not to an agent, that there is none
        settings = _settings(config, own, keyed=address is not None)
        context = ServerContext(catalog, settings)
        server = make_mcp_server(make_app(context), default)
        with ExitStack() as stack:
            listener = None if address is None else stack.enter_context(_listen(*address, keyed=bool(settings.keys)))
            configure(settings)
            context.telemetry.bind()
            async with context.access.state.open(), context.telemetry.open():
                if listener is None:
                    await server.run_stdio_async()
                else:
                    await _serve(server.streamable_http_app(host=listener.getsockname()[0]), context, listener)
    finally:
        await catalog.aclose()


def _settings(config: Path | None, own: Mapping[str, Any], *, keyed: bool) -> ServerSettings:
    """Those of a server of this configuration, without what only a server has; standard input needs no key."""
    from quorate.server import ServerSettings

    settings = ServerSettings()
    if config is not None:
        from quorate.config.file import load_config

        settings = load_config(config).server
    without = {"page": False, "metrics": False, "files": None, "bank": None, "log_level": "warning"}
    return settings.model_copy(update={**without, **({} if keyed else {"keys": ()}), **own})


class _Guard:
    """Lets in who has one of the server's keys, where there are some."""

    def __init__(self, app: ASGIApp, context: ServerContext) -> None:
        self._app, self._context = app, context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from quorate.server.access.errors import Unauthorized
        from quorate.server.http.errors import make_envelope, send_json
        from quorate.server.http.routing import read_authorization

        if scope["type"] == "http":
            try:
                self._context.access.identify(read_authorization(scope))
            except Unauthorized as error:
                await send_json(send, make_envelope(error), 401, [(b"www-authenticate", b"Bearer")])
                return
        await self._app(scope, receive, send)


def _listen(host: str, port: int, *, keyed: bool) -> socket.socket:
    if host not in LOOPBACK and not keyed:
        raise BadInput(
            f"on {host} without API keys anyone who can reach this machine could spend your tokens: give keys "
            "(server.keys in quorate.yaml, `quorate key NAME` makes one; or QUORATE_API_KEYS)"
        )
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise BadInput(
            f"cannot listen on {host}:{port}: {error.strerror or error}; --port 0 takes a free one"
        ) from None


async def _serve(app: ASGIApp, context: ServerContext, listener: socket.socket) -> None:
    import uvicorn

    host, port = listener.getsockname()[:2]
    named = f"[{host}]" if ":" in host else host
    echo(f"quorate mcp at http://{named}:{port}/mcp (Ctrl-C stops it)", err=True)
    settings = uvicorn.Config(_Guard(app, context), log_config=None, access_log=False, lifespan="on")
    await uvicorn.Server(settings).serve(sockets=[listener])
