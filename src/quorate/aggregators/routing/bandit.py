"""A router that learns while it is used: which model to ask, by outcomes, so that a budget of money is kept.

Thompson sampling (1933) of each model's share of right answers, less a price of money that rises while more is spent
than the budget and falls while less is: dual descent for bandits with knapsacks (Agrawal and Devanur, arXiv 1402.5758).
That budgets of the channels and not their prices are what is to be learned is from multi-channel autobidding
(arXiv 2302.01523); here they come out as how often each model is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Question

STEP = 0.02
"""By how much of a question's overspending, as a part of the budget, the price of money changes."""
PRIOR = 2.0
"""Questions that the first guess of a rate counts for."""


@dataclass
class BanditRouter:
    """Chooses by what came of earlier choices (`protocols.Router`); whoever learns an outcome tells it to `learn`.

    Args:
        money: that a question takes, by model.
        budget: money that a question may take on average; without one, money does not matter.
        rates: first guesses of the share of right answers, such as those of a trained router.

    Raises:
        BadInput: the budget is below the cheapest model's money, or a number is impossible.
    """

    money: Mapping[str, float]
    budget: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    price: float = field(default=0.0, init=False)
    """What a budget's worth of money counts for, in right answers."""
    _counts: dict[str, list[float]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.money or any(not 0 <= each < 1e12 for each in self.money.values()):
            raise BadInput("BanditRouter(money): give what a question takes of each model, from 0 on")
        if self.budget is not None and not self.budget >= min(self.money.values()):
            raise BadInput(f"budget={self.budget:g}: even the cheapest model takes {min(self.money.values()):g}")
        for name in self.money:
            rate = self.rates.get(name, 0.5)
            if not 0 <= rate <= 1:
                raise BadInput(f"rates: {name} has {rate:g}; give a share from 0 to 1")
            self._counts[name] = [PRIOR * rate + 0.5, PRIOR * (1 - rate) + 0.5]

    async def choose(self, question: Question, options: Sequence[Model], run: RunContext) -> tuple[int, str]:
        """See `protocols.Router`."""
        if strange := [model.name for model in options if model.name not in self.money]:
            raise UnknownName("model of the router", strange[0], self.money)
        up = [place for place, model in enumerate(options) if model.available] or list(range(len(options)))
        generator = run.rng(f"bandit {question.text}")
        drawn = {place: generator.betavariate(*self._counts[options[place].name]) for place in up}
        chosen = max(up, key=lambda place: drawn[place] - self.price * self._part(options[place].name))
        return chosen, f"drawn rate {drawn[chosen]:.2f}, price of a budget's money {self.price:.2f}"

    def learn(self, model: str, right: float, money: float | None = None) -> None:
        """What came of a choice.

        Args:
            model: that was asked.
            right: 1, 0, or between them.
            money: that it took; what was said of the model, if not given.

        Raises:
            UnknownName: it is none of the models.
            BadInput: right is no share.
        """
        if model not in self._counts:
            raise UnknownName("model of the router", model, self._counts)
        if not 0 <= right <= 1:
            raise BadInput(f"right={right:g}: give 1, 0, or a share between them")
        self._counts[model][0] += right
        self._counts[model][1] += 1 - right
        if self.budget:
            spent = self.money[model] if money is None else money
            self.price = max(0.0, self.price + STEP * (spent / self.budget - 1))

    def _part(self, model: str) -> float:
        return self.money[model] / self.budget if self.budget else 0.0
