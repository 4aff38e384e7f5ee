"""The agreement gate: cheap where sure, expensive where not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate import MajorityVote, gate, sample
from quorate.aggregators import AdaptiveConsistency, Agreement, SelfMoA
from quorate.aggregators.registry import build_pipeline
from quorate.cli.show import answer_json
from quorate.config.catalog import Catalog
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import AnswerToken, Done
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.progress import SamplingProgress
from quorate.orchestrator.protocols import Aggregator, Model, StoppingRule
from quorate.orchestrator.types import Answer, Question, Sampled
from quorate.orchestrator.usage import Usage
from quorate.testing import ScriptedModel

from .helpers import Exact, candidate, tallied


def vote() -> MajorityVote:
    return MajorityVote(equivalence=Exact())


def boxed(*answers: object) -> ScriptedModel:
    return ScriptedModel([f"I say \\boxed{{{answer}}}" for answer in answers])


def gated(
    answers: Sequence[object], expensive: ScriptedModel | Aggregator, rule: StoppingRule | None = None
) -> Pipeline:
    """A gate over samples that give these answers."""
    if isinstance(expensive, ScriptedModel):
        expensive = SelfMoA(expensive, fallback=vote())
    stage = sample(boxed(*answers), n=len(answers))
    return gate(stage, vote(), expensive=expensive, rule=rule or AdaptiveConsistency())


async def test_where_the_candidates_agree_nobody_else_is_asked() -> None:
    """The vote's answer, and the rule's words for the way it went."""
    model = ScriptedModel(["\\boxed{7}"])
    answer = await gated([4, 4, 4, 4], model).answer("What?", seed=1)
    assert (answer.answer, model.asked, answer.degraded) == ("4", [], ())
    assert (answer.route or "").startswith("majority: adaptive consistency: 4 to 0 votes")


async def test_where_they_do_not_the_expensive_one_decides() -> None:
    """Its answer, told as such."""
    model = ScriptedModel(["\\boxed{7}"])
    answer = await gated([4, 4, 3, 3], model).answer("What?", seed=1)
    assert (answer.answer, len(model.asked)) == ("7", 1)
    assert answer.route == "self-moa: 2 to 2 votes, not settled"
    stage = sample(ScriptedModel(["hm"]), n=1)
    silent = gate(stage, vote(), expensive=SelfMoA(model, fallback=vote()), rule=AdaptiveConsistency())
    assert (await silent.answer("What?", seed=1)).route == "self-moa: no votes, not settled"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=9))
async def test_the_rule_alone_chooses_the_way(answers: list[int]) -> None:
    """Expensive exactly where the rule is not sure of the tally."""
    model, rule = ScriptedModel(["\\boxed{7}"]), Agreement(0.6, min_votes=2)
    answer = await gated(answers, model, rule).answer("What?", seed=1)
    candidates = [candidate(i, f"\\boxed{{{a}}}") for i, a in enumerate(answers)]
    progress = SamplingProgress(len(answers), candidates, await tallied(vote(), candidates))
    sure = rule.stop(progress) is not None
    assert (answer.answer == "7") == (len(model.asked) == 1) == (not sure)


async def test_in_a_pipeline_sampling_stops_where_the_gate_is_sure() -> None:
    """The same rule ends sampling and opens the gate: four samples and no further call."""
    rule = AdaptiveConsistency(0.95)
    easy, hard = ScriptedModel(["\\boxed{4}"]), ScriptedModel([f"\\boxed{{{i % 2}}}" for i in range(8)])
    model = ScriptedModel(["\\boxed{7}"])

    async def ask(proposer: Model, n: int) -> Answer:
        expensive = SelfMoA(model, fallback=vote())
        return await gate(sample(proposer, n=n, stop=rule), vote(), expensive=expensive, rule=rule).answer("?", seed=1)

    cheap, dear = await ask(easy, 16), await ask(hard, 8)
    assert (len(cheap.candidates), cheap.answer, dear.answer, len(dear.candidates)) == (4, "4", "7", 8)
    assert cheap.stopped.startswith("adaptive consistency")
    assert (cheap.route or "").startswith("majority")
    assert (dear.route or "").startswith("self-moa")
    assert len(model.asked) == 1


class Judge(Aggregator):
    """An expensive aggregator that does as told: says words, then raises or answers."""

    name = "judge"

    def __init__(self, *words: str, end: Answer | Exception) -> None:
        self.words, self.end = words, end
        self.asked = 0

    @property
    def models(self) -> tuple[Model, ...]:
        return (ScriptedModel(),)

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        self.asked += 1
        for word in self.words:
            run.emit(AnswerToken(text=word))
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


@pytest.mark.parametrize("end", [ValueError("bug"), Answer(text=" ", model="judge")], ids=["crash", "empty"])
async def test_an_expensive_one_that_fails_is_replaced_by_the_cheap_one(end: Answer | Exception) -> None:
    """Whatever it is and however it fails; the answer says so."""
    answer = await gated([3, 4, 4], Judge(end=end)).answer("What?", seed=1)
    assert answer.answer == "4"
    assert [(n.code, n.where) for n in answer.degraded] == [("aggregator_failed", "judge: judge")]
    assert (answer.route or "").startswith("judge: ")


async def test_a_failure_after_words_that_were_read() -> None:
    """What was streamed cannot be taken back: it stays the text, marked."""
    pipeline = gated([3, 4, 4], Judge("It is 5", end=ValueError("bug")))
    events = [event async for event in pipeline.events("What?", seed=1)]
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.answer.text, done.answer.finish_reason) == ("It is 5", "error")
    assert "".join(e.text for e in events if isinstance(e, AnswerToken)) == "It is 5"


class Spending(Agent):
    """Samples that cost the whole budget."""

    name = "spending"

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        for slot in slots:
            slot.start(self.name, self.name)
            slot.finish("stop", Usage(completion_tokens=10, requests=1), text=f"\\boxed{{{max(3, slot.index + 2)}}}")


async def test_out_of_budget_the_cheap_one_answers() -> None:
    """The expensive one is not even asked."""
    judge = Judge(end=Answer(text="never", model="judge"))
    pipeline = gate(sample(Spending(), n=2), vote(), expensive=judge, rule=AdaptiveConsistency())
    answer = await pipeline.answer("What?", seed=1, budget=Budget(tokens=20))
    assert (answer.answer, judge.asked) == ("3", 0)
    assert answer.degraded[0].code == "budget_exhausted"


def build_gate(**options: object) -> Pipeline:
    return build_pipeline("gate", [ScriptedModel()], n=16, options=options)


def rule_of(pipeline: Pipeline) -> StoppingRule:
    rule = pipeline.stage.stop
    assert rule is not None
    [settled] = [edge for edge in pipeline.edges if str(edge.when) == str(rule)]
    assert isinstance(pipeline.nodes[settled.target], AggregateNode)
    return rule


@pytest.mark.parametrize("expensive", ["agglm", "self-moa", "self-moa-seq", "moa", "aft", "rsa", "debate", "majority"])
def test_by_name_any_pipelines_aggregator_can_be_the_expensive_one(expensive: str) -> None:
    """`gate@N` with the option `expensive`; its rule ends sampling too."""
    assert isinstance(rule_of(build_gate(expensive=expensive)), AdaptiveConsistency)


def test_by_name_with_options() -> None:
    """Those of the expensive one and of the rule reach them."""
    pipeline = build_gate(
        expensive="moa", expensive_options={"layers": 4}, rule="agreement", rule_options={"share": 0.9, "min_votes": 5}
    )
    assert repr(rule_of(pipeline)) == "Agreement(0.9, min_votes=5)"
    assert sum(name.startswith("layer") for name in pipeline.nodes) == 2
    tight = build_gate(rule_options={"threshold": 0.99})
    assert str(rule_of(tight)) == "stop when P(lead holds) >= 0.99"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"expensive": "nope"}, "option 'expensive': no pipeline named 'nope'; none of [0-9]+ is like it"),
        ({"expensive": "gate"}, "no pipeline named 'gate'"),
        ({"cheap": "nope"}, "option 'cheap'"),
        ({"expensive_options": {"x": 1}}, "agglm: option 'x'"),
        ({"rule": "nope"}, "option 'rule': no rule named 'nope'; there is: .*agreement"),
        ({"rule": "agreement", "rule_options": {"x": 1}}, "share and min_votes"),
        ({"rule_options": {"threshold": 2}}, "threshold"),
    ],
)
def test_mistakes_are_named(options: dict[str, object], says: str) -> None:
    """What, where and what there is."""
    with pytest.raises(BadInput, match=says):
        build_gate(**options)


async def test_a_pipeline_that_branches_after_its_samples_can_be_the_expensive_one() -> None:
    """Its branches are taken where the votes are not settled."""
    model = ScriptedModel(["\\boxed{7}"])
    proposer = ScriptedModel([f"\\boxed{{{i % 2}}}" for i in range(16)])
    pipeline = build_pipeline("gate", [proposer], n=16, aggregator_model=model, options={"expensive": "self-moa-seq"})
    answer = await pipeline.answer("?", seed=1)
    assert answer.answer == "7"
    assert len(model.asked) > 1
    assert "not settled" in (answer.route or "")


async def test_on_the_wire() -> None:
    """`gate@8/model` is a pipeline like any other."""
    catalog = Catalog({"m": ScriptedModel(["\\boxed{4}"], name="m")})
    pipeline = catalog.resolve("gate@8/m")
    assert isinstance(pipeline, Pipeline)
    answer = await pipeline.answer("?", seed=1)
    assert (answer.model, answer.answer, len(answer.candidates)) == ("gate@8/m", "4", 4)


class Calls(Agent):
    """Samples that are a tool call each."""

    def __init__(self, *cities: str) -> None:
        self.name = "calls"
        self.cities = cities

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        for slot in slots:
            slot.start(self.name, self.name)
            arguments = f'{{"city": "{self.cities[slot.index]}", "days": 1}}'
            call: dict[str, Any] = {"name": "weather", "arguments": arguments}
            slot.finish("tool_calls", tool_calls=({"id": f"call_{slot.index}", "type": "function", "function": call},))


WEATHER = Question.of("Weather?").model_copy(
    update={"tools": ({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},)}
)


@pytest.mark.parametrize(("cities", "route"), [(["Oslo"] * 4, "majority: adaptive"), (["Oslo", "Rome"], "agglm: 1")])
async def test_by_name_it_counts_tool_calls_too(cities: list[str], route: str) -> None:
    """Agreement is that of calls by value; where there is none, the calls are what the synthesizer reads."""
    model = ScriptedModel(["Rome it is: \\boxed{7}"])
    pipeline = build_pipeline("gate", [Calls(*cities)], n=len(cities), aggregator_model=model)
    answer = await pipeline.answer(WEATHER, seed=1)
    assert (answer.route or "").startswith(route)
    assert sum(cluster.votes for cluster in answer.tally) == len(cities)
    if model.asked:
        assert '"city": "Rome"' in model.asked[0].messages[0].text.replace("\\", "")


async def test_json_documents_are_counted_and_answered_by_value() -> None:
    """A synthesized document's answer is the document, in the spelling in which the vote counts it."""
    question = Question.of("Which?").model_copy(update={"response_format": {"type": "json_object"}})
    model = ScriptedModel(['{"a": 1, "b": 2}', '{"b": 2, "a": 1}'])
    writer = ScriptedModel(['{"b": 2,  "a": 1}'])
    answer = await build_pipeline("agglm", [model], n=2, aggregator_model=writer).answer(question, seed=1)
    assert [cluster.votes for cluster in answer.tally] == [2]
    assert answer.answer == answer.tally[0].answer


async def test_the_command_line_tells_the_route() -> None:
    """In its JSON where there is one."""
    answer = await gated([3, 4], ScriptedModel(["\\boxed{7}"])).answer("What?", seed=1)
    assert answer_json(answer)["route"] == answer.route
    assert "route" not in answer_json(answer.replace(route=None))
