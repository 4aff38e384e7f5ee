"""A training set on disk: a file of JSON lines a split, `dataset.json` and a card, as `datasets` loads them.

All sets of one question are on one side of the split, so nothing that validation asks has been
learned from; whole template families (`CandidateSet.cluster`) can be held out beside them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from pydantic import ValidationError

from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.frozen import Frozen, first_fault
from quorate.orchestrator.types import Question

from ..synthesis.agglm import AggLM, SteppedAggLM
from ..synthesis.material import order_canonically, visible_answer
from ..synthesis.prompt import SynthesisPrompt
from .cutting import AggregationSet, balance_sets, cut_sets
from .settings import TrainingSettings

NAMES = ("train", "validation", "unseen")


class TrainingRow(Frozen):
    """One labelled set as training reads it."""

    prompt: tuple[dict[str, str], ...]
    """Chat messages, worded as the serving pipeline words them."""
    bare: tuple[dict[str, str], ...]
    """The question's own messages, without the candidates."""
    lone: tuple[dict[str, str], ...]
    """One of the candidates, worded as in `prompt`, without the question's last words."""
    lone_text: str
    """What that candidate says, right or wrong."""
    target: str | None
    gold: str | None
    item: str
    cluster: str
    hard: bool
    plurality: int
    candidates: int
    right: int
    """Candidates that are right."""


@dataclass(frozen=True)
class DataSet:
    """Both splits and the facts about them."""

    train: tuple[TrainingRow, ...]
    """Balanced."""
    validation: tuple[TrainingRow, ...]
    """Other questions of the same families, as they came."""
    unseen: tuple[TrainingRow, ...]
    """Questions of families that are not trained on; empty unless asked for."""
    facts: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Keeps it in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as lines:
                lines.writelines(row.model_dump_json() + "\n" for row in getattr(self, name))
        (folder / "dataset.json").write_text(json.dumps(self.facts, indent=2) + "\n")
        (folder / "README.md").write_text(_write_card(self))


def form_prompt(form: str) -> SynthesisPrompt:
    """The prompt that a form of training sets has, as the serving aggregator words it."""
    return {"attempts": AggLM, "steps": SteppedAggLM}[form].load_prompt()


async def build_dataset(sets: Iterable[Any], settings: TrainingSettings) -> DataSet:
    """Cuts, balances, words and splits.

    Raises:
        DataError: the samples give no sets, no hard ones, or too few questions to hold some out.
    """
    everything = await cut_sets(sets, settings.cut)
    sides = split_sets(everything, settings)
    for name in ("validation", "unseen"):
        # Any first part of these is a fair sample of them.
        Random(f"{name}/{settings.seed}").shuffle(sides[name])
    sides["train"] = balance_sets(sides["train"], settings.cut)
    rows = {name: tuple(_make_row(s, settings) for s in sides[name]) for name in NAMES}
    facts = {
        "form": settings.form,
        "prompt": form_prompt(settings.form).version,
        "settings": settings.model_dump(include={"cut", "validation", "unseen_families", "seed"}),
        "sets_cut": len(everything),
        "hard_cut": sum(s.hard for s in everything),
        **{name: _count_facts(part) for name, part in rows.items()},
        "proposers": sorted({c.model for s in everything[:1000] for c in s.source.candidates}),
        "tasks": sorted({s.source.task for s in everything}),
        "content": _hash_rows(rows),
    }
    return DataSet(**rows, facts=facts)


def split_sets(sets: Sequence[AggregationSet], settings: TrainingSettings) -> dict[str, list[AggregationSet]]:
    """The sets by the side they are on, all of one question on the same.

    Raises:
        DataError: there is one question only, or no family is left to learn from.
    """
    rng = Random(f"split/{settings.seed}")
    families = sorted({s.source.cluster for s in sets})
    if settings.unseen_families and len(families) <= settings.unseen_families:
        raise DataError(
            f"unseen_families={settings.unseen_families}, but the questions are of {len(families)} template families: "
            "nothing would be left to learn from"
        )
    unseen = set(rng.sample(families, settings.unseen_families))
    items = sorted({s.source.item for s in sets if s.source.cluster not in unseen})
    if len(items) < 2:
        raise DataError("there is one question only, so none can be held out for validation; sample more questions")
    held = set(rng.sample(items, max(1, round(settings.validation * len(items)))))
    sides: dict[str, list[AggregationSet]] = {name: [] for name in NAMES}
    for one in sets:
        side = "unseen" if one.source.cluster in unseen else "validation" if one.source.item in held else "train"
        sides[side].append(one)
    return sides


def read_dataset(folder: Path) -> DataSet:
    """A data set that `write` kept.

    Raises:
        BadInput: the folder holds none.
        DataError: a line is broken; names it.
    """
    facts_file = folder / "dataset.json"
    if not facts_file.is_file():
        raise BadInput(f"{folder}: no training set (dataset.json) there; build one from a bank with --bank DIR")
    parts = {name: tuple(_read_rows(folder / f"{name}.jsonl")) for name in NAMES}
    return DataSet(**parts, facts=json.loads(facts_file.read_text()))


def _read_rows(path: Path) -> Iterable[TrainingRow]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield TrainingRow.model_validate_json(line)
            except ValidationError as error:
                field, words = first_fault(error)
                raise DataError(words, file=path, line=number, field=field) from None


def _make_row(found: AggregationSet, settings: TrainingSettings) -> TrainingRow:
    source = found.source
    order = order_canonically(source.candidates)
    Random(f"order/{settings.seed}/{source.item}/{found.target}").shuffle(order)
    prompt = form_prompt(settings.form)
    texts = [visible_answer(c) for c in order]
    return TrainingRow(
        prompt=_chat_of(prompt.ask(source.question, texts)),
        bare=_chat_of(source.question),
        lone=_chat_of(prompt.ask(_without_words(source.question), texts[:1])),
        lone_text=texts[0],
        target=found.target,
        gold=source.gold,
        item=source.item,
        cluster=source.cluster,
        hard=found.hard,
        plurality=found.plurality,
        candidates=len(source.candidates),
        right=sum(bool(ok) for ok in source.correct),
    )


def _without_words(question: Question) -> Question:
    *before, last = question.messages
    return question.with_messages(*before, last.model_copy(update={"content": ""}))


def _chat_of(question: Question) -> tuple[dict[str, str], ...]:
    return tuple({"role": m.role, "content": m.text} for m in question.messages)


def _count_facts(rows: Sequence[TrainingRow]) -> dict[str, Any]:
    return {
        "sets": len(rows),
        "hard": sum(r.hard for r in rows),
        "questions": len({r.item for r in rows}),
        "families": len({r.cluster for r in rows}),
        "with_target": sum(r.target is not None for r in rows),
    }


def _hash_rows(rows: dict[str, tuple[TrainingRow, ...]]) -> str:
    digest = hashlib.sha256()
    for name in NAMES:
        for row in rows[name]:
            digest.update(row.model_dump_json().encode())
    return digest.hexdigest()[:16]


def _write_card(data: DataSet) -> str:
    facts = data.facts
    lines = [
        "---",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(f"  - {{split: {name}, path: {name}.jsonl}}" for name in NAMES if facts[name]["sets"]),
        "---",
        "",
        "# Candidate sets for training an aggregator",
        "",
        f"Sets of {facts['settings']['cut']['m']} sampled solutions to one question, in a seeded order, for AggLM",
        "(arXiv 2509.06870): a set is hard when its plurality is wrong or shared, else easy. Made by",
        "`quorate train aggregator`; `dataset.json` holds these facts.",
        "",
        f"- Tasks: {', '.join(facts['tasks']) or 'unknown'}. Proposers: {', '.join(facts['proposers'])}.",
        f"- Prompt: `{facts['prompt']}`, form `{facts['form']}`.",
        f"- Cut: {facts['sets_cut']} sets, {facts['hard_cut']} of them hard.",
        *(
            f"- {name}: {facts[name]['sets']} sets ({facts[name]['hard']} hard), {facts[name]['questions']} questions, "
            f"{facts[name]['families']} families, {facts[name]['with_target']} with a verified solution."
            for name in NAMES
        ),
        "- Training sets are balanced, the others are as they came; no question is in two splits, and no family of",
        "  `unseen` is in another.",
        "- `target` is a sample of the same question that was graded right, from the set or beside it: the one that",
        "  has most lines in common with the set. `bare` is the question without the set,",
        "  and `lone` one candidate without the question.",
    ]
    return "\n".join(lines) + "\n"
