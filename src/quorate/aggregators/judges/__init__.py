"""Judges: a model or a verifier reads the candidates and picks one."""

from .choosing import GenSelect, UniversalSelfConsistency
from .judge import Judge
from .ranking import borda, bradley_terry
from .reward import MeteredVerifier, RewardBest, RewardSoftmaxVote, RewardVote, softmax_weights, sum_weights
from .run_off import JudgeRunOff
from .tournaments import Knockout, Swiss

__all__ = [
    "GenSelect",
    "Judge",
    "JudgeRunOff",
    "Knockout",
    "MeteredVerifier",
    "RewardBest",
    "RewardSoftmaxVote",
    "RewardVote",
    "Swiss",
    "UniversalSelfConsistency",
    "borda",
    "bradley_terry",
    "softmax_weights",
    "sum_weights",
]
