"""The agreement gate: cheap where sure, expensive where not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorate.orchestrator.context import Budget, RunContext

from quorate import sample
from quorate.aggregators import AdaptiveConsistency, Agreement, Gate, SelfMoA
from quorate.aggregators.synthesis import RandomMember
from quorate.cli.show import answer_json
from quorate.config.catalog import Catalog
from quorate.config.recipes import RECIPES, Parts
from quorate.config.recipes.synthesis import RECIPES as SYNTHESIS
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import AnswerToken, Done, Event
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.types import Answer, Candidate, Cluster, Question
from quorate.testing import ScriptedModel

from .helpers import candidate, happened
from .synthesis.cases import aggregation, boxed, vote


def gate(model: ScriptedModel, rule: Agreement | AdaptiveConsistency | None = None) -> Gate:
    return Gate(SelfMoA(model, fallback=vote()), cheap=vote(), rule=rule)


async def test_where_the_candidates_agree_nobody_else_is_asked() -> None:
    """The vote's answer, and the rule's words for the way it went."""
    model = ScriptedModel(["\\boxed{7}"])
    answer = await aggregation(gate(model), boxed(4, 4, 4, 4))
    assert (answer.answer, model.asked, answer.degraded) == ("4", [], ())
    assert (answer.route or "").startswith("majority: adaptive consistency: 4 to 0 votes")


async def test_where_they_do_not_the_expensive_one_decides() -> None:
    """Its answer, told as such."""
    model = ScriptedModel(["\\boxed{7}"])
    answer = await aggregation(gate(model), boxed(4, 4, 3, 3))
    assert (answer.answer, len(model.asked)) == ("7", 1)
    assert answer.route == "self-moa: 2 to 2 votes, not settled"
    silent = await aggregation(gate(model), [candidate(0, "hm")])
    assert silent.route == "self-moa: no votes, not settled"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=9))
async def test_the_rule_alone_chooses_the_way(answers: list[int]) -> None:
    """Expensive exactly where the rule is not sure of the tally."""
    model, rule = ScriptedModel(["\\boxed{7}"]), Agreement(0.6, least=2)
    candidates = boxed(*answers)
    answer = await aggregation(gate(model, rule), candidates)
    sure = rule.stop(candidates, await vote().tally(candidates)) is not None
    assert (answer.answer == "7") == (len(model.asked) == 1) == (not sure)


async def test_in_a_pipeline_sampling_stops_where_the_gate_is_sure() -> None:
    """The same rule ends sampling and opens the gate: four samples and no further call."""
    rule = AdaptiveConsistency(0.95)
    easy, hard = ScriptedModel(["\\boxed{4}"]), ScriptedModel([f"\\boxed{{{i % 2}}}" for i in range(8)])
    model = ScriptedModel(["\\boxed{7}"])
    cheap = await (sample(easy, n=16, stop=rule) | gate(model)).answer("?", seed=1)
    dear = await (sample(hard, n=8, stop=rule) | gate(model)).answer("?", seed=1)
    assert (len(cheap.candidates), cheap.answer, dear.answer, len(dear.candidates)) == (4, "4", "7", 8)
    assert cheap.stopped.startswith("adaptive consistency")
    assert (cheap.route or "").startswith("majority")
    assert (dear.route or "").startswith("self-moa")
    assert len(model.asked) == 1


class Judge:
    """An expensive aggregator that does as told."""

    name = "judge"

    def __init__(self, *events: Event | Exception) -> None:
        self.events = events

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            yield event


@pytest.mark.parametrize(
    "events", [(), (ValueError("bug"),), (Done(answer=Answer(text=" ", model="judge")),)], ids=["end", "crash", "empty"]
)
async def test_an_expensive_one_that_fails_is_replaced_by_the_cheap_one(events: tuple[Event | Exception, ...]) -> None:
    """Whatever it is and however it fails; the answer says so."""
    answer = await aggregation(Gate(Judge(*events), cheap=vote()), boxed(3, 4, 4))
    assert answer.answer == "4"
    assert [(n.code, n.where) for n in answer.degraded] == [("aggregator_failed", "aggregate: judge")]


async def test_a_failure_after_words_that_were_read() -> None:
    """What was streamed cannot be taken back: it stays the text, marked."""
    told = Judge(AnswerToken(text="It is 5"), ValueError("bug"))
    *_, done = await happened(Gate(told, cheap=vote()), boxed(3, 4, 4))
    assert isinstance(done, Done)
    assert (done.answer.text, done.answer.finish_reason) == ("It is 5", "error")


async def test_out_of_budget_the_cheap_one_answers() -> None:
    """The expensive one is not even asked."""
    run = RunContext(seed=1, stage="aggregate", budget=Budget(seconds=1e-9))
    answer = await aggregation(Gate(Judge(AssertionError("asked")), cheap=vote()), boxed(3, 4, 4), run)
    assert (answer.answer, answer.degraded[0].code) == ("4", "budget_exhausted")


def test_the_cheap_one_must_count_votes() -> None:
    """Otherwise nothing says whether the candidates agree."""
    with pytest.raises(BadInput, match=r"Gate\(cheap=random\): it must count votes"):
        Gate(Judge(), cheap=RandomMember())


def test_agreement_is_a_share_of_those_that_did_not_fail() -> None:
    """Abstentions count against it, and a few votes are not enough."""
    rule = Agreement(0.75, least=3)

    def says(votes: int, of: int) -> str | None:
        cluster = Cluster(answer="4", votes=votes, weight=votes, voters=tuple(range(votes)))
        return rule.stop(boxed(*range(of)), (cluster,))

    assert says(3, 4) == "agreement: 3 of 4 candidates, at least 0.75"
    assert says(3, 5) is None
    assert says(2, 2) is None
    assert rule.stop([], ()) is None
    assert str(rule) == "0.75 of at least 3 agree"


@pytest.mark.parametrize(("share", "least"), [(0.0, 3), (1.1, 3), (float("nan"), 3), (0.5, 0)])
def test_impossible_agreement(share: float, least: int) -> None:
    """Named with what is possible."""
    with pytest.raises(BadInput, match="Agreement"):
        Agreement(share, least=least)


def built(**options: object) -> Pipeline:
    recipe = RECIPES["gate"]
    return recipe.build(Parts((ScriptedModel(),), 16, recipe.checked(dict(options))))


@pytest.mark.parametrize("expensive", [*(recipe.name for recipe in SYNTHESIS), "majority"])
def test_by_name_any_pipelines_aggregator_can_be_the_expensive_one(expensive: str) -> None:
    """`gate@N` with the option `expensive`; its rule ends sampling too."""
    pipeline = built(expensive=expensive)
    assert isinstance(pipeline.aggregator, Gate)
    assert pipeline.sampler.stop is pipeline.aggregator.rule


def test_by_name_with_options() -> None:
    """Those of the expensive one and of the rule reach them."""
    pipeline = built(
        expensive="moa", expensive_options={"layers": 4}, rule="agreement", rule_options={"share": 0.9, "least": 5}
    )
    assert isinstance(pipeline.aggregator, Gate)
    assert repr(pipeline.aggregator.rule) == "Agreement(0.9, least=5)"
    assert len(pipeline.aggregator.expensive.layers) == 2  # type: ignore[attr-defined]
    tight = built(rule_options={"threshold": 0.99})
    assert str(tight.sampler.stop) == "stop when P(lead holds) >= 0.99"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"expensive": "nope"}, "option 'expensive': no pipeline named 'nope'; there is: .*self-moa"),
        ({"expensive": "gate"}, "no pipeline named 'gate'"),
        ({"cheap": "nope"}, "option 'cheap'"),
        ({"expensive_options": {"x": 1}}, "agglm: option 'x'"),
        ({"rule": "nope"}, "option 'rule': no rule named 'nope'; there is: .*agreement"),
        ({"rule": "agreement", "rule_options": {"x": 1}}, "share and least"),
        ({"rule_options": {"threshold": 2}}, "threshold"),
    ],
)
def test_mistakes_are_named(options: dict[str, object], says: str) -> None:
    """What, where and what there is."""
    with pytest.raises(BadInput, match=says):
        built(**options)


async def test_on_the_wire() -> None:
    """`gate@8/model` is a pipeline like any other."""
    catalog = Catalog({"m": ScriptedModel(["\\boxed{4}"], name="m")})
    answer = await catalog.resolve("gate@8/m").answer("?", seed=1)  # type: ignore[attr-defined]
    assert (answer.model, answer.answer, len(answer.candidates)) == ("gate@8/m", "4", 4)


def calls(*cities: str) -> list[Candidate]:
    """Candidates of a tool call each."""
    return [
        Candidate(
            index=i,
            model="m",
            tool_calls=(
                {
                    "id": f"call_{i}",
                    "type": "function",
                    "function": {"name": "weather", "arguments": f'{{"city": "{city}", "days": 1}}'},
                },
            ),
        )
        for i, city in enumerate(cities)
    ]


WEATHER = Question.of("Weather?").model_copy(
    update={"tools": ({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},)}
)


@pytest.mark.parametrize(("cities", "route"), [(["Oslo"] * 4, "majority: adaptive"), (["Oslo", "Rome"], "agglm: 1")])
async def test_by_name_it_counts_tool_calls_too(cities: list[str], route: str) -> None:
    """Agreement is that of calls by value; where there is none, the calls are what the synthesizer reads."""
    model = ScriptedModel(["Rome it is: \\boxed{7}"])
    recipe = RECIPES["gate"]
    aggregator = recipe.build(Parts((model,), 4, recipe.checked({}))).aggregator
    answer = await aggregation(aggregator, calls(*cities), question=WEATHER)
    assert (answer.route or "").startswith(route)
    assert sum(cluster.votes for cluster in answer.tally) == len(cities)
    if model.asked:
        assert '"city": "Rome"' in model.asked[0].messages[0].text.replace("\\", "")


async def test_json_documents_are_counted_and_answered_by_value() -> None:
    """A synthesized document's answer is the document, in the spelling in which the vote counts it."""
    question = Question.of("Which?").model_copy(update={"response_format": {"type": "json_object"}})
    model = ScriptedModel(['{"b": 2,  "a": 1}'])
    recipe = RECIPES["agglm"]
    aggregator = recipe.build(Parts((model,), 2, recipe.checked({}))).aggregator
    documents = [candidate(0, '{"a": 1, "b": 2}'), candidate(1, '{"b": 2, "a": 1}')]
    answer = await aggregation(aggregator, documents, question=question)
    assert [cluster.votes for cluster in answer.tally] == [2]
    assert answer.answer == answer.tally[0].answer


async def test_the_command_line_tells_the_route() -> None:
    """In its JSON where there is one."""
    answer = await aggregation(gate(ScriptedModel(["\\boxed{7}"])), boxed(3, 4))
    assert answer_json(answer)["route"] == answer.route
    assert "route" not in answer_json(answer.replace(route=None))
