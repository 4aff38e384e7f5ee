"""Programs with the results of their tests: HumanEval's `*_results.jsonl` and evalplus's `*_eval_results.json`.

Neither holds the questions, nor says which model wrote the programs: it is taken from the name of the file, as
evalplus's own generation names it (`ORG--MODEL_BACKEND_temp_0.8_eval_results.json`). Programs vote as what they are:
the same program is the same answer. A program of evalplus is right if it passed the base tests and, where these were
run, the further ones; a list of failed tests may be empty for one that did not even run, and says nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quorate.evals.answer_files import lines_of
from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import Candidate, Question, SamplingParams

from ..ingest import Found, Incoming
from ..values import BankedAgent, BankedItem
from .source import ImportOptions, banked_agent

__all__ = ["evalplus_samples", "human_eval_samples"]

_RESULTS = re.compile(r"(\.jsonl)?_(eval_)?results\.jsonl?(\.gz)?$")
_WRITTEN_BY = re.compile(
    r"(?P<model>.+)_(?:vllm|hf|openai|anthropic|google|bedrock|gptqmodel)_temp_(?P<temperature>[\d.]+)$"
)
_STATUSES = ("pass", "fail", "timeout")


def human_eval_samples(path: Path, options: ImportOptions) -> Iterator[Found]:
    """Every completion with its result.

    Raises:
        DataError: a line is broken.
    """
    source = _ProgramFile(path, "human-eval", options)
    for line in lines_of(path):
        completion, passed = line.data.get("completion"), line.data.get("passed")
        if not isinstance(passed, bool):
            raise line.fault("must be true or false", "passed")
        if completion is not None and not isinstance(completion, str):
            raise line.fault("must be text", "completion")
        yield source.sample(line.text("task_id"), completion or "", passed, {"result": line.data.get("result")})


def evalplus_samples(path: Path, options: ImportOptions) -> Iterator[Found]:
    """Every solution with its results.

    Raises:
        DataError: it is broken, or of a version before solutions were kept.
    """
    try:
        tasks = json.loads(path.read_bytes())["eval"]
        rows = [(name, number, row) for name, given in tasks.items() for number, row in enumerate(given)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"is no result of evalplus, or cut off: {error}", file=path) from error
    source = _ProgramFile(path, "evalplus", options)
    for name, number, row in rows:
        place = f"eval.{name}[{number}]"
        if not isinstance(row, Mapping) or not isinstance(solution := row.get("solution"), str):
            raise DataError("holds no solution: results of evalplus before 0.2 cannot be used", file=path, field=place)
        facts = {status: row.get(status) for status in ("base_status", "plus_status")}
        if facts["base_status"] not in _STATUSES:
            raise DataError(f"base_status must be one of {', '.join(_STATUSES)}", file=path, field=place)
        right = facts["base_status"] == "pass" and facts["plus_status"] in ("pass", None)
        yield source.sample(str(name), solution, right, facts)


class _ProgramFile:
    """The programs of one file."""

    def __init__(self, path: Path, tool: str, options: ImportOptions) -> None:
        stem = _RESULTS.sub("", path.name)
        written = _WRITTEN_BY.fullmatch(stem)
        self._model = (written["model"] if written else stem).replace("--", "/")
        self._sampling = SamplingParams(temperature=float(written["temperature"])) if written else None
        self._task = options.task or tool
        self._agent: BankedAgent = banked_agent(self._model, tool)
        self._seed = derive_seed(0, tool, path.name)
        self._items: dict[str, BankedItem] = {}
        self._counts: Counter[str] = Counter()

    def sample(self, name: str, program: str, right: bool, facts: Mapping[str, Any]) -> Incoming:
        """The next program of a problem."""
        unknown = BankedItem(task=self._task, item=name, question=Question(messages=()))
        index = self._counts[name]
        self._counts[name] += 1
        return Incoming(
            agent=self._agent,
            candidate=Candidate(index=index, model=self._model, agent=self._model, text=program),
            item=self._items.setdefault(name, unknown),
            sampling=self._sampling,
            seed=self._seed,
            graded=True,
            extracted=program.strip() or None,
            correct=right,
            facts=facts,
        )
