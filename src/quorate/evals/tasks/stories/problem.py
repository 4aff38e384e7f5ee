"""A generated word problem with its worked solution."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One question, the working that solves it, and what it was made from."""

    id: str
    """Unique within one call of `generate`, and readable: tier, split, seed and position."""
    question: str
    """What the model is asked."""
    solution: str
    """One step a line (`hint: a op b = c`), then `Answer: n`."""
    answer: str
    """A non-negative integer in decimal digits."""
    tier: str
    """`easy`, `medium` or `hard`."""
    template: str
    """The family, `theme.structure`: errors cluster by it."""
    key: str
    """Hash of template, structure and numbers: equal for two wordings of one problem."""
