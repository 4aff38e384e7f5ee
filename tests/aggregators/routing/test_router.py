"""Routers: what they see of a question, what they learn, whom they send it to, and when they had better not choose."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from quorate.aggregators.meaning.embedded import Embedder
from quorate.aggregators.registry import build_graph
from quorate.aggregators.routing import words
from quorate.aggregators.routing.router import Kind, Objective, RoutedModel, TrainedRouter
from quorate.aggregators.routing.router_training import (
    RoutedQuestion,
    RouterSettings,
    embed_questions,
    fit_router,
    keep_neighbours,
    mix_models,
    route_out_of_fold,
)
from quorate.aggregators.routing.words import FEATURES, compute_features, count_words, weigh_words
from quorate.aggregators.specs import EmbedderConfig
from quorate.config.models import PackageProviders
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import Failure, Question
from quorate.testing import ScriptedModel

PRICES: dict[str, float | None] = {"sums": 1.0, "words": 1.0}


def material(count: int, *, told: bool, seed: int = 0) -> list[RoutedQuestion]:
    """Sums and questions about words; one model is right on each kind, or both by chance alone."""
    rng = random.Random(seed)
    found = []
    for i in range(count):
        kind = rng.choice(["sums", "words"])
        text = f"How much is {rng.randint(1, 99)} + {rng.randint(1, 99)}?" if kind == "sums" else "Which word rhymes?"
        right = {name: float(rng.random() < ((0.9 if name == kind else 0.2) if told else 0.6)) for name in PRICES}
        found.append(RoutedQuestion(f"q{i}", f"q{i}", Question.of(text), right, PRICES, {}))
    return found


def test_a_router_learns_which_model_answers_which_question() -> None:
    """Out of fold it is nearly as good as each is on its own kind."""
    picks = route_out_of_fold(material(300, told=True))
    assert sum(pick.right for pick in picks) / 300 > 0.8
    assert all(pick.chosen == ("sums" if "much" in pick.question.question.text else "words") for pick in picks)


def test_a_router_that_has_nothing_to_find_is_the_best_single_model() -> None:
    """On panels where the question tells nothing: never below the better model by more than .005, as it is that."""
    for seed in range(4):
        questions = material(240, told=False, seed=seed)
        learned = fit_router(questions)
        if not learned.kinds:
            texts = [question.question.text for question in questions]
            assert {next(iter(learned.expect(text, list(learned.models)))) for text in texts} == {learned.best}
    kinds = [len(fit_router(material(240, told=False, seed=seed)).kinds) for seed in range(6)]
    assert kinds.count(0) >= 5


def pairs(count: int) -> list[RoutedQuestion]:
    """Who is right follows from two words together, and from neither alone."""
    rng, left, right = random.Random(3), [f"le{i}" for i in range(8)], [f"ri{i}" for i in range(8)]
    winner = {(a, b): rng.choice(["sums", "words"]) for a in left for b in right}
    found = []
    for i in range(count):
        a, b = rng.choice(left), rng.choice(right)
        marks = {name: float(rng.random() < (0.9 if winner[a, b] == name else 0.1)) for name in PRICES}
        found.append(RoutedQuestion(f"q{i}", f"q{i}", Question.of(f"{a} {b}"), marks, PRICES, {}))
    return found


def test_neighbours_decide_where_words_by_themselves_say_nothing(tmp_path: Path) -> None:
    """They are chosen on questions not trained on, kept in the file, and left out of it where they say no more."""
    learned = fit_router(pairs(600))
    assert sum(kind.share for kind in learned.kinds if kind.by == "neighbours") > 0.5
    picks = route_out_of_fold(pairs(600))
    assert sum(pick.right for pick in picks) / 600 > 0.65
    learned.save(tmp_path / "r.json")
    again = TrainedRouter.load(tmp_path / "r.json")
    assert again.chances("le1 ri2") == learned.chances("le1 ri2")
    assert fit_router(material(300, told=True)).neighbours is None
    content = json.loads((tmp_path / "r.json").read_text())
    del content["neighbours"]
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="decided by neighbours, and there are none"):
        TrainedRouter.load(tmp_path / "r.json")


def test_the_nearest_neighbour_is_the_question_itself() -> None:
    """By cosine, rare words weighing more; a question like none has the rates."""
    near = keep_neighbours(pairs(60), seed=0)
    asked = pairs(60)[7].question.text
    place, cosine = near.find(asked)[0]
    assert pairs(60)[place].question.text == asked
    assert cosine == pytest.approx(1)
    assert near.chances("nothing of the kind", {"sums": 0.3, "words": 0.6}) == {"sums": 0.3, "words": 0.6}


class Parity:
    """An embedder that sees what no word shows: whether a number is even."""

    name = "parity"

    def __init__(self, size: int = 2) -> None:
        self.size, self.texts = size, list[str]()

    async def embed(self, texts: Sequence[str], run: RunContext) -> list[list[float]]:
        self.texts += texts
        return [[1.0, 1.0 if int(text) % 2 else -1.0, 0.0][: self.size] for text in texts]

    async def aclose(self) -> None:
        """Nothing is open."""


async def test_embeddings_decide_where_they_say_more(tmp_path: Path) -> None:
    """In training by an embedder, and by the same one on each question; without its vector the kind decides."""
    rng, questions = random.Random(5), list[RoutedQuestion]()
    for i in range(300):
        number = rng.randint(1000, 9999)
        marks = {name: float((number % 2 == 0) == (name == "sums")) for name in PRICES}
        questions.append(RoutedQuestion(f"q{i}", f"q{i}", Question.of(str(number)), marks, PRICES, {}))
    run, config = RunContext(), EmbedderConfig(folder="minilm")
    learned = fit_router(await embed_questions(questions, Parity(), run), RouterSettings(embedder=config))
    assert [kind.by for kind in learned.kinds] == ["meaning"] * len(learned.kinds)
    learned.save(tmp_path / "r.json")
    asked = Parity()

    class Providers(PackageProviders):
        def embedder(self, config: EmbedderConfig) -> Embedder:
            assert config.folder == "minilm"
            return asked

    graph = build_graph("route", models(), options={"file": str(tmp_path / "r.json")}, providers=Providers())
    routes = [(await graph.answer(text)).route or "" for text in ("4444", "4443")]
    assert [route.split(":")[0] for route in routes] == ["sums", "words"]
    assert asked.texts == ["4444", "4443"]
    asked.size = 1
    lost = (await graph.answer("4444")).route or ""
    assert "its embedding is not 2 finite numbers, as in training" in lost
    with pytest.raises(BadInput, match="gives vectors of 0 numbers"):
        await embed_questions(questions, Parity(0), run)
    assert fit_router(questions).embedder is None


def test_a_budget_finds_the_weight_of_money() -> None:
    """As much as it says is spent on questions of the same kind, and more is right than at random."""
    rng = random.Random(1)
    hard = [rng.random() < 0.5 for _ in range(400)]
    questions = [
        RoutedQuestion(
            f"q{i}",
            f"q{i}",
            Question.of("Prove that the sum is even." if is_hard else "Name a colour."),
            {"cheap": float(not is_hard), "dear": 1.0},
            {"cheap": 0.0, "dear": 1.0},
            {},
        )
        for i, is_hard in enumerate(hard)
    ]
    picks = route_out_of_fold(questions, RouterSettings(budget=0.55))
    assert sum(pick.chosen == "dear" for pick in picks) / 400 == pytest.approx(sum(hard) / 400, abs=0.02)
    assert sum(pick.right for pick in picks) == 400
    assert sum(pick.rival_right for pick in picks) < 330
    with pytest.raises(BadInput, match="a budget needs the price of every model"):
        fit_router([RoutedQuestion(q.id, q.id, q.question, q.right) for q in questions], RouterSettings(budget=0.5))


def test_the_best_without_looking_is_a_mixture_of_two() -> None:
    """In the shares that keep the budget; one model where that is better, and an error where none is cheap enough."""
    models = {
        "a": RoutedModel(rate=0.5, money=0),
        "b": RoutedModel(rate=0.9, money=10),
        "c": RoutedModel(rate=0.4, money=4),
    }
    learned = TrainedRouter(models=models, best="b")
    assert mix_models(learned, None) == {"b": 1.0}
    assert mix_models(learned, 2.5) == {"a": 0.75, "b": 0.25}
    assert mix_models(learned, 20) == {"b": 1.0}
    with pytest.raises(BadInput, match="even the cheapest model takes"):
        mix_models(TrainedRouter(models={"b": models["b"], "c": models["c"]}, best="b"), 2)


def test_files_are_read_again_as_they_were(tmp_path: Path) -> None:
    """With the same chances; a feature that this version does not have is refused."""
    learned = fit_router(material(200, told=True))
    learned.save(tmp_path / "r.json")
    again = TrainedRouter.load(tmp_path / "r.json")
    assert again.chances("How much is 3 + 4?") == learned.chances("How much is 3 + 4?")
    content = json.loads((tmp_path / "r.json").read_text())
    content["features"]["colour"] = {"mean": 0, "scale": 1}
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="uses colour"):
        TrainedRouter.load(tmp_path / "r.json")
    del content["features"]["colour"]
    for broken in ({"rates": {"sums": float("nan"), "words": 1}}, {"rates": {"sums": 2, "words": 1}}):
        kinds = [content["kinds"][0] | broken]
        (tmp_path / "r.json").write_text(json.dumps(content | {"kinds": kinds}))
        with pytest.raises(DataError, match=r"kinds\.0\.rates\.sums"):
            TrainedRouter.load(tmp_path / "r.json")
    content["models"]["sums"]["words"]["rhymes"] = float("nan")
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"models\.sums\.words\.rhymes"):
        TrainedRouter.load(tmp_path / "r.json")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "router.json"
    fit_router(material(300, told=True)).save(path)
    return str(path)


def models() -> list[ScriptedModel]:
    return [ScriptedModel(["The answer is 7."], name="sums"), ScriptedModel(["The answer is day."], name="words")]


async def test_a_route_asks_the_model_that_fits(file: str) -> None:
    """And says why."""
    graph = build_graph("route", models(), options={"file": file})
    some = await graph.answer("How much is 3 + 4?")
    other = await graph.answer("Which word rhymes?")
    assert ("7" in some.text, "day" in other.text) == (True, True)
    assert some.route is not None
    assert some.route.startswith("sums: chance to be right: sums 0.")
    assert [visit.node for visit in other.path] == ["route", "words"]


async def test_an_objective_may_be_given_for_one_route(file: str) -> None:
    """Where money counts and one model is free, it is asked; an objective about what nobody knows is refused."""
    learned = TrainedRouter.load(file)
    free = learned.models["sums"].model_copy(update={"money": 0.0})
    learned.model_copy(update={"models": {**learned.models, "sums": free}}).save(file)
    graph = build_graph("route", models(), options={"file": file, "objective": Objective(money=-5)})
    assert "7" in (await graph.answer("Which word rhymes?")).text
    with pytest.raises(BadInput, match="the router knows no size of sums"):
        build_graph("route", models(), options={"file": file, "objective": {"size": -1}})


async def test_a_model_that_is_down_is_passed_over(file: str) -> None:
    """The next best one is asked."""

    class Down(ScriptedModel):
        available = False

    graph = build_graph("route", [Down(["7"], name="sums"), models()[1]], options={"file": file})
    assert "day" in (await graph.answer("How much is 3 + 4?")).text


async def test_the_two_best_vote(tmp_path: Path) -> None:
    """Four samples, dealt over them."""
    rates = {"a": 0.1, "b": 0.8, "c": 0.7}
    kind = Kind(tests=(), rates=rates, share=1.0)
    three = TrainedRouter(models={n: RoutedModel(rate=r) for n, r in rates.items()}, best="b", kinds=(kind,))
    three.save(tmp_path / "r.json")
    asked = [ScriptedModel([f"The answer is {name}."], name=name) for name in "abc"]
    answer = await build_graph("route-top2", asked, options={"file": str(tmp_path / "r.json")}).answer("Who?", seed=1)
    assert sorted(c.model for c in answer.candidates) == ["b", "b", "c", "c"]
    with pytest.raises(BadInput, match="route-top2 chooses 2 of its models"):
        build_graph("route-top2", asked[:2], options={"file": str(tmp_path / "r.json")})


def test_what_cannot_be_built_is_refused(file: str) -> None:
    """No file, a model that the router does not know, one model alone; and a bank of one model."""
    with pytest.raises(BadInput, match="route needs a trained router"):
        build_graph("route", models())
    with pytest.raises(BadInput, match="trained for sums, words, and knows nothing of other"):
        build_graph("route", [*models(), ScriptedModel(name="other")], options={"file": file})
    with pytest.raises(BadInput, match="route chooses 1 of its models, and there is sums"):
        build_graph("route", models()[:1], options={"file": file})
    alone = [RoutedQuestion(q.id, q.id, q.question, {"sums": 1.0}) for q in material(30, told=True)]
    with pytest.raises(BadInput, match="graded answers of sums alone"):
        fit_router(alone)
    few = material(30, told=True)
    with pytest.raises(BadInput, match=r"of sums alone: .*; asked too few of 40 questions: words 10"):
        fit_router([*few[:10], *alone])
    with pytest.raises(BadInput, match=r"15 of 15 questions have graded answers of all of sums, words: .* needs 20"):
        fit_router(few[:15])


def test_features_are_numbers_of_any_text() -> None:
    """Odd ones too; words that occur in fewer than three texts are not looked at."""
    for text in ("", "\ud800", "a" * 100_000, "1.5 + 2 = ?\nA) one\nB) two\n```def f(x): return {x}```"):
        assert all(isinstance(value, float) for value in compute_features(text).values())
    assert set(compute_features("")) == set(FEATURES)
    assert count_words(["a b", "a b", "a c", "a c", "c"], 10) == ("a", "c")
    assert sum(value**2 for value in weigh_words("b a a x", {"a": 0, "b": 1}).values()) == pytest.approx(1)


def test_options_are_counted_among_any_number_of_empty_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """In time that does not grow with the square of their number."""
    monkeypatch.setattr(words, "MOST_READ", 200_000)
    empty = " \n" * 80_000
    assert compute_features(f"{empty}A) one\n{empty} (B) two\nC")["options"] == 1
    assert compute_features(f"Which?\n\n\t(A) one\n \n\xa0B. two\n{empty}")["options"] == 2


async def test_a_model_may_name_the_task() -> None:
    """By what is said of each; a reply that names nobody, or an error, goes to the first."""
    replies = iter(range(4))
    namer = ScriptedModel(lambda *_: ["Sums. Choice: 1", "Rhymes.\nChoice: **2**", "Who?", "Choice: 9"][next(replies)])
    options = {"about": {"sums": "arithmetic", "words": "language"}}
    graph = build_graph("route", models(), options=options, aggregator_model=namer)
    routes = [(await graph.answer(f"Question {i}")).route for i in range(4)]
    assert routes == [
        "sums: Sums.",
        "words: Rhymes.",
        "sums: the reply names none of them",
        "sums: the reply names none of them",
    ]
    assert "2. words: language" in namer.asked[0].text
    down = ScriptedModel([Failure(code="upstream_timeout", message="down")], name="namer")
    broken = build_graph("route", models(), options=options, aggregator_model=down)
    assert "could not be named" in ((await broken.answer("Why?")).route or "")
    with pytest.raises(BadInput, match="says something of lost"):
        build_graph("route", models(), options={"about": {"lost": "x"}})


async def test_the_question_may_be_reworded_for_the_model_that_was_chosen(file: str) -> None:
    """What it costs is booked; a writer that says nothing leaves the question as it was, marked."""
    sums, words = models()
    options = {"file": file, "rewrite": True, "about": {"sums": "arithmetic"}}
    writer = ScriptedModel(["Compute 3 + 4."], name="writer")
    answer = await build_graph("route", [sums, words], options=options, aggregator_model=writer).answer(
        "How much is 3 + 4?"
    )
    assert (sums.asked[0].text, "arithmetic" in writer.asked[0].text) == ("Compute 3 + 4.", True)
    assert {entry.model for entry in answer.nodes} == {"sums", "writer"}
    silent = build_graph("route", models(), options=options, aggregator_model=ScriptedModel([" "], name="writer"))
    answer = await silent.answer("How much is 3 + 4?")
    assert [note.code for note in answer.degraded] == ["fallback_used"]
