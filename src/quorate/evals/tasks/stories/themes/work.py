"""Parts made and wages paid."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="work",
    items=("parts", "parcels", "letters", "screws", "reports"),
    boxes=("crates", "bins", "pallets", "sacks"),
    goods=("shifts", "drills", "desks", "lamps"),
    start=(
        "{who} has {n} {items} to handle today.",
        "The depot of {who} holds {n} {items}.",
    ),
    gain=phrases(
        "{n} more {items} [arrive].",
        "A machine [makes] {n} {items}.",
        "{who} [takes] over {n} {items} from a colleague.",
    ),
    lose=phrases(
        "{who} [ships] {n} {items}.",
        "{n} {items} are [done] by lunch.",
        "{n} faulty {items} are [returned].",
    ),
    packs=phrases(
        "A truck unloads {n} [{boxes}] with {m} {items} each.",
        "{n} [{boxes}] of {m} {items} come in.",
    ),
    unpacks=phrases(
        "{who} sends off {n} [{boxes}] of {m} {items}.",
        "{n} [{boxes}] with {m} {items} each are picked up.",
    ),
    times=phrases(
        "A rush [raises] the pile of {items} to {n} times its size.",
    ),
    share=phrases(
        "The {items} are [shared] equally by {n} workers and {who} takes one share.",
    ),
    did="packed",
    do="pack",
    trade=phrases(
        "{who} pays for {n} [{goods}] at {m} dollars each.",
        "The firm pays for {n} [{goods}], {m} dollars each.",
    ),
    distractors=(
        "The shift starts at {n} past six.",
        "The firm has {n} offices.",
        "{who} has worked there for {n} months.",
    ),
)
