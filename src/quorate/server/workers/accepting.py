"""How connections spread over workers that share one listening socket.

The system wakes all of them for each connection, and whoever comes first has it; left alone, one of four workers takes
nine connections in ten of clients that keep theirs open. So each worker writes the number of its connections on a
board, and one that has more than another leaves a new one to that one for a moment. A connection that is still there
after it is taken all the same: the other may be busy, or hang.

The board also has how many each worker has from one address, by a hash of two bytes: addresses that share one count
as one.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from ..http.connection_limits import ConnectionLimits

__all__ = ["Acceptor", "Board", "BoardLimits"]

ADDRESSES = 2**16
ABSENT = 2**32 - 1
"""Stands for a worker that takes no connections."""
MOMENT = 0.004
"""Seconds that a connection is left to others."""
TOGETHER = 8
"""Connections that are taken in one turn of the event loop."""


class Board:
    """Numbers of connections by worker, in a file that all of them have in memory.

    Args:
        file: of it, in a folder whose name nobody guesses; made if there is none.
        count: of workers.
    """

    def __init__(self, file: Path, count: int) -> None:
        if not file.exists():
            file.write_bytes(ABSENT.to_bytes(4, "little") * count)
            os.truncate(file, 4 * count * (1 + ADDRESSES))
        self._count = count
        self._secret = os.fsencode(file.parent.name)[:64]  # else somebody with many addresses shuts others out
        with file.open("r+b") as opened:
            self._use(memoryview(mmap.mmap(opened.fileno(), 0)))

    def _use(self, memory: memoryview) -> None:
        self._memory, numbers, count = memory, memory.cast("I"), self._count
        self._numbers = numbers[:count]
        self._by_address = [numbers[at : at + ADDRESSES] for at in range(count, len(numbers), ADDRESSES)]

    def set(self, index: int, connections: int = ABSENT) -> None:
        """A worker has so many; without a number it takes none."""
        self._numbers[index] = connections

    def add(self, index: int, address: str, more: int) -> int:
        """A worker has so many more from an address; gives how many all of them have."""
        at = int.from_bytes(blake2b(address.encode(), digest_size=2, key=self._secret).digest())
        self._by_address[index][at] = max(0, self._by_address[index][at] + more)
        return sum(worker[at] for worker in self._by_address)

    def forget(self, index: int) -> None:
        """A worker has ended, and its connections with it."""
        self.set(index)
        self._by_address[index][:] = memoryview(bytes(4 * ADDRESSES)).cast("I")

    def leave(self, index: int) -> None:
        """This worker takes no more connections; another one has its place on the board, which it sees no longer."""
        before = bytearray(self._memory)
        self.forget(index)
        self._use(memoryview(before))

    def get(self, index: int) -> int:
        """How many a worker has."""
        return self._numbers[index]

    @property
    def least(self) -> int:
        """Of the worker that has fewest."""
        return min(self._numbers)

    @property
    def total(self) -> int:
        """Of all workers."""
        return sum(number for number in self._numbers if number != ABSENT)


class BoardLimits(ConnectionLimits):
    """Limits of one worker's connections; the sum over all workers is bounded, too.

    Args:
        board: where it is written how many there are.
        index: of the worker.
        most: connections of all workers.
        from_one: of one address to all workers.
    """

    def __init__(self, board: Board, index: int, most: int, from_one: int) -> None:
        super().__init__(most, from_one)
        self._board, self._index = board, index
        board.forget(index)
        board.set(index, 0)

    def admit(self, address: str) -> str | None:
        """See `ConnectionLimits`."""
        self._board.add(self._index, address, 1)
        refusal = super().admit(address)
        self._board.set(self._index, self._count)
        return refusal

    def leave(self, address: str) -> None:
        """See `ConnectionLimits`."""
        super().leave(address)
        self._board.add(self._index, address, -1)
        self._board.set(self._index, self._count)

    def _count_from(self, address: str) -> int:
        return self._board.add(self._index, address, 0)

    @property
    def _total(self) -> int:
        return self._board.total - self._board.get(self._index) + self._count


class Acceptor:
    """Takes connections as its worker has fewest.

    Args:
        listener: that the workers share.
        board: where it is written who has how many.
        index: of the worker.
        serve: is given each connection.
    """

    def __init__(
        self, listener: socket.socket, board: Board, index: int, serve: Callable[[socket.socket], object]
    ) -> None:
        self._listener, self._board, self._index, self._serve = listener, board, index, serve
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._loop.add_reader(listener, self._take)

    def close(self) -> None:
        """Takes no more."""
        self._board.leave(self._index)
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)

    def _take(self) -> None:
        for _ in range(TOGETHER):
            if self._board.get(self._index) > self._board.least:
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(MOMENT, self._go_on)
                return
            if not self._take_one():
                return

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._take)
        self._take_one()

    def _take_one(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # another worker was faster, the client has left, or there are no files left for now
            return False
        self._board.set(self._index, self._board.get(self._index) + 1)  # until its protocol counts it
        self._serve(connection)
        return True
