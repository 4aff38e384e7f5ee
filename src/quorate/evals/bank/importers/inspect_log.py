"""Logs of Inspect: `.eval` (a zip with a JSON file a sample, read one at a time) and `.json` (read whole).

The question is what the model was shown first; its answers of all epochs are samples of it, and cost what all calls
of the sample did, but for those of a model that only graded. What solves is part of who answers: the same model behind
two solvers is two agents. Of several scorers the first that grades is taken, or the one that is named: `C` or 1 is
right, `I`, `P`, `N` and other numbers up to 1 are not; one with other values measures, and grades nothing. Of several
targets any is right. Samples that ended in an error are left out. Inspect compresses with Zstandard, which Python reads
from 3.14 on; before that pyarrow (extra `eval`) does.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import BadInput, DataError, MissingExtra
from quorate.orchestrator.types import Candidate, Message, Question, SamplingParams
from quorate.orchestrator.usage import Usage

from ..ingest import Found, Incoming, LeftOut, Remark
from ..values import BankedAgent, BankedItem
from .source import ImportOptions, banked_agent, finish_reason_of, join_accepted

__all__ = ["inspect_samples"]

_ZSTANDARD = 93
_ATTACHED = "attachment://"
_GRADES = {"C": True, "I": False, "P": False, "N": False}
_PLAIN = "generate"
"""The solver that only asks the model."""


def inspect_samples(path: Path, options: ImportOptions) -> Iterator[Found]:
    """Every sample of a log.

    Raises:
        DataError: it is broken or no log; names the file and the sample.
        BadInput: it has no scorer of the name that is asked for.
        MissingExtra: pyarrow is needed and not installed.
    """
    header, samples = _open_zip(path) if path.suffix == ".eval" else _open_json(path)
    scorer, remark = _choose_scorer(path, options.scorer, (sample for _, sample in samples()))
    log = _Log(path, header, scorer)
    for name, sample in samples():
        try:
            found = log.parse_sample(sample)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"is no sample of an Inspect log: {error!r}", file=path, field=name) from error
        yield found
    if remark:
        yield Remark(f"{path.name}: {remark}")


def _choose_scorer(path: Path, wanted: str | None, samples: Iterable[Any]) -> tuple[str | None, str]:
    """Whose grades count, and what there is to say of that.

    Raises:
        BadInput: there is no such scorer.
    """
    values: dict[str, list[Any]] = {}
    for sample in samples:
        scores = sample.get("scores") if isinstance(sample, Mapping) else None
        for name, score in (scores or {}).items():
            values.setdefault(name, []).append(score.get("value") if isinstance(score, Mapping) else None)
    if wanted is not None and wanted not in values:
        raise BadInput(f"{path}: there is no scorer {wanted!r}; there is: {', '.join(values) or 'none'}")
    grading = [name for name, given in values.items() if all(map(_is_grade, given))]
    chosen = wanted or next(iter(grading), None)
    others = ", ".join(name for name in values if name != chosen)
    if chosen is None:
        why = f"{others} measures and grades nothing, so its samples come without grades" if values else ""
        return None, why
    return chosen, f"graded by {chosen}; there is also {others} (--scorer chooses)" if others and not wanted else ""


def _is_grade(value: Any) -> bool:
    if isinstance(value, bool | int | float):
        return 0 <= value <= 1
    return value is None or value in _GRADES


class _Log:
    """What all samples of a log have in common."""

    def __init__(self, path: Path, header: Mapping[str, Any], scorer: str | None) -> None:
        try:
            spec = header["eval"]
            self._task, model = str(spec["task"]).rsplit("/", 1)[-1], str(spec["model"])
        except (KeyError, TypeError) as error:
            raise DataError("is no Inspect log: it names no task and model", file=path) from error
        config = {**(spec.get("model_generate_config") or {}), **((header.get("plan") or {}).get("config") or {})}
        self._sampling = _parse_sampling(config)
        self._revision = str(spec.get("task_version", ""))
        self._scorer, self._model = scorer, model
        self._graders = _graders(spec) - {model}
        self._agent = _agent(model, (header.get("plan") or {}).get("steps") or ())
        self._seed = derive_seed(0, "inspect", str(spec.get("eval_id") or spec.get("run_id") or path.name))
        self._items: dict[str, BankedItem] = {}

    def parse_sample(self, sample: Mapping[str, Any]) -> Incoming | LeftOut:
        """A sample, or why there is none."""
        output, name = sample.get("output") or {}, str(sample["id"])
        if sample.get("error"):
            return LeftOut("ended in an error")
        if not output.get("choices"):
            return LeftOut("hold no answer of the model")
        attached = sample.get("attachments") or {}
        item = self._items.setdefault(name, self._item(name, sample, attached))
        score = (sample.get("scores") or {}).get(self._scorer) or {}
        right, told = _right(score.get("value")), score.get("answer")
        candidate = self._candidate(sample, output, attached)
        answer = _resolve_attachment(told, attached) if isinstance(told, str) else None
        return Incoming(
            agent=self._agent,
            candidate=candidate,
            item=item,
            sampling=self._sampling,
            seed=self._seed,
            graded=right is not None,
            # Some scorers give the whole text as the answer.
            extracted=None if answer is None or answer.strip() == candidate.text.strip() else answer,
            correct=bool(right),
        )

    def _candidate(
        self, sample: Mapping[str, Any], output: Mapping[str, Any], attached: Mapping[str, str]
    ) -> Candidate:
        choice = output["choices"][0]
        text, reasoning = _split_content(choice["message"].get("content"), attached)
        return Candidate(
            index=int(sample.get("epoch") or 1) - 1,
            model=str(output.get("model") or self._model),
            agent=self._agent.name,
            text=text,
            reasoning=reasoning,
            finish_reason=finish_reason_of(choice.get("stop_reason")),
            usage=self._usage(sample, output),
            latency=output.get("time"),
        )

    def _usage(self, sample: Mapping[str, Any], output: Mapping[str, Any]) -> Usage:
        """Of all calls of the sample, where the log has it; else of the last."""
        by_model: Mapping[str, Any] = sample.get("model_usage") or {}
        used = [usage for model, usage in by_model.items() if model not in self._graders] or [output.get("usage") or {}]
        calls = sum(
            isinstance(event, Mapping) and event.get("event") == "model" for event in sample.get("events") or ()
        )

        def total(*names: str) -> int:
            return sum(usage.get(name) or 0 for usage in used for name in names)

        return Usage(
            prompt_tokens=total("input_tokens", "input_tokens_cache_read", "input_tokens_cache_write"),
            completion_tokens=total("output_tokens"),
            reasoning_tokens=total("reasoning_tokens"),
            cached_tokens=total("input_tokens_cache_read"),
            cache_write_tokens=total("input_tokens_cache_write"),
            requests=max(1, calls),
        )

    def _item(self, name: str, sample: Mapping[str, Any], attached: Mapping[str, str]) -> BankedItem:
        metadata = sample.get("metadata") or {}
        cluster = metadata.get("cluster") if isinstance(metadata, Mapping) else None
        return BankedItem(
            task=self._task,
            item=name,
            question=Question.of(_prompt_messages(sample, attached)),
            gold=join_accepted(sample.get("target")),
            cluster=str(cluster or ""),
            revision=self._revision,
        )


def _agent(model: str, steps: Sequence[Any]) -> BankedAgent:
    """The model behind what solves: plain generation has its name, all else another one."""
    named = [(str(step["solver"]), step.get("params") or {}) for step in steps if isinstance(step, Mapping)]
    if [name for name, _ in named] in ([], [_PLAIN]):
        return banked_agent(model, "inspect")
    known = hashlib.sha256(json.dumps(named, sort_keys=True, default=str).encode()).hexdigest()[:8]
    solver = "+".join(name.rsplit("/", 1)[-1] for name, _ in named if name != _PLAIN) or _PLAIN
    return banked_agent(model, "inspect", known).model_copy(update={"name": f"{model}+{solver}"})


def _graders(spec: Mapping[str, Any]) -> set[str]:
    """Models whose role is to grade."""
    role = (spec.get("model_roles") or {}).get("grader")
    given = role if isinstance(role, list) else [role]
    return {str(one.get("model")) for one in given if isinstance(one, Mapping)}


def _prompt_messages(sample: Mapping[str, Any], attached: Mapping[str, str]) -> list[Message]:
    """The messages up to the model's first; those of the input where the log has no others."""
    messages = list(sample.get("messages") or ())
    until = next(
        (i for i, m in enumerate(messages) if m["role"] == "assistant" and m.get("source") == "generate"), None
    )
    if until is None:
        given = sample["input"]
        messages = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    return [Message(role=m["role"], content=_split_content(m.get("content"), attached)[0]) for m in messages[:until]]


def _split_content(content: Any, attached: Mapping[str, str]) -> tuple[str, str | None]:
    """Text and reasoning of a message."""
    if isinstance(content, str):
        return _resolve_attachment(content, attached), None
    parts: Sequence[Any] = content or ()
    texts = [_resolve_attachment(str(p.get("text") or ""), attached) for p in parts if p.get("type") == "text"]
    thoughts = [
        _resolve_attachment(str(p.get("reasoning") or ""), attached) for p in parts if p.get("type") == "reasoning"
    ]
    return "".join(texts), "\n".join(thoughts) or None


def _resolve_attachment(text: str, attached: Mapping[str, str]) -> str:
    return attached.get(text.removeprefix(_ATTACHED), text) if text.startswith(_ATTACHED) else text


def _right(value: Any) -> bool | None:
    if isinstance(value, str):
        return _GRADES.get(value)
    return value == 1 if isinstance(value, bool | int | float) else None


def _parse_sampling(config: Mapping[str, Any]) -> SamplingParams:
    names = ("temperature", "top_p", "top_k", "max_tokens")
    given = {name: config[name] for name in names if config.get(name) is not None}
    return SamplingParams(**given, stop=tuple(config.get("stop_seqs") or ()))


Samples = Callable[[], Iterator[tuple[str, Any]]]
"""All samples with their names, each time that it is called."""


def _open_json(path: Path) -> tuple[Mapping[str, Any], Samples]:
    try:
        log = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"is no JSON or cut off: {error}", file=path) from error
    if not isinstance(log, dict):
        raise DataError("is no Inspect log", file=path)
    return log, lambda: ((f"samples.{i}", sample) for i, sample in enumerate(log.get("samples") or ()))


def _open_zip(path: Path) -> tuple[Mapping[str, Any], Samples]:
    try:
        with zipfile.ZipFile(path) as log:
            members = {member.filename: member for member in log.infolist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"is no Inspect log, or cut off: {error}; try `inspect log recover`", file=path) from error
    head = members.get("header.json") or members.get("_journal/start.json")
    if head is None:
        raise DataError("is no Inspect log: it has no header.json", file=path)
    names = sorted(name for name in members if name.startswith("samples/") and name.endswith(".json"))
    return _json(path, head), lambda: ((name, _json(path, members[name])) for name in names)


def _json(path: Path, member: zipfile.ZipInfo) -> Any:
    try:
        return json.loads(_content(path, member))
    except (OSError, ValueError, zlib.error, struct.error) as error:
        raise DataError(f"cannot be read: {error}", file=path, field=member.filename) from error


def _content(path: Path, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type != _ZSTANDARD:
        with zipfile.ZipFile(path) as log:
            return log.read(member)
    with path.open("rb") as file:
        file.seek(member.header_offset)
        _, name, extra = struct.unpack("<26sHH", file.read(30))
        file.seek(name + extra, 1)
        packed = file.read(member.compress_size)
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtra("eval", f"reading {path.name}, which is compressed with Zstandard") from error
    return bytes(pyarrow.Codec("zstd").decompress(packed, member.file_size, asbytes=True))
