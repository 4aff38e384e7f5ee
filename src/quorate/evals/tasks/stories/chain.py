"""One running amount through a chain of events: gains, losses, boxes, growth, sharing."""

from random import Random

from .names import NAMES
from .plan import Move, Plan, Story, divisors, pick, smaller
from .theme import Phrase, Theme
from .tiers import Tier
from .working import Working

_KINDS = ("gain", "lose", "packs", "packs", "unpacks", "times", "share", "share")
_STEPS = {"gain": 1, "lose": 1, "packs": 2, "unpacks": 2, "times": 1, "share": 1}


def draw(kind: str, total: int, tier: Tier, rng: Random) -> tuple[Move, int] | None:
    """One event on the total and what it leaves, or None where it does not fit."""
    n, after = rng.randint(*tier.factor), total
    if kind == "share":
        ways = divisors(total, tier)
        return (Move(kind, (k := pick(ways, rng),)), total // k) if ways else None
    if kind in ("packs", "unpacks"):
        m = rng.randint(*tier.size)
        numbers: tuple[int, ...] = (n, m)
        after += n * m if kind == "packs" else -n * m
    elif kind == "times":
        numbers, after = (n,), total * n
    else:
        numbers = (rng.randint(*tier.amount) if kind == "gain" else smaller(total, tier, rng),)
        after += numbers[0] if kind == "gain" else -numbers[0]
    return (Move(kind, numbers), after) if 1 < after <= tier.cap else None


def follow(move: Move, total: int, hint: str, working: Working) -> int:
    """Work out what the event leaves."""
    kind, numbers = move
    if kind in ("packs", "unpacks"):
        amount = working.step(hint, numbers[0], "*", numbers[1])
        return working.step("more" if kind == "packs" else "left", total, "+-"[kind != "packs"], amount)
    return working.step(hint, total, {"gain": "+", "lose": "-", "times": "*", "share": "/"}[kind], numbers[0])


class Chain:
    """`Mia has 12 apples. Mia buys 7 more apples. ... How many apples are left?`"""

    name = "chain"

    def plan(self, tier: Tier, rng: Random) -> Plan | None:
        """A start and events until the tier's number of steps is reached."""
        steps, total = rng.randint(*tier.steps), rng.randint(*tier.amount)
        moves, last = [Move("start", (total,))], "share"
        for _ in range(40):
            kind = pick(_KINDS, rng)
            drawn = draw(kind, total, tier, rng) if kind != last else None
            if drawn and _STEPS[kind] <= steps:
                moves.append(drawn[0])
                total, last, steps = drawn[1], kind, steps - _STEPS[kind]
            if not steps:
                return tuple(moves)
        return None

    def tell(self, theme: Theme, plan: Plan, rng: Random) -> Story:
        """One sentence an event."""
        who, items, working = pick(NAMES, rng), pick(theme.items, rng), Working()
        total = plan[0].numbers[0]
        sentences = [pick(theme.start, rng).format(who=who, n=total, items=items)]
        for move in plan[1:]:
            line: Phrase = pick(getattr(theme, move.kind), rng)
            n, m = move.numbers[0], move.numbers[-1]
            words = {"who": who, "n": n, "m": m, "items": items, "boxes": pick(theme.boxes, rng)}
            sentences.append(line.sentence.format(**words))
            total = follow(move, total, line.hint.format(**words), working)
        sentences.append(pick(_ASK, rng).format(who=who, items=items))
        return Story(sentences, working, total)


_ASK = (
    "How many {items} does {who} have now?",
    "How many {items} are there in the end?",
    "What is the number of {items} after all this?",
)
