"""`decompose`: plan, solve the parts that do not depend on each other at once, verify, merge; vote over divisions.

Multiverse (arXiv 2506.09991) divides, works in parallel and merges inside one model; Decoupled Reasoning and Proving
(arXiv 2507.06804) uses only intermediate results that were verified; UDC (arXiv 2407.00312) does not let a poor
division spoil what follows. From these: parts form a graph and those that are ready are solved together; calculations
are made by code, other parts settled by a vote; the division itself is sampled, and a division that cannot be read or
has a part without an answer gives its place to an undivided answer. What differs: models are not trained for it, and
what is merged is results in the places where other parts name them, so that the last part's result is the answer.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.checks import check_aggregator, check_count, check_model
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.nodes import SampleNode
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.prompted import prompted
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.state import ELSE, END, START, Edge
from quorate.prompts import load

from ..extraction import AnswerExtractor
from ..specs import BuildContext, Options, PipelineSpec
from ..synthesis.agglm import SHIPPED_FAMILY
from ..votes.majority import MajorityVote
from .nodes import LEAST, LedNowhere, PartsLeft, PartsNode, UndividedNode, VerifiedPartsNode

ROUNDS = 8
"""Parts that need each other's results in a row, at most."""
WIDTH = 16
"""Different parts that are asked at once, at most; the others wait for the next round."""


def decompose(
    planner: SamplingStage,
    solver: Model,
    vote: Aggregator | None = None,
    *,
    votes: int = 1,
    calculate: bool = True,
    rounds: int = ROUNDS,
    verifier: Model | None = None,
    least: float = LEAST,
    name: str | None = None,
) -> Pipeline:
    """A graph that divides a problem several times, solves the parts of each division, and votes over the divisions.

    Args:
        planner: draws the divisions, in the form of `Division`; worked solutions will do.
        solver: answers parts, and the question where a division led nowhere.
        vote: over the divisions' answers; `MajorityVote()` by default.
        votes: samples of each part that is asked; of several, more than half have to agree.
        calculate: whether bare calculations are made by code and not asked for.
        rounds: rounds of parts that wait for each other.
        verifier: scores the answer to each part that is no bare calculation; nobody does if not given.
        least: of 10, that it has to give for the answer to stand.
        name: how the graph is called.

    Raises:
        BadInput: a part is none, or a number impossible.
    """
    if not isinstance(planner, SamplingStage):
        raise BadInput(f"decompose(planner): {planner!r:.80} is no sampling stage: give sample(model, n=...)")
    check_model("decompose(solver)", solver)
    check_count("decompose(votes)", votes, 1)
    check_count("decompose(rounds)", rounds, 1)
    vote = vote or MajorityVote()
    check_aggregator("decompose(vote)", vote)
    stage = SamplingStage((solver,), n=WIDTH * votes)
    given: dict[str, Any] = {"counted_by": vote, "votes": votes, "calculate": calculate, "max_visits": rounds}
    undivided = SamplingStage((solver,), n=planner.n)
    return Pipeline(
        [
            SampleNode("plan", planner, fallback="undivided"),
            _solve_parts(stage, verifier, least, **given),
            UndividedNode("undivided", undivided, counted_by=vote),
            AggregateNode("decide", vote),
        ],
        [
            Edge(START, "plan"),
            Edge("plan", "parts"),
            Edge("parts", "parts", PartsLeft(rounds)),
            Edge("parts", "undivided", LedNowhere(rounds)),
            Edge("parts", "decide", ELSE),
            Edge("undivided", "decide"),
            Edge("decide", END),
        ],
        name=name or f"decompose@{planner.n}/{solver.name}",
    )


def _solve_parts(stage: SamplingStage, verifier: Model | None, least: float, **given: Any) -> PartsNode:
    words, reader = load("decompose-part"), AnswerExtractor()
    if verifier is None:
        return PartsNode("parts", stage, words, reader, **given)
    check_model("decompose(verifier)", verifier)
    if not 0 <= least <= 10:
        raise BadInput(f"decompose(least={least:g}): a score lies between 0 and 10")
    return VerifiedPartsNode("parts", stage, words, reader, verifier=verifier, least=least, **given)


class DecomposeOptions(Options):
    """How parts are solved; the aggregator's model solves them, the models of the pipeline divide."""

    votes: int = Field(default=1, ge=1, le=16)
    """Samples of each part that is asked; of several, more than half have to agree."""
    calculate: bool = True
    """Bare calculations are made by code, and not asked for."""
    bare: bool = False
    """The planner is shown the problem alone, since it was taught to divide or writes its working anyway."""
    rounds: int = Field(default=ROUNDS, ge=1, le=64)
    """Rounds of parts that wait for each other."""
    verify: float | None = Field(default=None, ge=0, le=10)
    """The score, of 10, that the aggregator's model has to give the answer to each part that is asked."""


def _planner(model: Model, *, bare: bool) -> Model:
    """Asked for a division; a model that ships is asked for its worked solution, which it cannot help dividing."""
    if bare or all(single.family == SHIPPED_FAMILY for single in model.identity.singles):
        return model
    return prompted(model, load("decompose").source, name=f"{model.name}:plan")


def _build_decompose(context: BuildContext) -> Pipeline:
    options, stage = context.options, context.sample()
    planners = SamplingStage(
        tuple(_planner(model, bare=options.bare) for model in stage.models),
        n=stage.n,
        stop=stage.stop,
        wave=stage.wave,
        sampling=stage.sampling,
    )
    return decompose(
        planners,
        context.writer,
        context.vote(),
        votes=options.votes,
        calculate=options.calculate,
        rounds=options.rounds,
        verifier=None if options.verify is None else context.writer,
        least=options.verify or 0.0,
    )


PIPELINES = (
    PipelineSpec(
        "decompose",
        "N divisions of the problem, their parts solved at once and verified, a vote over the divisions",
        "arXiv 2506.09991; 2507.06804; 2407.00312",
        3,
        _build_decompose,
        options=DecomposeOptions,
    ),
)
