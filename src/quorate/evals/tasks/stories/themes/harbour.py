"""Fish, ropes and cargo."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="harbour",
    items=("fish", "crabs", "barrels", "ropes", "anchors"),
    boxes=("nets", "crates", "boats", "tubs"),
    goods=("sails", "oars", "hooks", "engines"),
    start=(
        "{who} lands {n} {items} at dawn.",
        "The ship of {who} carries {n} {items}.",
    ),
    gain=phrases(
        "{who} [catches] {n} more {items}.",
        "{n} {items} are [loaded].",
        "Another crew [hands] over {n} {items}.",
    ),
    lose=phrases(
        "{n} {items} fall into the [sea].",
        "{who} [sells] {n} {items}.",
        "{n} {items} are [unloaded].",
    ),
    packs=phrases(
        "{who} takes in {n} [{boxes}] with {m} {items} each.",
        "{n} [{boxes}] of {m} {items} come aboard.",
    ),
    unpacks=phrases(
        "{who} drops off {n} [{boxes}] of {m} {items}.",
        "{n} [{boxes}] with {m} {items} each go ashore.",
    ),
    times=phrases(
        "A lucky week [lifts] the load to {n} times as many {items}.",
    ),
    share=phrases(
        "{who} [parts] the {items} evenly among {n} crews and feeds one crew.",
    ),
    did="caught",
    do="catch",
    trade=phrases(
        "{who} buys {n} [{goods}] at {m} dollars each.",
        "{who} needs {n} [{goods}], each for {m} dollars.",
    ),
    distractors=(
        "The pier is {n} yards long.",
        "The wind blows at {n} knots.",
        "The captain is {n} years old.",
    ),
)
