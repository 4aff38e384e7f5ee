"""One question out of a bank: its row, its details, and its samples as metrics read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quorate.aggregators.equivalence import default_equivalence
from quorate.aggregators.extraction import AnswerExtractor, read_answer
from quorate.orchestrator.reading import Equivalence
from quorate.orchestrator.types import Candidate

from ..bank.queries import RECORDED, SampleGroup
from ..bank.values import BankedItem
from ..outcome import Outcome
from ..records import AnswerRecord
from .data import AnswerClass, QuestionRow


@dataclass(frozen=True)
class QuestionReport:
    """All that is known of one question."""

    row: QuestionRow
    detail: dict[str, Any]
    records: Mapping[str, AnswerRecord]
    """By group; graded ones only."""


async def report_question(
    item: BankedItem,
    groups: Mapping[str, SampleGroup],
    outcomes: Sequence[Outcome | None],
    equivalence: Equivalence | None = None,
) -> QuestionReport:
    """Reads one question.

    Args:
        groups: its samples, by the name of the group.
        outcomes: what each system answered, None where it was not asked.
        equivalence: of the task; the default one of votes if not given. Answers recorded elsewhere
            are equal only if they are spelled alike.
    """
    drawn = [(name, group, c, _answer(group, c)) for name, group in groups.items() for c in group.candidates.candidates]
    given = [o.answer for o in outcomes if o is not None and o.answer is not None]
    told = list(dict.fromkeys([*(a for *_, a in drawn if a is not None), *given, *([item.gold] if item.gold else [])]))
    same = bool(groups) and all(group.kind == RECORDED for group in groups.values())
    numbers = range(len(told)) if same else await (equivalence or default_equivalence()).classes(told)
    class_of: dict[str | None, int] = dict(zip(told, numbers, strict=True))
    gold = class_of.get(item.gold) if item.gold else None
    labels = [known for group in groups.values() for known in group.candidates.correct]
    right = [_right(known, class_of.get(a), gold) for known, (*_, a) in zip(labels, drawn, strict=True)]
    votes = Counter(class_of[a] for *_, a in drawn if a is not None)
    place = {number: i for i, (number, _) in enumerate(votes.most_common())}
    samples = [
        _sample(name, candidate, None if answer is None else place[class_of[answer]], mark, answer)
        for (name, _, candidate, answer), mark in zip(drawn, right, strict=True)
    ]
    texts = {c.text for _, _, c, _ in drawn}
    answers = [None if o is None else _answer_of(o, place.get(class_of.get(o.answer, -1)), texts) for o in outcomes]
    messages = [(m.role, m.text) for m in item.question.messages]
    return QuestionReport(
        row=QuestionRow(
            id=item.item,
            text=_text_of(item),
            gold=item.gold,
            cluster=item.cluster,
            credit=tuple(None if o is None else float(o.correct) for o in outcomes),
            classes=_classes(samples, len(place)),
            abstained=sum(s.number is None for s in samples),
            right=None if None in right else sum(map(bool, right)),
            tokens=sum(s.tokens or 0 for s in samples),
        ),
        detail=make_detail(messages, answers, samples),
        records=_records(item, samples),
    )


def _text_of(item: BankedItem) -> str:
    return (item.question.text if item.question.messages else "") or item.item


def _answer(group: SampleGroup, candidate: Candidate) -> str | None:
    if candidate.answer is not None or group.kind == RECORDED:
        return candidate.answer or None
    return read_answer(AnswerExtractor(), candidate.text, candidate.reasoning, candidate.finish_reason)


def _right(known: bool | None, number: int | None, gold: int | None) -> bool | None:
    if known is not None or gold is None:
        return known
    return number == gold


def _sample(
    group: str, candidate: Candidate, number: int | None, right: bool | None, answer: str | None
) -> ShownSample:
    logprobs = candidate.logprobs
    return ShownSample(
        group=group,
        index=candidate.index,
        number=number,
        right=right,
        text=candidate.text,
        answer=answer,
        reasoning=candidate.reasoning,
        tokens=candidate.usage.completion_tokens or None,
        seconds=candidate.latency,
        finish=candidate.finish_reason,
        error=candidate.error.message if candidate.error else None,
        confidence=sum(t.logprob for t in logprobs) / len(logprobs) if logprobs else None,
    )


def _answer_of(outcome: Outcome, number: int | None, texts: set[str]) -> ShownAnswer:
    return ShownAnswer(
        right=outcome.correct,
        answer=outcome.answer,
        number=number,
        text="" if outcome.text in texts else outcome.text,
        samples=len(outcome.samples),
        tokens=outcome.tokens,
        cost=outcome.cost,
        seconds=outcome.seconds,
        stopped=outcome.stopped,
        degraded=outcome.degraded,
        error=outcome.error.message if outcome.error else None,
    )


def _classes(samples: Sequence[ShownSample], count: int) -> tuple[AnswerClass, ...]:
    spelled: list[Counter[str]] = [Counter() for _ in range(count)]
    right = [0] * count
    for sample in samples:
        if sample.number is not None:
            spelled[sample.number][sample.answer or ""] += 1
            right[sample.number] += sample.right is True
    return tuple(
        AnswerClass(answer=words.most_common(1)[0][0], votes=words.total(), right=2 * marks > words.total())
        for words, marks in zip(spelled, right, strict=True)
    )


def _records(item: BankedItem, samples: Sequence[ShownSample]) -> dict[str, AnswerRecord]:
    groups: dict[str, list[ShownSample]] = {}
    for sample in samples:
        groups.setdefault(sample.group, []).append(sample)
    return {
        name: _record(item, name, group) for name, group in groups.items() if all(s.right is not None for s in group)
    }


def _record(item: BankedItem, name: str, samples: Sequence[ShownSample]) -> AnswerRecord:
    tokens = tuple(s.tokens for s in samples)
    return AnswerRecord(
        id=item.item,
        voters=(name,) * len(samples),
        answers=tuple(s.answer for s in samples),
        classes=tuple(s.number for s in samples),
        right=tuple(bool(s.right) for s in samples),
        columns={"tokens": tokens} if None not in tokens else {},
        facts={"cluster": item.cluster} if item.cluster else {},
    )


@dataclass(frozen=True)
class ShownSample:
    """One candidate."""

    group: str
    """The model that gave it."""
    index: int
    number: int | None
    """Its class, as a position in the row's classes; None abstains."""
    right: bool | None
    text: str
    answer: str | None = None
    reasoning: str | None = None
    tokens: int | None = None
    seconds: float | None = None
    finish: str | None = None
    error: str | None = None
    confidence: float | None = None
    """Mean natural-log probability of its tokens."""


@dataclass(frozen=True)
class ShownAnswer:
    """What one system answered."""

    right: bool
    answer: str | None = None
    number: int | None = None
    """The class that its answer belongs to, as a position in the row's classes; None for none of them."""
    text: str = ""
    """Empty where it is the text of one of the samples."""
    samples: int | None = None
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    stopped: str = ""
    degraded: tuple[str, ...] = ()
    error: str | None = None


def make_detail(
    messages: Sequence[tuple[str, str]], given: Sequence[ShownAnswer | None], samples: Sequence[ShownSample]
) -> dict[str, Any]:
    """The JSON object that the page's explorer reads; empty fields are left out.

    Args:
        messages: role and text.
        given: one entry a system, None where it was not asked.
        samples: in the order to show.
    """
    return {
        "messages": list(map(list, messages)),
        "given": [None if g is None else _lean(g) for g in given],
        "samples": [_lean(s) for s in samples],
    }


def _lean(value: ShownSample | ShownAnswer) -> dict[str, Any]:
    return {name: _short(v) for name, v in asdict(value).items() if v not in (None, "", ())}


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
