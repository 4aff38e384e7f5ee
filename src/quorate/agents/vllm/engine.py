"""The life of one vLLM engine: started once, bound to one event loop, shut down with its processes."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Mapping
from typing import Any

from quorate.orchestrator.errors import BadInput, MissingExtra

QUIET = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}
"""Environment for vLLM where the user has set none: else it reports to its makers and logs to standard output."""


class VLLMEngine:
    """Holds vLLM's `AsyncLLM`, which serves the event loop that first asked for it.

    Args:
        args: of vLLM's `AsyncEngineArgs`; `model` names it in errors.
    """

    def __init__(self, args: Mapping[str, Any]) -> None:
        self._args = dict(args)
        self._engine: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[None] | None = None
        self.running: set[str] = set()
        """Ids of requests that have not ended."""

    async def get(self) -> Any:
        """The engine, started once however many ask for it, and anew where its process has died.

        Raises:
            MissingExtra: vLLM is not installed.
            BadInput: it serves another event loop.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            if not self._loop.is_closed():
                raise BadInput("the vLLM engine serves another event loop: use it there, or close it there first")
            await asyncio.to_thread(self._abandon)
        if self._engine is not None and self._engine.errored:
            await self.aclose()
        if self._starting is None or (self._starting.done() and self._engine is None):
            self._loop = loop
            self._starting = loop.create_task(self._start())
        await asyncio.shield(self._starting)
        return self._engine

    async def aclose(self) -> None:
        """Ends what runs, then the engine and its processes; `get` starts another."""
        if self._starting is not None:
            await asyncio.wait([self._starting])
        engine, self._engine, self._loop, self._starting = self._engine, None, None, None
        if engine is None:
            return
        if not engine.errored:
            await engine.abort(list(self.running))
        if (reader := getattr(engine, "output_handler", None)) is not None:
            reader.cancel()  # else it logs the engine's end as a crash
        context = _find_context(engine)
        await asyncio.to_thread(engine.shutdown)
        del engine, reader
        gc.collect()  # its destructor fails once the interpreter ends
        if context is not None and not context.closed:
            # vLLM leaves this to the collector, which warns of it. Its sockets are closed by now: their closing was
            # put on this loop before `shutdown` returned.
            await asyncio.to_thread(context.term)

    async def _start(self) -> None:
        try:
            await asyncio.to_thread(self._open)
        except ImportError as error:
            raise MissingExtra("vllm", f"{self._args.get('model')} in this process") from error

    def _open(self) -> None:
        """Returns nothing, since vLLM keeps alive the frames of what called it, and their results."""
        self._engine = _start_engine(self._args)

    def _abandon(self) -> None:
        """The engine's loop is gone, and the engine is of no use without it."""
        engine, self._engine, self._loop, self._starting = self._engine, None, None, None
        if engine is not None:
            engine.shutdown()


def is_refusal(error: Exception) -> bool:
    """Whether vLLM did not take a request, which then is the caller's fault."""
    return isinstance(error, ValueError) or any(kind.__name__ == "VLLMClientError" for kind in type(error).__mro__)


def _find_context(engine: Any) -> Any:
    """ZeroMQ's context of the connection to the engine's processes; None where vLLM keeps it elsewhere."""
    return getattr(getattr(getattr(engine, "engine_core", None), "resources", None), "ctx", None)


def _start_engine(args: dict[str, Any]) -> Any:
    """A running engine; takes many seconds."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    if current_platform.is_cpu():
        # The first request with log-probabilities would compile a function with g++ for 16 s.
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        args = {"enforce_eager": True, **args}
    return AsyncLLM.from_engine_args(AsyncEngineArgs(**args))
