"""Training for real, for a few steps: both stages, what comes out, going on after a crash, bad models."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from quorate import Embedded, sample
from quorate.agents.embedded import locate
from quorate.aggregators import SteppedAggLM
from quorate.aggregators.learned import trainers, training
from quorate.aggregators.learned.cutting import Cut
from quorate.aggregators.learned.dataset import DataSet, build_dataset
from quorate.aggregators.learned.measuring import Reward, same_answer
from quorate.aggregators.learned.settings import Reinforcement, TrainingSettings, WarmUp
from quorate.aggregators.learned.trainers import encode_rows
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import SamplingParams

from .sets import many, sampled

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning:transformers", "ignore::DeprecationWarning", "ignore::UserWarning:torch"
)

BASE = locate("quorate-tiny-base")
SHORT = TrainingSettings(
    form="steps",
    cut=Cut(m=4),
    validation=0.1,
    warm_up=WarmUp(max_steps=2, batch=2, learning_rate=1e-4),
    reinforcement=Reinforcement(max_steps=1, prompts=1, group=2, max_new_tokens=8, learning_rate=1e-5),
    max_tokens=512,
    precision="float32",
    checkpoint_steps=1,
    evaluate_sets=1,
    threads=1,
)


@pytest.fixture
def data() -> DataSet:
    """Made-up sums."""
    return asyncio.run(build_dataset(many(), SHORT))


def test_both_stages_give_a_model_that_serves(data: DataSet, tmp_path: Path) -> None:
    """Weights other than before, how its prompts are worded, a record; the pipeline reads them."""
    told: list[str] = []
    folder = training.train(data, SHORT, BASE, tmp_path, tell=told.append)
    assert folder == tmp_path / "model"
    stages = [line.split(":")[0] for line in told if " at " in line]
    assert stages == ["warm-up", "warm-up", "reinforcement", "reinforcement"]
    assert any("loss" in line for line in told)
    assert json.loads((folder / "aggregator.json").read_text())["form"] == "steps"
    assert json.loads((folder / "generation_config.json").read_text())["max_new_tokens"] == 16
    record = json.loads((folder / "training.json").read_text())
    assert [stage["stage"] for stage in record["stages"]] == ["warm-up", "reinforcement"]
    assert (folder / "model.safetensors").read_bytes() != (BASE / "model.safetensors").read_bytes()
    assert list((tmp_path / "warm-up").rglob("events.out.tfevents*"))
    assert Embedded(folder).identity.aggregation_form == "steps"
    short = SamplingParams(max_tokens=30)
    pipeline = sample(Embedded(sampling=short), n=2) | SteppedAggLM(Embedded(folder, sampling=short))
    answer = pipeline.answer_sync("What is 3 + 4?")
    assert not answer.degraded


def test_an_answer_may_take_twice_the_tokens_of_the_longest_solution(data: DataSet) -> None:
    """Tokens and not characters, of which one may take several; within the limits that the settings give."""
    tokenizer = AutoTokenizer.from_pretrained(str(BASE))
    unbounded = SHORT.model_copy(update={"reinforcement": None, "max_tokens": 10_000})
    written = data.train[0].model_copy(update={"target": "\N{SNOWMAN}" * 60})
    tokens = len(tokenizer("\N{SNOWMAN}" * 60, add_special_tokens=False)["input_ids"])
    assert tokens > 60
    longer = replace(data, train=(*data.train, written))
    assert training._most_new_tokens(longer, unbounded, tokenizer) == 2 * tokens
    assert training._most_new_tokens(longer, SHORT, tokenizer) == 16
    assert training._most_new_tokens(replace(data, train=()), unbounded, tokenizer) == 10_000


def test_a_crash_costs_what_came_after_the_last_checkpoint(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run again, the stage goes on at its checkpoint and the finished one is not repeated."""

    def crash(*_: Any, **__: Any) -> Any:
        raise RuntimeError("power cut")

    with monkeypatch.context() as broken:
        broken.setattr(trainers, "reinforce", crash)
        with pytest.raises(RuntimeError, match="power cut"):
            training.train(data, SHORT, BASE, tmp_path, tell=lambda _: None)
    shutil.rmtree(tmp_path / "warm-up" / "model")
    told: list[str] = []
    training.train(data, SHORT, BASE, tmp_path, tell=told.append)
    state = json.loads((tmp_path / "warm-up" / "checkpoint-2" / "trainer_state.json").read_text())
    assert state["global_step"] == 2
    again: list[str] = []
    training.train(data, SHORT, BASE, tmp_path, tell=again.append)
    assert [line.split(",")[0] for line in again] == ["warm-up: done before", "reinforcement: done before"]


def test_a_folder_of_another_run_is_refused(data: DataSet, tmp_path: Path) -> None:
    """Other settings would mix two models."""
    (tmp_path / "run.json").write_text(json.dumps({"settings": {}, "data": data.facts["content"], "model": str(BASE)}))
    with pytest.raises(BadInput, match="other settings"):
        training.train(data, SHORT, BASE, tmp_path)


def test_a_tokenizer_without_a_chat_template_is_refused(data: DataSet, tmp_path: Path) -> None:
    """Before anything is trained."""
    bare = tmp_path / "bare"
    shutil.copytree(BASE, bare)
    config = json.loads((bare / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (bare / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="no chat template"):
        training.train(data, SHORT, bare, tmp_path / "out")


def test_a_model_that_does_not_exist_is_one_line(data: DataSet, tmp_path: Path) -> None:
    """Naming it."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="empty"):
        training.train(data, SHORT, tmp_path / "empty", tmp_path / "out")


def test_a_warm_up_without_a_right_sample_is_refused(tmp_path: Path) -> None:
    """There is nothing to imitate; reinforcement alone would do."""
    sets = [sampled(f"{n}+{n}", [1, 1, 2, 3], 2 * n + 50) for n in range(4)]
    with pytest.raises(DataError, match="no sample of the bank is right"):
        training.train(asyncio.run(build_dataset(sets, SHORT)), SHORT, BASE, tmp_path, tell=lambda _: None)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_share_of_the_sets_is_shown_without_attempts_or_as_one_attempt_to_copy(data: DataSet, share: float) -> None:
    """Whole sets and questions alone before the target; one attempt alone before itself."""
    how, tokenizer = WarmUp(bare=share, lone=share), AutoTokenizer.from_pretrained(BASE)
    rows = [row for row in data.train if row.target] * 8
    encoded = encode_rows(rows, tokenizer, SHORT, how)
    asked = [tokenizer.decode(e["input_ids"]).partition("<|assistant|>") for e in encoded]
    shown = []
    for row, (words, _, answer) in zip(rows, asked, strict=True):
        way = next(n for n in ("prompt", "bare", "lone") if words == f"<|user|>{getattr(row, n)[0]['content'].strip()}")
        assert answer == f"{row.lone_text if way == 'lone' else row.target}<|end|>"
        shown.append(way)
    assert set(shown) == ({"prompt", "bare", "lone"} if share else {"prompt"})


def test_copying_comes_before_the_warm_up(data: DataSet, tmp_path: Path) -> None:
    """A stage of its own, of which the record tells."""
    lone = WarmUp(max_steps=1, batch=2, lone=0.9, learning_rate=1e-4)
    how = SHORT.model_copy(update={"copying": lone, "reinforcement": None})
    folder = training.train(data, how, BASE, tmp_path, tell=lambda _: None)
    record = json.loads((folder / "training.json").read_text())
    assert [stage["stage"] for stage in record["stages"]] == ["copying", "warm-up"]


def test_leaving_out_both_stages_is_refused(data: DataSet, tmp_path: Path) -> None:
    """Nothing would be trained."""
    nothing = SHORT.model_copy(update={"warm_up": None, "reinforcement": None})
    with pytest.raises(BadInput, match="nothing would be trained"):
        training.train(data, nothing, BASE, tmp_path)


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [("Answer: 4", "4", True), ("so \\boxed{\\frac{1}{2}}", "0.5", True), ("Answer: 5", "4", False), ("", "4", False)],
)
async def test_the_reward_is_one_for_an_equivalent_answer(text: str, gold: str, right: bool) -> None:
    """By equivalence, not spelling; chat completions and plain ones."""
    assert await same_answer(text, gold) is right
    reward = Reward()
    assert await reward([""], [text], gold=[gold]) == [float(right)]
    assert await reward([""], [[{"role": "assistant", "content": text}]], gold=[gold]) == [float(right)]
