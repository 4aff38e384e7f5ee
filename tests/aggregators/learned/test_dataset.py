"""The training set: wording as in serving, a split without leaks, a card, and broken files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators import SteppedAggLM
from quorate.aggregators.learned.cutting import Cut
from quorate.aggregators.learned.dataset import build_dataset, read_dataset
from quorate.aggregators.learned.settings import TrainingSettings, read_settings
from quorate.aggregators.synthesis.agglm import Line, merge_steps
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import Question, Sampled
from quorate.testing import ScriptedModel

from .sets import many, sampled

HOW = TrainingSettings(form="steps", cut=Cut(m=4, deals=2), validation=0.2)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 20), unseen=st.integers(0, 3))
async def test_no_question_is_on_two_sides_and_no_unseen_family_is_trained_on(seed: int, unseen: int) -> None:
    """Whatever the seed and the number of families held out."""
    data = await build_dataset(many(18, 5), HOW.model_copy(update={"seed": seed, "unseen_families": unseen}))
    sides = (data.train, data.validation, data.unseen)
    items = [{r.item for r in side} for side in sides]
    assert not items[0] & items[1] | items[0] & items[2] | items[1] & items[2]
    assert len({r.cluster for r in data.unseen}) == unseen
    assert not {r.cluster for r in data.unseen} & {r.cluster for side in sides[:2] for r in side}
    assert data.train
    assert data.validation


async def test_a_single_question_cannot_be_split() -> None:
    """The message says so."""
    with pytest.raises(DataError, match="one question only"):
        await build_dataset([sampled("q", [4, 5, 5, 5] * 4)], HOW)


async def test_holding_out_every_family_is_refused() -> None:
    """By the setting's name."""
    with pytest.raises(DataError, match="unseen_families=4"):
        await build_dataset(many(8, 4), HOW.model_copy(update={"unseen_families": 4}))


async def test_training_reads_what_serving_asks() -> None:
    """The prompt of a set is, up to the order of the attempts, the one that the pipeline would send."""
    how = TrainingSettings(form="steps", cut=Cut(m=4, easy_share=None))
    data = await build_dataset([sampled("a", [4] * 4), sampled("b", [5] * 4)], how)
    asked: list[Question] = []
    model = ScriptedModel(lambda question, _: asked.append(question) or "Answer: 4")  # type: ignore[func-returns-value]
    row = (*data.train, *data.validation)[0]
    source = next(s for s in (sampled("a", [4] * 4), sampled("b", [5] * 4)) if s.item == row.item)
    await SteppedAggLM(model).aggregate(source.question, Sampled(candidates=source.candidates), RunContext(seed=1))
    (served,) = asked
    (trained,) = row.prompt
    assert sorted(trained["content"].splitlines()) == sorted(served.messages[-1].text.splitlines())


def test_merge_steps_counts_equal_lines_of_a_step() -> None:
    """The commonest first, then by their text; shorter ones simply end; empty lines do not count."""
    steps = merge_steps(["a\n\nb\nc", "a\nx", "a\nx"])
    assert [[(line.count, line.text) for line in step] for step in steps] == [
        [(3, "a")],
        [(2, "x"), (1, "b")],
        [(1, "c")],
    ]
    assert merge_steps([]) == ()
    assert len(merge_steps("abcdef")[0]) < len(merge_steps("abcdef", None)[0]) == 6
    assert merge_steps("aaaab") == ((Line("a", 4),),)
    assert merge_steps("aaab") == ((Line("a", 3), Line("b", 1)),)


@given(st.permutations(["a: 1\nb: 2", "a: 1\nb: 3", "a: 4\nc: 5", "d: 6"]))
def test_the_order_of_the_responses_changes_nothing(responses: list[str]) -> None:
    """Equally common lines stand in the order of their text."""
    assert merge_steps(responses) == merge_steps(sorted(responses))


@given(st.lists(st.text(st.sampled_from("ab\n"), max_size=8), min_size=1, max_size=5))
def test_merge_steps_keeps_every_line(responses: list[str]) -> None:
    """With all lines shown, the counts of a step add up to the responses that reach it."""
    rows = [[line for line in r.splitlines() if line.strip()] for r in responses]
    for at, step in enumerate(merge_steps(responses, None, None)):
        assert sum(line.count for line in step) == sum(at < len(row) for row in rows)


async def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Rows and facts, and the card names the proposers and the split."""
    data = await build_dataset(many(), HOW)
    data.write(tmp_path)
    assert read_dataset(tmp_path) == data
    card = (tmp_path / "README.md").read_text()
    assert "proposer" in card
    assert f"{len(data.train)} sets" in card


async def test_a_broken_line_is_named(tmp_path: Path) -> None:
    """File, line and field."""
    (await build_dataset(many(), HOW)).write(tmp_path)
    with (tmp_path / "train.jsonl").open("a") as lines:
        lines.write('{"prompt": []}\n')
    with pytest.raises(DataError, match=r"train\.jsonl"):
        read_dataset(tmp_path)


def test_a_folder_without_a_set_is_refused(tmp_path: Path) -> None:
    """With what makes one."""
    with pytest.raises(BadInput, match="--bank"):
        read_dataset(tmp_path)


def test_presets_are_valid_and_the_papers_values_stand_in_one() -> None:
    """KL 0.001, group 8, 1,024 completions a step, temperature 1.5 (arXiv 2509.06870, section 4.1)."""
    assert read_settings("laptop").form == "steps"
    paper = read_settings("qwen3-1.7b-80gb").reinforcement
    assert paper is not None
    assert (paper.beta, paper.group, paper.prompts * paper.group, paper.temperature) == (0.001, 8, 1024, 1.5)


def test_settings_can_be_changed_by_dotted_names() -> None:
    """One setting of a preset, the others stay."""
    changed = read_settings("laptop", **{"cut.m": 4, "reinforcement": None})
    assert (changed.cut.m, changed.cut.deals, changed.reinforcement) == (4, read_settings("laptop").cut.deals, None)


@pytest.mark.parametrize(
    ("source", "changes", "words"),
    [
        ("nosuch", {}, "presets: laptop"),
        ("laptop", {"cut.k": 3}, r"cut\.k"),
        ("laptop", {"warm_up.batch": 0}, r"warm_up\.batch"),
        (None, {"form": "poem"}, "form"),
        (None, {"warm_up": {"bare": 0.6, "lone": 0.6}}, "at most 1 together"),
    ],
)
def test_wrong_settings_are_one_line(source: str | None, changes: dict[str, object], words: str) -> None:
    """Naming the setting, or the presets that exist."""
    with pytest.raises(BadInput, match=words):
        read_settings(source, **changes)


def test_a_settings_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    """By its name."""
    (tmp_path / "mine.yaml").write_text("- a\n")
    with pytest.raises(BadInput, match="mapping"):
        read_settings(tmp_path / "mine.yaml")
