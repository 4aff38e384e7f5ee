"""Finished stages kept in SQLite, so that a run that broke goes on where it stopped.

    async with Checkpoints("runs.sqlite") as kept:
        await pipeline.answer(question, checkpoints=kept, thread="monday")

Asked again with the same thread, a question whose samples were drawn before the crash is not
sampled again.
"""

from __future__ import annotations

import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, Self

from . import types
from .errors import BadInput, MissingExtra

__all__ = ["Checkpoints"]


class Checkpoints:
    """A SQLite file of finished stages; use it with `async with`.

    Raises:
        BadInput: when entered, if the file cannot be opened or is of another kind.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._stack = AsyncExitStack()
        self._saver: Any = None

    @property
    def saver(self) -> Any:
        """LangGraph's checkpointer.

        Raises:
            BadInput: the file is not open.
        """
        if self._saver is None:
            raise BadInput(f"checkpoints {self.path} are not open: use 'async with Checkpoints(...)'")
        return self._saver

    async def __aenter__(self) -> Self:
        try:
            from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
            from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
        except ImportError as error:
            raise MissingExtra("checkpoints", "keeping checkpoints") from error
        self._check()
        saver = await self._stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(self.path)))
        ours = [(types.__name__, name) for name in types.__all__]
        saver.serde = JsonPlusSerializer(allowed_msgpack_modules=ours)
        self._saver = saver
        return self

    def _check(self) -> None:
        """Opens the file once by itself: aiosqlite's thread would outlive a failure.

        Raises:
            BadInput: it is no file of SQLite's, or there cannot be one.
        """
        try:
            with closing(sqlite3.connect(self.path)) as file:
                file.execute("PRAGMA schema_version")
        except sqlite3.Error as error:
            raise BadInput(f"checkpoints {self.path} cannot be opened: {error}") from error

    async def __aexit__(self, *exc: object) -> None:
        self._saver = None
        await self._stack.aclose()
