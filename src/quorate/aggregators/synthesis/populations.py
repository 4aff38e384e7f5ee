"""Populations of answers that are renewed round by round, then vote: one node of the graph, in a loop.

`recursive_self_aggregation` (Venkatraman et al., arXiv 2509.26626, section 3): P_0 are N samples; in loop t
each of N members of P_t is the model's aggregation of K members of P_(t-1), drawn at random without
replacement; after T loops a majority of P_T or one random member is the answer. The paper: N = 16, K = 4,
T = 10, temperature 1.

`debate` (Du et al., arXiv 2305.14325, section 2): each candidate is an agent's first answer. In every round
each agent sees its own last answer and the other agents' and answers anew; after the last round they vote.
The paper: 3 agents, 2 rounds. Different from it: of the conversation only the last round is repeated, so that
the context does not grow with the rounds; an agent may have a role.

Different from both: a member whose call failed keeps its place with what stood there before, and is told as
`member_failed`; where all fail (`aggregator_failed`) or the budget ends (`budget_exhausted`) the rounds end, and
the population as it is votes. Thinking is stripped, the context is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.nodes import Revision
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.pipeline import rounds as build_rounds
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.types import Answer, Candidate, Message, Question, Sampled

from ..specs import BuildContext, PipelineSpec
from ..votes.majority import MajorityVote, count_votes
from .context import learn_limits, leave_room
from .layers import MOST
from .material import label_candidate, order_canonically
from .prompt import MAX_CONTEXT_TOKENS, SynthesisPrompt, place_as_system, place_as_user, system_text
from .synthesizer import SynthesisOptions


def _renew(before: Sampled, members: Sequence[Candidate]) -> Sequence[Candidate]:
    """The members that are good, and those before them in the places of the others."""
    places = {c.index: c for c in before.candidates} | {m.index: m for m in members if m.ok}
    return [places[index] for index in sorted(places)]


@dataclass(frozen=True)
class SubsetAggregation:
    """A loop of recursive self-aggregation: each member is renewed from a random subset of all."""

    prompt: SynthesisPrompt
    subset: int

    async def revise(
        self, question: Question, before: Sampled, models: Sequence[Model], run: RunContext
    ) -> Mapping[int, Revision]:
        rng, population = run.rng("subsets"), order_canonically(before.candidates)
        revisions: dict[int, Revision] = {}
        for member in population:
            model = models[member.index]
            drawn = rng.sample(population, min(self.subset, len(population)))
            items = [label_candidate(candidate) for candidate in drawn]
            await learn_limits(model, [text for _, text in items])
            revisions[member.index] = self.prompt.revision(question, items, model, run.node)
        return revisions

    def merge(self, before: Sampled, members: Sequence[Candidate]) -> Sequence[Candidate]:
        return _renew(before, members)


def recursive_self_aggregation(
    stage: SamplingStage,
    aggregator: Model,
    *,
    subset: int | None = None,
    loops: int = 10,
    final: Aggregator | None = None,
    max_context_tokens: int = MAX_CONTEXT_TOKENS,
    overrides: Mapping[str, str | Path] | None = None,
) -> Pipeline:
    """Aggregations of random subsets of aggregations, then a vote.

    Args:
        stage: draws the first population.
        aggregator: aggregates.
        subset: members that one aggregation reads (the paper's K), all of them where fewer are left; 4 if not
            given, or as many as there are where that is less.
        loops: how often the whole population is renewed (T); 0 is the vote.
        final: `MajorityVote()`, the default, or `RandomMember()`; it counts the votes of each population, too.
        max_context_tokens: see `Synthesizer`.
        overrides: see `Synthesizer`.

    Raises:
        BadInput: an option is impossible.
    """
    if loops < 0:
        raise BadInput(f"recursive_self_aggregation(loops={loops}): give 0 or more")
    if subset is not None and not 1 <= subset <= stage.n:
        raise BadInput(
            f"recursive_self_aggregation(subset={subset} of n={stage.n} candidates): a subset holds at least 1 member "
            "and no more than there are; give another one, or a larger n"
        )
    prompt = SynthesisPrompt.load("rsa", place_as_user, max_context_tokens=max_context_tokens, overrides=overrides)
    return build_rounds(
        stage,
        SubsetAggregation(prompt, 4 if subset is None else subset),
        final or MajorityVote(),
        most=loops,
        again=SamplingStage((aggregator,), n=stage.n),
        name=_name("rsa", stage),
        word="loop",
    )


@dataclass(frozen=True)
class DebateRound:
    """A round of a debate: each agent answers anew, having read the others' last answers."""

    prompt: SynthesisPrompt
    roles: tuple[str, ...] = ()

    async def revise(
        self, question: Question, before: Sampled, models: Sequence[Model], run: RunContext
    ) -> Mapping[int, Revision]:
        """See `nodes.Refiner`; a single agent has nobody to debate with."""
        agents, revisions = order_canonically(before.candidates), dict[int, Revision]()
        for rank, own in enumerate(agents if len(agents) > 1 else ()):
            model, others = models[own.index], [agent for agent in agents if agent is not own]
            await learn_limits(model, [agent.text for agent in agents])
            run.rng(f"order {rank}").shuffle(others)
            revisions[own.index] = self._revision(question, own, others, model, run)
        return revisions

    def _revision(
        self, question: Question, own: Candidate, others: Sequence[Candidate], model: Model, run: RunContext
    ) -> Revision:
        """The conversation, the agent's own answer, and the others' with the request to answer anew."""
        items = [label_candidate(own), *map(label_candidate, others)]
        material = self.prompt.pack(question, items, model, f"{run.node}: {model.name} #{own.index} reading")
        spoke = bool(items[0].text)
        own_text, texts = (material.texts[:1], material.texts[1:]) if spoke else ((), material.texts)
        words = self.prompt.template.render(responses=texts, system="", problem=question.text)
        role = self.roles[own.index % len(self.roles)] if self.roles else ""
        system = "\n\n".join(part for part in (system_text(question), role) if part)
        asked = question.with_messages(
            *([Message(role="system", content=system)] if system else []),
            *(m for m in question.messages if m.role != "system"),
            *(Message(role="assistant", content=text) for text in own_text),
            Message(role="user", content=words),
        )
        return Revision(leave_room(asked, model), material.notes, self.prompt.version)

    def merge(self, before: Sampled, members: Sequence[Candidate]) -> Sequence[Candidate]:
        return _renew(before, members)


def debate(
    stage: SamplingStage,
    *,
    rounds: int = 2,
    roles: Sequence[str] = (),
    final: Aggregator | None = None,
    max_context_tokens: int = MAX_CONTEXT_TOKENS,
    overrides: Mapping[str, str | Path] | None = None,
) -> Pipeline:
    """Agents that revise their answers in the light of each other's, then vote.

    Args:
        stage: draws their first answers; its models debate, each going on with the answers that it gave.
        rounds: of revision; 0 is the vote.
        roles: system messages, dealt to the agents in turn, such as "You check every calculation.".
        final: how the last answers become one; `MajorityVote()` if not given. It counts the votes of each
            round, too.
        max_context_tokens: see `Synthesizer`.
        overrides: see `Synthesizer`.

    Raises:
        BadInput: an option is impossible.
    """
    if rounds < 0:
        raise BadInput(f"debate(rounds={rounds}): give 0 or more")
    if isinstance(roles, str) or not all(role.strip() for role in roles):
        raise BadInput("debate(roles=...): give a list of texts, none of them empty")
    prompt = SynthesisPrompt.load("debate", place_as_system, max_context_tokens=max_context_tokens, overrides=overrides)
    refiner = DebateRound(prompt, tuple(roles))
    return build_rounds(stage, refiner, final or MajorityVote(), most=rounds, name=_name("debate", stage))


def _name(name: str, stage: SamplingStage) -> str:
    return f"{name}@{stage.n}/{'+'.join(model.name for model in stage.models)}"


class RandomMember(Aggregator):
    """One candidate by the seed's draw, whatever their order: the other end of recursive self-aggregation.

    Args:
        fallback: counts the votes; `MajorityVote()` by default.
    """

    name = "random"

    def __init__(self, fallback: Aggregator | None = None) -> None:
        self._fallback = fallback or MajorityVote()

    @property
    def fallback(self) -> Aggregator:
        return self._fallback

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        counter = self.counter(question, run)
        counted = sampled if counter is None else await count_votes(counter, sampled)
        return Answer.of(run.rng("member").choice(order_canonically(counted.candidates)), tally=counted.tally or ())

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class RecursiveOptions(SynthesisOptions):
    """How a population is renewed."""

    subset: int | None = Field(default=None, ge=1)
    """Members that one aggregation reads, at most N; 4, or N where that is less, if not given."""
    loops: int = Field(default=10, ge=0, le=MOST)
    """How often the whole population is renewed, N calls each time."""
    final: Literal["majority", "random"] = "majority"
    """How the last population becomes one answer."""


class DebateOptions(SynthesisOptions):
    """How candidates are debated."""

    rounds: int = Field(default=2, ge=0, le=MOST)
    """Rounds of revision, N calls each."""
    roles: tuple[str, ...] = ()
    """System messages dealt to the agents in turn."""


def _build_rsa(context: BuildContext) -> Pipeline:
    options, vote = context.options, context.vote()
    return recursive_self_aggregation(
        context.sample(),
        context.writer,
        subset=options.subset,
        loops=options.loops,
        final=RandomMember(vote) if options.final == "random" else vote,
        max_context_tokens=options.max_context_tokens,
    )


def _build_debate(context: BuildContext) -> Pipeline:
    options = context.options
    return debate(
        context.sample(),
        rounds=options.rounds,
        roles=options.roles,
        final=context.vote(),
        max_context_tokens=options.max_context_tokens,
    )


PIPELINES = (
    PipelineSpec(
        "rsa",
        "recursive self-aggregation: N members renewed from random subsets, then a majority",
        "arXiv 2509.26626, section 3",
        16,
        _build_rsa,
        options=RecursiveOptions,
    ),
    PipelineSpec(
        "debate",
        "N agents revise their answers in the light of each other's for some rounds, then vote",
        "arXiv 2305.14325, section 2",
        3,
        _build_debate,
        options=DebateOptions,
    ),
)
