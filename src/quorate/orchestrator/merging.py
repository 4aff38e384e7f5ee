"""Several event streams as one, with nothing left running behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from .halt import Halt

__all__ = ["merge", "together", "until"]

T = TypeVar("T")


async def together(jobs: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What all jobs return, in order; where one fails or the caller is cancelled, none runs on."""
    if len(jobs) == 1:
        return [await jobs[0]]
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _End:
    """Marks that one stream is through, with the error that ended it, if one did."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


async def merge(streams: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """Items of all streams as they come; closing it cancels every stream and waits for their clean-up."""
    queue: asyncio.Queue[T | _End] = asyncio.Queue()

    async def pump(stream: AsyncGenerator[T, None]) -> None:
        end = _End()
        try:
            async with aclosing(stream):
                async for item in stream:
                    queue.put_nowait(item)
        except Exception as error:
            end = _End(error)
        queue.put_nowait(end)

    tasks = [asyncio.create_task(pump(stream)) for stream in streams]
    try:
        running = len(tasks)
        while running:
            item = await queue.get()
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                running -= 1
    finally:
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:  # else this would cost two turns of the loop, in which all other work gets its turn first
            await asyncio.gather(*left, return_exceptions=True)


Deadline = float | None | Callable[[], float | None]


async def until(
    deadline: Deadline, stream: AsyncGenerator[T, None], halt: Halt | None = None
) -> AsyncGenerator[T, None]:
    """The items of a stream up to a time of the loop's clock; a function is asked anew before each item.

    Args:
        halt: ends it at once when pulled.

    Raises:
        TimeoutError: the deadline passed first; the stream has been closed.
    """
    async with aclosing(stream):
        while True:
            at = deadline() if callable(deadline) else deadline
            try:
                if halt is not None:
                    async with asyncio.timeout_at(at) as limit:
                        with halt.ending(limit):
                            item = await anext(stream)
                elif at is None:
                    item = await anext(stream)
                else:
                    async with asyncio.timeout_at(at):
                        item = await anext(stream)
            except StopAsyncIteration:
                return
            yield item
