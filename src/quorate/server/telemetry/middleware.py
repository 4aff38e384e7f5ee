"""The outermost layer of the application: an id and a record for every request, and the sinks that read it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quorate.config.catalog import Catalog
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.errors import MissingExtra

from ..fleet import Fleet
from .logs import log_request
from .metrics import Metrics
from .port import MetricsPort
from .recent import make_run
from .record import CLIENT_GONE, RECORD, RequestRecord, set_record
from .trace_writer import TraceWriter

if TYPE_CHECKING:
    from .spans import Spans

__all__ = ["Telemetry", "TelemetryMiddleware"]

log = logging.getLogger("quorate.server")

OTEL = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
"""Variables of OpenTelemetry that say where spans go."""
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Telemetry:
    """The sinks of one server, opened and closed with it.

    Args:
        catalog: names that metrics may know.
        settings: what is told, and where to.
        fleet: keeps watched runs, and has the metrics' own port.

    Raises:
        BadInput: something that is wanted cannot be had.
    """

    def __init__(self, catalog: Catalog, settings: ServerSettings, fleet: Fleet) -> None:
        self._settings = settings
        self.metrics = Metrics(catalog) if settings.metrics else None
        self.recent = fleet.runs
        self._fleet = fleet
        self._spans = _make_spans(settings.otel, os.environ)
        self._port: MetricsPort | None = None
        self._trace_writer: TraceWriter | None = None

    @property
    def served_metrics(self) -> Metrics | None:
        """The metrics, where the server's own port shows them."""
        return self.metrics if self._settings.metrics_port is None else None

    def begin(self, scope: Scope) -> RequestRecord:
        """A request came."""
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        record = RequestRecord(_identify(headers), scope["method"])
        record.observed = not (self.metrics is None and self._spans is None and self._trace_writer is None)
        if self._spans is not None:
            text = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
            record.span = self._spans.begin(record, text)
        if self._settings.forward_request_id:
            record.forwarded = {"x-request-id": record.id}
            record.observed = True
        if self.metrics is not None:
            self.metrics.in_flight.inc()
            record.on_call = self.metrics.count_call
        return record

    def end(self, record: RequestRecord) -> None:
        """It is over; no sink's trouble is the client's, nor another's."""
        record.end()
        for tell in (self._measure, self._trace, self._log):
            try:
                tell(record)
            except Exception:
                log.exception("request %s could not be told of", record.id)

    def _measure(self, record: RequestRecord) -> None:
        if self.metrics is not None:
            self.metrics.in_flight.dec()
            self.metrics.count_request(record)

    def _trace(self, record: RequestRecord) -> None:
        if record.span is not None:
            record.span.end(record)
        if not record.understood:
            return
        if self._trace_writer is not None:
            self._trace_writer.put(record)
        if self.recent is not None and record.watched is not None:
            self.recent.keep(make_run(record))

    def _log(self, record: RequestRecord) -> None:
        log_request(record, texts=self._settings.log_prompts)

    def bind(self) -> None:
        """Opens the file of traces and the metrics' own port, where they are wanted.

        Raises:
            BadInput: the file cannot be written, or the port not listened on.
            DataError: the file is something else, or broken.
        """
        settings = self._settings
        if settings.traces is not None and self._trace_writer is None:
            self._trace_writer = TraceWriter(
                settings.traces,
                texts=settings.log_prompts,
                days=settings.trace_days,
                megabytes=settings.trace_megabytes,
                on_lost=self._count_lost,
            )
        if self.metrics is not None and self._port is None:
            self._port = self._fleet.bind_port(self.metrics, settings)

    def _count_lost(self, traces: int) -> None:
        if self.metrics is not None:
            self.metrics.traces_lost.inc(traces)

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
                self._port.close()
            if self._trace_writer is not None:
                await asyncio.to_thread(self._trace_writer.close)
            if self._spans is not None:
                await asyncio.to_thread(self._spans.close)


class TelemetryMiddleware:
    """Gives every request an id, the client's own where it sent a plain one, and every reply its `x-request-id`.

    Args:
        app: the application.
        telemetry: is told of every request.
        headers: that every reply has which says nothing else.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._app = app
        self._telemetry = telemetry
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = scope[RECORD] = self._telemetry.begin(scope)
        set_record(record)

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]  # the content type is the first
                record.status = message["status"]
                record.streamed = headers[0][1].startswith(b"text/event-stream")
                own = {name for name, _ in headers}
                common = [header for header in self._headers if header[0] not in own]
                message["headers"] = [*headers, *common, (b"x-request-id", record.id.encode())]
            elif record.first_byte is None:
                record.first_byte = record.seconds_so_far()
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except BaseException as error:
            record.status = 500 if isinstance(error, Exception) else CLIENT_GONE
            raise
        finally:
            self._telemetry.end(record)


def _identify(headers: Sequence[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id" and _PLAIN.fullmatch(given := value.decode("latin-1")):
            return given
    return token_hex(16)


def _make_spans(setting: bool | None, environment: Mapping[str, str]) -> Spans | None:
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
