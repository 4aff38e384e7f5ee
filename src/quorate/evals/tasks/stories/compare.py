"""Several people whose amounts hang together: more, fewer, times as many, a part of."""

from random import Random

from .plan import Move, Plan, Story, Tier, Working, divisors, pick, smaller
from .themes import NAMES, Theme

_OPERATION = {"more": "+", "fewer": "-", "times": "*", "part": "/"}
_PARTS = {
    2: "half",
    3: "a third",
    4: "a quarter",
    5: "a fifth",
    6: "a sixth",
    7: "a seventh",
    8: "an eighth",
    9: "a ninth",
}
_SENTENCES = {
    "more": "{who} {did} {n} more {items} than {other}.",
    "fewer": "{who} {did} {n} fewer {items} than {other}.",
    "times": "{who} {did} {n} times as many {items} as {other}.",
    "part": "{who} {did} {part} as many {items} as {other}.",
}
_PEOPLE = (3, 3, 4)
"""At most so many, drawn anew for each problem."""
_ASK = {
    "total": "How many {items} did they {do} in all?",
    "gap": "How many more {items} did {most} {do} than {least}?",
    "share": "They pack all the {items} equally into {n} boxes. How many {items} are in each box?",
}


def relate(base: int, tier: Tier, rng: Random) -> tuple[Move, int] | None:
    """How the next person compares with the base amount, or None where the draw does not fit."""
    kind = pick(tuple(_OPERATION), rng)
    ways = divisors(base, tier)
    if kind == "part":
        return (Move(kind, (n := pick(ways, rng),)), base // n) if ways else None
    n = smaller(base, tier, rng) if kind == "fewer" else rng.randint(*(tier.factor if kind == "times" else tier.amount))
    after = {"more": base + n, "fewer": base - n, "times": base * n}[kind]
    return (Move(kind, (n,)), after) if 1 < after <= tier.cap else None


class Compare:
    """`Mia picked 12 apples. Tom picked 3 times as many apples as Mia. ... in all?`"""

    name = "compare"

    def plan(self, tier: Tier, rng: Random) -> Plan | None:
        """People one after another, each compared with an earlier one, then a goal."""
        people = min(1 + max(rng.randint(*tier.steps), 2) // 2, pick(_PEOPLE, rng))
        moves, amounts = [Move("start", (rng.randint(*tier.amount),))], [0]
        amounts[0] = moves[0].numbers[0]
        for _ in range(20):
            base = rng.randrange(len(amounts))
            drawn = relate(amounts[base], tier, rng)
            if drawn:
                moves.append(Move(drawn[0].kind, (base, *drawn[0].numbers)))
                amounts.append(drawn[1])
            if len(amounts) == people:
                return (*moves, self._goal(amounts, tier, rng))
        return None

    def _goal(self, amounts: list[int], tier: Tier, rng: Random) -> Move:
        """What is asked about the amounts."""
        ways, kind = divisors(sum(amounts), tier), pick(("total", "gap", "share", "share"), rng)
        if kind == "share" and ways:
            return Move("share", (pick(ways, rng),))
        if kind == "gap" and len(amounts) < 4 and amounts[-1] != amounts[0]:
            return Move("gap", ())
        return Move("total", ())

    def tell(self, theme: Theme, plan: Plan, rng: Random) -> Story:
        """One sentence a person."""
        people, items, working = rng.sample(NAMES, len(plan) - 1), pick(theme.items, rng), Working()
        amounts = [plan[0].numbers[0]]
        sentences = [f"{people[0]} {theme.did} {amounts[0]} {items}."]
        for who, (kind, (base, n)) in zip(people[1:], plan[1:-1], strict=True):
            words = {"who": who, "other": people[base], "n": n, "part": _PARTS[n] if kind == "part" else ""}
            sentences.append(_SENTENCES[kind].format(did=theme.did, items=items, **words))
            amounts.append(working.step(who, amounts[base], _OPERATION[kind], n))
        most, least = (people[0], people[-1]) if amounts[0] > amounts[-1] else (people[-1], people[0])
        n = plan[-1].numbers[0] if plan[-1].numbers else 0
        ask = _ASK[plan[-1].kind].format(items=items, do=theme.do, most=most, least=least, n=n)
        return Story(
            [*sentences, *ask.split(". ")[:-1], ask.split(". ")[-1]], working, self._answer(plan[-1], amounts, working)
        )

    def _answer(self, goal: Move, amounts: list[int], working: Working) -> int:
        """Work out the goal."""
        if goal.kind == "gap":
            first, last = amounts[0], amounts[-1]
            return working.step("gap", max(first, last), "-", min(first, last))
        total = working.total(amounts)
        return working.step("each", total, "/", goal.numbers[0]) if goal.kind == "share" else total
