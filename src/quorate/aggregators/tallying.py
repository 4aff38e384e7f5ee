"""Moved to `votes.majority`; this name goes once nothing imports it."""

from .votes.majority import Vote, by_weight, draw_tie, group_votes, representative

best_told = representative
ranked = by_weight
__all__ = ["Vote", "best_told", "by_weight", "draw_tie", "group_votes", "ranked", "representative"]
