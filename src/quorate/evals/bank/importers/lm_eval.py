"""Sample files of lm-evaluation-harness (`--log_samples`): `MODEL/samples_TASK_DATE.jsonl`.

A line holds one question: `arguments` (the prompt and the settings), `resps` (the texts), `target`
and the metrics of one filter; a task with several filters has a line for each, of which the first filter is
taken, or the one that is named. The metrics are a question's, not a sample's: where there are several samples, or a
metric that is no plain hit or miss, these come without grades. A text that is null was no answer, and is a wrong
one. A task's `target` may be a whole solution, in which case the answer in it is the right one, or a list, any of
which is right. Questions that were answered by comparing likelihoods have no texts and are left out. The harness sends
one seed with all repeats of a question, so that a server that honours seeds gives copies of one sample, which is told.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from quorate.aggregators.extraction import AnswerExtractor
from quorate.evals.answer_files import JsonLine, lines_of
from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Candidate, Message, Question, SamplingParams

from ..ingest import Found, Incoming, LeftOut, Remark
from ..values import BankedItem
from .source import ImportOptions, RepeatWatch, banked_agent, join_accepted

__all__ = ["is_samples", "lm_eval_samples"]

_NAME = re.compile(r"samples_(?P<task>.+?)_\d{4}-\d\d-\d\dT[^/]*\.jsonl(\.gz)?$")
_HITS = ("exact_match", "acc", "pass@1", "pass_at_1")
_LONG = 40
"""Characters from which a target is a solution rather than an answer."""


def is_samples(path: Path) -> bool:
    return _NAME.match(path.name) is not None


def lm_eval_samples(path: Path, options: ImportOptions) -> Iterator[Found]:
    """Every sampled text of a file.

    Raises:
        DataError: a line is broken.
        BadInput: there are filters, and none of the name that is asked for.
    """
    named = _NAME.match(path.name)
    task = named["task"] if named else options.task_of(path)
    agent = banked_agent(model := _model(path), "lm-eval")
    seed, repeats = derive_seed(0, path.parent.name, path.name), RepeatWatch()
    filters = list(dict.fromkeys(str(line.data.get("filter", "none")) for line in lines_of(path)))
    if options.answer_filter is not None and options.answer_filter not in filters and filters != ["none"]:
        raise BadInput(f"{path}: there is no filter {options.answer_filter!r}; there is: {', '.join(filters)}")
    chosen = options.answer_filter if options.answer_filter in filters else next(iter(filters), "none")
    for line in lines_of(path):
        if str(line.data.get("filter", "none")) != chosen:
            continue
        if not _generates(line):
            yield LeftOut("were answered by comparing likelihoods, without a text")
            continue
        texts = _texts(line)
        prompt, settings = _arguments(line)
        repeats.note(texts, settings.temperature)
        banked = BankedItem(task=task, item=line.text("doc_id"), question=prompt, gold=_gold(line))
        hit, answers = _hit(line) if len(texts) == 1 else None, _answers(line, len(texts))
        for index, text in enumerate(texts):
            yield Incoming(
                agent=agent,
                candidate=Candidate(index=index, model=model, agent=model, text=text),
                item=banked,
                sampling=settings,
                seed=seed,
                graded=hit is not None or not text,
                extracted=answers[index],
                correct=bool(hit),
            )
    if len(filters) > 1 and options.answer_filter is None:
        others = ", ".join(name for name in filters if name != chosen)
        yield Remark(
            f"{path.name}: answers and grades of the filter {chosen}; there is also {others} (--filter chooses)"
        )
    yield from repeats.remark(path, "lm-eval sends the same seed with all repeats of a question")


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


def _generates(line: JsonLine) -> bool:
    """Whether the model wrote; else likelihoods of texts that were given were compared."""
    first = _first_argument(line)
    return not isinstance(first, list) or (len(first) > 1 and isinstance(first[1], Mapping))


def _texts(line: JsonLine) -> list[str]:
    """The texts, one for each repeat; those that are null are empty."""
    texts: list[str] = []
    for response in line.entries("resps"):
        for text in response if isinstance(response, list) else [response]:
            if text is not None and not isinstance(text, str):
                raise line.fault(f"a response must be text or null, not {type(text).__name__}", "resps")
            texts.append(text or "")
    if not texts:
        raise line.fault("holds no response", "resps")
    return texts


def _first_argument(line: JsonLine) -> Any:
    """The first request's prompt and settings, whichever way the harness wrote them."""
    given = line.data.get("arguments")
    if isinstance(given, list) and given:
        return given[0]
    if isinstance(given, Mapping) and given:
        told = next(iter(given.values()))
        return [told.get("arg_0"), told.get("arg_1")] if isinstance(told, Mapping) else None
    return None


def _arguments(line: JsonLine) -> tuple[Question, SamplingParams]:
    first = _first_argument(line)
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


def _gold(line: JsonLine) -> str | None:
    target = line.data.get("target")
    if isinstance(target, str) and target.startswith("[") and target.endswith("]"):
        # How newer versions write a list.
        with suppress(ValueError, SyntaxError):
            target = found if isinstance(found := ast.literal_eval(target), list) else target
    text = join_accepted(target)
    if text is None or isinstance(target, list) or not text.strip():
        return text
    if len(text) < _LONG and "\n" not in text and "####" not in text:
        return text
    return AnswerExtractor().extract(text) or text


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
