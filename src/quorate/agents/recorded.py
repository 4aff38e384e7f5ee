"""Answers from a file: the same samples again, without a model."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.frozen import first_fault
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Candidate, Failure, FinishReason, Message, Question, TokenLogprob
from quorate.orchestrator.usage import Usage


class RecordedSample(BaseModel):
    """One recorded sample; a dumped `Candidate` is one."""

    model_config = ConfigDict(frozen=True)

    text: str = ""
    reasoning: str | None = None
    answer: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: FinishReason | None = "stop"
    usage: Usage = Usage()
    prompt_counted: bool = False
    logprobs: tuple[TokenLogprob, ...] | None = None
    latency: float | None = None
    seed: int | None = None
    error: Failure | None = None


def _as_sample(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


class RecordedRow(BaseModel):
    """One line of the file."""

    question: str | None = None
    messages: tuple[Message, ...] | None = None
    key: str | None = None
    model: str | None = None
    answers: tuple[Annotated[RecordedSample, BeforeValidator(_as_sample)], ...] = Field(
        min_length=1, validation_alias=AliasChoices("answers", "samples")
    )


class Recorded(Agent):
    """A model that answers from recorded samples.

    The file holds one JSON object a line:

        {"question": "What is 2 + 2?", "answers": ["4", {"text": "5", "usage": {"completion_tokens": 1}}]}

    `question` is matched with the text of the last user message; `messages` (a list of chat
    messages) with the whole conversation; `key` with `Question.key`. The first that is recorded of
    key, messages and question counts. `answers` (or `samples`) are texts, or objects with `text` and any of
    `reasoning`, `answer`, `finish_reason`, `usage`, `logprobs`, `tool_calls`, `latency`, `seed` and
    `error`, as a dumped `Candidate` has them. `model` names who gave them. Lines about the same
    question add up; other fields are not read.

    Sample i is the i-th answer, so the same run draws the same samples. One that is not recorded
    fails with the code `not_recorded`. Recorded usage goes to the ledger as if it were spent now.

    Args:
        source: a JSONL file, or the rows themselves.
        name: of the model; the file's name without its ending if not given.
        model: reads only rows of this `model`.

    Raises:
        DataError: the file cannot be read, or a line is not as above; names file, line and field.
    """

    def __init__(
        self, source: str | Path | Sequence[Mapping[str, Any]], *, name: str | None = None, model: str | None = None
    ) -> None:
        path = Path(source) if isinstance(source, str | Path) else None
        self.name = name or model or (path.stem if path else "recorded")
        self._where = path or f"recorded answers of {self.name}"
        self._samples: dict[str, list[Candidate]] = {}
        rows = _lines(path) if path is not None else enumerate(source, start=1)  # type: ignore[arg-type]
        for line, row in rows:
            self._add(_validate(row, path, line), model)
        if not self._samples:
            raise DataError("no recorded answers" + (f" of model {model!r}" if model else ""), file=self._where)

    @cached_property
    def fingerprint(self) -> str:
        """Of all recorded answers."""
        content = {place: [c.model_dump(mode="json") for c in samples] for place, samples in self._samples.items()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def identity(self) -> Identity:
        return Identity(
            kind="recorded", model=self.name, fingerprint=self.fingerprint, capabilities=frozenset({"samples"})
        )

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """See `protocols.Sampler`; one after the other."""
        samples = self._samples_of(question)
        for slot in slots:
            slot.start(self.name, self.name)
            candidate = self._candidate(question, samples, slot.index)
            if run.live and candidate.error is None:
                await _write_words(slot, candidate)
            if candidate.usage != Usage():
                run.record(candidate.model, candidate.usage)
            slot.adopt(candidate)
            await slot.reviewed()

    def _add(self, row: RecordedRow, model: str | None) -> None:
        if model is not None and row.model not in (None, model):
            return
        place = _by_key(row.key) if row.key else _by_messages(row.messages) if row.messages else _by_text(row.question)
        samples = self._samples.setdefault(place, [])
        for sample in row.answers:
            fields = {name: getattr(sample, name) for name in RecordedSample.model_fields}
            samples.append(Candidate(index=len(samples), model=row.model or self.name, agent=self.name, **fields))

    def _samples_of(self, question: Question) -> list[Candidate] | None:
        places = (_by_key(question.key), _by_messages(question.messages), _by_text(question.text))
        return next((self._samples[place] for place in places if place in self._samples), None)

    def _candidate(self, question: Question, samples: list[Candidate] | None, index: int) -> Candidate:
        if samples is not None and index < len(samples):
            recorded = samples[index]
            spoiled = recorded.error is None and recorded.finish_reason in ("cancelled", "error")
            return recorded.model_copy(update={"error": _failure("this sample had no end")}) if spoiled else recorded
        asked = question.text if len(question.text) <= 80 else question.text[:80] + "..."
        if samples is None:
            failure = _failure(f"{self._where} has no answers to {asked!r}")
        else:
            failure = _failure(f"{self._where} has {len(samples)} answers to {asked!r}, not a sample {index}")
        return Candidate(index=index, model=self.name, agent=self.name, finish_reason="error", error=failure)


def _failure(message: str) -> Failure:
    return Failure(code="not_recorded", message=message, status=404)


async def _write_words(slot: PartialCandidate, candidate: Candidate) -> None:
    """The text a word at a time, with a chance for others to run in between."""
    for text, reasoning in ((candidate.reasoning or "", True), (candidate.text, False)):
        for piece in re.findall(r"\S+\s*|\s+", text):
            slot.write(piece, reasoning=reasoning)
            await asyncio.sleep(0)


def _by_key(key: str) -> str:
    return f"key:{key}"


def _by_text(text: str | None) -> str:
    return f"text:{(text or '').strip()}"


def _by_messages(messages: Sequence[Message]) -> str:
    return "messages:" + json.dumps([[message.role, message.text.strip()] for message in messages])


def _lines(path: Path) -> Iterator[tuple[int, object]]:
    """The objects in a JSONL file with their line numbers; blank lines are skipped."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"the file cannot be read: {reason}", file=path) from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON: {error}", file=path, line=number) from None


def _validate(row: object, path: Path | None, line: int) -> RecordedRow:
    if not isinstance(row, Mapping):
        raise DataError("an object is expected, as in {'question': ..., 'answers': [...]}", file=path, line=line)
    try:
        valid = RecordedRow.model_validate(row)
    except ValidationError as error:
        field, words = first_fault(error)
        raise DataError(words, file=path, line=line, field=field) from None
    if not (valid.key or valid.messages or (valid.question or "").strip()):
        raise DataError("empty: give the question, its messages or its key", file=path, line=line, field="question")
    return valid
