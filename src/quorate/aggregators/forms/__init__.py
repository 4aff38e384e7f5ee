"""Several forms of one answer: direct, in steps, as a program, without a thought; see docs/forms.md."""

from .consensus import consensus

__all__ = ["consensus"]
