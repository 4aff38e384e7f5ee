"""Sample files of lm-evaluation-harness (`--log_samples`): `MODEL/samples_TASK_DATE.jsonl`.

A line holds one question: `arguments` (the prompt and the settings), `resps` (the texts), `target`
and the metrics of one filter; a task with several filters has a line for each, of which the first is
taken. The metrics are a question's, not a sample's: where there are several samples, or a metric that
is no plain hit or miss, these come without grades. A task's `target` may be a whole solution, in which
case the answer in it is the right one. Questions that were answered by comparing likelihoods have no
texts and are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quorate.aggregators.extraction import AnswerExtractor
from quorate.evals.answer_files import JsonLine, lines_of
from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import Candidate, Message, Question, SamplingParams

from ..ingest import Incoming
from ..values import BankedAgent, BankedItem

__all__ = ["is_samples", "lm_eval_samples"]

_NAME = re.compile(r"samples_(?P<task>.+?)_\d{4}-\d\d-\d\dT[^/]*\.jsonl(\.gz)?$")
_HITS = ("exact_match", "acc", "pass@1", "pass_at_1")
_LONG = 40
"""Characters from which a target is a solution rather than an answer."""


def is_samples(path: Path) -> bool:
    return _NAME.match(path.name) is not None


def lm_eval_samples(path: Path) -> Iterator[Incoming]:
    """Every sampled text of a file.

    Raises:
        DataError: a line is broken, or no line holds a sampled text.
    """
    named = _NAME.match(path.name)
    task = named["task"] if named else path.name.split(".")[0]
    agent = BankedAgent(id=f"{(model := _model(path))}~lm-eval", name=model, kind="lm-eval", model=model)
    seed, seen, found = derive_seed(0, path.parent.name, path.name), set[str](), False
    for line in lines_of(path):
        item = line.text("doc_id")
        if item in seen:
            continue
        seen.add(item)
        texts = _texts(line)
        if not texts:
            continue
        found = True
        prompt, settings = _arguments(line)
        banked = BankedItem(task=task, item=item, question=prompt, gold=_gold(line))
        hit = _hit(line) if len(texts) == 1 else None
        answers = _answers(line, len(texts))
        for index, text in enumerate(texts):
            candidate = Candidate(index=index, model=model, agent=model, text=text)
            yield Incoming(
                agent=agent,
                candidate=candidate,
                item=banked,
                sampling=settings,
                seed=seed,
                graded=hit is not None,
                extracted=answers[index],
                correct=bool(hit),
            )
    if not found:
        raise DataError("holds no sampled texts (only likelihoods of given answers, or nothing)", file=path)


def _model(path: Path) -> str:
    """As the results beside it say, else the folder's name."""
    for results in sorted(path.parent.glob("results_*.json")):
        try:
            told = json.loads(results.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(told, dict) and isinstance(name := told.get("model_name"), str) and name:
            return name
    return path.parent.name.replace("__", "/") or "lm-eval"


def _texts(line: JsonLine) -> list[str]:
    responses = line.entries("resps")
    if len(responses) == 1 and isinstance(responses[0], list):
        responses = responses[0]
    return [text for text in responses if isinstance(text, str)]


def _arguments(line: JsonLine) -> tuple[Question, SamplingParams]:
    given = line.data.get("arguments")
    first: Any = None
    if isinstance(given, list) and given:
        first = given[0]
    elif isinstance(given, Mapping) and given:
        told = next(iter(given.values()))
        first = [told.get("arg_0"), told.get("arg_1")] if isinstance(told, Mapping) else None
    prompt, settings = [*first, None, None][:2] if isinstance(first, list) else (None, None)
    prompt = prompt[0] if isinstance(prompt, list) and prompt else prompt
    if not isinstance(prompt, str) or not prompt.strip():
        raise line.fault("holds no prompt", "arguments")
    return _question(prompt), _parse_sampling(settings if isinstance(settings, Mapping) else {})


def _question(prompt: str) -> Question:
    """A plain prompt, or chat messages as JSON."""
    if prompt.lstrip().startswith("["):
        try:
            return Question.of([Message.model_validate(message) for message in json.loads(prompt)])
        except ValueError:
            pass
    return Question.of(prompt)


def _parse_sampling(settings: Mapping[str, Any]) -> SamplingParams:
    stop = settings.get("until") or ()
    drawn = settings.get("do_sample", True)
    temperature = settings.get("temperature")
    most = settings.get("max_gen_toks", settings.get("max_tokens"))
    return SamplingParams(
        temperature=float(temperature) if isinstance(temperature, int | float) else None if drawn else 0.0,
        top_p=p if isinstance(p := settings.get("top_p"), float) and 0 < p <= 1 else None,
        max_tokens=most if isinstance(most, int) and most > 0 else None,
        stop=tuple(stop) if isinstance(stop, list) else (stop,) if stop else (),
    )


def _gold(line: JsonLine) -> str:
    target = line.text("target")
    if len(target) < _LONG and "\n" not in target and "####" not in target:
        return target
    return AnswerExtractor().extract(target) or target


def _hit(line: JsonLine) -> bool | None:
    names = [*(name for name in line.data.get("metrics") or () if isinstance(name, str)), *_HITS]
    for name in names:
        value = line.data.get(name)
        if isinstance(value, bool | int | float) and value in (0, 1):
            return bool(value)
    return None


def _answers(line: JsonLine, count: int) -> list[str | None]:
    """What the filter left of each text, where it left one of each."""
    given = line.data.get("filtered_resps")
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], list):
        given = given[0]
    if not isinstance(given, list) or len(given) != count:
        return [None] * count
    return [None if not isinstance(a, str) or a in ("", "[invalid]") else a for a in given]
