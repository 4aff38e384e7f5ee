"""What benchmarks are made from: rows of a hub's data set or a local file, and the common kinds of question.

| base | for |
|---|---|
| `Benchmark` | anything with rows: say which fields are the question and the gold answer |
| `Maths` | a problem with a number or an expression as answer |
| `Numeric` | the same, where every gold answer is a number |
| `MultipleChoice` | multiple choice with letters |
| `Executed` | programs that are judged by running them |
| `GeneratedTask` | problems made by a seeded generator |
"""

from .benchmark import Benchmark, ParsedRow
from .family import GeneratedProblem, GeneratedTask
from .kinds import Executed, Maths, MultipleChoice, Numeric
from .literals import SameWords
from .rows import DataRow, Hub

__all__ = [
    "Benchmark",
    "DataRow",
    "Executed",
    "GeneratedProblem",
    "GeneratedTask",
    "Hub",
    "Maths",
    "MultipleChoice",
    "Numeric",
    "ParsedRow",
    "SameWords",
]
