"""How many samples are worth buying, from a pilot: `plan(records)`.

`voting` has the distribution of chances over questions, from which follows what a vote makes of N samples (it can
fall); `plan` has TTSPM's curve of the chance that any of N samples is right (arXiv 2505.20522), and the advice with
its intervals. `panel` says how many independent voters a panel of models amounts to, and who repeats whom.
"""

from __future__ import annotations

from .panel import AlikePair, PanelPlan, plan_panel
from .plan import Coverage, Plan, PlannedVote, Stop, fit_coverage, plan
from .voting import Profiles, vote_curve

__all__ = [
    "AlikePair",
    "Coverage",
    "PanelPlan",
    "Plan",
    "PlannedVote",
    "Profiles",
    "Stop",
    "fit_coverage",
    "plan",
    "plan_panel",
    "vote_curve",
]
