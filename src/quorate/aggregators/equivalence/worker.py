r"""The processes that compute with expressions, so that they can be ended.

Run as a file by `processes.Nursery`, never imported: it needs nothing of quorate. Its standard input is a socket. It
says `ready` once it has loaded the algebra; then it forks a child, ready at once, for every other socket that it is
handed. The child serves that one: each line is a JSON list of one answer (can it be compared at all?) or two (are they
equivalent?), and gets one line `true`, `false` or, out of memory, `null`. A child that computes for longer than a
question may take is ended by the kernel, by its own processor time, however busy the machine is; the nursery itself
computes nothing. Both end when their sockets do. Arguments: address space in bytes, and seconds.

The parser of math-verify reads the TeX; its comparison is not used, since that rounds to six decimals,
where 1/20! is 1/52!. Constants are compared to 40 significant digits, expressions with variables at a few points
to as many, equations up to a factor, sets and matrices by their elements. A decimal of six digits or
more equals the irrational number that it rounds or cuts off.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

DIGITS = 60
"""Significant digits computed."""
TOLERANCE = 10.0**-40
"""Relative difference of equal values."""
POINTS = (("7/5", "11/10"), ("3/7", "2/9"), ("37/11", "5/13"), ("-13/9", "-2/11"))
"""Where expressions with variables are compared: first variable and step to the next; the last below zero."""
CAPITAL_I = "mho"
"""What the parser reads for `I`, which would be the imaginary unit there without index and exponent: `I_1/I_2` is 1."""
WARM_UP = (("x+1", "1+x"), (r"\frac{\sqrt{3}}{2}", "0.866025403784"), ("(x-1)(x+1)", "x^{2}-1"))
_DECIMAL = re.compile(r"-?([0-9]*)\.([0-9]+)")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_CAPITAL_I = re.compile(r"(\\[A-Za-z]+)|I")
_DEGREES = re.compile(r"([0-9.]+)\s*\^\s*\{?\s*\\circ\s*\}?")


def main(memory: int, seconds: float) -> None:
    control = socket.socket(fileno=0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the program that asks, which ends its sockets
    logging.disable(logging.CRITICAL)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory if hard < 0 else min(memory, hard), hard))
    for left, right in WARM_UP:  # the first expressions build the grammar
        same(left, right)
    control.sendall(b"ready\n")
    while True:
        order, handed, *_ = socket.recv_fds(control, 1, 1)
        if not order:
            return
        for descriptor in handed:
            if os.fork() == 0:
                try:
                    control.close()
                    serve(socket.socket(fileno=descriptor), seconds)
                finally:
                    os._exit(0)
            os.close(descriptor)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def serve(asked: socket.socket, seconds: float) -> None:
    """Answers until nobody asks any more."""
    with asked.makefile("rw", encoding="utf-8") as lines:
        for line in lines:
            signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process, also inside a long product
            answer = reply(json.loads(line))
            signal.setitimer(signal.ITIMER_PROF, 0)
            print(json.dumps(answer), file=lines, flush=True)


def reply(answers: list[str]) -> bool | None:
    try:
        return same(*answers) if len(answers) == 2 else comparable(*answers)
    except MemoryError:
        return None
    except (Exception, RecursionError):  # hostile input may raise anything; what cannot be read equals nothing
        return False


def comparable(answer: str) -> bool:
    """Whether it can be read and survives a comparison, which is what most bombs wait for."""
    return parsed(answer) is not None and same(answer, "1") in (True, False)


@lru_cache(maxsize=512)
def parsed(answer: str) -> Any:
    """The expression, its numbers exact and `i` imaginary; None where it cannot be read."""
    from latex2sympy2_extended import NormalizationConfig, latex2sympy
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig
    from sympy import MatrixBase

    text = _DEGREES.sub(r"(\\frac{\1\\pi}{180})", answer)
    if text.count("=") > 1 and not set(",;") & set(text):
        text = text.rpartition("=")[2]  # of a chain the end
    # math-verify's own reading would drop what looks like a unit: `a - b + c` is `a -` there
    spelling = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=False, boxed="none", equations=False
    )
    is_real = "i" not in _COMMAND.sub("", text)
    text = _CAPITAL_I.sub(lambda match: match[1] or rf"\{CAPITAL_I} ", text)
    conversion = ConversionConfig(lowercase_symbols=False)
    value = latex2sympy(text, is_real=is_real, normalization_config=spelling, conversion_config=conversion)
    if isinstance(value, MatrixBase):
        return value.applyfunc(_exact)
    return _exact(value)


def _exact(value: Any) -> Any:
    from sympy import Derivative, Float, I, Rational

    exact = value.xreplace({number: Rational(str(number)) for number in value.atoms(Float)})
    names = {symbol.name for symbol in exact.free_symbols}
    alone = names in ({"j"}, {CAPITAL_I})
    units = {symbol: I for symbol in exact.free_symbols if symbol.name == "i" or alone}
    exact = exact.xreplace(units)
    return exact if exact.has(Derivative) else exact.doit()  # dy/dx would be 0


def same(a: str, b: str) -> bool:
    first, second = parsed(a), parsed(b)
    if first is None or second is None:
        return False
    if not (_has_both_cases(first) or _has_both_cases(second)):
        first, second = _lowered(first), _lowered(second)
    return equal(first, second) or rounds(a, second) or rounds(b, first)


def _has_both_cases(value: Any) -> bool:
    """Whether a name stands in it in capitals and in small letters, as the masses of `M/(M+m)`."""
    names = {symbol.name for symbol in value.free_symbols}
    return len({name.lower() for name in names}) < len(names)


def _lowered(value: Any) -> Any:
    from sympy import Symbol

    return value.xreplace({name: Symbol(name.name.lower(), real=name.is_real) for name in value.free_symbols})


def rounds(decimal: str, value: Any) -> bool:
    """Whether the text is a decimal of six significant digits or more, and the value the irrational behind it."""
    from sympy import Expr, Rational

    match = _DECIMAL.fullmatch(decimal.strip())
    if match is None or not isinstance(value, Expr) or value.free_symbols or value.is_rational:
        return False
    if len((match[1] + match[2]).lstrip("0")) < 6:
        return False
    difference = abs(value - Rational(decimal.strip())).evalf(DIGITS)
    return bool(difference.is_real and difference < Rational(1, 10 ** len(match[2])))


def equal(a: Any, b: Any) -> bool:
    """Whether two expressions of any kind mean the same; different kinds only where one reading fits both."""
    from sympy import Expr, FiniteSet, MatrixBase, Set, Tuple
    from sympy.core.relational import Relational
    from sympy.logic.boolalg import Boolean

    if isinstance(a, MatrixBase) or isinstance(b, MatrixBase):
        both = isinstance(a, MatrixBase) and isinstance(b, MatrixBase) and a.shape == b.shape
        return both and all(map(equal, a, b))
    a, b = _value(a, b), _value(b, a)
    if isinstance(a, Relational) and isinstance(b, Relational) and _proportional(a, b):
        return True
    a, b = (_solutions(side) if isinstance(side, Boolean) and not side.is_symbol else side for side in (a, b))
    if isinstance(a, FiniteSet) and isinstance(b, FiniteSet):
        return _matched(list(a.args), list(b.args))
    if isinstance(a, Set | Tuple) and isinstance(b, Set | Tuple):
        return _same_sets(a, b)
    return isinstance(a, Expr) and isinstance(b, Expr) and _same_values(a, b)


def _value(side: Any, other: Any) -> Any:
    """Of `y = 2x` beside no equation: `2x`."""
    from sympy import Eq, Symbol
    from sympy.core.function import AppliedUndef
    from sympy.core.relational import Relational

    named = isinstance(side, Eq) and isinstance(side.lhs, Symbol | AppliedUndef)
    return side.rhs if named and not isinstance(other, Relational) else side


def _solutions(condition: Any) -> Any:
    """The set of an inequality in one variable."""
    from sympy import Eq

    if isinstance(condition, Eq) or len(condition.free_symbols) != 1:
        return condition
    return condition.as_set()


def _proportional(a: Any, b: Any) -> bool:
    """Whether two equations or inequalities differ by a factor."""
    from sympy import Expr

    if not all(isinstance(side, Expr) for side in (a.lhs, a.rhs, b.lhs, b.rhs)):
        return type(a) is type(b) and equal(a.lhs, b.lhs) and equal(a.rhs, b.rhs)
    left, right = a.lhs - a.rhs, b.lhs - b.rhs
    if not left.free_symbols or left.free_symbols != right.free_symbols:
        return bool(a == b)
    ratios = [x / y for x, y in _probes(left, right) if not (_is_zero(x) or _is_zero(y))]
    if len(ratios) < 2 or not all(_close(ratio, ratios[0]) for ratio in ratios):
        return False
    unordered = a.rel_op in ("==", "!=")
    turned = b.reversed.rel_op if not unordered and ratios[0].is_negative else b.rel_op
    return bool(a.rel_op == turned)


def _matched(left: list[Any], right: list[Any]) -> bool:
    """Whether elements can be paired off; equal ones are interchangeable, so the first that fits will do."""
    for element in left:
        partner = next((i for i, other in enumerate(right) if equal(element, other)), None)
        if partner is None:
            return False
        del right[partner]
    return not right


def _same_sets(a: Any, b: Any) -> bool:
    from sympy import Interval, Tuple

    if a == b:
        return True
    if isinstance(a, Tuple) or isinstance(b, Tuple):
        left, right = _pair(a), _pair(b)
        return left is not None and right is not None and len(left) == len(right) and all(map(equal, left, right))
    if isinstance(a, Interval) and isinstance(b, Interval):
        ends = (a.left_open, a.right_open) == (b.left_open, b.right_open)
        return bool(ends) and equal(a.start, b.start) and equal(a.end, b.end)
    return bool(a.is_subset(b) and b.is_subset(a))


def _pair(value: Any) -> Sequence[Any] | None:
    """The elements of a tuple; `(1, 2)` is read as an interval."""
    from sympy import Interval, Tuple

    if isinstance(value, Tuple):
        return tuple(value.args)
    return (value.start, value.end) if isinstance(value, Interval) and value.left_open and value.right_open else None


def _same_values(a: Any, b: Any) -> bool:
    from sympy import Derivative, Dummy, Rational
    from sympy.core.function import AppliedUndef

    opaque = {part: Dummy() for part in a.atoms(Derivative, AppliedUndef) | b.atoms(Derivative, AppliedUndef)}
    a, b = a.xreplace(opaque), b.xreplace(opaque)
    if a == b:
        return True
    if isinstance(a, Rational) and isinstance(b, Rational):
        return False
    pairs = list(_probes(a, b))
    wanted = 2 if a.free_symbols | b.free_symbols else 1
    return len(pairs) >= wanted and all(_close(x, y) for x, y in pairs)


def _probes(a: Any, b: Any) -> Iterator[tuple[Any, Any]]:
    """Values of both at some points, those below zero only where both are real there: roots have branches."""
    from sympy import Rational

    symbols = sorted(a.free_symbols | b.free_symbols, key=lambda symbol: symbol.name)
    for start, step in POINTS if symbols else POINTS[:1]:
        point = {symbol: Rational(start) + i * Rational(step) for i, symbol in enumerate(symbols)}
        x, y = a.subs(point).evalf(DIGITS, maxn=4 * DIGITS), b.subs(point).evalf(DIGITS, maxn=4 * DIGITS)
        finite = x.is_finite and y.is_finite and x.is_number and y.is_number
        if finite and (not start.startswith("-") or (x.is_real and y.is_real)):
            yield x, y


def _close(x: Any, y: Any) -> bool:
    if _is_zero(x) or _is_zero(y):
        return _is_zero(x) and _is_zero(y)
    return bool(abs(x - y) <= TOLERANCE * max(abs(x), abs(y)))


def _is_zero(value: Any) -> bool:
    """Zero, or a difference of which no digit is certain."""
    return all(part == 0 or getattr(part, "_prec", DIGITS) < 10 for part in value.as_real_imag())


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
