"""A watch that writes down what it is told."""

from __future__ import annotations

from collections.abc import Mapping

from quorate.orchestrator.types import Usage
from quorate.orchestrator.watch import CallWatch, UpstreamCall, Watch

__all__ = ["Noted", "Notes"]


class Noted(CallWatch):
    """One call, as it was told."""

    def __init__(self, call: UpstreamCall, log: list[str]) -> None:
        self.call = call
        self.log = log
        self.usage = Usage()

    def headers(self) -> Mapping[str, str]:
        return {"traceparent": f"00-{len(self.log):032x}-01-01"}

    def sent(self) -> None:
        self.log.append("sent")

    def failed(self, code: str, status: int) -> None:
        self.log.append(f"{code} {status}")

    def answered(self) -> None:
        self.log.append("answered")

    def ended(self, outcome: str, usage: Usage) -> None:
        self.log.append(outcome)
        self.usage = usage


class Notes(Watch):
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.calls: list[Noted] = []

    def stage(self, thread: str, stage: str) -> None:
        self.stages.append(f"{thread}:{stage}")

    def call(self, call: UpstreamCall) -> CallWatch:
        self.calls.append(Noted(call, []))
        return self.calls[-1]
