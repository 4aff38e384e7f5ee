"""What is put into a bank comes out of it, labelled, and what changed under its name is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.evals.bank import Bank, BankedAgent, BankedItem, BankedSample, SampleRequest, grade
from quorate.evals.bank.recover import is_sound
from quorate.evals.outcome import Outcome
from quorate.evals.task import Item
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question, SamplingParams
from quorate.storage.sqlite import LATER, PARTS
from tests.evals.fakes import Sums

from .banks import filled, sample

ASKED = Question.of("What is 3 + 3?")
AGENT = BankedAgent(id="m~1", name="m", kind="embedded", model="m", fingerprint="1")


def test_a_sample_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every field, also from a reopened file; a second one under its key changes nothing."""
    odd = sample(2, "half a pair \ud83d and a nul \0")
    with Bank(tmp_path) as bank:
        for one in (sample(0), sample(1, "ünïcode ∑"), odd, sample(0, "another")):
            bank.add(one)
    with Bank(tmp_path / "bank.sqlite") as bank:
        assert len(bank) == 3
        assert list(bank)[:2] == [sample(0), sample(1, "ünïcode ∑")]
        assert bank.get(odd.request, 2) is not None
        assert bank.get(odd.request, 3) is None
        assert set(bank.find(odd.request, range(2000))) == {0, 1, 2}
        assert bank.prompt_tokens(odd.request) == 7


def test_a_bank_of_the_first_format_is_gone_on_with(tmp_path: Path) -> None:
    """It gets the columns that came later, and what is in it stays."""
    plain = sample().candidate.model_copy(update={"ensembling": None, "degraded": ()})
    old = sample().model_copy(update={"candidate": plain})
    with Bank(tmp_path) as bank:
        bank.add(old)
        for column in (*LATER, *PARTS):
            bank.store.execute(f"ALTER TABLE samples DROP COLUMN {column}")
        bank.store.execute("PRAGMA user_version=1")
    with Bank(tmp_path) as bank:
        bank.add(sample(1))
        assert [bank.get(old.request, index) for index in (0, 1)] == [old, sample(1)]
    assert is_sound(tmp_path)


@pytest.mark.parametrize(
    ("requests", "mixed"),
    [
        ((1, 1, 1, 1), False),  # each alone
        ((1, 0, 0, 0), False),  # all in one
        ((0, 0, 0), False),  # and the first of them failed
        ((1, 0, 1, 0), True),  # two and two
        ((1, 0, 1, 1), True),  # two, and two alone
    ],
)
def test_samples_of_mixed_requests_are_told(requests: tuple[int, ...], mixed: bool) -> None:
    """A seed does not give them again where they are drawn otherwise."""
    with Bank() as bank:
        for index, asked in enumerate(requests):
            one = sample(index)
            usage = one.candidate.usage.model_copy(update={"requests": asked})
            bank.add(one.model_copy(update={"candidate": one.candidate.model_copy(update={"usage": usage})}))
        bank.add(sample(0, agent="other~1"))
        assert [note[:44] for note in bank.caveats] == ["1 of 1 prompts have samples of m~1 from seve"] * mixed


def test_a_seed_of_none_is_a_key_like_any_other() -> None:
    """Samples without a seed are found again."""
    with Bank() as bank:
        bank.add(sample(seed=None))
        bank.add(sample(seed=0))
        assert len(bank) == 2
        assert bank.get(sample(seed=None).request, 0) == sample(seed=None)


async def test_sets_are_labelled_and_join_the_seeds_of_an_agent() -> None:
    """Renumbered; agents and settings apart; what answers no question of a task is left out."""
    item = Item("sum-3", ASKED, "6", "mod 0")
    with Bank() as bank:
        bank.note_items("sums", [item])
        for seed in (1, 2):
            bank.note_request(SampleRequest("m~1", ASKED.key, seed), ASKED, AGENT)
            bank.add_all([sample(0, "Answer: 6", seed), sample(1, "Answer: 7", seed)])
        warm = ASKED.with_params(temperature=0.5)
        bank.note_request(SampleRequest("m~1", warm.key, 1), warm, AGENT)
        bank.add(sample(0).model_copy(update={"question": warm.key}))
        bank.note_request(SampleRequest("m~1", "other", 1), Question.of("Summarize: ..."), AGENT)
        bank.add(sample(0).model_copy(update={"question": "other"}))
        [plain, warmer] = bank.sets("sums", "m")
        assert plain.correct == (None,) * 4
        assert await grade(bank, Sums(), item, {"6": True}) == 5
        assert await grade(bank, Sums(), item) == 0
        [plain, warmer] = bank.sets(agent="m~1")
        assert [c.index for c in plain.candidates] == [0, 1, 2, 3]
        assert plain.correct == (True, False, True, False)
        assert [c.answer for c in plain.candidates] == ["6", "7", "6", "7"]
        assert (plain.task, plain.item, plain.cluster, plain.gold) == ("sums", "sum-3", "mod 0", "6")
        assert (plain.question, warmer.question) == (ASKED, warm)
        assert not list(bank.sets("others")) + list(bank.sets(agent="n"))


async def test_records_are_what_metrics_work_on() -> None:
    """Classes of equal answers, the grading's marks, tokens; settings told apart by name."""
    with filled(None) as bank:
        records = await bank.records("sums")
    assert (records.questions, list(records.groups)) == (3, ["m"])
    [first, *_] = records.groups["m"]
    assert first.classes in ((0, 1, 0, 1), (1, 0, 1, 0))
    assert first.right == (True, False, True, False)
    assert first.count_tokens(2) == 10


def test_a_changed_prompt_under_the_same_name_is_told_and_kept_apart() -> None:
    """The samples of the earlier wording are not the new question's; going back finds them again."""
    with filled(None) as bank:
        assert not bank.notes
        reworded = [Item(f"sum-{n}", Question.of(f"Add {n} to itself."), str(2 * n)) for n in range(3)]
        bank.note_items("sums", reworded)
        assert "3 questions of task 'sums' read differently" in bank.notes[0]
        assert not list(bank.sets("sums"))
        before = [Item(f"sum-{n}", Question.of(f"What is {n} + {n}?"), str(2 * n), "sums") for n in range(3)]
        bank.note_items("sums", before)
        assert len(list(bank.sets("sums"))) == 3
        assert len(list(bank.items("sums"))) == 3


async def test_a_changed_right_answer_is_told_and_graded_anew() -> None:
    """The samples still serve."""
    with filled(None) as bank:
        item = Item("sum-1", Question.of("What is 1 + 1?"), "3", "sums")
        bank.note_items("sums", [item])
        assert "another right answer" in bank.notes[0]
        await grade(bank, Sums(), item)
        [changed] = [s for s in bank.sets("sums") if s.item == "sum-1"]
        assert changed.correct == (False, True, False, True)


def test_other_weights_under_the_same_name_are_told() -> None:
    """And have a key of their own."""
    with filled(None) as bank:
        other = BankedAgent(id="m~2", name="m", kind="fake", model="m", fingerprint="2")
        bank.note_request(SampleRequest("m~2", ASKED.key, 1), ASKED, other)
        assert "m has other weights than when the bank's 12 samples" in bank.notes[0]


def test_runs_and_their_outcomes(tmp_path: Path) -> None:
    """The latest one's, if none is named; one that was killed has no end."""
    one, two = (Outcome(pipeline="p", item=item, gold="1", correct=True) for item in "ab")
    with Bank(tmp_path) as bank:
        first = bank.start_run("sums", pipelines=["p"], questions=1, settings={"seed": 3})
        bank.add_outcome(first, one)
        bank.finish_run(first)
        second = bank.start_run("sums")
        bank.add_outcome(second, two)
        assert [bool(run.finished) for run in bank.runs()] == [True, False]
        assert (bank.runs()[0].settings, bank.runs()[0].pipelines) == ({"seed": 3}, ("p",))
        assert "python" in bank.runs()[0].versions
        assert (list(bank.outcomes()), list(bank.outcomes(first))) == ([two], [one])


def test_a_revision_and_a_prompt_stand_with_the_question() -> None:
    """As they were noted; the same content has the same hash, in any order."""
    items = [Item("a", ASKED, "6"), Item("b", ASKED.with_messages(*Question.of("What is 4 + 4?").messages), "8")]
    with Bank() as bank:
        content = bank.note_items("sums", items, revision="r1", split="test", prompt="p@1")
        assert content == bank.note_items("sums", items[::-1])
        assert content != bank.note_items("sums", items[:1])
        [first, _] = bank.items()
    assert first == BankedItem(
        task="sums", item="a", question=ASKED, gold="6", split="test", revision="r1", prompt="p@1"
    )


def test_there_is_no_bank(tmp_path: Path) -> None:
    """Told, and none is made."""
    with pytest.raises(BadInput, match="there is no sample bank"):
        Bank(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be made a folder"):
        Bank(tmp_path / "file")


def test_a_failed_write_leaves_nothing_behind() -> None:
    """Not even a remembered number of a request that was taken back."""
    with Bank() as bank:
        with pytest.raises(AttributeError):
            bank.add_all([sample(), None])  # type: ignore[list-item]
        assert len(bank) == 0
        bank.add(sample(agent="n~1"))
        bank.add(sample())
        assert sorted(drawn.agent for drawn in bank) == ["m~1", "n~1"]


def test_sampling_settings_are_kept_without_the_seed() -> None:
    """They are told for every set."""
    asked = ASKED.model_copy(update={"sampling": SamplingParams(temperature=0.7, seed=5)})
    with Bank() as bank:
        bank.note_items("sums", [Item("a", ASKED, "6")])
        bank.note_request(SampleRequest("m~1", asked.key, 1), asked, AGENT)
        bank.add(BankedSample(agent="m~1", question=asked.key, seed=1, index=0, candidate=sample().candidate))
        [only] = bank.sets()
    assert only.question.sampling == SamplingParams(temperature=0.7)
