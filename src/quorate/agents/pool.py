"""Servers of one model as one: the load is shared, and what one of them fails to give another one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.tokens import Tokenized, TokenModel
from quorate.orchestrator.types import Failure, Question

from .fallback import Chain

OF_THE_REQUEST = (400, 413, 422)
"""A server of the same model would refuse it for the same reason."""


class Pool(Chain):
    """Servers of one model: each request goes to the one with the fewest samples under way.

    Those whose circuit breaker is open come last. What fails at one server is asked of the next, unless the
    request itself was refused.

    Args:
        models: endpoints of the same model.
        name: how answers call it; the first one's name if not given.
    """

    kind = "pool"

    def __init__(self, models: Sequence[Model], *, name: str | None = None) -> None:
        super().__init__(models, name=name)
        self.load = [0] * len(self.models)
        """Samples under way at each of them."""
        self._calls = count()

    @property
    def identity(self) -> Identity:
        """See `Chain`; token by token it can be asked where one of its servers can."""
        identity = super().identity
        if any("tokens" in member.capabilities for member in identity.members):
            return identity.model_copy(update={"capabilities": identity.capabilities | {"tokens"}})
        return identity

    def order(self) -> Sequence[Model]:
        """See `Chain`; among equals in turn."""
        turn, size = next(self._calls), len(self.models)
        places = sorted(range(size), key=lambda i: (*self.load_key(i), (i - turn) % size))
        return [self.models[i] for i in places]

    def load_key(self, place: int) -> tuple[int, ...]:
        """What speaks against the server at this place, the weightiest first."""
        return not self.models[place].available, self.load[place]

    def should_fall_back(self, failure: Failure) -> bool:
        return failure.code != "bad_input" and failure.status not in OF_THE_REQUEST

    def token_model(self) -> TokenModel:
        """That of one server, whose cache then holds the text: the first that can be asked so and is healthy.

        Raises:
            BadInput: none can.
        """
        able = [model for model in self.models if isinstance(model, Tokenized)]
        if not able:
            raise BadInput(f"{self.name} cannot be asked token by token: none of its servers can")
        return min(able, key=lambda model: not model.available).token_model()

    async def attempt(
        self, model: Model, question: Question, slots: Sequence[PartialCandidate], run: RunContext
    ) -> None:
        place, size = self.models.index(model), len(slots)
        self.load[place] += size
        try:
            await super().attempt(model, question, slots, run)
        finally:
            self.load[place] -= size

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} of {len(self.models)}>"


class RoundRobin(Pool):
    """A pool whose servers are asked in turn, whatever their load."""

    def load_key(self, place: int) -> tuple[int, ...]:
        return (not self.models[place].available,)
