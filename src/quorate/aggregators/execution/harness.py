"""Which tests a program passes: one process a program, every test in a fresh namespace.

The tests run beside the code they judge, so a program written to deceive can claim what it likes; an
early exit alone gains nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Protocol

from .sandbox import Execution

__all__ = ["Executor", "passed"]


class Executor(Protocol):
    """Runs a program; see `Sandbox`."""

    async def run(self, program: str) -> Execution: ...


_HARNESS = """
import os, signal

class Late(BaseException):
    pass

running = False

def late(*_):
    if running:
        raise Late

def one(code, test):
    global running
    space = {{"__name__": "candidate"}}
    signal.setitimer(signal.ITIMER_REAL, {seconds!r}, 0.1)
    try:
        running = True
        exec(code, space)
        exec(compile(test, "test", "exec"), space)
        running = False
        return True
    except BaseException:
        running = False
        return False
    finally:
        running = False
        signal.setitimer(signal.ITIMER_REAL, 0)

def main():
    report = os.dup(1)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.signal(signal.SIGALRM, late)
    code = compile({code!r}, "candidate", "exec")
    for number, test in enumerate({tests!r}):
        try:
            good = one(code, test)
        except BaseException:
            good = False
        if good:
            os.write(report, b"%s %d\\n" % ({token!r}, number))

main()
"""


async def passed(code: str, tests: Sequence[str], executor: Executor, *, seconds: float = 1.0) -> frozenset[int]:
    """Numbers of the tests that the code passes; those that the program's limits left no time for fail.

    Args:
        code: a Python module.
        tests: statements that raise where the code is wrong.
        executor: runs the program.
        seconds: for each test, the code's own import included.
    """
    token = secrets.token_hex(8).encode()
    execution = await executor.run(_HARNESS.format(code=code, tests=list(tests), token=token, seconds=seconds))
    numbers = (line.removeprefix(token + b" ") for line in execution.output.splitlines() if line.startswith(token))
    return frozenset(int(n) for n in numbers if n.isdigit() and len(n) < 9 and int(n) < len(tests))
