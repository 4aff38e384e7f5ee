"""What builds graphs; nothing here runs anything.

sample(qwen, n=16) | MajorityVote()               two nodes
gate(sample(qwen, n=8), vote, expensive=judge)    a branch
cascade(small, vote, large, accept=0.8)           one model after the other, until one is sure
route(by_length, small, large)                    a choice
layers(sample(qwen, n=6), [layer], SelfMoA(qwen)) one node a layer
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Self, cast

from .aggregating import AggregateNode
from .checks import check_aggregator, check_count, check_model, check_rule, check_seconds
from .conditions import WATCHED, Accepted, Chosen, NotAccepted, Settled, Unfinished, Unsettled, WatchedAcceptance
from .context import RunContext
from .errors import BadInput
from .graph import Graph
from .nodes import ChoiceNode, LayerNode, ModelNode, Refiner, SampleNode
from .protocols import Aggregator, Model, Router, StoppingRule
from .shadow import ShadowRule, accepted_saving, compare_answers, gate_saving
from .stage import SamplingStage
from .state import ELSE, END, START, Condition, Edge, Node, State, Visit
from .types import Answer, Question, Sampled, SamplingParams, Saving
from .usage import Usage


class Pipeline(Graph):
    """A graph that begins by sampling: its first stage can be drawn larger, stopped by another rule, and so on."""

    @property
    def entry(self) -> SampleNode:
        """The node that samples first."""
        return next(node for node in self.nodes.values() if isinstance(node, SampleNode))

    @property
    def stage(self) -> SamplingStage:
        """Its first stage."""
        return self.entry.stage

    @property
    def aggregator(self) -> Aggregator:
        """The one whose answer ends the graph; of several, the last one."""
        found = [node.aggregator for node in self.nodes.values() if isinstance(node, AggregateNode)]
        return found[-1]

    def with_n(self, n: int) -> Self:
        """The same graph whose stages that draw as many as the first draw n candidates."""
        old = self.stage.n
        return self.replace(node.with_n(old, n) for node in self.nodes.values())

    def with_sampling(self, **changes: Any) -> Self:
        """The same graph with other fields of its first stage, such as `quorum`, `grace`, `seconds`, `stop`."""
        entry = self.entry
        return self.replace(
            replace(node, stage=replace(entry.stage, **changes)) if node is entry else node
            for node in self.nodes.values()
        )

    def with_timeout(self, seconds: float | None) -> Self:
        """The same graph whose aggregators have so many seconds; then the vote as it stands is the answer."""
        check_seconds("with_timeout(seconds)", seconds)
        return self.replace(
            replace(node, seconds=seconds) if isinstance(node, AggregateNode) else node for node in self.nodes.values()
        )


class Sampling(SamplingStage):
    """What `sample` gives: a stage that is composed with `|`."""

    def __or__(self, aggregator: Aggregator) -> Pipeline:
        """`sample(...) | aggregator`: the graph of both.

        Raises:
            BadInput: what stands right of `|` is no aggregator.
        """
        return pipeline(self, aggregator)


def sample(
    models: Model | Sequence[Model],
    *,
    n: int = 1,
    stop: StoppingRule | None = None,
    wave: int | None = None,
    sampling: SamplingParams | None = None,
    quorum: int | float | None = None,
    grace: float = 0.5,
    min_candidates: int = 1,
    seconds: float | None = None,
) -> Sampling:
    """A stage that draws `n` candidates from one or several models; compose it with `|`.

    Args:
        models: who is asked, dealt round-robin.
        n: candidates.
        stop: ends sampling once it is content.
        wave: samples in flight at once.
        sampling: settings where the caller sets nothing.
        quorum: good samples that will do, as a number or a share of n; the others are cancelled after `grace`.
        grace: seconds that the others have from then on.
        min_candidates: good samples without which there is an error instead of an answer.
        seconds: for the whole stage; then what there is goes on to the aggregator.

    Raises:
        BadInput: there is no model, or a number is impossible.
    """
    chosen = tuple(models) if isinstance(models, Sequence) and not isinstance(models, str) else (models,)
    return Sampling(
        chosen,
        n=n,
        stop=stop,
        wave=wave,
        sampling=sampling or SamplingParams(),
        quorum=quorum,
        grace=grace,
        min_candidates=min_candidates,
        seconds=seconds,
    )


def pipeline(
    stage: SamplingStage, aggregator: Aggregator, *, name: str | None = None, seconds: float | None = None
) -> Pipeline:
    """The graph of two nodes: `sample`, then `aggregate`.

    Args:
        stage: draws the candidates.
        aggregator: makes one answer of them.
        name: how the graph is called.
        seconds: for the aggregation; then the vote as it stands is the answer.

    Raises:
        BadInput: seconds is not above 0, or the aggregator is none.
    """
    _check_stage("pipeline()", stage)
    check_aggregator("sample(...) | ...", aggregator)
    return Pipeline(
        [SampleNode("sample", stage, counted_by=aggregator), AggregateNode("aggregate", aggregator, seconds=seconds)],
        [Edge(START, "sample"), Edge("sample", "aggregate"), Edge("aggregate", END)],
        name=name or f"{aggregator.name}@{stage.n}/{_joined(stage.models)}",
    )


def layers(
    stage: SamplingStage,
    inner: Sequence[tuple[SamplingStage, Refiner]],
    aggregator: Aggregator,
    *,
    name: str | None = None,
    word: str = "layer",
) -> Pipeline:
    """Mixture-of-Agents: each layer reads the candidates of the one before, a node a layer.

    Args:
        stage: the first layer.
        inner: the layers after it, each with what it is asked.
        aggregator: reads the last one.
        name: how the graph is called.
        word: what its layers are called in names of nodes: `layer-1`, `layer-2`, ...

    Raises:
        BadInput: a stage, a refiner or the aggregator is none.
    """
    pairs = list(inner) if isinstance(inner, Sequence) else [inner]
    if wrong := [pair for pair in pairs if not isinstance(pair, tuple) or len(pair) != 2]:
        raise BadInput(f"layers(inner): {wrong[0]!r:.80}: each layer is a pair of a sampling stage and a Refiner")
    nodes: list[Node] = [SampleNode("sample", stage, counted_by=aggregator)]
    nodes += [
        LayerNode(f"{word}-{number}", s, refiner, counted_by=aggregator) for number, (s, refiner) in enumerate(pairs, 1)
    ]
    nodes.append(AggregateNode("aggregate", aggregator))
    places = [START, *(node.name for node in nodes), END]
    edges = [Edge(before, after) for before, after in pairwise(places)]
    return Pipeline(nodes, edges, name=name or f"{aggregator.name}@{stage.n}/{_joined(stage.models)}")


def rounds(
    stage: SamplingStage,
    refiner: Refiner,
    aggregator: Aggregator,
    *,
    most: int,
    again: SamplingStage | None = None,
    name: str | None = None,
    word: str = "round",
) -> Pipeline:
    """A population of candidates that is renewed round by round: one node in a loop, then the aggregator.

    Args:
        stage: draws the first candidates.
        refiner: what each of them is asked in a round; the loop ends early where it asks nothing.
        aggregator: makes one answer of the last ones.
        most: rounds.
        again: who is asked in them, where that is an aggregator's model; the stage itself if not given.
        name: how the graph is called.
        word: how its round is called.

    Raises:
        BadInput: most is no number, or a stage, the refiner or the aggregator is none.
    """
    check_count("rounds(most)", most, 0)
    if most < 1:
        return pipeline(stage, aggregator, name=name)
    looping = LayerNode(word, again or stage, refiner, counted_by=aggregator, max_visits=most)
    return Pipeline(
        [SampleNode("sample", stage, counted_by=aggregator), looping, AggregateNode("aggregate", aggregator)],
        [
            Edge(START, "sample"),
            Edge("sample", word),
            Edge(word, word, Unfinished(most)),
            Edge(word, "aggregate", ELSE),
            Edge("aggregate", END),
        ],
        name=name or f"{aggregator.name}@{stage.n}/{_joined(stage.models)}",
    )


def gate(
    stage: SamplingStage,
    cheap: Aggregator,
    *,
    expensive: Aggregator | Pipeline,
    rule: StoppingRule,
    shadow: bool = False,
    name: str | None = None,
) -> Pipeline:
    """The cheap aggregator where the rule is sure of its tally, else the expensive one.

    Args:
        stage: draws the candidates; with the rule as its `stop` easy questions cost a few samples.
        cheap: counts the votes, and answers where they agree.
        expensive: a judge or synthesizer, or a pipeline whose nodes after its first one go on with the candidates;
            where it fails, the cheap one answers.
        rule: when they agree.
        shadow: always takes the expensive one, and says in `Answer.savings` what the gate would have saved.
        name: how the graph is called.

    Raises:
        BadInput: one of the parts is none.
    """
    _check_stage("gate(stage)", stage)
    check_aggregator("gate(cheap)", cheap)
    if not isinstance(expensive, Pipeline):
        check_aggregator("gate(expensive)", expensive)
    check_rule("gate(rule)", rule)
    name = name or f"gate@{stage.n}/{_joined(stage.models)}"
    if shadow:
        return _watch_gate(stage, cheap, expensive, rule, name)
    rest, first, ways = _after_sampling(expensive, stand_in=cheap)
    name_of_cheap = cheap.name if cheap.name not in {"sample", *(node.name for node in rest)} else "cheap"
    others = tuple(edge.when for edge in first if isinstance(edge.when, Condition))
    return Pipeline(
        [SampleNode("sample", stage, counted_by=cheap), AggregateNode(name_of_cheap, cheap), *rest],
        [
            Edge(START, "sample"),
            Edge("sample", name_of_cheap, Settled(rule, stage.n)),
            *(
                Edge(
                    "sample",
                    edge.target,
                    Unsettled(
                        rule,
                        stage.n,
                        also=edge.when if isinstance(edge.when, Condition) else None,
                        unless=others if edge.when == ELSE else (),
                    ),
                )
                for edge in first
            ),
            Edge(name_of_cheap, END),
            *ways,
        ],
        name=name,
    )


class ShadowGate(Pipeline):
    """A graph whose first node has a rule that is only watched: what would have been saved is all that came later."""

    async def _savings(self, visits: Sequence[Visit], question: Question, run: RunContext) -> tuple[Saving, ...]:
        found = await super()._savings(visits, question, run)
        last = next((v.result for v in reversed(visits) if isinstance(v.result, Answer)), None)
        entry = self.entry
        if last is None:
            return found
        spent = Usage.total(each.usage for v in visits if v.node != entry.name for each in v.usage)
        candidates = [c for v in visits if isinstance(v.result, Sampled) for c in v.result.candidates]
        told: list[Saving] = []
        for saving in found:
            if saving.where == entry.name:
                early = next((c for c in candidates if c.answer is not None and c.answer == saving.answer), None)
                same = None if early is None else await compare_answers(entry.counted_by, question, run, early, last)
                told.append(gate_saving(saving, spent, same=same))
            else:
                told.append(saving)
        return tuple(told)


def _watch_gate(
    stage: SamplingStage, cheap: Aggregator, expensive: Aggregator | Pipeline, rule: StoppingRule, name: str
) -> Pipeline:
    """The expensive side of a gate alone, with its rule watched."""
    rest, first, ways = _after_sampling(expensive, stand_in=cheap)
    watched = replace(stage, stop=ShadowRule(rule))
    return ShadowGate(
        [SampleNode("sample", watched, counted_by=cheap), *rest],
        [Edge(START, "sample"), *(Edge("sample", edge.target, edge.when) for edge in first), *ways],
        name=name,
    )


def _after_sampling(
    expensive: Aggregator | Pipeline, *, stand_in: Aggregator
) -> tuple[list[Node], Sequence[Edge], list[Edge]]:
    """What reads candidates that another stage has drawn: the nodes, the edges to the first ones, and the others."""
    aggregator = expensive.aggregator if isinstance(expensive, Pipeline) else expensive
    if not isinstance(expensive, Pipeline) or len(expensive.nodes) == 2:
        name = aggregator.name if aggregator.name != "sample" else "expensive"
        node = AggregateNode(name, aggregator, stand_in=stand_in, recount=True)
        return [node], [Edge("sample", name)], [Edge(name, END)]
    entry = expensive.entry.name
    first = expensive.edges_from(entry)
    targets = [edge.target for edge in first]
    nodes = [
        replace(node, stand_in=stand_in) if isinstance(node, AggregateNode) and node.stand_in is None else node
        for node in sorted(expensive.nodes.values(), key=lambda node: node.name not in targets)
        if node.name != entry
    ]
    ways = [edge for edge in expensive.edges if entry not in (edge.source, edge.target) and edge.source != START]
    return nodes, first, ways


class Cascade(Graph):
    """One model after the other, until an answer is accepted; the last one's is."""

    def with_threshold(self, threshold: float) -> Self:
        """The same cascade where every answer needs this score.

        Raises:
            BadInput: no answer is accepted by a score here, or it is no number.
        """
        edges = [replace(edge, when=_with_threshold(edge.when, threshold)) for edge in self.edges]
        if edges == list(self.edges) and not any(isinstance(e.when, Accepted | WatchedAcceptance) for e in edges):
            raise BadInput(f"{self.name}: no answer is accepted by a score, so there is no threshold")
        return type(self)(list(self.nodes.values()), edges, name=self.name)

    async def _savings(self, visits: Sequence[Visit], question: Question, run: RunContext) -> tuple[Saving, ...]:
        """Where acceptance is only watched: all that came after the first answer that would have been accepted."""
        found = await super()._savings(visits, question, run)
        last = visits[-1].result
        for place, visit in enumerate(visits[:-1], 1):
            reason = next((why for why in visit.edges.values() if why.startswith(WATCHED)), None)
            if reason is not None and isinstance(visit.result, Answer) and isinstance(last, Answer):
                models = [node.model for node in self.nodes.values() if isinstance(node, ModelNode)]
                vote = next((model.aggregator for model in models if isinstance(model, Pipeline)), None)
                same = await compare_answers(vote, question, run, visit.result, last)
                return (*found, accepted_saving(visit, reason.removeprefix(WATCHED), visits[place:], same=same))
        return found


def _with_threshold(when: Any, threshold: float) -> Any:
    if isinstance(when, Accepted):
        return replace(when, threshold=threshold, tie=1.0)
    if isinstance(when, NotAccepted | WatchedAcceptance):
        return replace(when, accepted=_with_threshold(when.accepted, threshold))
    return when


Acceptance = float | Condition | Callable[[State], bool | str | None]
"""The share of the candidates that agree, a condition, or a function of the state."""


def cascade(
    *models: Model, accept: Acceptance | Sequence[Acceptance] = 0.8, shadow: bool = False, name: str | None = None
) -> Cascade:
    """One model after the other, until an answer is accepted; the last one's is.

    Args:
        models: from the cheapest on; pipelines will do.
        accept: the share of the candidates that agree with the answer of a pipeline, or a condition such as
            `Accepted`; an answer without a vote is not accepted by a share. Of several, one for each model but the
            last.
        shadow: asks all of them, takes the last one's answer, and says in `Answer.savings` what would have been saved.
        name: how the graph is called.

    Raises:
        BadInput: there are fewer than two models, one is none, or a share is impossible.
    """
    if len(models) < 2:
        raise BadInput("cascade() needs two models or more, from the cheapest on")
    for model in models:
        check_model("cascade()", model)
    several = isinstance(accept, Sequence) and not isinstance(accept, str)
    given = list(accept) if several else [accept] * (len(models) - 1)  # type: ignore[arg-type]
    if len(given) != len(models) - 1:
        raise BadInput(f"cascade(accept): {len(given)} conditions for {len(models)} models, of which the last has none")
    conditions = [_acceptance(one) for one in given]
    if shadow and not all(isinstance(one, Accepted) for one in conditions):
        raise BadInput("cascade(shadow=True): only acceptance by a score can be watched")
    names = _unique([model.name for model in models])
    # A model that fails is passed over; the last one has nobody behind it, and its tokens can be told as they come.
    following = (*names[1:], None)
    nodes = [ModelNode(name, m, fallback=after) for name, m, after in zip(names, models, following, strict=True)]
    edges = [Edge(START, names[0])]
    for (here, after), when in zip(pairwise(names), conditions, strict=True):
        if shadow and isinstance(when, Accepted):
            edges.append(Edge(here, after, WatchedAcceptance(when)))
        else:
            edges += [
                Edge(here, END, when),
                Edge(here, after, NotAccepted(when) if isinstance(when, Accepted) else ELSE),
            ]
    edges.append(Edge(names[-1], END))
    return Cascade(nodes, edges, name=name or f"cascade/{'+'.join(names)}")


def _acceptance(accept: Any) -> Condition | Callable[[State], bool | str | None]:
    if isinstance(accept, bool) or not (isinstance(accept, int | float | Condition) or callable(accept)):
        raise BadInput(f"cascade(accept={accept!r:.60}): give a share such as 0.8, a Condition or a function")
    if not isinstance(accept, int | float):
        return cast(Condition, accept)
    if not 0 < accept <= 1:
        raise BadInput(f"accept={accept}: the share must lie above 0 and at most at 1, such as 0.8")
    return Accepted(accept)


def route(
    choose: Router | Callable[[Question], str | int | Awaitable[str | int]], *models: Model, name: str | None = None
) -> Graph:
    """One of several models, chosen by the question.

    Args:
        choose: a function from the question to a model's name or place, or a `Router`.
        models: to choose from.
        name: how the graph is called.

    Raises:
        BadInput: there is no model.
    """
    if not models:
        raise BadInput("route() needs models to choose from")
    for model in models:
        check_model("route()", model)
    names = _unique([model.name for model in models])
    nodes: list[Node] = [ChoiceNode("route", choose, models, tuple(names))]
    nodes += [ModelNode(name, model) for name, model in zip(names, models, strict=True)]
    edges = [Edge(START, "route"), *(Edge("route", name, Chosen(name)) for name in names)]
    return Graph(nodes, [*edges, *(Edge(name, END) for name in names)], name=name or f"route/{'+'.join(names)}")


def _check_stage(what: str, stage: object) -> None:
    if not isinstance(stage, SamplingStage):
        raise BadInput(f"{what}: {stage!r:.80} is no sampling stage: give sample(model, n=...)")


def _joined(models: Sequence[Model]) -> str:
    return "+".join(model.name for model in models)


def _unique(names: Sequence[str]) -> list[str]:
    """The names, those that come again with a number."""
    seen: Mapping[str, int] = {}
    found = []
    for name in names:
        seen = {**seen, name: seen.get(name, 0) + 1}
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found
