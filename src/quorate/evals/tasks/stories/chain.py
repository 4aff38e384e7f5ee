"""One running amount through a chain of events, or several kinds of boxes whose contents add up, and what follows."""

from random import Random

from .plan import Move, Plan, Story, Tier, Working, divisors, pick, smaller
from .themes import NAMES, HintedPhrase, Theme

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


class ChainOfEvents:
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
            line: HintedPhrase = pick(getattr(theme, move.kind), rng)
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
_GROUPS_OPEN = ("{who} fills {n} {boxes} with {m} {items} each.", "{who} counts {n} {boxes} of {m} {items}.")
_GROUPS_MORE = ("There are also {n} {boxes} with {m} {items} each.", "Then come {n} {boxes} of {m} {items}.")
_GROUPS_ASK = ("How many {items} does {who} end up with?", "How many {items} are left for {who}?")


def draw_groups(tier: Tier, steps: int, rng: Random) -> tuple[list[Move], int]:
    """Groups whose products and sums take about that many steps, and their sum."""
    count = min(3, max(1, (steps + 1) // 2 - (steps > 2)))
    moves = [Move("group", (rng.randint(*tier.factor), rng.randint(*tier.size))) for _ in range(count)]
    return moves, sum(n * m for _, (n, m) in moves)


class Groups:
    """`Mia fills 4 bags with 6 apples each. There are also 3 nets with 8 apples each. ...`"""

    name = "groups"

    def plan(self, tier: Tier, rng: Random) -> Plan | None:
        """One to three groups, then single events."""
        steps = rng.randint(*tier.steps)
        moves, total = draw_groups(tier, steps, rng)
        steps -= 2 * len(moves) - 1
        for _ in range(20):
            if steps <= 0 or total > tier.cap:
                break
            drawn = draw(pick(("gain", "lose", "share"), rng), total, tier, rng)
            if drawn and drawn[0].kind != moves[-1].kind:
                moves.append(drawn[0])
                total, steps = drawn[1], steps - 1
        return tuple(moves) if total <= tier.cap and steps <= 0 else None

    def tell(self, theme: Theme, plan: Plan, rng: Random) -> Story:
        """One sentence a group or event."""
        who, items, working = pick(NAMES, rng), pick(theme.items, rng), Working()
        groups = [move for move in plan if move.kind == "group"]
        sentences: list[str] = []
        products: list[int] = []
        for boxes, move in zip(rng.sample(theme.boxes, len(groups)), groups, strict=True):
            n, m = move.numbers
            line = pick(_GROUPS_MORE if sentences else _GROUPS_OPEN, rng)
            sentences.append(line.format(who=who, n=n, m=m, items=items, boxes=boxes))
            products.append(working.step(boxes, n, "*", m))
        total = working.total(products)
        for move in plan[len(groups) :]:
            event: HintedPhrase = pick(getattr(theme, move.kind), rng)
            sentences.append(event.sentence.format(who=who, n=move.numbers[0], items=items))
            total = follow(move, total, event.hint, working)
        return Story([*sentences, pick(_GROUPS_ASK, rng).format(who=who, items=items)], working, total)
