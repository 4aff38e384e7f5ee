"""Several kinds of boxes, each with its own content: products, their sum, and what follows."""

from random import Random

from .chain import draw, follow
from .names import NAMES
from .plan import Move, Plan, Story, pick
from .theme import Phrase, Theme
from .tiers import Tier
from .working import Working

_OPEN = ("{who} fills {n} {boxes} with {m} {items} each.", "{who} counts {n} {boxes} of {m} {items}.")
_MORE = ("There are also {n} {boxes} with {m} {items} each.", "Then come {n} {boxes} of {m} {items}.")
_ASK = ("How many {items} does {who} end up with?", "How many {items} are left for {who}?")


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
            line = pick(_MORE if sentences else _OPEN, rng)
            sentences.append(line.format(who=who, n=n, m=m, items=items, boxes=boxes))
            products.append(working.step(boxes, n, "*", m))
        total = working.total(products)
        for move in plan[len(groups) :]:
            event: Phrase = pick(getattr(theme, move.kind), rng)
            sentences.append(event.sentence.format(who=who, n=move.numbers[0], items=items))
            total = follow(move, total, event.hint, working)
        return Story([*sentences, pick(_ASK, rng).format(who=who, items=items)], working, total)
