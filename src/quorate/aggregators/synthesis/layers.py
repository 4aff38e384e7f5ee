"""Layers of models, each of which reads all answers of the layer before.

`MixtureOfAgents` (Wang et al., arXiv 2406.04692, section 2.2): y_(i+1) = A(all y_i) + question, for
layers of possibly different models; the first layer is the sampling stage, the last one the
aggregator. The prompt is Self-MoA's, which follows the paper's table 1.

`ProposeAndAggregate` (Aggregation Fine-Tuning, arXiv 2501.11877, section 4): n proposals, then L
layers of aggregation by one model, n answers in each but the last. The paper fine-tunes that model; one
trained so is given as `aggregator`.

Different from both: answers come in a seeded order that differs between layers and without their
thinking, the context is bounded, a member's failure leaves the rest, and a vote stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Candidate, Degradation, Question

from .base import Brief, Writer
from .material import item, shuffled
from .members import Ask, draw
from .wording import as_user

__all__ = ["Layer", "MixtureOfAgents", "ProposeAndAggregate"]


@dataclass(frozen=True)
class Layer:
    """The models of one layer and how many answers they give together, dealt round-robin."""

    models: tuple[Model, ...]
    n: int

    def __post_init__(self) -> None:
        if not self.models:
            raise BadInput("Layer(models=()): a layer needs at least one model")
        if self.n < 1:
            raise BadInput(f"Layer(n={self.n}): a layer gives at least 1 answer")

    def shares(self) -> list[tuple[Model, tuple[int, ...]]]:
        """Who gives which answer."""
        step = len(self.models)
        return [(m, tuple(range(i, self.n, step))) for i, m in enumerate(self.models) if i < self.n]


class Layered(Writer):
    """Base: inner layers, then the model that writes the answer.

    A layer none of whose members answers is left out, and the next one reads what it read.
    """

    def __init__(self, aggregator: Model, *, layers: Sequence[Layer] = (), **options: Any) -> None:
        super().__init__(aggregator, **options)
        self.layers = tuple(layers)

    @property
    def models(self) -> tuple[Model, ...]:
        """See `Synthesis.models`."""
        return (self.aggregator, *(model for layer in self.layers for model in layer.models))

    def calls(self, n: int) -> int:  # noqa: ARG002 - the layers have sizes of their own
        """See `protocols.Calling`."""
        return 1 + sum(layer.n for layer in self.layers)

    async def brief(self, question: Question, candidates: Sequence[Candidate], run: RunContext) -> Brief:
        """Every layer but the last is run here."""
        notes: list[Degradation] = []
        for number, layer in enumerate(self.layers, 1):
            here = run.at_node(f"{run.node}/layer-{number}")
            items = [item(c) for c in shuffled(candidates, here)]
            asks = []
            for model, members in layer.shares():
                brief = self.worded(question, items, model, here.node)
                notes += brief.notes
                asks += [Ask(model, brief.asked, members)] if brief.asked else []
            drawn = await draw(asks, here)
            notes += drawn.notes
            if drawn.stopped is not None:
                return Brief(None, tuple(notes), stopped=drawn.stopped)
            candidates = list(drawn.members.values()) or candidates
        last = await super().brief(question, candidates, run)
        return Brief(last.asked, (*notes, *last.notes), last.problem)


class MixtureOfAgents(Layered):
    """Mixture-of-Agents; without inner layers it is Self-MoA, whose prompt it shares.

    Args:
        aggregator: writes the answer; see `Synthesis`, as all further arguments.
        layers: the layers between the sampling stage and the aggregator. The paper's three-layer
            mixture of six has one, `Layer(models, 6)`.
    """

    name = "moa"
    prompt_name = "self-moa"


class ProposeAndAggregate(Layered):
    """Propose-and-aggregate: several rounds of aggregation by one model.

    Args:
        aggregator: aggregates in every layer; see `Synthesis`, as all further arguments.
        rounds: layers of aggregation (the paper's L); in the last one it writes the answer.
        n: answers of each layer before the last.
    """

    name = "aft"
    prompt_name = "aft"
    placed = staticmethod(as_user)

    def __init__(self, aggregator: Model, *, rounds: int = 2, n: int = 5, **options: Any) -> None:
        if rounds < 1:
            raise BadInput(f"ProposeAndAggregate(rounds={rounds}): give at least 1 layer of aggregation")
        if n < 1:
            raise BadInput(f"ProposeAndAggregate(n={n}): a layer gives at least 1 answer")
        super().__init__(aggregator, layers=[Layer((aggregator,), n)] * (rounds - 1), **options)
