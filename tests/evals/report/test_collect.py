"""From a bank to what a report shows."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from base64 import b64decode
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from quorate.evals.bank import Bank, BankedAgent, BankedItem, BankedSample, SampleRequest
from quorate.evals.report.collect import collect
from quorate.evals.report.data import ReportData
from quorate.evals.report.systems import is_ceiling
from quorate.orchestrator.errors import BadInput, DataError, UnknownName
from quorate.orchestrator.types import Candidate, Question
from tests.evals.report.example import EVIL, PIPELINES, filled


@pytest.fixture(scope="module")
def data() -> ReportData:
    async def gathered() -> ReportData:
        with await filled(None) as bank:
            return await collect(bank)

    return asyncio.run(gathered())


def details(data: ReportData) -> list[Any]:
    return [q for text in data.details.texts for q in json.loads(zlib.decompress(b64decode(text)))]


def test_the_latest_run_is_reported_with_its_pipelines_and_samples(data: ReportData) -> None:
    """Systems in the run's order, a row a question, counts that add up."""
    assert [s.name for s in data.systems] == list(PIPELINES)
    assert (len(data.rows), data.samples, data.complete) == (13, 52, True)
    assert data.title.startswith("sums, small: m")
    assert [round(s.accuracy.value, 3) for s in data.systems] == [round(8 / 13, 3), 1.0, 0.0]
    assert ["tokens" in s.fronts for s in data.systems] == [True, True, False]
    assert data.systems[2].errors == 13
    assert [(p.a, p.b) for p in data.pairs] == list(combinations(PIPELINES, 2))
    assert all(p.adjusted >= p.p for p in data.pairs)


async def test_pipelines_are_compared_at_equal_tokens_where_their_samples_allow_it(data: ReportData) -> None:
    """The vote is brought down to what the fused answer took; two sizes of one vote have nothing to compare."""
    assert data.equal == ()
    with await filled(None, pipelines=("majority@4/m", "fused/m")) as bank:
        (pair,) = (await collect(bank)).equal
    assert (pair.a, pair.b) == ("majority@4/m", "fused/m")
    assert pair.note.startswith("majority@4/m with 1.7 samples, 20 tokens")
    assert pair.difference == pytest.approx(47 / 52 - 12 / 13, abs=0.03)


def test_a_row_knows_its_votes_and_who_was_right(data: ReportData) -> None:
    """Classes by falling votes, abstentions apart, credit by system."""
    row = data.rows[0]
    assert [(c.answer, c.votes, c.right) for c in row.classes] == [("2", 3, True), ("3", 1, False)]
    assert (row.samples, row.right, row.abstained, row.agreement, row.credit) == (4, 3, 0, 0.75, (0.0, 1.0, 0.0))
    assert row.tokens == 10 + 11 + 12 + 13


def test_a_detail_has_the_question_every_answer_and_every_sample(data: ReportData) -> None:
    """In the order of the rows; the text of an answer only where no sample has it."""
    found = details(data)
    assert len(found) == len(data.rows) == data.details.count
    first = found[0]
    assert first["messages"] == [["user", "What is 1 + 1?"]]
    assert [s["number"] for s in first["samples"]] == [1, 0, 0, 0]
    assert [s["right"] for s in first["samples"]] == [False, True, True, True]
    assert first["given"][0]["text"] == EVIL
    assert first["given"][0]["number"] == 1
    assert "text" not in first["given"][1]
    assert "gone" in first["given"][2]["error"]


def test_curves_go_from_one_sample_to_all_and_end_at_the_vote(data: ReportData) -> None:
    """Majority and its ceiling; with tokens."""
    majority, ceiling = data.curves
    assert [p.k for p in majority.points] == [1, 2, 4]
    assert majority.points[0].accuracy.value == pytest.approx(47 / 52)
    assert majority.points[-1].accuracy.value == 1.0
    assert is_ceiling(ceiling)
    assert [p.tokens for p in majority.points] == [11.5, 23.0, 46.0]
    crowd = data.pools[0]
    assert (crowd.samples, crowd.k) == (52, 4)
    assert crowd.single.value == pytest.approx(47 / 52)
    assert crowd.effective is not None
    assert 1 <= crowd.effective <= 4


def test_facts_tell_how_to_get_the_figures_again(data: ReportData) -> None:
    """Task, revision, content hash, seed, settings, models and versions."""
    facts = {(f.group, f.name): f.value for f in data.facts}
    assert facts["Task", "revision"] == "1"
    assert len(facts["Task", "content hash"]) == 16
    assert facts["Run", "seed"] == "3"
    assert facts["Versions", "quorate"] == "0.1.0"
    assert facts["Samples", "m"].startswith("52 samples")


async def test_a_run_that_was_cut_short_says_so_and_shows_what_is_there() -> None:
    """The questions that were answered, and no others."""
    with await filled(None, finished=False) as bank:
        data = await collect(bank)
    assert (data.complete, len(data.rows)) == (False, 5)
    assert len(data.systems) == 3


async def test_a_bank_without_runs_is_replayed() -> None:
    """One sample and plurality become the systems, with shared ties as credit."""
    with await filled(None, pipelines=()) as bank:
        data = await collect(bank)
    assert [(s.name, s.replayed) for s in data.systems] == [("one sample of m", True), ("majority@4 of m", True)]
    assert data.rows[0].credit == (0.75, 1.0)
    assert data.complete
    assert len(data.pairs) == 1


async def test_one_answer_of_several_models_is_a_panel() -> None:
    """Each model is a system, and so is their vote."""
    with Bank() as bank:
        for n in range(4):
            item = BankedItem(task="t", item=str(n), question=Question.of(f"{n}?"), gold="1")
            bank.note_items("t", [item])
            for model in ("a", "b", "c"):
                request = SampleRequest(model, item.question.key, None)
                bank.note_request(request, item.question, BankedAgent(id=model, name=model, kind="recorded"))
                answer = "1" if model != "a" or n else "2"
                bank.add(
                    BankedSample(**request._asdict(), index=0, candidate=Candidate(index=0, model=model, answer=answer))
                )
        data = await collect(bank)
    assert [s.name for s in data.systems] == ["majority@3 of panel of all models", "b", "c", "a"]
    assert {c.group for c in data.curves} == {"panel of all models"}
    assert data.systems[0].accuracy.value == 1.0
    assert data.rows[0].credit == (1.0, 1.0, 1.0, 0.0)


async def test_samples_with_other_settings_are_told_apart_by_these() -> None:
    """The agent's own settings keep its plain name."""
    with Bank() as bank:
        for settings in ({}, {"temperature": 0.5}):
            question = Question.of("1?").with_params(**settings)
            bank.note_items("t", [BankedItem(task="t", item="1", question=question, gold="1")])
            request = SampleRequest("a", question.key, None)
            bank.note_request(request, question, BankedAgent(id="a", name="a"))
            bank.add(
                BankedSample(**request._asdict(), index=0, candidate=Candidate(index=0, model="a", text="Answer: 1"))
            )
        data = await collect(bank)
    assert {s["group"] for s in details(data)[0]["samples"]} == {"a", "a (temperature 0.5)"}


async def test_samples_that_nobody_can_grade_are_shown_and_told_of() -> None:
    """No gold answer, no grade: no curves, a note."""
    with Bank() as bank:
        question = Question.of("Why?")
        bank.note_items("t", [BankedItem(task="t", item="1", question=question)])
        request = SampleRequest("a", question.key, None)
        bank.note_request(request, question, BankedAgent(id="a", name="a"))
        bank.add(BankedSample(**request._asdict(), index=0, candidate=Candidate(index=0, model="a", text="Answer: 5")))
        data = await collect(bank)
    assert (data.curves, data.systems, data.rows[0].right) == ((), (), None)
    assert any("nobody graded" in note for note in data.notes)


async def test_an_empty_bank_and_unknown_runs_and_tasks_are_told_apart() -> None:
    """Each with what can be done about it."""
    with Bank() as bank, pytest.raises(DataError, match="is empty"):
        await collect(bank)
    with await filled(None) as bank:
        with pytest.raises(UnknownName, match="7"):
            await collect(bank, run=7)
        bank.note_items("other", [BankedItem(task="other", item="1", question=Question.of("x"))])
        title = (await collect(bank)).title
        assert re.fullmatch(r"sums, small: m.*, \d{4}-\d\d-\d\d", title), title
        with pytest.raises(DataError, match="no samples"):
            await collect(bank, task="other")
    with await filled(None, pipelines=()) as bank:
        bank.note_items("other", [BankedItem(task="other", item="1", question=Question.of("x"))])
        with pytest.raises(BadInput, match="several tasks"):
            await collect(bank)
        with pytest.raises(UnknownName, match="nope"):
            await collect(bank, task="nope")


async def test_a_broken_bank_is_one_clear_error(tmp_path: Path) -> None:
    """A file that is no SQLite, and one that was cut off."""
    (tmp_path / "bank.sqlite").write_text("not a bank" * 100)
    with pytest.raises(DataError, match=r"bank\.sqlite"):
        Bank(tmp_path, create=False)
