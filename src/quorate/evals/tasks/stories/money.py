"""Prices: unit prices, what several things cost together, change, and splitting the bill."""

from random import Random

from .plan import Move, Plan, Story, Tier, Working, divisors, pick, smaller
from .themes import NAMES, Theme

_RATE = (
    "{n} {goods} cost {c} dollars and {who} takes {m} of them.",
    "At {c} dollars for {n} {goods}, {who} needs {m} {goods}.",
)
_LESS = ("A coupon takes {n} dollars off.", "Then {n} dollars are taken off the total.")
_EXTRA = ("A fee of {n} dollars is added.", "On top come {n} dollars for delivery.")
_ASK = {
    "cost": ("How many dollars is that in all?", "What is the total in dollars?"),
    "change": (
        "It is paid with {n} dollars. How many dollars are left over?",
        "{n} dollars were set aside for this. How many dollars remain?",
    ),
    "split": (
        "{n} people split the amount equally. How many dollars does each one get to pay?",
        "The amount is shared by {n} friends. How many dollars is one share?",
    ),
}


class Money:
    """`Ben buys 3 books for 7 dollars each. ... It is paid with 60 dollars. How many are left?`"""

    name = "money"

    def plan(self, tier: Tier, rng: Random) -> Plan | None:
        """Purchases, perhaps a coupon or a fee, then a goal."""
        steps = max(2, rng.randint(*tier.steps))
        moves, total, steps = self._purchases(tier, steps, rng)
        if steps > 1:
            kind = pick(("less", "extra"), rng)
            n = rng.randint(*tier.amount) if kind == "extra" else smaller(total, tier, rng)
            total += n if kind == "extra" else -n
            moves.append(Move(kind, (n,)))
        if not 1 < total <= tier.cap:
            return None
        return (*moves, self._goal(total, tier, rng) if steps > 0 else Move("cost", ()))

    def _purchases(self, tier: Tier, steps: int, rng: Random) -> tuple[list[Move], int, int]:
        """Moves, what they cost, and the steps that remain."""
        moves: list[Move] = []
        total = 0
        while len(moves) < 3 and (not moves or steps > 2):
            n, m, price = rng.randint(*tier.factor), rng.randint(*tier.factor), rng.randint(*tier.size)
            rate = rng.random() < 0.35 and n != m
            moves.append(Move("rate", (n, n * price, m)) if rate else Move("trade", (n, price)))
            total += (m if rate else n) * price
            steps -= 1 + rate + (len(moves) > 1)
        return moves, total, steps

    def _goal(self, total: int, tier: Tier, rng: Random) -> Move:
        """What is asked about the total."""
        ways = divisors(total, tier)
        if ways and rng.random() < 0.6:
            return Move("split", (pick(ways, rng),))
        return Move("change", (total + rng.randint(*tier.amount),))

    def tell(self, theme: Theme, plan: Plan, rng: Random) -> Story:
        """One sentence a purchase."""
        who, working = pick(NAMES, rng), Working()
        sentences: list[str] = []
        costs: list[int] = []
        bought = [move for move in plan if move.kind in ("rate", "trade")]
        for goods, move in zip(rng.sample(theme.goods, len(bought)), bought, strict=True):
            sentence, cost = self._buy(move, theme, {"who": who, "goods": goods}, working, rng)
            sentences.append(sentence)
            costs.append(cost)
        total = working.total(costs)
        for kind, (n, *_) in plan[len(bought) : -1]:
            sentences.append(pick(_LESS if kind == "less" else _EXTRA, rng).format(n=n))
            total = working.step(kind, total, "-" if kind == "less" else "+", n)
        goal = plan[-1]
        ask = pick(_ASK[goal.kind], rng).format(n=goal.numbers[0] if goal.numbers else 0)
        return Story([*sentences, *ask.replace(". ", ".\n").split("\n")], working, self._answer(goal, total, working))

    def _buy(self, move: Move, theme: Theme, words: dict[str, str], working: Working, rng: Random) -> tuple[str, int]:
        """One purchase in words, and its cost."""
        goods = words["goods"]
        if move.kind == "rate":
            n, cost, m = move.numbers
            price = working.step("price", cost, "/", n)
            return pick(_RATE, rng).format(n=n, c=cost, m=m, **words), working.step(goods, price, "*", m)
        n, m = move.numbers
        return pick(theme.trade, rng).sentence.format(n=n, m=m, **words), working.step(goods, n, "*", m)

    def _answer(self, goal: Move, total: int, working: Working) -> int:
        """Work out the goal."""
        if goal.kind == "cost":
            return total
        if goal.kind == "split":
            return working.step("each", total, "/", goal.numbers[0])
        return working.step("change", goal.numbers[0], "-", total)
