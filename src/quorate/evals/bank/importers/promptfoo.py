"""Results of promptfoo (`promptfoo eval --output FILE.json` or `.jsonl`).

A result is a sample: of a provider, for a prompt filled in with the variables of a test. A test is known by its
variables and description, because repeats (`--repeat`) are numbered as further tests. Where a test has assertions, the
answer is right if all of them hold; without any, promptfoo calls every answer a success, and it comes without a grade.
Results without an answer, because the provider failed, are left out. Repeats out of promptfoo's cache are copies,
which is told: `--no-cache` draws anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quorate.evals.answer_files import lines_of
from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import Candidate, Message, Question, SamplingParams
from quorate.orchestrator.usage import Usage

from ..ingest import Found, Incoming, LeftOut, Remark
from ..values import BankedItem
from .source import ImportOptions, banked_agent, finish_reason_of, join_accepted

__all__ = ["promptfoo_samples"]

_GOLDS = ("equals", "contains", "icontains", "contains-any", "icontains-any")
_FAILED = 2
"""`failureReason` of a result whose provider failed."""


def promptfoo_samples(path: Path, options: ImportOptions) -> Iterator[Found]:
    """Every result.

    Raises:
        DataError: it is broken; names the result.
    """
    header, results = _open(path)
    source = _Results(path, header, options)
    for place, result in results:
        try:
            yield source.parse(result)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"is no result of promptfoo: {error!r}", file=path, field=place) from error
    if source.cached:
        yield Remark(
            f"{path.name}: {source.cached:,} answers are copies out of promptfoo's cache (--no-cache draws anew)"
        )


def _open(path: Path) -> tuple[Mapping[str, Any], Iterator[tuple[str, Any]]]:
    if path.suffix != ".json":
        return {}, ((f"line {line.number}", line.data) for line in lines_of(path))
    try:
        document = json.loads(path.read_bytes())
        results = document["results"]["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"holds no results of promptfoo, or is cut off: {error!r}", file=path) from error
    return document, ((f"results[{number}]", result) for number, result in enumerate(results))


class _Results:
    """The results of one file."""

    def __init__(self, path: Path, header: Mapping[str, Any], options: ImportOptions) -> None:
        config = header.get("config") or {}
        self._task = options.task or str(config.get("description") or path.name.split(".")[0])
        self._seed = derive_seed(0, "promptfoo", str(header.get("evalId") or path.name))
        self._settings = {
            str(provider.get("label") or provider.get("id")): provider.get("config") or {}
            for provider in config.get("providers") or ()
            if isinstance(provider, Mapping)
        }
        self._tests: dict[str, int] = {}
        self._prompts: dict[str, int] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self.cached = 0

    def parse(self, result: Mapping[str, Any]) -> Incoming | LeftOut:
        """A sample, or why there is none."""
        response, test = result.get("response") or {}, result.get("testCase") or {}
        if result.get("failureReason") == _FAILED or ("output" not in response and response.get("error")):
            return LeftOut("the provider failed")
        provider = result["provider"]
        name = str(provider.get("label") or provider["id"]) if isinstance(provider, Mapping) else str(provider)
        item = self._item(result, test)
        index = self._counts[name, item.item]
        self._counts[name, item.item] += 1
        self.cached += bool(response.get("cached"))
        said = response.get("output")
        text = said if isinstance(said, str) else "" if said is None else json.dumps(said, ensure_ascii=False)
        candidate = Candidate(
            index=index,
            model=name,
            agent=name,
            text=text,
            finish_reason=finish_reason_of(response.get("finishReason")),
            usage=_usage(response.get("tokenUsage") or {}, result.get("cost")),
            latency=(result.get("latencyMs") or 0) / 1000,
        )
        return Incoming(
            agent=banked_agent(name, "promptfoo"),
            candidate=candidate,
            item=item,
            sampling=_sampling(self._settings.get(name, {})),
            seed=self._seed,
            graded=bool(test.get("assert")),
            correct=bool(result.get("success")),
        )

    def _item(self, result: Mapping[str, Any], test: Mapping[str, Any]) -> BankedItem:
        variables = test.get("vars") or result.get("vars") or {}
        known = json.dumps([test.get("description"), variables], sort_keys=True, default=str)
        number = self._tests.setdefault(known, len(self._tests) + 1)
        prompt = result["prompt"]
        template = self._prompts.setdefault(str(prompt.get("label")), len(self._prompts) + 1)
        return BankedItem(
            task=self._task,
            item=f"test-{number}/prompt-{template}",
            question=_question(prompt["raw"]),
            gold=_gold(test.get("assert") or ()),
            cluster=f"test-{number}",
        )


def _question(raw: str) -> Question:
    """A prompt as text, or messages as JSON."""
    if raw.lstrip().startswith("["):
        try:
            return Question.of([Message.model_validate(message) for message in json.loads(raw)])
        except ValueError:
            pass
    return Question.of(raw)


def _gold(assertions: Any) -> str | None:
    """The right answer, where an assertion names it."""
    values = [a.get("value") for a in assertions if isinstance(a, Mapping) and a.get("type") in _GOLDS]
    return join_accepted(values[0]) if values else None


def _usage(used: Mapping[str, Any], cost: Any) -> Usage:
    return Usage(
        prompt_tokens=used.get("prompt") or 0,
        completion_tokens=used.get("completion") or 0,
        reasoning_tokens=(used.get("completionDetails") or {}).get("reasoning") or 0,
        requests=1,
        cost=cost or None,
    )


def _sampling(config: Mapping[str, Any]) -> SamplingParams | None:
    given = {name: config[name] for name in ("temperature", "top_p", "max_tokens") if config.get(name) is not None}
    return SamplingParams(**given) if given else None
