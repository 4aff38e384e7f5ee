"""What tells the embedded models apart: their tokenizer, and which results their loss sees."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One model of the family."""

    name: str
    summary: str
    tokenizer: str
    """`leading`, `trailing` or `metaspace`: see `vocabulary.py`."""
    vocabulary: int
    weak: str = ""
    """Operations whose results are graded in few training problems only."""
    graded: float = 1.0
    """The share of problems whose weak results are graded."""


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="quorate-tiny-base",
            summary="the default proposer: all four operations",
            tokenizer="leading",
            vocabulary=1024,
        ),
        Recipe(
            name="quorate-tiny-sum",
            summary="a specialist: strong at + and -, weak at * and /",
            tokenizer="trailing",
            vocabulary=1280,
            weak="*/",
            graded=0.1,
        ),
        Recipe(
            name="quorate-tiny-product",
            summary="a specialist: strong at * and /, weak at + and -",
            tokenizer="metaspace",
            vocabulary=1536,
            weak="+-",
            graded=0.1,
        ),
    )
}

TIER_SHARES = {"easy": 0.2, "medium": 0.35, "hard": 0.45}
"""How often each tier is drawn in training."""

INSTRUCTIONS = (
    "Solve the problem step by step.\n{}",
    "{}\nThink step by step.",
    "{}\nEnd with 'Answer: N'.",
    "Answer the question.\n\n{}",
    "You are a helpful assistant.\n{}",
    "Question: {}",
    "{}\n\nGive the final answer on the last line.",
)
INSTRUCTED = 0.08
"""The share of training questions that come with an instruction."""
