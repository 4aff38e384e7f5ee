"""A trained selector at work."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators.learned.selector import ConformalThreshold, SelectorVote, TrainedSelector
from quorate.aggregators.learned.selector.model import Term
from quorate.aggregators.registry import build_pipeline
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer, QuorateError
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.types import Answer, Candidate, Question
from tests.aggregators.helpers import Exact, aggregated, failed, tallied
from tests.orchestrator.fakes import Texts

from .sets import said


def learned(*families: str, abstention: ConformalThreshold | None = None, **weights: float) -> TrainedSelector:
    """A selector that someone made by hand; __ stands for a colon."""
    terms = {n.replace("__", ":"): Term(mean=0.0, scale=1.0, weight=w) for n, w in weights.items()}
    return TrainedSelector(families=families, terms=terms, intercept=-1.0, abstention=abstention)


TRUSTING = learned("votes", "models", share=1.0, model__able=4.0, model__weak=0.0)


def vote(selector: TrainedSelector = TRUSTING, **settings: object) -> SelectorVote:
    return SelectorVote(selector, equivalence=Exact(), **settings)  # type: ignore[arg-type]


def by_name(models: tuple[Texts, ...], **options: object) -> Pipeline:
    return build_pipeline("selector", models, n=4, options=options)


def codes(answer: Answer) -> list[str]:
    return [note.code for note in answer.degraded]


async def test_the_most_probable_class_wins() -> None:
    """Against more votes; the weights are probabilities, and the text is a candidate's."""
    answer = await aggregated(vote(), [said(0, "1", "able"), said(1, "2", "weak"), said(2, "2", "weak")])
    assert (answer.answer, answer.text, codes(answer)) == ("1", "I say 1", [])
    assert [(c.answer, c.votes) for c in answer.tally] == [("1", 1), ("2", 2)]
    assert answer.tally[0].weight == pytest.approx(1 / (1 + 2.718281828 ** -(4 + 1 / 3 - 1)))


MEMBERS = st.lists(
    st.tuples(st.sampled_from(["1", "2", "3"]) | st.none(), st.sampled_from(["able", "weak", "new"])),
    min_size=1,
    max_size=7,
)


@given(MEMBERS, st.randoms(use_true_random=False))
async def test_the_order_of_the_candidates_does_not_matter(
    members: list[tuple[str | None, str]], shuffler: random.Random
) -> None:
    """The same answer, tally and notes for the same seed."""
    candidates = [said(i, answer, model) for i, (answer, model) in enumerate(members)]
    shuffled = list(candidates)
    shuffler.shuffle(shuffled)
    first, second = await aggregated(vote(), candidates), await aggregated(vote(), shuffled)
    assert first.replace(candidates=()) == second.replace(candidates=())


async def test_models_it_has_never_seen_leave_the_vote() -> None:
    """Where they are most of the candidates; a few are only counted. Both are told."""
    few = await aggregated(vote(), [said(0, "1", "able"), said(1, "2", "weak"), said(2, "2", "new")])
    assert (few.answer, codes(few)) == ("1", ["unknown_model"])
    most = await aggregated(vote(), [said(0, "1", "able"), said(1, "2", "new"), said(2, "2", "newer")])
    assert (most.answer, codes(most)) == ("2", ["selector_fell_back"])
    assert "2 of 3 candidates are of models it has never seen" in most.degraded[0].detail


async def test_features_that_are_missing_leave_the_vote() -> None:
    """With what would be needed."""
    sure = vote(learned("votes", "confidence", surest=5.0))
    answer = await aggregated(sure, [said(0, "1"), said(1, "2"), said(2, "2")])
    assert (answer.answer, codes(answer)) == ("2", ["selector_fell_back"])
    assert "'confidence' need log-probabilities" in answer.degraded[0].detail
    with_them = [said(0, "1", logprob=-0.1), said(1, "2", logprob=-2.0), said(2, "2", logprob=-2.0)]
    assert (await aggregated(sure, with_them)).answer == "1"


class Scores:
    """A verifier that likes one answer, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.closed = error, False

    async def score(self, question: Question, candidate: Candidate, run: RunContext) -> float:
        if self.error is not None:
            raise self.error
        return 5.0 if candidate.answer == "1" else 0.0

    async def aclose(self) -> None:
        self.closed = True


async def test_a_verifier_gives_the_scores() -> None:
    """It is needed when the selector is built; when it fails, the vote answers."""
    rewarded = learned("reward", best_reward=3.0)
    candidates = [said(0, "1"), said(1, "2"), said(2, "2")]
    with pytest.raises(BadInput, match="give it a verifier"):
        vote(rewarded)
    verifier = Scores()
    selector = vote(rewarded, verifier=verifier)
    assert (await aggregated(selector, candidates)).answer == "1"
    await selector.aclose()
    assert verifier.closed
    broken = await aggregated(vote(rewarded, verifier=Scores(QuorateError("no luck"))), candidates)
    assert (broken.answer, codes(broken)) == ("2", ["selector_fell_back"])


async def test_it_abstains_where_it_is_told_to() -> None:
    """The answer is none and marked, the text stays; without a threshold that is refused."""
    careful = TRUSTING.model_copy(update={"abstention": ConformalThreshold(risk=0.1, threshold=0.6, questions=20)})
    unsure = [said(0, "1", "weak"), said(1, "2", "weak")]
    answer = await aggregated(vote(careful, abstain=True), unsure)
    assert (answer.answer, codes(answer)) == (None, ["tied", "unsure"])
    assert answer.text.startswith("I say")
    assert (await aggregated(vote(careful), unsure)).answer is not None
    assert (await aggregated(vote(careful, abstain=True), [said(0, "1", "able"), *unsure[1:]])).answer == "1"
    with pytest.raises(BadInput, match="no threshold"):
        vote(abstain=True)


async def test_all_abstaining_and_all_failed_are_as_in_the_vote() -> None:
    """A text with a mark, and an error."""
    answer = await aggregated(vote(), [said(0, None, "able"), failed(1)])
    assert (answer.answer, codes(answer)) == (None, ["all_abstained"])
    with pytest.raises(NoAnswer):
        await aggregated(vote(), [failed(0)])


async def test_while_samples_come_votes_are_counted() -> None:
    """So stopping rules work with it."""
    tally = await tallied(vote(), [said(0, "1", "able"), said(1, "2", "weak"), said(2, "2", "weak")])
    assert [(c.answer, c.weight) for c in tally] == [("2", 2.0), ("1", 1.0)]


async def test_it_is_a_pipeline(tmp_path: Path) -> None:
    """By its name, from a file; without one it says how to get it."""
    TRUSTING.save(tmp_path / "s.json")
    models = (Texts("\\boxed{7}", name="able"), Texts("\\boxed{8}", name="weak"))
    assert (await by_name(models, file=str(tmp_path / "s.json")).answer("What?", seed=1)).answer == "7"
    with pytest.raises(BadInput, match="quorate train selector"):
        by_name(models)


def test_a_selector_that_reads_confidence_asks_for_it(tmp_path: Path) -> None:
    """Log-probabilities of the tokens written."""
    learned("confidence", surest=1.0).save(tmp_path / "s.json")
    pipeline = by_name((Texts("x"),), file=str(tmp_path / "s.json"))
    assert pipeline.stage.sampling.top_logprobs == 0
