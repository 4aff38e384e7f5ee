"""All that looks at one server's requests, opened and closed with it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server

from quorate.config.catalog import Catalog
from quorate.orchestrator.errors import BadInput, MissingExtra
from quorate.orchestrator.protocols import Model

from .labels import pipeline_label
from .logs import log_request
from .metrics import Metrics
from .observation import Observation
from .recording import Recorder
from .settings import ObserveSettings

if TYPE_CHECKING:
    from .spans import Spans

__all__ = ["Observer"]

log = logging.getLogger("quorate.server")

OTEL = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
"""Variables of OpenTelemetry that say where spans go."""


class Observer:
    """The sinks of one server.

    Args:
        catalog: names that metrics may know.
        settings: what is told, and where to.

    Raises:
        BadInput: something that is wanted cannot be had.
    """

    def __init__(self, catalog: Catalog, settings: ObserveSettings) -> None:
        self._catalogue = catalog
        self._settings = settings
        self.metrics = Metrics(catalog) if settings.metrics else None
        self._spans = _spans(settings.otel, os.environ)
        self._port: WSGIServer | None = None
        self._recorder: Recorder | None = None

    @property
    def served_metrics(self) -> Metrics | None:
        """The metrics, where the server's own port shows them."""
        return self.metrics if self._settings.metrics_port is None else None

    def pipeline_label(self, model: Model) -> str:
        """How metrics call a model."""
        return pipeline_label(self._catalogue, model)

    def begin(self, request: str, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Observation:
        """A request came."""
        seen = Observation(self, request, method, path)
        if self._spans is not None:
            seen.span = self._spans.request(seen, {k.decode("latin-1"): v.decode("latin-1") for k, v in headers})
        if self._settings.forward_request_id:
            seen.forwarded = {"x-request-id": request}
        if self.metrics is not None:
            self.metrics.in_flight.inc()
        return seen

    def ended(self, seen: Observation) -> None:
        """It is over; no sink's trouble is the client's, nor another's."""
        for told in (self._measure, self._trace, self._log):
            try:
                told(seen)
            except Exception:
                log.exception("request %s could not be told of", seen.id)

    def _measure(self, seen: Observation) -> None:
        if self.metrics is not None:
            self.metrics.in_flight.dec()
            self.metrics.ended(seen)

    def _trace(self, seen: Observation) -> None:
        if seen.span is not None:
            seen.span.end(seen)
        if self._recorder is not None and seen.asking is not None:
            self._recorder.put(seen)

    def _log(self, seen: Observation) -> None:
        log_request(seen, texts=self._settings.log_prompts)

    def bind(self) -> None:
        """Opens the file of traces and the metrics' own port, where they are wanted.

        Raises:
            BadInput: the file cannot be written, or the port not listened on.
            DataError: the file is something else, or broken.
        """
        settings = self._settings
        if settings.traces is not None and self._recorder is None:
            self._recorder = Recorder(
                settings.traces,
                texts=settings.log_prompts,
                days=settings.trace_days,
                megabytes=settings.trace_megabytes,
                lost=self._lost,
            )
        self._bind_port()

    def _lost(self, traces: int) -> None:
        if self.metrics is not None:
            self.metrics.traces_lost.inc(traces)

    def _bind_port(self) -> None:
        if self.metrics is None or self._settings.metrics_port is None or self._port is not None:
            return
        host, port = self._settings.metrics_host, self._settings.metrics_port
        try:
            self._port, _ = start_http_server(port, host, self.metrics.registry)
        except OSError as error:
            raise BadInput(f"metrics cannot listen on {host}:{port}: {error.strerror or error}") from None
        log.info("metrics at http://%s:%d/metrics", host, self._port.server_port)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        """Runs what runs beside the requests.

        Raises:
            BadInput: as `bind`.
        """
        self.bind()
        try:
            yield
        finally:
            if self._port is not None:
                self._port.shutdown()
                self._port.server_close()
            if self._recorder is not None:
                await asyncio.to_thread(self._recorder.close)
            if self._spans is not None:
                await asyncio.to_thread(self._spans.close)


def _spans(setting: bool | None, environment: Mapping[str, str]) -> Spans | None:
    """Spans, where the setting or else the environment wants them."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    if not (any(environment.get(name) for name in OTEL) if setting is None else setting):
        return None
    try:
        from .spans import Spans
    except ImportError:
        missing = MissingExtra("otel", "sending traces to OpenTelemetry")
        if setting:
            raise missing from None
        # The variables may be meant for other programs of this machine.
        log.warning("%s", missing)
        return None
    return Spans()
