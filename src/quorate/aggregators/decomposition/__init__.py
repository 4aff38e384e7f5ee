"""Problems divided into parts; see docs/forms.md."""

from .division import Division
from .graph import decompose

__all__ = ["Division", "decompose"]
