"""Who aggregates the candidates of models that ship, and how it is shown them."""

from __future__ import annotations

import pytest

from quorate import sample
from quorate.aggregators import AggLM, MajorityVote, SteppedAggLM
from quorate.aggregators.synthesis import choose_agglm, find_shipped_aggregator
from quorate.aggregators.synthesis.agglm import SHIPPED_AGGREGATOR, SHIPPED_FAMILY
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.model import Wrapper
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer, Question
from quorate.testing import ScriptedModel


class Known(ScriptedModel):
    """A model of this kind and family."""

    def __init__(self, kind: str = "embedded", family: str | None = SHIPPED_FAMILY, form: str | None = None) -> None:
        super().__init__()
        self._identity = Identity(kind=kind, model="m", family=family, aggregation_form=form)

    @property
    def identity(self) -> Identity:
        return self._identity


class Before(Wrapper):
    """Stands before a model, as banks, limits and hedges do."""

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        return await self.model.answer(question, run)


class Together(Wrapper):
    """Several models as one, as ensembles, pools and fallbacks are."""

    def __init__(self, *models: Model) -> None:
        super().__init__(models[0], name="together")
        self.models = models

    @property
    def identity(self) -> Identity:
        return Identity(kind="ensemble", model="together", members=tuple(model.identity for model in self.models))

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        return await self.model.answer(question, run)


AGGREGATOR = Known(form="steps")


def at_hand(name: str) -> Model | None:
    return AGGREGATOR if name == SHIPPED_AGGREGATOR else None


@pytest.mark.parametrize(
    "proposer",
    [
        Known(),
        Before(Known()),
        Before(Before(Known())),
        Together(Known(), Known()),
        Before(Together(Known(), Before(Known()))),
        sample(Before(Known()), n=2) | MajorityVote(),
    ],
)
def test_the_family_is_seen_through_whatever_stands_before_it(proposer: Model) -> None:
    """Wrappers, models that answer together, pipelines."""
    assert find_shipped_aggregator([Known(), proposer], at_hand) is AGGREGATOR


@pytest.mark.parametrize(
    "proposer",
    [
        Known(family=None),
        Known(kind="endpoint"),
        ScriptedModel(),
        Before(Known(family=None)),
        Together(Known(), ScriptedModel()),
        Before(Together(Known(), Before(Known(family="another")))),
    ],
)
def test_one_other_model_is_enough_for_none(proposer: Model) -> None:
    """Its work is beyond the aggregator."""
    assert find_shipped_aggregator([Known(), proposer], at_hand) is None


def test_nothing_takes_its_place_unasked() -> None:
    """Where it is not at hand, that is an error, and says what to do."""
    with pytest.raises(BadInput, match=r"quorate-tiny-agg.*not at hand: name the model"):
        find_shipped_aggregator([Before(Known())], lambda _: None)


@pytest.mark.parametrize(
    ("trained", "asked", "made"),
    [(None, None, AggLM), ("steps", None, SteppedAggLM), ("steps", "attempts", AggLM), (None, "steps", SteppedAggLM)],
)
def test_a_model_is_shown_candidates_as_it_was_trained(trained: str | None, asked: str | None, made: type) -> None:
    """Unless it is told otherwise; also through what stands before it."""
    assert choose_agglm(Before(Known(form=trained)), asked) is made
