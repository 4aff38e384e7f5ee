"""What an evaluation found: as values, as tables, and as a page to read and to mail.

`result` holds the numbers of a run that `quorate eval run` prints. `quorate eval report DIR` makes more
of it: `collect` reads a bank into `data.ReportData`, from which `page` builds one HTML file, and `files`
the Markdown, CSV and PNG files beside it.
"""

from __future__ import annotations

from .formatting import TOGETHER
from .result import EvalResult, has_ensembles, markdown, summarize, tables

__all__ = ["TOGETHER", "EvalResult", "has_ensembles", "markdown", "summarize", "tables"]
