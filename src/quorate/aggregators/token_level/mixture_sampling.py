"""Mixture sampling: one model speaks at a time, and which one is next_speaker by the weights.

A token that a model next_speaker by weight draws from its own distribution is distributed as the weighted mean
of all distributions (arXiv 2605.00419, "mixture-model-like sampling"), so sampling needs one model a token
where the ensembles ask all. Greedily the speaker says what it likes best, which is no longer the mean's choice.

What differs from the paper: tokenizers may differ. Another model takes over only in front of a token that
begins at a boundary of its own tokens too (SAFE's condition, arXiv 2510.15346), for which the speaker before
writes one token more; where it does not, that token stands. Text is bytes: a model goes on from its own
tokens as it said them, and reads what others said by its own tokenizer. Each model reads what it missed
when its turn comes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.tokens import Draft, TokenModel

from .decode_state import Why
from .speaking import SpeakerTurn, SpeakingEngine, SpokenState


@dataclass(frozen=True)
class Mix:
    """Mixture sampling, as a way to write together (`SAFE(models, rule=Mix())`).

    Raises:
        BadInput: turns have less than one token.
    """

    most: int = 16
    """Tokens of one turn of one model, before others are looked at again."""

    def __post_init__(self) -> None:
        if self.most < 1:
            raise BadInput(f"Mix(most={self.most}): a turn has at least 1 token")

    def make_engine(self, models: Sequence[TokenModel], weights: Sequence[float]) -> MixtureSamplingEngine:
        return MixtureSamplingEngine(models, weights, self.most)


class MixtureSamplingEngine(SpeakingEngine):
    """Several opened models that speak in turn, by their weights.

    Args:
        models: in any order.
        weights: one a model, any positive numbers.
        most: tokens of one turn.
    """

    def __init__(self, models: Sequence[TokenModel], weights: Sequence[float], most: int = 16) -> None:
        super().__init__(models, most)
        self.weights = tuple(weights)

    def choose_speaker(self, state: SpokenState) -> int:
        next_speaker = self._speaker_at(state, len(state.ids))
        if state.speaker is None or state.tokenizer == self.tokenizer_of(next_speaker):
            self.hand_over(state, next_speaker)
        assert state.speaker is not None
        return state.speaker

    def plan_length(self, state: SpokenState, speaker: int, most: int) -> tuple[int, int]:
        """As long as it is this model's turn; one more token only shows whether the next may take over."""
        own, place = 0, len(state.ids)
        while own < most and self._speaker_at(state, place + own) == speaker:
            own += 1
        follower = self._speaker_at(state, place + own)
        judged = own < most and self.tokenizer_of(follower) != self.tokenizer_of(speaker)
        return own, own + judged

    def take(self, turn: SpeakerTurn, draft: Draft) -> None:
        """Commits what the speaker said, and lets the next one take over where it can."""
        state = turn.state
        for number in range(len(draft.tokens)):
            if state.done:
                return
            token, key = self.choose_token(turn, draft, number)
            why: Why = "spoken"
            if number >= turn.own:
                if self._pass_on(state, token, key):
                    return
                why = "boundary"
            self.commit(turn, draft, number, token, key, why)

    def _pass_on(self, state: SpokenState, token: int, key: bytes | None) -> bool:
        """Whether the model drawn for this place takes over, since this token begins at a boundary of its own."""
        next_speaker = self._speaker_at(state, len(state.ids))
        if not self.begins_token(state, next_speaker, token, key):
            return False
        self.hand_over(state, next_speaker)
        state.redrawn = True
        return True

    def _speaker_at(self, state: SpokenState, place: int) -> int:
        """The model whose turn this place is, by weight among those that are left."""
        left = [number for number in range(len(self.models)) if number not in state.dropped]
        reached = state.draw_uniforms(place)[1] * math.fsum(self.weights[number] for number in left)
        for number in left:
            reached -= self.weights[number]
            if reached < 0:
                return number
        return left[-1]
