"""`quorate train aggregator`: from a bank to a training set, and what is refused; training has tests of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from textwrap import dedent

import pytest
from typer.testing import CliRunner

from quorate import Embedded, load_config
from quorate.agents.embedded import locate
from quorate.aggregators import AggLM, SteppedAggLM
from quorate.aggregators.registry import build_aggregator
from quorate.cli import app
from quorate.cli.train.aggregator import how_to_use
from quorate.orchestrator.errors import BadInput, DataError
from quorate.testing import ScriptedModel
from tests.evals.bank.banks import filled


def invoked(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["train", "aggregator", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """Ten questions, half of whose samples are right."""
    filled(tmp_path / "bank", count=6, questions=10).close()
    return tmp_path / "bank"


def test_a_bank_becomes_a_training_set(bank: Path, tmp_path: Path) -> None:
    """And standard output holds its folder alone."""
    out = tmp_path / "out"
    told = invoked("--bank", str(bank), "--out", str(out), "--only-data", "--set", "cut.m=3", "--set", "cut.deals=1")
    assert told == f"{out / 'data'}\n"
    facts = json.loads((out / "data" / "dataset.json").read_text())
    assert facts["sets_cut"] == 20
    assert facts["tasks"] == ["sums"]
    assert not (out / "model").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--bank BANK"),
        (("--bank", "a", "--data", "b"), "--bank BANK"),
        (("--bank", "nowhere"), "nowhere"),
        (("--bank", "a", "--set", "cut.m"), "NAME=VALUE"),
        (("--bank", "a", "--set", "cut.m=many"), r"cut\.m"),
        (("--bank", "a", "--set", "cut.m=["), "not YAML"),
        (("--bank", "a", "--settings", "desktop"), "presets: laptop"),
        (("--data", "nowhere"), "no training set"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """In one line that names the option or setting."""
    with pytest.raises(BadInput, match=says):
        invoked("--out", str(tmp_path / "out"), *arguments)


def test_a_bank_with_too_few_samples_names_the_size_that_fits(bank: Path, tmp_path: Path) -> None:
    """The preset's eight are more than the six that there are."""
    with pytest.raises(DataError, match=r"cut\.m=6"):
        invoked("--bank", str(bank), "--out", str(tmp_path / "out"))


def test_the_lines_that_tell_how_to_use_the_result_are_a_configuration(tmp_path: Path) -> None:
    """As they are printed; the proposer is one of the file."""
    _, lines = how_to_use(locate("quorate-tiny-agg"), "steps", 4).split("\n", 1)
    file = tmp_path / "quorate.yaml"
    file.write_text(dedent(lines).replace("PROPOSER", "learned"))
    assert load_config(file).catalog().resolve("mine").name == "mine"


def test_agglm_words_its_prompt_as_its_model_was_trained(tmp_path: Path) -> None:
    """What the folder says, or the option, which wins; attempts one after the other where nothing says."""
    folder = tmp_path / "trained"
    shutil.copytree(locate("quorate-tiny-base"), folder)
    (folder / "aggregator.json").write_text('{"form": "steps"}')

    def made(model: Embedded | ScriptedModel, **options: str) -> type:
        proposers = (ScriptedModel(["Answer: 1"]),)
        return type(build_aggregator("agglm", proposers, n=2, options=options, aggregator_model=model))

    assert made(Embedded(folder)) is SteppedAggLM
    assert made(Embedded(folder), form="attempts") is AggLM
    assert made(ScriptedModel(["Answer: 1"])) is AggLM
    assert made(ScriptedModel(["Answer: 1"]), form="steps") is SteppedAggLM
    (folder / "aggregator.json").write_text("{}")
    with pytest.raises(BadInput, match=r"aggregator\.json"):
        made(Embedded(folder))
