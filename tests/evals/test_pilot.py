"""A pilot: who should draft, what each model should weigh, and whether writing together is worth it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from quorate.aggregators.registry import ENSEMBLES
from quorate.evals.pilot import PRIOR, pilot
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.tokens import Draft, DraftAsk
from quorate.testing import ScriptedModel

from .saying import Saying, saying

pytest.importorskip("numpy")
pytest.importorskip("tokenizers")
pytest.importorskip("statsmodels")

COUNT = 12
QUESTIONS = [f"Number {n}?" for n in range(COUNT)]
GOLD = [str(n) for n in range(COUNT)]


def first(count: int) -> list[bool]:
    """Right on the first questions."""
    return [n < count for n in range(COUNT)]


def clocked(monkeypatch: pytest.MonkeyPatch, seconds: Sequence[float]) -> None:
    """Every system takes so long, in the order in which they are asked."""
    ticks = iter([tick for second in seconds for tick in (0.0, second)])
    monkeypatch.setattr("quorate.evals.pilot.perf_counter", lambda: next(ticks))


async def test_accuracies_make_weights_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares of right answers, shrunk towards their mean; the able one drafts although the other is quicker."""
    clocked(monkeypatch, [9.0, 1.0])
    found = await pilot([saying("able", first(9)), saying("quick", first(1))], QUESTIONS, gold=GOLD)
    assert [(m.name, m.score.value) for m in found.members] == [("able", 9 / 12), ("quick", 1 / 12)]
    assert all(m.score.low < m.score.value < m.score.high for m in found.members)
    mean = 5 / 12
    able, quick = (9 + PRIOR * mean) / (12 + PRIOR), (1 + PRIOR * mean) / (12 + PRIOR)
    assert [m.weight for m in found.members] == pytest.approx([able / (able + quick), quick / (able + quick)])
    assert found.weights == {"able": 0.5, "quick": 0.5}
    assert (found.drafter, found.name, found.worth) == ("able", "safe/able+quick", "untried")
    assert found.members[0].speed == pytest.approx(found.members[0].tokens * COUNT / 9.0)
    [pair] = found.agreements
    assert pair.same.value == 4 / 12  # on one both are right, on three both are wrong by as much


async def test_of_equals_the_quickest_drafts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine and eight of twelve are not resolved, so speed decides."""
    clocked(monkeypatch, [9.0, 1.0])
    found = await pilot([saying("able", first(9)), saying("quick", first(8))], QUESTIONS, gold=GOLD)
    assert list(found.weights) == ["quick", "able"]
    assert [m.name for m in found.members] == ["able", "quick"]


async def test_the_pipeline_can_be_pasted() -> None:
    """The YAML is a pipeline with the drafter first, whose weights the recipe takes."""
    import yaml

    found = await pilot([saying("able", first(9)), saying("weak", first(1))], QUESTIONS, gold=GOLD)
    found = found.model_copy(update={"weights": {m.name: m.weight for m in found.members}})
    team = yaml.safe_load(found.yaml)["pipelines"]["team"]
    assert team["models"][0] == "able"
    options = ENSEMBLES[team["pipeline"]].check_options(team["options"])
    assert dict(options.weights) == pytest.approx(dict(found.weights), abs=1e-3)  # type: ignore[attr-defined]


async def test_trials_find_what_scores_cannot_tell() -> None:
    """Two specialists, each sure where it is right, solve all together: with equal weights, not with their scores'."""
    models = [saying("a", first(8)), saying("b", [not right for right in first(8)])]
    found = await pilot(models, QUESTIONS, gold=GOLD, trials=True)
    assert {trial.drafter for trial in found.trials} == {"a", "b"}
    assert len(found.trials) == 4
    equal = {"a": 0.5, "b": 0.5}
    assert all((trial.accuracy.value == 1.0) == (trial.weights == equal) for trial in found.trials)
    assert all(0 < trial.share < 1 for trial in found.trials)
    assert found.worth == "yes"
    assert found.weights == equal
    assert "weights" not in found.yaml
    assert found.trials[0].gain.difference == pytest.approx(4 / 12)


async def test_luck_does_not_change_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all ensembles solve as much, equal weights stay, although others were quicker; then speed decides."""
    clocked(monkeypatch, [5.0, 5.0, 4.0, 1.0, 3.0, 1.0])
    found = await pilot([saying("able", first(12)), saying("more", first(9))], QUESTIONS, gold=GOLD, trials=True)
    assert len({trial.accuracy.value for trial in found.trials}) == 1
    assert found.weights == {"able": 0.5, "more": 0.5}
    assert found.drafter == "more"


async def test_trials_that_lose_are_told() -> None:
    """A model that is wrong and sure beside one that is right and unsure: together they do worse."""
    right = Saying("right", {q: (f"Answer: {g}", 0.45) for q, g in zip(QUESTIONS, GOLD, strict=True)})
    wrong = Saying("wrong", {q: (f"Answer: {int(g) + 10}", 0.95) for q, g in zip(QUESTIONS, GOLD, strict=True)})
    found = await pilot([right, wrong], QUESTIONS, gold=GOLD, trials=True)
    equal = [trial for trial in found.trials if len(set(trial.weights.values())) == 1]
    assert all(trial.accuracy.value == 0.0 for trial in equal)
    assert all(trial.gain.high < 0 for trial in equal)
    assert found.trials[0].accuracy.value >= found.trials[-1].accuracy.value


async def test_without_labels_agreement_tells() -> None:
    """Of four models the one that the others agree with most is the ablest and weighs most."""
    models = [
        saying("third", [n % 3 == 0 for n in range(COUNT)], error=20),
        saying("half", [n % 2 == 0 for n in range(COUNT)], error=40),
        saying("most", [n % 4 != 0 for n in range(COUNT)], error=60),
        saying("able", [True] * COUNT),
    ]
    found = await pilot(models, QUESTIONS)
    assert not found.labelled
    assert found.members[0].name == "able"
    assert all(0 < m.score.low <= m.score.value <= m.score.high <= 1 for m in found.members)
    assert found.members[0].weight == max(m.weight for m in found.members)
    assert found.notes == ()
    assert found.members[0].score.value > 0.9
    pair = await pilot(models[:2], QUESTIONS)
    assert "two models" in pair.notes[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"models": 1}, "at least 2, not 1"),
        ({"questions": []}, "needs questions"),
        ({"gold": GOLD[:-1]}, "11 gold answers for 12 questions"),
        ({"gold": [*GOLD[:2], None, *GOLD[3:]]}, r"question 3 has no gold answer \(1 of 12"),
        ({"gold": ["no"] * COUNT}, "no model solved any of 12 questions"),
        ({"gold": None, "trials": True}, "trials compare right answers"),
        ({"clusters": ["one"]}, "1 clusters for 12"),
        ({"at_once": 0}, "at least 1 answer"),
    ],
)
async def test_what_makes_no_pilot_is_refused(change: dict[str, Any], words: str) -> None:
    """One error that names what, where and the fix."""
    models = [saying("a", first(3)), saying("b", first(4))][: change.pop("models", 2)]
    given = {"gold": GOLD, **change}
    with pytest.raises(BadInput, match=words):
        await pilot(models, given.pop("questions", QUESTIONS), **given)


async def test_models_that_make_no_pilot_are_refused() -> None:
    """Named twice, not to be asked token by token, without any answer in their texts, or failing throughout."""
    with pytest.raises(BadInput, match="named once"):
        await pilot([saying("a", first(3)), saying("a", first(4))], QUESTIONS)
    with pytest.raises(BadInput, match="'chat' cannot be asked token by token"):
        await pilot([saying("a", first(3)), ScriptedModel(["4"], name="chat")], QUESTIONS)
    mute = [Saying(name, dict.fromkeys(QUESTIONS, (" ", 0.9))) for name in "ab"]
    with pytest.raises(BadInput, match="no answer was found in any of 24 texts"):
        await pilot(mute, QUESTIONS, gold=GOLD)
    short = saying("short", first(3))
    short.context = 2
    with pytest.raises(NoAnswer, match="shorten it"):
        await pilot([saying("a", first(3)), short], QUESTIONS)


async def test_loading_a_model_is_not_its_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the clock starts, the system has been opened and has answered."""
    models = [saying("able", first(9)), saying("quick", first(8))]
    asked: list[str] = []
    ticks: list[list[str]] = []

    def heard(model: Saying) -> None:
        draft = model.draft

        async def told(asks: Sequence[DraftAsk]) -> Sequence[Draft]:
            asked.append(model.name)
            return await draft(asks)

        monkeypatch.setattr(model, "draft", told)

    for model in models:
        heard(model)

    def tick() -> float:
        ticks.append(sorted(set(asked)))
        return float(len(ticks))

    monkeypatch.setattr("quorate.evals.pilot.perf_counter", tick)
    await pilot(models, QUESTIONS, gold=GOLD)
    assert ticks == [["able"], ["able"], ["able", "quick"], ["able", "quick"]]
