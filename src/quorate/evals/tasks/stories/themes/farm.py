"""Animals, fields and harvests."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="farm",
    items=("hens", "sheep", "pumpkins", "melons", "goats", "ducks"),
    boxes=("pens", "carts", "sheds", "rows"),
    goods=("sacks", "ladders", "lambs", "rakes"),
    start=(
        "{who} keeps {n} {items} on a farm.",
        "The farm of {who} has {n} {items}.",
    ),
    gain=phrases(
        "{who} [buys] {n} more {items}.",
        "In spring {n} {items} are [added].",
        "A cousin [brings] {n} {items}.",
    ),
    lose=phrases(
        "{who} [sells] {n} {items}.",
        "A storm costs {who} {n} {items}, all [lost].",
        "{n} {items} are [moved] to another farm.",
    ),
    packs=phrases(
        "Then {who} fills {n} [{boxes}] with {m} new {items} each.",
        "{n} [{boxes}] with {m} {items} each are brought in.",
    ),
    unpacks=phrases(
        "{who} sells {n} [{boxes}] with {m} {items} in each.",
        "{n} [{boxes}] of {m} {items} leave the farm.",
    ),
    times=phrases(
        "After a good year there are {n} times as many {items}, a [rich] harvest.",
    ),
    share=phrases(
        "{who} [parts] the {items} equally among {n} farms and keeps one share.",
    ),
    did="raised",
    do="raise",
    trade=phrases(
        "{who} buys {n} [{goods}] at {m} dollars each.",
        "The farm needs {n} [{goods}] for {m} dollars apiece.",
    ),
    distractors=(
        "The barn is {n} feet wide.",
        "It rained on {n} days this year.",
        "The oldest tractor is {n} years old.",
    ),
)
