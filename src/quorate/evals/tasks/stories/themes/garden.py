"""Plants, beds and pots."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="garden",
    items=("tulips", "roses", "seeds", "bulbs", "herbs"),
    boxes=("pots", "beds", "trays", "rows"),
    goods=("spades", "hoses", "benches", "shrubs"),
    start=(
        "{who} grows {n} {items}.",
        "There are {n} {items} in the garden of {who}.",
    ),
    gain=phrases(
        "{who} [plants] {n} more {items}.",
        "{n} new {items} [sprout].",
        "A friend [brings] {n} {items}.",
    ),
    lose=phrases(
        "Frost [kills] {n} {items}.",
        "{who} [cuts] {n} {items}.",
        "Deer [eat] {n} of the {items}.",
    ),
    packs=phrases(
        "{who} sets out {n} [{boxes}] with {m} {items} each.",
        "{n} [{boxes}] of {m} {items} are added.",
    ),
    unpacks=phrases(
        "{who} gives away {n} [{boxes}] of {m} {items}.",
        "{n} [{boxes}] with {m} {items} each are dug up.",
    ),
    times=phrases(
        "By summer the {items} [spread] to {n} times as many.",
    ),
    share=phrases(
        "{who} [divides] the {items} evenly among {n} gardens and tends one garden.",
    ),
    did="planted",
    do="plant",
    trade=phrases(
        "{who} pays {m} dollars each for {n} [{goods}].",
        "{who} orders {n} [{goods}] at {m} dollars each.",
    ),
    distractors=(
        "The fence is {n} feet long.",
        "The garden has {n} bees on a wall.",
        "It has not rained for {n} days.",
    ),
)
