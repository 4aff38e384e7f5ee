"""Bare calculations: the first thing that a stranger types."""

from random import Random

from .plan import Move, Plan, Story, Tier, Working, pick

_FRAMES = ("What is {}?", "Compute {}.", "Calculate {}.", "How much is {}?", "{} = ?", "{}")
_WORDS = {
    "*": ("*", "*", "x", "×", "times"),
    "/": ("/", "÷", "divided by"),
    "+": ("+", "+", "plus"),
    "-": ("-", "-", "minus"),
}
KINDS = ("sum", "product", "quotient")


def draw_calculation(kind: str, tier: Tier, rng: Random) -> Plan:
    """Numbers for a sum of two or three, a product, or an exact quotient."""
    if kind == "sum":
        return _draw_sum(tier, rng)
    high = 12 if tier.name == "easy" else 99
    a, b = rng.randint(2, high), rng.randint(2, high)
    if kind == "product":
        return (Move("*", (a, b)),)
    b = rng.randint(2, 9)
    return (Move("/", (a * b, b)),)


def _draw_sum(tier: Tier, rng: Random) -> Plan:
    """Additions and subtractions that never go below zero."""
    high = 99 if tier.name == "easy" else 999
    total = rng.randint(1, high)
    moves = [Move("start", (total,))]
    for _ in range(rng.randint(1, 2)):
        n = rng.randint(1, high)
        sign = "-" if n <= total and rng.random() < 0.5 else "+"
        moves.append(Move(sign, (n,)))
        total += n if sign == "+" else -n
    return tuple(moves)


def tell_calculation(plan: Plan, rng: Random) -> Story:
    """The calculation in one of several frames, with partial products worked out."""
    working = Working()
    numbers = plan[0].numbers
    if plan[0].kind == "start":
        text, answer = str(numbers[0]), numbers[0]
        for sign, (n,) in plan[1:]:
            text += f" {pick(_WORDS[sign], rng)} {n}"
            answer = working.step("sum" if sign == "+" else "rest", answer, sign, n)
    else:
        a, b = numbers
        text = f"{a} {pick(_WORDS[plan[0].kind], rng)} {b}"
        answer = working.product(a, b) if plan[0].kind == "*" else working.step("quotient", a, "/", b)
    return Story([pick(_FRAMES, rng).format(text)], working, answer)
