"""What is exported comes back as it was, and a broken bank gives what can be read of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorate.cli.bank import app
from quorate.evals.bank import Bank, BankedAgent, SampleRequest, export
from quorate.evals.bank.export import Format, export_bank
from quorate.evals.bank.importers import import_path
from quorate.evals.bank.recover import is_sound, recover
from quorate.evals.outcome import Outcome
from quorate.evals.task import Item
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import Question
from quorate.storage.sqlite import LATER, PARTS

from .banks import filled, sample


def rich(path: Path | None) -> Bank:
    """A bank with all that there can be: an earlier wording, a sample of no task's question, a run."""
    bank = filled(path)
    layer = Question.of("Summarize: ...")
    bank.note_request(SampleRequest("m~1", layer.key, 1), layer, BankedAgent(id="m~1", name="m"))
    bank.add(sample().model_copy(update={"question": layer.key}))
    bank.note_items("sums", [Item("sum-1", Question.of("Add 1 to itself."), "2", "sums")])
    run = bank.start_run("sums", pipelines=["p"], questions=1, settings={"seed": 1})
    bank.add_outcome(run, Outcome(pipeline="p", item="sum-1", gold="2", correct=True))
    bank.finish_run(run)
    return bank


def content(bank: Bank) -> list[object]:
    """All that a bank says, but for when it was told."""
    return [
        list(bank),
        list(bank.sets()),
        [(i.task, i.item, i.question, i.gold, i.cluster, i.split, i.revision, i.prompt) for i in bank.items()][:1],
        bank.agents(),
        [run.model_copy(update={"id": 0}) for run in bank.runs()],
        list(bank.outcomes()),
    ]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
async def test_an_export_comes_back_as_it_was(tmp_path: Path, form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several shards; a second import adds nothing."""
    monkeypatch.setattr(export, "SHARD", 5)
    monkeypatch.setattr(export, "GROUP", 2)
    with rich(tmp_path / "bank") as bank, Bank(tmp_path / "back") as back:
        done = export_bank(bank, tmp_path / "out", form=form)
        assert (done.samples, len(done.files)) == (13, 4)
        first = import_path(back, tmp_path / "out")
        again = import_path(back, tmp_path / "out")
        assert content(back) == content(bank)
        assert (first.new, again.new, len(back.runs())) == (13, 0, 1)


async def test_exports_from_before_ensembles_are_read(tmp_path: Path) -> None:
    """They lack the columns that came later."""
    file = tmp_path / "all.jsonl"
    with filled(None) as bank:
        export_bank(bank, file)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    old = [{name: value for name, value in row.items() if name not in (*LATER, *PARTS)} for row in rows]
    file.write_text("".join(json.dumps(row) + "\n" for row in old))
    with Bank() as back:
        assert (import_path(back, file)).new == len(rows)
        assert all(drawn.candidate.ensembling is None and drawn.candidate.text for drawn in back)


async def test_one_file_of_one_task_and_agent(tmp_path: Path) -> None:
    """By the name's ending; the others stay out."""
    with filled(tmp_path / "bank") as bank:
        bank.note_items("more", [Item("other", Question.of("?"), "1")])
        for name in ("few.parquet", "few.jsonl"):
            assert export_bank(bank, tmp_path / name, task="sums", agent="m").samples == 12
            assert export_bank(bank, tmp_path / f"no-{name}", task="more").samples == 0
            with Bank() as back:
                assert (import_path(back, tmp_path / name)).new == 12
                assert len(list(back.sets("sums"))) == 3


async def test_shards_of_several_workers_are_one_bank(tmp_path: Path) -> None:
    """Each under its own name in one folder."""
    for worker in range(3):
        with Bank() as bank:
            bank.note_items("sums", [Item("sum-3", Question.of("What is 3 + 3?"), "6")])
            asked = Question.of("What is 3 + 3?")
            bank.note_request(SampleRequest("m~1", asked.key, 1), asked, BankedAgent(id="m~1", name="m"))
            bank.add(sample(worker))
            export_bank(bank, tmp_path, prefix=f"worker{worker}")
    with Bank() as bank:
        import_path(bank, tmp_path)
        [joined] = bank.sets()
        assert len(joined.candidates) == 3


async def test_banks_are_joined(tmp_path: Path) -> None:
    """Without files between them."""
    with rich(tmp_path / "one") as one, Bank(tmp_path / "two") as two:
        import_path(two, tmp_path / "one")
        assert content(two) == content(one)


def test_an_export_does_not_overwrite(tmp_path: Path) -> None:
    """Nor leave half a file."""
    with filled(None) as bank:
        export_bank(bank, tmp_path / "out")
        with pytest.raises(BadInput, match=r"samples-00000.parquet exists"):
            export_bank(bank, tmp_path / "out")
        with pytest.raises(BadInput, match="cannot be written"):
            export_bank(bank, tmp_path / "out" / "samples-00000.parquet" / "deeper")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["samples-00000.parquet", "samples-runs.jsonl"]


@pytest.mark.parametrize("broken", ["{}", '{"task": 1}', '{"asker": "m", "key": "k", "idx": "many"}'])
async def test_a_broken_row_is_named(tmp_path: Path, broken: str) -> None:
    """Line and column."""
    with filled(None) as bank:
        export_bank(bank, tmp_path / "a.jsonl")
    rows = (tmp_path / "a.jsonl").read_text().splitlines()
    (tmp_path / "a.jsonl").write_text("\n".join([rows[0], broken]) + "\n")
    with Bank() as bank:
        with pytest.raises(DataError, match=r"a.jsonl:2: "):
            import_path(bank, tmp_path / "a.jsonl")
        assert len(bank) == 1


def broken_bank(path: Path, *, cut: bool) -> int:
    """A bank whose second half is gone, or whose middle is noise; how many samples it had."""
    with filled(path, count=40, questions=40) as bank:
        count = len(bank)
    file = path / "bank.sqlite"
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] if cut else whole[:middle] + b"\xa5" * 8192 + whole[middle + 8192 :])
    return count


@pytest.mark.parametrize("cut", [True, False])
async def test_a_broken_bank_is_named_and_gives_what_can_be_read(tmp_path: Path, *, cut: bool) -> None:
    """The command says so, ends with an error, and the rest is a sound bank with labels."""
    count = broken_bank(tmp_path / "bank", cut=cut)
    assert not is_sound(tmp_path / "bank")
    with recover(tmp_path / "bank") as (rest, whole):
        assert not whole
        assert count / 10 < len(rest) < count
        assert all(drawn.candidate.text.startswith("Answer: ") for drawn in rest)
    result = CliRunner().invoke(app, ["export", str(tmp_path / "bank"), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, DataError)
    assert "bank.sqlite: is broken; what could be read of it" in str(result.exception)
    with Bank(tmp_path / "new") as bank:
        done = import_path(bank, tmp_path / "out")
        assert done.new > count / 10
        assert is_sound(tmp_path / "new")
    with Bank(tmp_path / "direct") as bank:
        assert "is broken" in (import_path(bank, tmp_path / "bank")).notes[-1]
        assert len(bank) == done.new


def test_a_truncated_bank_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Before anything is sampled."""
    broken_bank(tmp_path, cut=True)
    with pytest.raises(DataError, match=r"bank.sqlite: is broken or cut off .*quorate eval bank export"):
        Bank(tmp_path)


@pytest.mark.parametrize("noise", [b"", b"PNG" * 100])
def test_what_is_no_bank_is_told(tmp_path: Path, noise: bytes) -> None:
    """Of an empty file a bank is made; one with anything else stays as it is."""
    (tmp_path / "bank.sqlite").write_bytes(noise)
    if not noise:
        Bank(tmp_path).close()
        return
    with pytest.raises(DataError, match="is broken or cut off"):
        Bank(tmp_path)
    assert (tmp_path / "bank.sqlite").read_bytes() == noise


def test_the_command_line(tmp_path: Path) -> None:
    """import, ls, show and export, with and without JSON."""
    rows = [{"id": "q1", "model": "m", "question": "1 + 1?", "answers": ["2", "3"], "gold": "2"}]
    source, bank = tmp_path / "set.jsonl", str(tmp_path / "bank")
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def told(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 0, result.output
        return result.output

    assert "2 samples of 1 questions added" in told("import", str(source), "--bank", bank)
    assert "2 were there" in told("import", str(source), "--bank", bank)
    listed = told("ls", bank)
    assert "set" in listed
    assert "0.500" in listed
    assert json.loads(told("ls", bank, "--json"))["holdings"][0]["samples"] == 2
    assert "1/2" in told("show", bank)
    shown = told("show", bank, "q1")
    assert "1 + 1?" in shown
    assert "wrong  3" in shown
    assert len(json.loads(told("show", bank, "q1", "--json"))["sets"][0]["candidates"]) == 2
    assert "2 samples" in told("export", bank, "--out", str(tmp_path / "out.jsonl"))
    missing = CliRunner().invoke(app, ["show", bank, "q2"])
    assert "no samples of a question 'q2'" in str(missing.exception)
    unknown = CliRunner().invoke(app, ["export", bank, "--out", bank, "--format", "csv"])
    assert "choose parquet or jsonl" in str(unknown.exception)


def test_an_empty_bank_says_that_it_is_empty(tmp_path: Path) -> None:
    """Not just the head of a table."""
    Bank(tmp_path / "bank").close()
    result = CliRunner().invoke(app, ["ls", str(tmp_path / "bank")])
    assert result.exit_code == 0
    assert "no samples yet" in result.output
