"""What the server tells of its work, and to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from quorate.orchestrator.types import Frozen

__all__ = ["ObserveSettings"]


class ObserveSettings(Frozen):
    """Fields of `ServerSettings`."""

    log_format: Literal["auto", "json", "human"] = "auto"
    """`auto` is for humans on a terminal and JSON lines elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_prompts: bool = False
    """Whether logs and the trace store hold the texts of questions, answers and upstreams' messages."""
    metrics: bool = True
    """Whether `/metrics` exists."""
    metrics_key: bool = True
    """Whether `/metrics` needs one of the server's keys, where it has any."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """A port of its own for `/metrics`, which then needs no key and is not on the main one."""
    metrics_host: str = "127.0.0.1"
    """Where that port listens."""
    traces: Path | None = None
    """SQLite file that keeps a trace of every request; `quorate trace` reads it."""
    trace_days: float = Field(default=7.0, gt=0)
    """Older traces are deleted."""
    trace_megabytes: float = Field(default=1024.0, ge=1)
    """The oldest traces are deleted where the file would grow beyond this."""
    otel: bool | None = None
    """Whether spans go to OpenTelemetry; by itself if one of its variables, such as
    OTEL_EXPORTER_OTLP_ENDPOINT, says where to."""
    forward_request_id: bool = False
    """Whether upstreams get the request's id in `x-request-id`."""
