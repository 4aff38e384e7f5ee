"""Groceries in and out of a kitchen."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="shopping",
    items=("apples", "pears", "lemons", "eggs", "carrots", "plums"),
    boxes=("bags", "crates", "boxes", "nets"),
    goods=("melons", "jars", "loaves", "cheeses"),
    start=(
        "{who} has {n} {items} at home.",
        "There are {n} {items} in the kitchen of {who}.",
    ),
    gain=phrases(
        "{who} [buys] {n} more {items}.",
        "At the market {who} [finds] {n} {items}.",
        "A neighbour [gives] {who} {n} {items}.",
    ),
    lose=phrases(
        "{who} [eats] {n} of them.",
        "{n} {items} turn out to be [bad].",
        "{who} [gives] away {n} {items}.",
    ),
    packs=phrases(
        "{who} buys {n} [{boxes}] with {m} {items} in each.",
        "A van brings {n} [{boxes}] of {m} {items}.",
    ),
    unpacks=phrases(
        "{who} sells {n} [{boxes}] of {m} {items}.",
        "{n} [{boxes}] with {m} {items} each go to the soup kitchen.",
    ),
    times=phrases(
        "A big order makes the number of {items} [grow] to {n} times as many.",
    ),
    share=phrases(
        "{who} [splits] all the {items} equally among {n} households and keeps one part.",
    ),
    did="bought",
    do="buy",
    trade=phrases(
        "{who} buys {n} [{goods}] for {m} dollars each.",
        "{n} [{goods}] cost {m} dollars apiece.",
    ),
    distractors=(
        "The shop opens at {n} minutes past seven.",
        "The shop is {n} years old.",
        "{n} people wait at the till.",
    ),
)
