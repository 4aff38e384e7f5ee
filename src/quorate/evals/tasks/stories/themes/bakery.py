"""Bread, buns and trays."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="bakery",
    items=("muffins", "rolls", "buns", "cookies", "bagels", "tarts"),
    boxes=("trays", "baskets", "tins", "boxes"),
    goods=("cakes", "pies", "loaves", "rolls"),
    start=(
        "{who} bakes {n} {items} in the morning.",
        "The bakery of {who} opens with {n} {items}.",
    ),
    gain=phrases(
        "{who} [bakes] {n} more {items}.",
        "A helper [makes] {n} {items}.",
        "{n} {items} [come] out of the oven.",
    ),
    lose=phrases(
        "{who} [sells] {n} {items}.",
        "{n} {items} are [burnt] and thrown out.",
        "Guests [eat] {n} {items}.",
    ),
    packs=phrases(
        "Next come {n} [{boxes}] with {m} {items} each.",
        "{who} bakes {n} [{boxes}] of {m} {items}.",
    ),
    unpacks=phrases(
        "A cafe takes {n} [{boxes}] of {m} {items}.",
        "{who} sells {n} [{boxes}] with {m} {items} in each.",
    ),
    times=phrases(
        "For a feast {who} [raises] the number of {items} to {n} times as many.",
    ),
    share=phrases(
        "{who} [splits] the {items} evenly over {n} shops and keeps the part of one shop.",
    ),
    did="baked",
    do="bake",
    trade=phrases(
        "{who} pays for {n} [{goods}] at {m} dollars each.",
        "A guest orders {n} [{goods}] at {m} dollars apiece.",
    ),
    distractors=(
        "The oven is {n} years old.",
        "The dough rests for {n} minutes.",
        "The bakery is at {n} Mill Street.",
    ),
)
