"""The process that asks math-verify, so that it can be killed.

Run as a file by `pool.Worker`, never imported: it needs nothing of quorate. Each line on standard
input is a JSON list of one answer (can it be compared at all?) or two (are they equivalent?); each
gets one line `true` or `false` back. It ends when its standard input does, and an alarm ends it should nobody be
there to kill it. It has the memory limit and the longest time for a request as its arguments.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from functools import lru_cache
from typing import Any


def main(memory: int, alarm: int) -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not pass for a reply
    logging.disable(logging.CRITICAL)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory if hard < 0 else min(memory, hard), hard))
    parsed("1")  # the first expression builds the grammar
    same("x+1", "1+x")
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        signal.alarm(alarm)
        print(json.dumps(reply(json.loads(line))), file=replies, flush=True)
        signal.alarm(0)


def reply(answers: list[str]) -> bool:
    try:
        return same(*answers) if len(answers) == 2 else comparable(*answers)
    except (Exception, MemoryError, RecursionError):  # hostile input may raise anything; the caller counts a False
        return False


def comparable(answer: str) -> bool:
    """Whether it can be read and survives a comparison, which is what most bombs wait for."""
    return bool(parsed(answer)) and same(answer, "1") in (True, False)


@lru_cache(maxsize=512)
def parsed(answer: str) -> Any:
    from math_verify import LatexExtractionConfig, parse

    # LaTeX only: the parser of plain expressions ends in Python's eval
    return parse(f"${answer}$", extraction_config=[LatexExtractionConfig()], parsing_timeout=None)


def same(a: str, b: str) -> bool:
    from math_verify import verify

    first, second = parsed(a), parsed(b)
    return bool(verify(first, second, timeout_seconds=None) or verify(second, first, timeout_seconds=None))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
