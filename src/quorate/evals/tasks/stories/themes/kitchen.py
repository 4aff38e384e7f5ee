"""Meals, plates and parties."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="kitchen",
    items=("plates", "cups", "candles", "sandwiches", "spoons"),
    boxes=("stacks", "boxes", "tables", "trays"),
    goods=("pizzas", "kettles", "pans", "cakes"),
    start=(
        "{who} prepares {n} {items} for a party.",
        "The kitchen of {who} holds {n} {items}.",
    ),
    gain=phrases(
        "{who} [makes] {n} more {items}.",
        "A guest [brings] {n} {items}.",
        "{who} [borrows] {n} {items}.",
    ),
    lose=phrases(
        "{n} {items} are [used].",
        "{n} of the {items} get [broken].",
        "{who} [returns] {n} {items}.",
    ),
    packs=phrases(
        "{who} sets up {n} [{boxes}] with {m} {items} each.",
        "{n} [{boxes}] of {m} {items} are carried in.",
    ),
    unpacks=phrases(
        "{who} clears {n} [{boxes}] of {m} {items}.",
        "{n} [{boxes}] with {m} {items} each are sent next door.",
    ),
    times=phrases(
        "More guests [push] the number of {items} to {n} times as many.",
    ),
    share=phrases(
        "{who} [deals] the {items} out evenly to {n} rooms and serves one room.",
    ),
    did="prepared",
    do="prepare",
    trade=phrases(
        "{who} orders {n} [{goods}] for {m} dollars each.",
        "{n} [{goods}] at {m} dollars each are bought for the party.",
    ),
    distractors=(
        "The party lasts {n} hours.",
        "The music stops after {n} songs.",
        "The table is {n} inches wide.",
    ),
)
