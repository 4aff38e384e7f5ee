"""What an evaluation found: as values, as tables, and as a page to read and to mail.

`result` holds the numbers of a run that `quorate eval run` prints. `quorate eval report DIR` makes more
of it: `gather` reads a bank into `data.ReportData`, from which `page` builds one HTML file, and `files`
the Markdown, CSV and PNG files beside it.
"""

from .result import Comparison, EvalResult, PipelineResult, markdown, summarize, tables, written_together
from .words import TOGETHER

__all__ = [
    "TOGETHER",
    "Comparison",
    "EvalResult",
    "PipelineResult",
    "markdown",
    "summarize",
    "tables",
    "written_together",
]
