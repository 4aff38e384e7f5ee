"""A port of its own for `/metrics`, which needs no key."""

from __future__ import annotations

import logging

from prometheus_client import CollectorRegistry, start_http_server

from quorate.config.server_settings import TelemetrySettings
from quorate.orchestrator.errors import BadInput

__all__ = ["MetricsPort"]

log = logging.getLogger("quorate.server")


class MetricsPort:
    """Serves a registry in a thread of its own, until it is closed.

    Raises:
        BadInput: the port cannot be listened on.
    """

    def __init__(self, settings: TelemetrySettings, registry: CollectorRegistry) -> None:
        host, port = settings.metrics_host, settings.metrics_port
        assert port is not None
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise BadInput(f"metrics cannot listen on {host}:{port}: {error.strerror or error}") from None
        log.info("metrics at http://%s:%d/metrics", host, self._server.server_port)

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
