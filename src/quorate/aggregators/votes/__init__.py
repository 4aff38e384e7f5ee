"""Votes: rules that weigh classes of equal answers, for one question or for many together.

A rule maps a `Ballot` (integers) to a weight for each class; `RuleVote` makes an aggregator of one. Batch
rules learn from many ballots who is to be trusted. numpy is loaded only by what fits many ballots.
"""

from __future__ import annotations

from .abilities import Abilities, Ability, LabelFree
from .ballot import Ballot, BatchRule, Rule, Weights, leaders, summed
from .bests import MajorityOfTheBests
from .certificate import plurality_is_optimal
from .counting import Borda, ByConfidence, ByModel, LogOdds, Plurality, RunOff
from .crowdlab import CrowdLab
from .learning import DawidSkene, OneCoin
from .rule_vote import LabelFreeVote, RuleVote
from .majority import MajorityVote

__all__ = [
    "Abilities",
    "Ability",
    "Ballot",
    "BatchRule",
    "Borda",
    "ByConfidence",
    "ByModel",
    "CrowdLab",
    "DawidSkene",
    "LabelFree",
    "LabelFreeVote",
    "LogOdds",
    "MajorityOfTheBests",
    "MajorityVote",
    "OneCoin",
    "Plurality",
    "Rule",
    "RuleVote",
    "RunOff",
    "Weights",
    "leaders",
    "plurality_is_optimal",
    "summed",
]
