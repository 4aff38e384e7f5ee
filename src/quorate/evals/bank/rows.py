"""Samples as flat rows that stand for themselves: what an export holds and an import of it reads.

One row a sample (and question, where several tasks ask the same): the question with its right
answer, who was asked with which settings and seed, the sample, and its grade. `question`, `sampling`,
`logprobs`, `tool_calls`, `facts`, `ensembling` and `degraded` are JSON: text in Parquet, values in JSON lines.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question, SamplingParams
from quorate.storage.candidate_columns import CANDIDATE, LATER, candidate_of

from .absorbing import Incoming
from .store import Store
from .values import BankedAgent, BankedItem

__all__ = ["COLUMNS", "NESTED", "flat_rows", "incoming_of"]

NESTED = ("question", "sampling", "logprobs", "tool_calls", "facts", *LATER)
_ITEM = ("task", "item", "cluster", "split", "revision", "prompt", "current", "gold")
_SAMPLE = ("idx", "own_prompt", "facts", "added")
_AGENT = ("name", "kind", "fingerprint")
COLUMNS = (
    *_ITEM,
    *("question", "asker", *_AGENT, "asked_model", "sampling", "run_seed", "key"),
    *_SAMPLE,
    *CANDIDATE,
    *("extracted", "correct"),
)
"""Names of the columns of a row, in order. `asker` is the agent's id, `key` and `run_seed` those of the request."""

_ROWS = f"""
SELECT {", ".join(f"i.{n}" for n in _ITEM)}, q.question, r.agent AS asker, {", ".join(f"a.{n}" for n in _AGENT)},
    a.model AS asked_model, r.sampling, r.seed AS run_seed, r.key,
    {", ".join(f"s.{n}" for n in (*_SAMPLE, *CANDIDATE))}, g.extracted, g.correct
FROM samples s CROSS JOIN requests r ON r.id = s.request LEFT JOIN agents a ON a.id = r.agent
LEFT JOIN questions q ON q.key = r.question LEFT JOIN items i ON i.question = r.question
LEFT JOIN grades g ON g.sample = s.id AND g.item = i.id
WHERE (:task IS NULL OR i.task = :task) AND (:agent IS NULL OR a.id = :agent OR a.name = :agent) ORDER BY s.id
"""


def flat_rows(store: Store, task: str | None = None, agent: str | None = None) -> Iterator[dict[str, Any]]:
    """Every sample, in the order in which they came, as it is needed."""
    for row in store.rows(_ROWS, {"task": task, "agent": agent}):
        flat = dict(row)
        flat["logprobs"] = None if flat["logprobs"] is None else zlib.decompress(flat["logprobs"]).decode()
        for name in ("own_prompt", "estimated", "current", "correct"):
            flat[name] = None if flat[name] is None else bool(flat[name])
        yield flat


def incoming_of(row: Mapping[str, Any], fault: Callable[[str, str | None], BadInput]) -> Incoming:
    """What a row says; texts of JSON or values in the nested columns.

    Args:
        fault: makes the error that names the place, from a message and a column.

    Raises:
        BadInput: a column is missing or holds nonsense.
    """
    try:
        row = {**dict.fromkeys(LATER), **row}
        texts = {name: _text(row[name]) for name in NESTED}
        item = None
        if row["task"] is not None:
            facts = tuple(row[name] or "" for name in ("cluster", "split", "revision", "prompt"))
            item = _item(row["task"], row["item"], texts["question"], row["gold"], *facts)
        logprobs = texts["logprobs"]
        packed = {**row, **texts, "logprobs": None if logprobs is None else zlib.compress(logprobs.encode())}
        return Incoming(
            agent=_agent(row["asker"], row["name"], row["kind"], row["asked_model"], row["fingerprint"]),
            candidate=candidate_of(packed, row["idx"]),
            item=item,
            current=row["current"] is not False,
            question=None if item is not None or texts["question"] is None else _question(texts["question"]),
            sampling=None if texts["sampling"] is None else _sampling(texts["sampling"]),
            seed=row["run_seed"],
            key=row["key"],
            graded=row["correct"] is not None,
            extracted=row["extracted"],
            correct=bool(row["correct"]),
            facts=json.loads(texts["facts"]) if texts["facts"] else {},
            own_prompt=bool(row["own_prompt"]),
        )
    except KeyError as error:
        raise fault("is missing: this is no export of a sample bank", str(error.args[0])) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise fault(first["msg"], ".".join(map(str, first["loc"]))) from None
    except (TypeError, ValueError, IndexError) as error:
        raise fault(f"is no row of a sample bank: {error}", None) from None


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


@lru_cache(maxsize=4096)
def _question(text: str) -> Question:
    return Question.model_validate_json(text)


@lru_cache(maxsize=4096)
def _sampling(text: str) -> SamplingParams:
    return SamplingParams.model_validate_json(text)


@lru_cache(maxsize=4096)
def _agent(key: str, name: str | None, kind: str | None, model: str | None, fingerprint: str | None) -> BankedAgent:
    known = BankedAgent.of(key)
    return BankedAgent(
        id=key, name=name or known.name, kind=kind or "", model=model or known.model, fingerprint=fingerprint
    )


@lru_cache(maxsize=65536)
def _item(
    task: str, item: str, question: str | None, gold: str | None, cluster: str, split: str, revision: str, prompt: str
) -> BankedItem:
    return BankedItem(
        task=task,
        item=item,
        question=Question(messages=()) if question is None else _question(question),
        gold=gold,
        cluster=cluster,
        split=split,
        revision=revision,
        prompt=prompt,
    )
