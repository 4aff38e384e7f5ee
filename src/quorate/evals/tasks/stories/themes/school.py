"""Classrooms and what lies on the desks."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="school",
    items=("pencils", "crayons", "markers", "erasers", "rulers"),
    boxes=("packs", "boxes", "cups", "drawers"),
    goods=("folders", "bags", "globes", "lamps"),
    start=(
        "The class of {who} has {n} {items}.",
        "{who} puts {n} {items} on a desk.",
    ),
    gain=phrases(
        "The school [adds] {n} {items}.",
        "{who} [finds] {n} more {items}.",
        "A teacher [brings] {n} {items}.",
    ),
    lose=phrases(
        "{n} {items} get [lost].",
        "{who} [lends] out {n} {items}.",
        "{n} of the {items} [break].",
    ),
    packs=phrases(
        "{who} opens {n} [{boxes}] with {m} {items} each.",
        "{n} [{boxes}] of {m} {items} are delivered.",
    ),
    unpacks=phrases(
        "Another class takes {n} [{boxes}] of {m} {items}.",
        "{who} hands out {n} [{boxes}] with {m} {items} in each.",
    ),
    times=phrases(
        "A fund [raises] the stock of {items} to {n} times its size.",
    ),
    share=phrases(
        "{who} [deals] the {items} out equally to {n} tables and looks at one table.",
    ),
    did="collected",
    do="collect",
    trade=phrases(
        "{who} orders {n} [{goods}] at {m} dollars each.",
        "The school buys {n} [{goods}] for {m} dollars apiece.",
    ),
    distractors=(
        "There are {n} pupils in the hall.",
        "The lesson lasts {n} minutes.",
        "The room number is {n}.",
    ),
)
