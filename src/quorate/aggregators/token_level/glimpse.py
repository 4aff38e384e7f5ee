"""Glimpse: a small model opens each step of an answer, and where it is unsure of how, a large one writes the step.

GlimpRouter (arXiv 2601.05110): the entropy of a step's first token, as the small model expects it, tells hard steps
from routine ones. A step ends behind any of the given marks; what follows one more mark (`final`, the end of the
thinking, say) is the large model's altogether.

What differs from the paper: tokenizers may differ, so a step opens at the first token behind a mark that begins at a
boundary of the large model's tokens, too (SAFE's condition, arXiv 2510.15346); a model that is lost leaves the other
one to write on; marks are free. Where a mark stands before what is decided, such as `= ` before the result of a sum,
the glimpse sees more than at the beginning of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.tokens import Draft, TokenModel

from .decode_state import Why
from .mixture import entropy_of
from .speaking import SpeakerTurn, SpeakingEngine, SpokenState

SMALL, LARGE = 0, 1


class StepRouter(Protocol):
    """Decides whether the large model writes a step."""

    def sends(self, entropy: float, uniform: float) -> bool:
        """Whether it does.

        Args:
            entropy: of the step's first token as the small model expects it, in nats.
            uniform: a random number in [0, 1), the same for the same seed and place.
        """
        ...


@dataclass(frozen=True)
class AboveEntropy:
    """The steps at whose first token the small model is less sure than this, in nats."""

    threshold: float = 1.0

    def __post_init__(self) -> None:
        if not self.threshold >= 0:
            raise BadInput(f"AboveEntropy(threshold={self.threshold}): an entropy is at least 0")

    def sends(self, entropy: float, uniform: float) -> bool:  # noqa: ARG002
        return entropy > self.threshold


@dataclass(frozen=True)
class AtRandom:
    """A share of the steps, whatever they are: what a router has to be better than."""

    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise BadInput(f"AtRandom(share={self.share}): a share lies between 0 and 1")

    def sends(self, entropy: float, uniform: float) -> bool:  # noqa: ARG002
        return uniform < self.share


@dataclass(frozen=True)
class Glimpse:
    """A small model writes, a large one takes the hard steps (`SAFE([small, large], rule=Glimpse())`).

    Raises:
        BadInput: there is no mark, an empty one, or a turn has less than one token.
    """

    router: StepRouter = AboveEntropy()
    steps: tuple[str, ...] = ("\n\n",)
    """What ends a step; any of them."""
    final: str | None = None
    """Behind this the large model writes all."""
    most: int = 16
    """Tokens of one call to a server, which cannot be told where a step ends."""

    def __post_init__(self) -> None:
        if not self.steps or not all(self.steps) or self.final == "":
            raise BadInput(f"Glimpse(steps={self.steps}, final={self.final!r}): give the texts that end a step")
        if self.most < 1:
            raise BadInput(f"Glimpse(most={self.most}): a call asks for at least 1 token")

    def make_engine(self, models: Sequence[TokenModel], weights: Sequence[float]) -> GlimpseEngine:  # noqa: ARG002
        return GlimpseEngine(models, self)


@dataclass(eq=False, kw_only=True)
class _GlimpsedState(SpokenState):
    """An answer that is written in steps."""

    opening: bool = True
    """Whether the next token may be a step's first one."""
    begun: int = 0
    """Bytes of the text before the step."""
    settled: bool = False
    """Whether the large model writes all the rest."""


class GlimpseEngine(SpeakingEngine):
    """The small model and the large one, opened; with one of them alone, that one writes.

    Raises:
        BadInput: there are more than two models.
    """

    state_class = _GlimpsedState

    def __init__(self, models: Sequence[TokenModel], rule: Glimpse) -> None:
        if len(models) > 2:
            raise BadInput(f"glimpse takes a small model and a large one, and there are {len(models)}")
        super().__init__(models, rule.most)
        self.rule = rule
        self._marks = tuple(mark.encode() for mark in rule.steps)
        self._final = rule.final.encode() if rule.final is not None else None

    def choose_speaker(self, state: SpokenState) -> int:
        left = [number for number in range(len(self.models)) if number not in state.dropped]
        if state.speaker is None or state.speaker not in left:
            self.hand_over(state, left[0])
        assert state.speaker is not None
        return state.speaker

    def plan_length(self, state: SpokenState, speaker: int, most: int) -> tuple[int, int]:
        """A glimpse is one token, and so is all that a model in this process is asked for, which costs no more."""
        assert isinstance(state, _GlimpsedState)
        free = state.settled or state.dropped or len(self.models) == 1
        length = 1 if self._opening(state) or (self.models[speaker].in_process and not free) else most
        return length, length

    def take(self, turn: SpeakerTurn, draft: Draft) -> None:
        """Commits what was said up to the end of the step."""
        state = turn.state
        assert isinstance(state, _GlimpsedState)
        for number in range(len(draft.tokens)):
            if state.done:
                return
            token, key = self.choose_token(turn, draft, number)
            why: Why = "spoken"
            if self._opening(state):
                why = self._open(turn, draft, token, key)
                if why == "routed":
                    return
            elif state.redrawn:
                why = "routed"
            self.commit(turn, draft, number, token, key, why)
            if self._ends_step(state):
                return

    def _opening(self, state: SpokenState) -> bool:
        assert isinstance(state, _GlimpsedState)
        return state.opening and state.speaker == SMALL and len(self.models) > LARGE and LARGE not in state.dropped

    def _open(self, turn: SpeakerTurn, draft: Draft, token: int, key: bytes | None) -> Why:
        """What becomes of the small model's first token; `routed` where the large one goes on in its place."""
        state = turn.state
        assert isinstance(state, _GlimpsedState)
        if state.tokenizer != self.tokenizer_of(LARGE) and not self.begins_token(state, LARGE, token, key):
            return "boundary"
        state.opening = False
        uniform = state.draw_uniforms(len(state.ids))[1]
        if not self.rule.router.sends(entropy_of(draft.distributions[0]), uniform):
            return "opened"
        self.hand_over(state, LARGE)
        state.redrawn = True
        return "routed"

    def _ends_step(self, state: _GlimpsedState) -> bool:
        """Whether the step is over; then the small model opens the next one, or the large one writes the rest."""
        if state.settled or state.dropped or len(self.models) == 1:
            return False
        written = state.text[state.begun :]
        state.settled = self._final is not None and self._final in written
        if not state.settled and not any(mark in written for mark in self._marks):
            return False
        state.begun, state.opening = len(state.text), not state.settled
        self.hand_over(state, LARGE if state.settled else SMALL)
        return True
