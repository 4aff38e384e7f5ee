"""Books on shelves and loan."""

from quorate.evals.tasks.stories.theme import Theme, phrases

THEME = Theme(
    name="library",
    items=("books", "comics", "atlases", "novels"),
    boxes=("shelves", "boxes", "carts", "piles"),
    goods=("lamps", "chairs", "prints", "cards"),
    start=(
        "The library of {who} owns {n} {items}.",
        "{who} has {n} {items} on display.",
    ),
    gain=phrases(
        "Readers [return] {n} {items}.",
        "{who} [orders] {n} new {items}.",
        "A donor [gives] {n} {items}.",
    ),
    lose=phrases(
        "Readers [borrow] {n} {items}.",
        "{who} [sells] {n} old {items}.",
        "{n} {items} are [sent] for repair.",
    ),
    packs=phrases(
        "{who} unpacks {n} [{boxes}] with {m} {items} each.",
        "A school donates {n} [{boxes}] of {m} {items}.",
    ),
    unpacks=phrases(
        "{n} [{boxes}] of {m} {items} go to a village.",
        "{who} clears {n} [{boxes}] with {m} {items} on each.",
    ),
    times=phrases(
        "A merger [grows] the stock of {items} to {n} times as many.",
    ),
    share=phrases(
        "{who} [spreads] the {items} evenly over {n} branches and runs one branch.",
    ),
    did="read",
    do="read",
    trade=phrases(
        "{who} buys {n} [{goods}] for {m} dollars each.",
        "The library needs {n} [{goods}] at {m} dollars apiece.",
    ),
    distractors=(
        "The reading room has {n} windows.",
        "The library is {n} years old.",
        "It opens {n} hours a week.",
    ),
)
