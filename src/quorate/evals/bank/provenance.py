"""What the samples are of: questions, agents and runs, and what is said when one changed under its name."""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.types import Question, SamplingParams

from .alike import dump_sampling
from .store import Store
from .values import BankedAgent, BankedItem, RunRecord, SampleRequest, content_key

if TYPE_CHECKING:
    from ..task import Item

_COMPANY = """
SELECT agent, sum(asked > 1 AND asked < samples) AS mixed, count(*) AS requests
FROM (SELECT r.agent, sum(s.requests > 0) AS asked, count(*) AS samples
      FROM samples s JOIN requests r ON r.id = s.request GROUP BY s.request)
GROUP BY agent HAVING mixed ORDER BY agent
"""
_LIBRARIES = ("quorate", "torch", "transformers", "vllm", "openai", "math-verify", "scipy", "statsmodels")


def note_question(store: Store, question: Question) -> str:
    """Keeps a question's content; its key."""
    key = content_key(question)
    plain = question.model_copy(update={"sampling": SamplingParams()})
    store.execute("INSERT OR IGNORE INTO questions VALUES (?, ?)", (key, dump_json(plain)))
    return key


def unknown_key(task: str, item: str) -> str:
    """In place of the key of a question whose content an import does not know."""
    return f"unknown-{hashlib.sha256(json.dumps([task, item]).encode()).hexdigest()[:24]}"


def note_request(store: Store, request: SampleRequest, content: str | None, sampling: SamplingParams) -> int:
    """Keeps a request with the key of its question's content; its number."""
    found = store.execute(
        "SELECT id, question FROM requests WHERE agent = ? AND key = ? AND ifnull(seed, 'none') = ifnull(?, 'none')",
        request,
    ).fetchone()
    if found is not None and (found["question"] is not None or content is None):
        return int(found["id"])
    number = (
        store.execute("INSERT INTO requests (agent, key, seed) VALUES (?, ?, ?)", request).lastrowid
        if found is None
        else int(found["id"])
    )
    assert number is not None
    if content is not None:
        values = (content, dump_sampling(sampling), number)
        store.execute("UPDATE requests SET question = ?, sampling = ? WHERE id = ?", values)
    return number


def note_agent(store: Store, agent: BankedAgent) -> list[str]:
    """Keeps an agent; says so where another one of its name has samples here."""
    if store.value("SELECT 1 FROM agents WHERE id = ?", (agent.id,)):
        return []
    store.execute("INSERT INTO agents VALUES (:id, :name, :kind, :model, :fingerprint)", agent.model_dump())
    others = "SELECT count(*) FROM samples WHERE request IN (SELECT id FROM requests WHERE agent = ?)"
    notes = []
    for row in store.execute("SELECT * FROM agents WHERE name = ? AND id != ?", (agent.name, agent.id)).fetchall():
        count = store.value(others, (row["id"],))
        what = "weights" if (row["kind"], row["model"]) == (agent.kind, agent.model) else "settings"
        if count:
            notes.append(
                f"{agent.name} has other {what} than when the bank's {count:,} samples of {row['id']} were drawn; "
                f"they are kept apart, and new ones are drawn as {agent.id}"
            )
    return notes


def note_items(store: Store, task: str, items: Iterable[Item | BankedItem], **facts: str) -> tuple[str, list[str]]:
    """Keeps a task's questions; a hash of all of them, and what changed."""
    digest, changes = [], Counter[str]()
    for given in items:
        item = given if isinstance(given, BankedItem) else _to_banked(task, given, facts)
        _, key, change = note_item(store, item)
        digest.append(f"{item.item}\n{key}\n{item.gold}\n")
        changes[change] += 1
    return hashlib.sha256("".join(sorted(digest)).encode()).hexdigest()[:16], describe_changes(task, changes)


def note_item(store: Store, item: BankedItem, *, current: bool = True) -> tuple[int, str, str]:
    """Keeps a question; its number, its key, and whether it is `same`, `new`, `reworded`, `regraded` or `old`.

    Args:
        current: False for an earlier wording, which does not take the place of another.
    """
    key = note_question(store, item.question) if item.question.messages else unknown_key(item.task, item.item)
    before = store.execute(
        "SELECT id, question, gold FROM items WHERE task = ? AND item = ? AND current", (item.task, item.item)
    ).fetchone()
    if before is not None and (before["question"], before["gold"]) == (key, item.gold):
        return before["id"], key, "same"
    if before is not None and current:
        store.execute("UPDATE items SET current = 0 WHERE id = ?", (before["id"],))
    number = store.execute(
        "INSERT INTO items (task, item, question, gold, cluster, split, revision, prompt, current) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET current = max(current, excluded.current) "
        "RETURNING id",
        (item.task, item.item, key, item.gold, item.cluster, item.split, item.revision, item.prompt, current),
    ).fetchone()[0]
    if not current:
        return number, key, "old"
    change = "new" if before is None else "reworded" if before["question"] != key else "regraded"
    return number, key, change


def _to_banked(task: str, item: Item, facts: Mapping[str, str]) -> BankedItem:
    return BankedItem(task=task, item=item.id, question=item.question, gold=item.gold, cluster=item.cluster, **facts)


def describe_changes(task: str, changes: Counter[str]) -> list[str]:
    """What a user should know of changed questions."""
    notes, reworded, regraded = [], changes["reworded"], changes["regraded"]
    if reworded:
        notes.append(
            f"{reworded:,} questions of task {task!r} read differently than when this bank was filled (a changed "
            "prompt or source): samples of the earlier wording are kept under their own key and not used here"
        )
    if regraded:
        notes.append(
            f"{regraded:,} questions of task {task!r} have another right answer than before: their samples are used "
            "and graded anew"
        )
    return notes


def describe_company(store: Store) -> list[str]:
    """What a user should know of prompts whose samples come from several requests, some of them in company.

    In bfloat16 a text depends on what it was computed beside, so the same seed need not give such samples again.
    Only the first sample of a request bears its prompt: that tells how many requests there were.
    """
    return [
        f"{row['mixed']:,} of {row['requests']:,} prompts have samples of {row['agent']} from several requests, some "
        "of which brought more than one: a run that draws them otherwise may draw others under the same seed, and in "
        "bfloat16 so may a model that is alike in all else"
        for row in store.rows(_COMPANY)
    ]


def add_run(store: Store, run: RunRecord) -> int:
    made = store.execute(
        "INSERT INTO runs (task, started, finished, revision, content, questions, pipelines, settings, versions) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(run.task, run.started, run.finished, run.revision, run.content, run.questions),
            *(json.dumps(value) for value in (run.pipelines, dict(run.settings), dict(run.versions))),
        ),
    ).lastrowid
    assert made is not None
    return made


def runs(store: Store) -> Iterator[RunRecord]:
    for row in store.rows("SELECT * FROM runs ORDER BY id"):
        yield RunRecord(**{**row, **{name: json.loads(row[name]) for name in ("pipelines", "settings", "versions")}})


def versions() -> dict[str, str]:
    """Of what decides the results, where it is installed."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def dump_json(value: Frozen) -> str:
    """As JSON, without what is at its default; halves of surrogate pairs as escapes."""
    return json.dumps(value.model_dump(mode="json", exclude_defaults=True))
