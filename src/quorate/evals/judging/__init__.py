"""How far a judge can be trusted, and what it says of open answers.

- `measure_judge(judge, sets)` -> `JudgeQuality`: on answers whose correctness is known.
- `compare_by_rubric(judge, pairs, rubric)` -> `RubricComparison`: two systems' answers that nobody can grade by rule.
- `family_of(model)`: models of one family learned from the same data, and like their own.
"""

from .quality import JudgeQuality, measure_judge
from .rubric import OpenPair, RubricComparison, compare_by_rubric, family_of

__all__ = ["JudgeQuality", "OpenPair", "RubricComparison", "compare_by_rubric", "family_of", "measure_judge"]
