"""Votes: rules that weigh classes of equal answers, for one question or for many together.

A rule maps a `Ballot` (integers) to a weight for each class; `RuleVote` makes an aggregator of one. A score rule maps
the scores of candidates to what their votes weigh; `ScoredVote` makes an aggregator of one and a verifier. Batch
rules learn from many ballots who is to be trusted. numpy is loaded only by what fits many ballots.
"""

from __future__ import annotations

from .abilities import Abilities, Ability, LabelFree
from .ballot import Ballot, BatchRule, Rule, ScoreRule, Weights, leaders, sum_by_class
from .crowdlab import CrowdLab
from .dawid_skene import DawidSkene, OneCoin
from .majority import MajorityVote
from .optimality import plurality_is_optimal
from .rule_vote import LabelFreeVote, RuleVote
from .rules import Borda, ByConfidence, ByModel, LogOdds, MajorityOfTheBests, Plurality, RunOff, ScoreSum
from .scored_vote import BestOfN, ScoredVote

__all__ = [
    "Abilities",
    "Ability",
    "Ballot",
    "BatchRule",
    "BestOfN",
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
    "ScoreRule",
    "ScoreSum",
    "ScoredVote",
    "Weights",
    "leaders",
    "plurality_is_optimal",
    "sum_by_class",
]
