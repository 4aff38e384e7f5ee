"""Connections go to the worker that has fewest."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from quorate.server.workers.accepting import Acceptor, Board, BoardLimits

from ..conftest import wait_until


async def test_connections_spread_evenly(tmp_path: Path) -> None:
    """Whoever the system wakes first; one that is gone is not waited for."""
    taken: list[list[socket.socket]] = [[], [], []]
    board = Board(tmp_path / "board", 4)  # the fourth has never come
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        acceptors = []
        for index, mine in enumerate(taken):
            board.set(index, 0)
            own = stack.enter_context(listener.dup())
            acceptors.append(Acceptor(own, Board(tmp_path / "board", 4), index, mine.append))

        async def connect(count: int) -> None:
            for _ in range(count):
                stack.enter_context(socket.create_connection(listener.getsockname()))
            await wait_until(lambda: sum(map(len, taken)) >= total)

        total = 30
        await connect(30)
        assert [len(mine) for mine in taken] == [10, 10, 10]
        acceptors[0].close()
        total = 40
        await connect(10)
        assert [len(mine) for mine in taken] == [10, 15, 15]
        board.set(0, 0)  # it hangs: has fewest, and takes none
        total = 43
        await connect(3)
        for acceptor in acceptors:
            acceptor.close()
        for connection in chain(*taken):
            connection.close()


def test_the_most_connections_hold_for_all(tmp_path: Path) -> None:
    """And come free again."""
    board = Board(tmp_path / "board", 2)
    one, other = (BoardLimits(board, index, 3, 3) for index in range(2))
    assert [one.admit("a"), one.admit("a"), other.admit("b")] == [None] * 3
    assert "3 connections already" in (other.admit("b") or "")
    other.leave("b")
    assert board.total == 3
    one.leave("a")
    assert other.admit("c") is None
    board.set(1)
    assert board.total == 1


def test_one_address_has_so_many_connections_to_all(tmp_path: Path) -> None:
    """Others have theirs; those of a worker that has ended, or of one that another replaces, come free."""
    boards = [Board(tmp_path / "board", 2) for _ in range(3)]
    one, other = (BoardLimits(board, index, 100, 3) for index, board in enumerate(boards[:2]))
    assert [one.admit("a"), other.admit("a"), one.admit("a"), one.admit("b")] == [None] * 4
    assert "3 connections from your address" in (other.admit("a") or "")
    other.leave("a")
    one.leave("a")
    assert other.admit("a") is None
    boards[2].forget(0)  # it was killed, as its supervisor knows
    assert [other.admit("a"), other.admit("b")] == [None] * 2
    boards[1].leave(1)
    later = BoardLimits(boards[2], 1, 100, 3)
    for _ in range(3):
        other.leave("a")
        assert later.admit("a") is None
    assert later.admit("a") is not None
