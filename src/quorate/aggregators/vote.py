"""Moved to `votes.majority`; this name goes once nothing imports it."""

from .votes.majority import MajorityVote

__all__ = ["MajorityVote"]
