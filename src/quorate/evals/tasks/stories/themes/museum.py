"""Coins, stamps and other collections."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="museum",
    items=("coins", "stamps", "shells", "stones"),
    boxes=("albums", "cases", "chests", "bags"),
    goods=("frames", "vases", "guides", "posters"),
    start=(
        "{who} has collected {n} {items}.",
        "The museum of {who} shows {n} {items}.",
    ),
    gain=phrases(
        "{who} [finds] {n} more {items}.",
        "A visitor [donates] {n} {items}.",
        "At an auction {who} [wins] {n} {items}.",
    ),
    lose=phrases(
        "{who} [trades] away {n} {items}.",
        "{n} {items} are [stolen].",
        "{who} [gives] {n} {items} to a friend.",
    ),
    packs=phrases(
        "{who} inherits {n} [{boxes}] with {m} {items} each.",
        "{n} [{boxes}] of {m} {items} are found in the cellar.",
    ),
    unpacks=phrases(
        "{who} sells {n} [{boxes}] of {m} {items}.",
        "{n} [{boxes}] with {m} {items} each go on loan.",
    ),
    times=phrases(
        "A gift [grows] the collection to {n} times as many {items}.",
    ),
    share=phrases(
        "{who} [shares] the {items} equally among {n} halls and fills one hall.",
    ),
    did="collected",
    do="collect",
    trade=phrases(
        "{who} buys {n} [{goods}] at {m} dollars each.",
        "{who} orders {n} [{goods}] for {m} dollars apiece.",
    ),
    distractors=(
        "The museum has {n} rooms.",
        "The tour takes {n} minutes.",
        "The oldest piece is {n} inches tall.",
    ),
)
