"""Balls, points and teams."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="sports",
    items=("balls", "points", "cards", "medals"),
    boxes=("bags", "games", "rounds", "boxes"),
    goods=("shirts", "nets", "tickets", "balls"),
    start=(
        "{who} begins the season with {n} {items}.",
        "The team of {who} has {n} {items}.",
    ),
    gain=phrases(
        "{who} [wins] {n} more {items}.",
        "The coach [adds] {n} {items}.",
        "In a derby {who} [gets] {n} {items}.",
    ),
    lose=phrases(
        "{who} [loses] {n} {items}.",
        "A foul [costs] {n} {items}.",
        "{n} {items} are [taken] away.",
    ),
    packs=phrases(
        "Then come {n} [{boxes}] with {m} {items} each.",
        "{who} earns {n} [{boxes}] of {m} {items}.",
    ),
    unpacks=phrases(
        "{who} gives up {n} [{boxes}] of {m} {items}.",
        "{n} [{boxes}] with {m} {items} each are cancelled.",
    ),
    times=phrases(
        "A bonus [lifts] the {items} to {n} times as many.",
    ),
    share=phrases(
        "The {items} are [split] equally among {n} players and {who} is one of them.",
    ),
    did="won",
    do="win",
    trade=phrases(
        "{who} buys {n} [{goods}] for {m} dollars each.",
        "The club orders {n} [{goods}] at {m} dollars apiece.",
    ),
    distractors=(
        "The match lasts {n} minutes.",
        "{n} fans sit in the rain.",
        "{who} wears the number {n}.",
    ),
)
