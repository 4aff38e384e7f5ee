"""Passengers and luggage on the way."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="travel",
    items=("passengers", "tourists", "hikers", "riders"),
    boxes=("buses", "vans", "boats", "cabins"),
    goods=("tickets", "maps", "meals", "rooms"),
    start=(
        "{who} leads a tour with {n} {items}.",
        "A train driven by {who} leaves with {n} {items}.",
    ),
    gain=phrases(
        "{n} more {items} get [on].",
        "At the next stop {n} {items} [join].",
        "{n} late {items} [arrive].",
    ),
    lose=phrases(
        "{n} {items} get [off].",
        "{n} of them [leave] at the lake.",
        "{n} {items} go [home] early.",
    ),
    packs=phrases(
        "Then {n} [{boxes}] bring {m} {items} each.",
        "{n} [{boxes}] with {m} {items} in each come along.",
    ),
    unpacks=phrases(
        "{n} [{boxes}] take away {m} {items} each.",
        "{who} sends {n} [{boxes}] with {m} {items} each to the city.",
    ),
    times=phrases(
        "By noon the crowd of {items} has [grown] to {n} times its number.",
    ),
    share=phrases(
        "{who} [divides] the {items} evenly into {n} groups and stays with one group.",
    ),
    did="guided",
    do="guide",
    trade=phrases(
        "{who} pays for {n} [{goods}] at {m} dollars each.",
        "{who} orders {n} [{goods}], each for {m} dollars.",
    ),
    distractors=(
        "The trip takes {n} minutes.",
        "The road is {n} miles long.",
        "It is day {n} of the journey.",
    ),
)
