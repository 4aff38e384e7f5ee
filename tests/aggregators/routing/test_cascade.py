"""Cascades by name: who is asked, when an answer is accepted, what a file says, and what watching tells."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path

import pytest

from quorate import Checkpoints, MajorityVote, cascade, sample
from quorate.aggregators.learned.selector import TrainedSelector
from quorate.aggregators.learned.selector.model import Term
from quorate.aggregators.registry import build_graph
from quorate.aggregators.routing.cascade import CascadeStage, TrainedCascade
from quorate.aggregators.routing.scores import SelectorScore
from quorate.orchestrator.conditions import Accepted
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.pipeline import Cascade
from quorate.orchestrator.types import Question, TokenLogprob
from quorate.orchestrator.usage import Usage
from quorate.testing import ScriptedModel

SURE = ["The answer is 4."]
SPLIT = ["The answer is 4.", "The answer is 5.", "The answer is 4."]


def cheap(replies: list[str] | None = None, name: str = "cheap") -> ScriptedModel:
    return ScriptedModel(replies or SPLIT, name=name)


def dear(name: str = "dear") -> ScriptedModel:
    return ScriptedModel(["The answer is 7."], name=name)


async def test_a_dear_model_is_asked_where_cheap_samples_disagree() -> None:
    """The way is told in the answer and its path."""
    sure = await build_graph("cascade", [cheap(SURE), dear()], n=3).answer("How many?", seed=1)
    split = await build_graph("cascade", [cheap(), dear()], n=3).answer("How many?", seed=1)
    assert (sure.answer, sure.route) == ("4", "majority@3/cheap: agreement 1, 1 needed")
    assert ("7" in split.text, split.route) == (True, "dear: agreement 0.667, 1 needed")
    assert [visit.node for visit in split.path] == ["majority@3/cheap", "dear"]
    assert {entry.model for entry in split.nodes} == {"cheap", "dear"}


async def test_any_pipeline_may_be_a_stage_and_each_has_its_own_score() -> None:
    """Two thirds are enough for the first of these, nothing for the second."""
    stages = [sample(cheap(), n=3) | MajorityVote(), sample(cheap(SURE, "middle"), n=2) | MajorityVote(), dear()]
    first = cascade(*stages, accept=[0.6, 1.0])
    second = cascade(*stages, accept=[0.7, 1.0])
    assert (await first.answer("How many?", seed=1)).route == "majority@3/cheap: agreement 0.667, 0.6 needed"
    assert (await second.answer("How many?", seed=1)).answer == "4"
    with pytest.raises(BadInput, match="1 conditions for 3 models"):
        cascade(*stages, accept=[0.6])


async def test_a_stage_that_fails_is_passed_over() -> None:
    """The next one answers, and it is told."""
    answer = await build_graph("cascade", [ScriptedModel([RuntimeError("gone")], name="cheap"), dear()]).answer("How?")
    assert "7" in answer.text
    assert "node_failed" in {note.code for note in answer.degraded}


async def test_the_threshold_can_be_changed_for_one_question() -> None:
    """For every stage that is accepted by a score."""
    graph = build_graph("cascade", [cheap(), dear()], n=3)
    assert isinstance(graph, Cascade)
    assert (await graph.with_threshold(0.5).answer("How many?", seed=1)).answer == "4"
    assert "7" in (await graph.answer("How many?", seed=1)).text
    by_function = cascade(cheap(), dear(), accept=lambda state: True)
    with pytest.raises(BadInput, match="no threshold"):
        by_function.with_threshold(0.5)
    with pytest.raises(BadInput, match="a number that an answer's score must reach"):
        graph.with_threshold(float("nan"))


async def test_watching_asks_everybody_and_tells_what_accepting_would_have_saved() -> None:
    """Whether the answer would have been the same, too."""
    graph = build_graph("cascade", [cheap(SURE), dear()], n=3, options={"shadow": True})
    answer = await graph.answer("How many?", seed=1)
    [saving] = answer.savings
    assert (answer.text, saving.answer, saving.same) == ("The answer is 7.", "4", False)
    assert (saving.where, saving.after, saving.of) == ("majority@3/cheap", 1, 2)
    assert saving.tokens == answer.usage.total_tokens - sum(
        entry.usage.total_tokens for entry in answer.nodes if entry.model == "cheap"
    )
    unsure = await build_graph("cascade", [cheap(), dear()], n=3, options={"shadow": True}).answer("How many?", seed=1)
    assert unsure.savings == ()
    both = [cheap(SURE), (sample(dear(), n=2) | MajorityVote()).with_name("panel")]
    assert list(build_graph("cascade", both, n=3, options={"shadow": True}).nodes) == ["majority@3/cheap", "panel"]


@pytest.mark.parametrize(
    ("early", "late", "same"),
    [
        ("The answer is 0.5.", "So it is \\boxed{\\frac{1}{2}}.", True),
        ("The answer is 1,000.", "The answer is 1000", True),
        ("The answer is 4.", "The answer is 5.", False),
        ("The answer is 4.", "I cannot say.", None),
    ],
)
async def test_what_is_watched_is_compared_as_the_votes_are(early: str, late: str, same: bool | None) -> None:
    """Another spelling of the answer is the same one, and nothing is told where there is none."""
    models = [cheap([early]), ScriptedModel([late], name="dear")]
    [saving] = (await build_graph("cascade", models, n=3, options={"shadow": True}).answer("How many?")).savings
    assert saving.same is same


def trained(**changes: object) -> TrainedCascade:
    stages = (
        CascadeStage(models=("a", "b", "c"), n=3, threshold=1.0),
        CascadeStage(models=("dear",), n=1),
    )
    return TrainedCascade(stages=stages).model_copy(update=changes)


async def test_a_file_says_who_stands_where(tmp_path: Path) -> None:
    """Three models must agree, whatever the order in which they are named."""
    trained().save(tmp_path / "c.json")
    assert TrainedCascade.load(tmp_path / "c.json") == trained()
    models = [dear(), *(cheap(SURE, name) for name in "cba")]
    graph = build_graph("cascade", models, options={"file": str(tmp_path / "c.json")})
    answer = await graph.answer("How many?", seed=1)
    assert (answer.route, answer.answer) == ("majority@3/a+b+c: agreement 1, 1 needed", "4")
    assert sorted(c.model for c in answer.candidates) == ["a", "b", "c"]


async def test_stages_that_never_accept_are_not_asked(tmp_path: Path) -> None:
    """The last one is all that is left, and still has a name of its own."""
    stages = (CascadeStage(models=("cheap",), n=3), CascadeStage(models=("dear",), n=1))
    TrainedCascade(stages=stages).save(tmp_path / "c.json")
    models = [cheap(SURE), dear()]
    graph = build_graph("cascade", models, options={"file": str(tmp_path / "c.json")}, name="mine")
    answer = await graph.answer("How many?")
    assert (answer.model, [visit.node for visit in answer.path]) == ("mine", ["dear"])


def test_what_cannot_be_built_is_refused(tmp_path: Path) -> None:
    """A file for other models, one of something else, an unknown score, one model alone."""
    trained().save(tmp_path / "c.json")
    file = {"file": str(tmp_path / "c.json")}
    with pytest.raises(BadInput, match=r"trained for a, b, c, dear, and there is no b, dear among .*: a, c"):
        build_graph("cascade", [cheap(name="a"), cheap(name="c")], options=file)
    (tmp_path / "c.json").write_text('{"format": "quorate selector", "version": 1}')
    with pytest.raises(DataError, match="no cascade"):
        build_graph("cascade", [cheap(), dear()], options=file)
    with pytest.raises(BadInput, match="cascade needs two models or more"):
        build_graph("cascade", [cheap()])
    with pytest.raises(BadInput, match="acceptance by a selector needs one"):
        build_graph("cascade", [cheap(), dear()], options={"score": "selector"})
    TrainedSelector(families=("votes",), terms={}, intercept=0).save(tmp_path / "s.json")
    with pytest.raises(BadInput, match="answers are accepted by agreement"):
        build_graph("cascade", [cheap(), dear()], options={"selector": str(tmp_path / "s.json")})
    with pytest.raises(BadInput, match="option 'accept' beside 'file'"):
        build_graph("cascade", [cheap(), dear()], options=file | {"accept": 0.5})
    with pytest.raises(BadInput, match="option 'score'"):
        build_graph("cascade", [cheap(), dear()], options={"score": "luck"})
    with pytest.raises(BadInput, match="option 'accept"):
        build_graph("cascade", [cheap(), dear()], options={"accept": 1.5})
    with pytest.raises(BadInput, match="cascade@1: one sample always agrees with itself"):
        build_graph("cascade", [cheap(), dear()], n=1)
    assert build_graph("cascade", [sample(cheap(), n=2) | MajorityVote(), dear()], n=1).nodes


async def test_one_sample_is_accepted_by_its_probability() -> None:
    """Of its tokens; where the model tells none, the next one is asked."""

    class Sure(ScriptedModel):
        async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
            token = TokenLogprob(token="4", logprob=log(0.9))
            for slot in slots:
                slot.start(self.name, self.name)
                slot.finish("stop", Usage(), text="The answer is 4.", logprobs=(token,))

    by_probability = {"score": "logprob", "accept": 0.8}
    sure = await build_graph("cascade", [Sure(name="cheap"), dear()], n=1, options=by_probability).answer("How many?")
    assert sure.route == "majority@1/cheap: logprob 0.9, 0.8 needed"
    mute = await build_graph("cascade", [cheap(SURE), dear()], n=1, options=by_probability).answer("How many?")
    assert mute.route == "dear: logprob unknown, 0.8 needed"


async def test_it_goes_on_after_a_crash(tmp_path: Path) -> None:
    """With checkpoints its nodes are LangGraph's, and it answers the same."""
    pytest.importorskip("langgraph")
    graph = build_graph("cascade", [cheap(), dear()], n=3)
    async with Checkpoints(str(tmp_path / "runs.sqlite")) as kept:
        answer = await graph.answer("How many?", seed=1, checkpoints=kept, thread="one")
    assert (answer.route, "7" in answer.text) == ("dear: agreement 0.667, 1 needed", True)


def test_an_impossible_tie_is_refused() -> None:
    """It is a part of the questions."""
    with pytest.raises(BadInput, match="tie=2"):
        Accepted(1.0, tie=2)


async def test_a_selector_may_say_how_sure_an_answer_is(tmp_path: Path) -> None:
    """By its probability, in the options or inside a cascade's own file."""
    selector = TrainedSelector(families=("votes",), terms={"share": Term(mean=0, scale=1, weight=6)}, intercept=-3)
    selector.save(tmp_path / "s.json")
    options = {"score": "selector", "selector": str(tmp_path / "s.json"), "accept": 0.9}
    sure = await build_graph("cascade", [cheap(SURE), dear()], n=3, options=options).answer("How many?", seed=1)
    split = await build_graph("cascade", [cheap(), dear()], n=3, options=options).answer("How many?", seed=1)
    assert sure.route == "majority@3/cheap: selector 0.953, 0.9 needed"
    assert split.route == "dear: selector 0.731, 0.9 needed"
    with pytest.raises(BadInput, match="holds it"):
        TrainedCascade(score="selector", stages=trained().stages)
    whole = TrainedCascade(score="selector", selector=selector, stages=trained().stages)
    whole.save(tmp_path / "c.json")
    assert TrainedCascade.load(tmp_path / "c.json").scorer == SelectorScore(selector)
