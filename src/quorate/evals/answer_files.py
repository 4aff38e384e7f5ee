"""Banks of recorded answers, from files. JSON lines throughout; `.gz` is read as well.

| a line holds | what it is |
|---|---|
| `id`, `model`, `answers` [, `correct`, `gold`, ...] | repeated samples of one model for one question |
| `id`, `model`, `answer` [, `correct`, `gold`, ...] | one answer; each model is a voter of a panel |
| `item`, `worker`, `label` | one crowd label; truth in `NAME.truth.jsonl` beside `NAME.answers.jsonl` |
| `id`, `code_of_sample`, `unique_codes`, `test_pass`, `correct` | programs, with the tests that each passes |
| a sample bank, such as a folder of `quorate eval run --out` | its own samples |

Lines of the same question and model are joined. `correct` has an entry an answer; without it an answer
is right if it equals `gold`, or one of them where that is a list; it may also stand in `questions.jsonl` beside the
file. null and empty
answers abstain. Equal strings are one class. Every further list with an entry an answer becomes a
column (`tokens`, `cost`, `seconds`, `rm_score` as `scores`, ...), as do further numbers beside a single `answer`.

A folder means its `answers.jsonl`, else all of its files with answers.
"""

from __future__ import annotations

import fnmatch
import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import BadInput, DataError

from .records import AnswerRow, RecordedBank, assemble

RENAMED = {"rm_score": "scores", "score": "scores", "confidence": "scores", "latency": "seconds"}
OWN = frozenset({"id", "model", "answers", "answer", "correct", "gold", "question", "variant", "samples", "level"})


@dataclass(frozen=True)
class JsonLine:
    """One line and where it stands, for errors."""

    file: Path
    number: int
    data: Mapping[str, Any]

    def fault(self, message: str, field: str | None = None) -> DataError:
        return DataError(message, file=self.file, line=self.number, field=field)

    def text(self, name: str) -> str:
        """A field that must hold text or a number.

        Raises:
            DataError: it is missing or something else.
        """
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
            raise self.fault("is missing" if value is None else "must be text", name)
        return str(value)

    def entries(self, name: str, count: int | None = None) -> list[Any]:
        """A field that must hold a list, of so many entries if told.

        Raises:
            DataError: it is missing or something else.
        """
        value = self.data.get(name)
        if not isinstance(value, list):
            raise self.fault("is missing" if value is None else "must be a list", name)
        if count is not None and len(value) != count:
            raise self.fault(f"has {len(value)} entries where there are {count} answers", name)
        return value


def lines_of(file: Path) -> Iterator[JsonLine]:
    """Every line that is not empty.

    Raises:
        DataError: the file cannot be read, or a line is no JSON object.
    """
    try:
        with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as content:
            for number, text in enumerate(content, start=1):
                if text.strip():
                    yield JsonLine(file, number, _object(file, number, text))
    except (OSError, EOFError) as error:
        raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=file) from error


def _object(file: Path, number: int, text: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"is no JSON: {error}", file=file, line=number) from None
    if not isinstance(value, dict):
        raise DataError("must be a JSON object", file=file, line=number)
    return value


async def read_bank(path: Path, *, without: Sequence[str] = ()) -> RecordedBank:
    """The recorded answers of a file or folder, or of a sample bank.

    Args:
        without: models to leave out; `*` and `?` stand for any text.

    Raises:
        DataError: nothing readable is there, or a line is broken; names file, line and field.
        BadInput: nothing is left, or a name of `without` fits no model.
    """
    from .bank import Bank, bank_file
    from .bank.queries import answer_rows

    if bank_file(path).is_file():
        with Bank(path, create=False) as bank:
            rows = await answer_rows(bank.store)
    else:
        rows = [row for file in answer_files(path) for _, row in rows_of(file)]
    if not rows:
        raise DataError("holds no answers", file=path)
    models = {row.model for row in rows}
    out = {name for pattern in without for name in fnmatch.filter(models, pattern)}
    for pattern in without:
        if not fnmatch.filter(models, pattern):
            raise BadInput(f"without {pattern!r}: {path} has no such model; it has: {', '.join(sorted(models))}")
    if models == out:
        raise BadInput(f"without {', '.join(without)}: no model of {path} is left")
    return assemble(path.name, [row for row in rows if row.model not in out])


def answer_files(path: Path) -> list[Path]:
    """The file itself, or those of a folder that hold answers.

    Raises:
        DataError: the folder has none.
    """
    if not path.is_dir():
        return [path]
    for name in ("answers.jsonl", "answers.jsonl.gz"):
        if (path / name).is_file():
            return [path / name]
    files = [f for f in sorted(path.iterdir()) if f.name.endswith((".jsonl", ".jsonl.gz"))]
    found = [f for f in files if not f.name.startswith(("questions", "samples")) and ".truth." not in f.name]
    if not found:
        raise DataError("holds no answers.jsonl and no other .jsonl with answers", file=path)
    return found


def rows_of(file: Path) -> Iterator[tuple[JsonLine, AnswerRow]]:
    """Every line with what it says, as they are needed.

    Raises:
        DataError: a line is broken; names file, line and field.
    """
    golds: dict[str, tuple[str, ...]] | None = None
    for line in lines_of(file):
        if golds is None:
            golds = _truth(file) if "worker" in line.data else _golds(file)
        if "worker" in line.data:
            yield line, _label(line, golds)
        elif "code_of_sample" in line.data:
            yield line, _programs(line)
        else:
            yield line, _answers(line, golds)


def _golds(file: Path) -> dict[str, tuple[str, ...]]:
    questions = file.with_name("questions.jsonl")
    if not questions.is_file():
        return {}
    return {line.text("id"): _gold(line) for line in lines_of(questions) if "gold" in line.data}


def _gold(line: JsonLine) -> tuple[str, ...]:
    """The right answer, or several of which any is right."""
    given = line.data["gold"]
    return tuple(map(str, given)) if isinstance(given, list) else (line.text("gold"),)


def _truth(file: Path) -> dict[str, tuple[str, ...]]:
    truth = file.with_name(file.name.replace(".answers.", ".truth."))
    if truth == file or not truth.is_file():
        raise DataError("labels need their truth beside them, in NAME.truth.jsonl", file=file)
    return {line.text("item"): (line.text("label"),) for line in lines_of(truth)}


def _label(line: JsonLine, truth: Mapping[str, tuple[str, ...]]) -> AnswerRow:
    item, label = line.text("item"), line.text("label")
    name = line.file.name.split(".")[0]
    return AnswerRow(f"{name}/{item}", line.text("worker"), [label], [label in truth.get(item, ())])


def _answers(line: JsonLine, golds: Mapping[str, tuple[str, ...]]) -> AnswerRow:
    question, model = line.text("id"), line.text("model")
    single = "answers" not in line.data
    if single and "answer" not in line.data:
        raise line.fault("is missing: give `answers` (repeated samples) or `answer` (one a model)", "answers")
    given = [line.data["answer"]] if single else line.entries("answers")
    answers = [_answer(line, "answer" if single else "answers", a) for a in given]
    if "correct" in line.data:
        marks = [line.data["correct"]] if single else line.entries("correct", len(answers))
        right = [_mark(line, mark) for mark in marks]
    else:
        gold = _gold(line) if "gold" in line.data else golds.get(question)
        if gold is None:
            raise line.fault("is missing: give `correct`, `gold`, or a questions.jsonl with `gold`", "correct")
        right = [a in gold for a in answers]
    columns, facts = _further(line, len(answers), single)
    return AnswerRow(question, model, answers, right, columns, facts)


def _answer(line: JsonLine, name: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise line.fault(f"an answer must be text, a number or null, not {type(value).__name__}", name)
    return str(value)


def _mark(line: JsonLine, value: Any) -> bool:
    if not isinstance(value, bool | int) or value not in (0, 1):
        raise line.fault("must be true or false for every answer", "correct")
    return bool(value)


def _further(line: JsonLine, count: int, single: bool) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    columns: dict[str, list[Any]] = {}
    facts: dict[str, Any] = {}
    for name, value in line.data.items():
        known = RENAMED.get(name, name)
        if name in OWN:
            continue
        if single and isinstance(value, int | float) and not isinstance(value, bool):
            columns[known] = [value]
        elif not single and isinstance(value, list) and len(value) == count:
            columns[known] = value
        elif name in ("tokens", "cost", "seconds", "rm_score", "scores"):
            raise line.fault(f"needs one entry an answer: {count}", name)
        else:
            facts[known] = value
    for name in ("tokens", "cost", "seconds", "scores"):
        if any(isinstance(v, bool) or not isinstance(v, int | float | None) for v in columns.get(name, ())):
            raise line.fault("must hold numbers", name)
    return columns, facts


def _programs(line: JsonLine) -> AnswerRow:
    """Programs that pass the same tests are one class; they may differ in being right."""
    codes = line.entries("unique_codes")
    passes, right = line.entries("test_pass", len(codes)), line.entries("correct", len(codes))
    drawn = line.entries("code_of_sample")
    if not all(isinstance(c, int) and 0 <= c < len(codes) for c in drawn):
        raise line.fault(f"must hold indices into the {len(codes)} unique_codes", "code_of_sample")
    numbers = {pattern: i for i, pattern in enumerate(Counter(passes))}
    return AnswerRow(
        question=line.text("id"),
        model=str(line.data.get("model", "programs")),
        answers=[str(codes[c]) for c in drawn],
        right=[_mark(line, right[c]) for c in drawn],
        columns={"tests": [passes[c] for c in drawn], "codes": list(drawn)},
        facts={"test_counts": line.data.get("generated_test_counts")},
        classes=[numbers[passes[c]] for c in drawn],
    )
