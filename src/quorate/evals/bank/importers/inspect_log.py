"""Logs of Inspect: `.eval` (a zip with a JSON file a sample, read one at a time) and `.json` (read whole).

The question is what the model was shown first; its answers of all epochs are samples of it. The first
scorer's value is the grade: `C` or 1 is right, `I`, `P`, `N` and other numbers are not. Samples that
ended in an error are left out. Inspect compresses with Zstandard, which Python reads from 3.14 on;
before that pyarrow (extra `eval`) does.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import DataError, MissingExtra
from quorate.orchestrator.types import Candidate, FinishReason, Message, Question, SamplingParams, Usage

from ..ingest import Incoming
from ..values import BankedAgent, BankedItem

__all__ = ["inspect_samples", "is_log"]

_ZSTANDARD = 93
_ATTACHED = "attachment://"
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


def is_log(path: Path) -> bool:
    """Whether it is an Inspect log by its name; a `.json` file by its beginning."""
    if path.suffix == ".eval":
        return True
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open("rb") as content:
        return b'"eval"' in content.read(4096)


def inspect_samples(path: Path) -> Iterator[Incoming]:
    """Every sample of a log.

    Raises:
        DataError: it is broken or no log; names the file and the sample.
        MissingExtra: pyarrow is needed and not installed.
    """
    header, samples = _open_zip(path) if path.suffix == ".eval" else _open_json(path)
    log = _Log(path, header)
    for name, sample in samples:
        try:
            incoming = log.parse_sample(sample)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"is no sample of an Inspect log: {error!r}", file=path, field=name) from error
        if incoming is not None:
            yield incoming


class _Log:
    """What all samples of a log have in common."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        try:
            spec = header["eval"]
            self._task, model = str(spec["task"]).rsplit("/", 1)[-1], str(spec["model"])
        except (KeyError, TypeError) as error:
            raise DataError("is no Inspect log: it names no task and model", file=path) from error
        config = {**(spec.get("model_generate_config") or {}), **((header.get("plan") or {}).get("config") or {})}
        self._sampling = _parse_sampling(config)
        self._revision = str(spec.get("task_version", ""))
        self._agent = BankedAgent(id=f"{model}~inspect", name=model, kind="inspect", model=model)
        self._seed = derive_seed(0, "inspect", str(spec.get("eval_id") or spec.get("run_id") or path.name))
        self._items: dict[str, BankedItem] = {}

    def parse_sample(self, sample: Mapping[str, Any]) -> Incoming | None:
        """None for a sample without an answer of the model."""
        output, name = sample.get("output") or {}, str(sample["id"])
        if sample.get("error") or not output.get("choices"):
            return None
        attached = sample.get("attachments") or {}
        item = self._items.setdefault(name, self._item(name, sample, attached))
        score = next(iter((sample.get("scores") or {}).values()), None) or {}
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
        used = output.get("usage") or {}
        usage = Usage(
            prompt_tokens=used.get("input_tokens") or 0,
            completion_tokens=used.get("output_tokens") or 0,
            reasoning_tokens=used.get("reasoning_tokens") or 0,
            requests=1,
        )
        return Candidate(
            index=int(sample.get("epoch") or 1) - 1,
            model=str(output.get("model") or self._agent.model),
            agent=self._agent.name,
            text=text,
            reasoning=reasoning,
            finish_reason=_REASONS.get(choice.get("stop_reason") or ""),
            usage=usage,
            latency=output.get("time"),
        )

    def _item(self, name: str, sample: Mapping[str, Any], attached: Mapping[str, str]) -> BankedItem:
        target, metadata = sample.get("target"), sample.get("metadata") or {}
        cluster = metadata.get("cluster") if isinstance(metadata, Mapping) else None
        return BankedItem(
            task=self._task,
            item=name,
            question=Question.of(_prompt_messages(sample, attached)),
            gold="\n".join(map(str, target)) if isinstance(target, list) else None if target is None else str(target),
            cluster=str(cluster or ""),
            revision=self._revision,
        )


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
        return {"C": True, "I": False, "P": False, "N": False}.get(value)
    return value == 1 if isinstance(value, bool | int | float) else None


def _parse_sampling(config: Mapping[str, Any]) -> SamplingParams:
    names = ("temperature", "top_p", "top_k", "max_tokens")
    given = {name: config[name] for name in names if config.get(name) is not None}
    return SamplingParams(**given, stop=tuple(config.get("stop_seqs") or ()))


def _open_json(path: Path) -> tuple[Mapping[str, Any], Iterator[tuple[str, Any]]]:
    try:
        log = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"is no JSON or cut off: {error}", file=path) from error
    if not isinstance(log, dict):
        raise DataError("is no Inspect log", file=path)
    return log, ((f"samples.{i}", sample) for i, sample in enumerate(log.get("samples") or ()))


def _open_zip(path: Path) -> tuple[Mapping[str, Any], Iterator[tuple[str, Any]]]:
    try:
        with zipfile.ZipFile(path) as log:
            members = {member.filename: member for member in log.infolist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"is no Inspect log, or cut off: {error}; try `inspect log recover`", file=path) from error
    head = members.get("header.json") or members.get("_journal/start.json")
    if head is None:
        raise DataError("is no Inspect log: it has no header.json", file=path)
    names = sorted(name for name in members if name.startswith("samples/") and name.endswith(".json"))
    return _json(path, head), ((name, _json(path, members[name])) for name in names)


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
