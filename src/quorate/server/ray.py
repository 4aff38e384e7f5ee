"""The server as a Ray Serve application: `serve run quorate.server.ray:app config=quorate.yaml replicas=3`.

Ray places the replicas, restarts them and spreads requests; each is a server of its own over the same configuration,
which is read once, where the application is started. With `server.state` they count in Redis what keys do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from quorate.config.file import Config, load_config
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.errors import BadInput, MissingExtra
from quorate.orchestrator.frozen import Frozen

from .access.control import make_state
from .context import ServerContext
from .run import REPLY_SECONDS

if TYPE_CHECKING:
    from ray.serve import Application
    from starlette.types import ASGIApp

__all__ = ["RayArguments", "app"]


class RayArguments(Frozen):
    """What the application is started with, as `name=value`."""

    config: Path
    """A quorate.yaml with models and pipelines, on the machine where the application is started."""
    replicas: int = Field(default=1, ge=1)
    """Servers, each a process somewhere in the cluster."""
    cpus: float = Field(default=1.0, ge=0)
    """Cores that Ray keeps for each."""


def app(args: dict[str, Any]) -> Application:
    """Builds the application.

    Args:
        args: see `RayArguments`.

    Raises:
        BadInput: an argument or the configuration cannot be used, or would be open to strangers.
        MissingExtra: Ray Serve is not installed.
    """
    try:
        from ray import serve
    except ImportError:
        raise MissingExtra("serve", "Ray Serve") from None
    arguments = RayArguments(**args)
    config = load_config(arguments.config)
    settings = prepare_settings(config.server)
    config.catalog()  # which is refused here rather than on every replica
    make_state(settings)

    def build() -> ASGIApp:
        return build_replica(config, settings)

    deployment = serve.deployment(
        serve.ingress(build)(_Replica),
        name="quorate",
        num_replicas=arguments.replicas,
        ray_actor_options={"num_cpus": arguments.cpus},
        # The queue is the server's own, which knows whose requests these are.
        max_ongoing_requests=settings.max_concurrent + settings.max_queued,
        graceful_shutdown_timeout_s=settings.shutdown_seconds + REPLY_SECONDS,
    )
    bound: Application = deployment.bind()
    return bound


class _Replica:
    """What Ray makes a replica of."""


def prepare_settings(settings: ServerSettings) -> ServerSettings:
    """What replicas of one machine can all have.

    Raises:
        BadInput: strangers could ask, or something is there only once.
    """
    if not (settings.keys or settings.open):
        raise BadInput(
            "anyone who can reach Ray's proxies could spend your tokens: give keys (server.keys in quorate.yaml, or "
            "QUORATE_API_KEYS), or say server.open: true"
        )
    if settings.workers != 1:
        raise BadInput(f"server.workers is {settings.workers!r}, and a replica is one process: start more replicas")
    if settings.metrics_port:
        raise BadInput(
            f"server.metrics_port is {settings.metrics_port}, which only one of the replicas of a machine could have: "
            "0 takes a free one for each"
        )
    # One of several, whichever Ray asks, would tell its own numbers under everybody's name.
    return settings.model_copy(update={"metrics": settings.metrics and settings.metrics_port is not None})


def build_replica(config: Config, settings: ServerSettings) -> ASGIApp:
    """The application of one replica; its log lines go where Ray's go."""
    from .app import make_app
    from .run import spare_the_collector
    from .telemetry.logs import configure

    configure(settings, secrets=settings.secrets)
    context = ServerContext(config.catalog(), settings)
    spare_the_collector()
    return make_app(context)
