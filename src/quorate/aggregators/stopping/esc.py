"""Early-stopping self-consistency, ESC (Li et al., arXiv 2401.10480, section 3).

Samples come in windows; one unanimous window is enough. Different from the paper: samples that
failed belong to no window, and the windows are those of the order in which samples ended.
"""

from __future__ import annotations

from quorate.orchestrator.errors import BadInput

from .draws import Draws, SequenceRule

__all__ = ["ESC"]


class ESC(SequenceRule):
    """Stop when a whole window of samples gave the same answer.

    Windows do not overlap. A sample that abstains breaks the unanimity of its window.

    Args:
        window: samples in a window, at least 2; the paper has 5 for mathematics.
    """

    def __init__(self, window: int = 5) -> None:
        if window < 2:
            raise BadInput(f"ESC(window={window}): a window holds at least 2 samples, such as 5")
        self.window = window

    def enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        end = len(draws.classes) // self.window * self.window
        return any(self._unanimous(draws.classes[start : start + self.window]) for start in range(0, end, self.window))

    def why(self, draws: Draws) -> str:
        """See `SequenceRule`."""
        return f"ESC: a window of {self.window} samples is unanimous after {draws.drawn}"

    @staticmethod
    def _unanimous(window: list[int | None]) -> bool:
        return window[0] is not None and len(set(window)) == 1

    def __str__(self) -> str:
        return f"stop when {self.window} samples agree"

    def __repr__(self) -> str:
        return f"ESC({self.window})"
