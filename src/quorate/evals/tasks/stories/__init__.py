"""Word problems made from templates, in seeded tiers, with worked solutions.

from quorate.evals.tasks.stories import generate
for problem in generate("hard", seed=0, count=3):
    print(problem.question, problem.solution, sep="\\n")
"""

from .generate import SPLITS, TEMPLATES, Problem, generate, split_of, stream
from .plan import TIERS

__all__ = ["SPLITS", "TEMPLATES", "TIERS", "Problem", "generate", "split_of", "stream"]
