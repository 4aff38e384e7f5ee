"""From labelled sets to an aggregator: data set, warm-up, reinforcement, and a folder that serves.

`out/` holds `data/` (the sets), a folder for each stage (checkpoints and TensorBoard logs), and in the
end `model/`: weights, tokenizer, `aggregator.json` (how its prompts are worded) and a card.
Run again after a crash, it goes on from the last checkpoint of the stage that was under way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from heapq import nlargest
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import BadInput, DataError

from . import models
from .dataset import DataSet, TrainingRow, form_prompt
from .measuring import Grade, Measured, make_watcher, measure, same_answer
from .settings import TrainingSettings

STAGES = ("copying", "warm-up", "reinforcement")
SIDECAR = "aggregator.json"
LONGEST = 64
"""Solutions whose tokens are counted, the longest ones."""


def train(
    data: DataSet,
    settings: TrainingSettings,
    model: str | Path,
    out: Path,
    *,
    name: str | None = None,
    grade: Grade = same_answer,
    tell: Callable[[str], None] = print,
) -> Path:
    """Trains a model on a data set; returns the folder of the finished one.

    Args:
        data: what `build_dataset` made or `read_dataset` read.
        settings: how.
        model: a folder or a name on the hub.
        out: where everything goes.
        name: what the model calls itself; its folder's name if not given.
        grade: whether a text answers right.
        tell: told of every stage in a line.

    Raises:
        MissingExtra: training's libraries are not installed.
        BadInput: the model cannot be loaded or has no chat template, or both stages are left out, or
            `out` holds a run with other settings.
        DataError: the data set has nothing that a stage could learn from.
    """
    models.require_libraries()
    _silence_libraries()
    _check_same_run(out, settings, data, str(model))
    stages = [s for s in STAGES if getattr(settings, s.replace("-", "_")) is not None]
    if not stages:
        raise BadInput("the settings leave out warm_up and reinforcement: nothing would be trained")
    began, log = time.monotonic(), list[dict[str, Any]]()
    source: str | Path = model
    with models.tuned_processor(settings):
        for stage in stages:
            if (done := out / stage / "model").is_dir():
                tell(f"{stage}: done before, in {done}")
            else:
                log.append(_run_stage(stage, source, data, settings, out / stage, grade, tell))
            source = done
    return _write_folder(source, data, settings, out, name or Path(str(model)).name, log, time.monotonic() - began)


def _run_stage(
    stage: str,
    source: str | Path,
    data: DataSet,
    settings: TrainingSettings,
    out: Path,
    grade: Grade,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """One stage from beginning or checkpoint to its end."""
    from .trainers import reinforce, warm_up

    model, tokenizer = models.load_model(source, settings)
    most = _most_new_tokens(data, settings, tokenizer)

    def look(at: Any, rows: Sequence[TrainingRow] = data.validation) -> Measured:
        return measure(at, tokenizer, rows[: settings.evaluate_sets], max_new_tokens=most, grade=grade)

    before = look(model)
    tell(f"{stage}: begins at {before}")
    start = time.monotonic()
    callbacks = [make_watcher(stage, settings.evaluate_steps, look, tell)]
    supervised = {"copying": settings.copying, "warm-up": settings.warm_up}.get(stage)
    if supervised is not None:
        if not any(row.target for row in data.train):
            raise DataError(f"{stage}: no set has a verified solution, since no sample of the bank is right")
        trained = warm_up(model, tokenizer, data.train, settings, supervised, out, callbacks)
    else:
        if not any(row.gold for row in data.train):
            raise DataError("reinforcement: no set has a gold answer, so nothing can be rewarded")
        trained = reinforce(model, tokenizer, data.train, settings, out, grade=grade, callbacks=callbacks)
    if settings.lora is not None:
        trained = trained.merge_and_unload()
    after = look(trained)
    tell(f"{stage}: ends at {after}")
    trained.save_pretrained(out / "model.part")
    tokenizer.save_pretrained(out / "model.part")
    (out / "model.part").rename(out / "model")
    minutes = round((time.monotonic() - start) / 60, 1)
    record = {"stage": stage, "minutes": minutes, "before": before.as_json(), "after": after.as_json()}
    if data.unseen:
        new = look(trained, data.unseen)
        tell(f"{stage}: families not trained on: {new}")
        record["unseen"] = new.as_json()
    return record


def _most_new_tokens(data: DataSet, settings: TrainingSettings, tokenizer: Any) -> int:
    """New tokens that an answer may take, looked at and served: twice what the longest solution to learn from has."""
    # The longest in tokens is among the longest in characters.
    targets = nlargest(LONGEST, (row.target for row in data.train if row.target), key=len)
    longest = max((len(tokenizer(target, add_special_tokens=False)["input_ids"]) for target in targets), default=0)
    limit = settings.reinforcement.max_new_tokens if settings.reinforcement else settings.max_tokens
    return max(16, min(limit, 2 * longest or limit))


def _write_folder(
    source: str | Path,
    data: DataSet,
    settings: TrainingSettings,
    out: Path,
    name: str,
    log: list[dict[str, Any]],
    seconds: float,
) -> Path:
    """The served folder: weights in the precision of training, sidecar and record."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = out / "model"
    dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
    AutoModelForCausalLM.from_pretrained(str(source), dtype=dtype).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(source))
    tokenizer.save_pretrained(folder)
    # An aggregator answers greedily unless told otherwise; transformers drops what equals its own defaults.
    generation = {
        "do_sample": False,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        # One that goes around in circles would fill its whole context, where its start may have had a limit.
        "max_new_tokens": _most_new_tokens(data, settings, tokenizer),
    }
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    sidecar = {"form": settings.form, "prompt": form_prompt(settings.form).version, "m": settings.cut.m}
    (folder / SIDECAR).write_text(json.dumps(sidecar, indent=2) + "\n")
    record = {
        "name": name,
        "settings": settings.model_dump(mode="json"),
        "data": data.facts,
        "stages": log,
        "minutes": round(seconds / 60, 1),
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    return folder


def _check_same_run(out: Path, settings: TrainingSettings, data: DataSet, model: str) -> None:
    """Refuses to go on with a run that began otherwise."""
    facts = {"settings": settings.model_dump(mode="json"), "data": data.facts["content"], "model": model}
    record = out / "run.json"
    if record.is_file() and (before := json.loads(record.read_text())) != facts:
        differs = [k for k in facts if before.get(k) != facts[k]]
        raise BadInput(f"{out} holds a run with other {' and '.join(differs)}: choose another --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(facts, indent=2) + "\n")


def _silence_libraries() -> None:
    """No telemetry, no progress bars of libraries, no warnings of one library at another's use of it."""
    import os
    import warnings

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    import datasets
    from transformers.utils import logging

    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
