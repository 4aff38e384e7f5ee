"""`decompose`: plan, solve the parts that do not depend on each other at once, verify, merge; vote over divisions.

Multiverse (arXiv 2506.09991) divides, works in parallel and merges inside one model; Decoupled Reasoning and Proving
(arXiv 2507.06804) uses only intermediate results that were verified; UDC (arXiv 2407.00312) does not let a poor
division spoil what follows. From these: parts form a graph and those that are ready are solved together; calculations
are made by code, other parts settled by a vote; the division itself is sampled, and a division that cannot be read or
has a part without an answer gives its place to an undivided answer. What differs: models are not trained for it, and
what is merged is results in the places where other parts name them, so that the last part's result is the answer.
"""

from __future__ import annotations

from pydantic import Field

from quorate.orchestrator.checks import check_aggregator, check_count, check_model
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.nodes import AggregateNode, SampleNode
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
from .nodes import LedNowhere, PartsLeft, PartsNode, UndividedNode

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
    parts = SamplingStage((solver,), n=WIDTH * votes)
    undivided = SamplingStage((solver,), n=planner.n)
    return Pipeline(
        [
            SampleNode("plan", planner, fallback="undivided"),
            PartsNode(
                "parts",
                parts,
                load("decompose-part"),
                AnswerExtractor(),
                counted_by=vote,
                votes=votes,
                calculate=calculate,
                max_visits=rounds,
            ),
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


class DecomposeOptions(Options):
    """How parts are solved; the aggregator's model solves them, the models of the pipeline divide."""

    votes: int = Field(default=1, ge=1, le=16)
    """Samples of each part that is asked; of several, more than half have to agree."""
    calculate: bool = True
    """Bare calculations are made by code, and not asked for."""
    rounds: int = Field(default=ROUNDS, ge=1, le=64)
    """Rounds of parts that wait for each other."""


def _planner(model: Model) -> Model:
    """Asked for a division; a model that ships is asked for its worked solution, which it cannot help dividing."""
    if all(single.family == SHIPPED_FAMILY for single in model.identity.singles):
        return model
    return prompted(model, load("decompose").source, name=f"{model.name}:plan")


def _build_decompose(context: BuildContext) -> Pipeline:
    options, stage = context.options, context.sample()
    planners = SamplingStage(
        tuple(map(_planner, stage.models)), n=stage.n, stop=stage.stop, wave=stage.wave, sampling=stage.sampling
    )
    return decompose(
        planners,
        context.writer,
        context.vote(),
        votes=options.votes,
        calculate=options.calculate,
        rounds=options.rounds,
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
