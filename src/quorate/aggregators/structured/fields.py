"""A vote over JSON documents field by field: one vote for every leaf (self-consistency, arXiv 2203.11171).

Different from the paper: long documents never agree as a whole although their parts do, so the
answer is put together from the parts. It is checked against the schema again, since parts that fit
one by one need not fit together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Question

from .ballot import Ballot
from .canonical import Document, Json, canonical, document_in, written
from .documents import JsonVote

__all__ = ["Arrays", "JsonFieldVote"]

Arrays = Literal["whole", "elementwise"]


class JsonFieldVote:
    """The document whose every field most candidates give.

    From the root down, those that have a value at a place vote on it:

    - objects: each key is in if more of them have it than not; its value is voted on by those;
    - strings are equal if they are after casefolding and with white space collapsed, and told as most
      spell them; numbers are equal by value;
    - arrays are one value (`whole`); or (`elementwise`) their length is voted on first, and then each
      place by the arrays of that length;
    - values of different kinds stand against each other: "unknown" against {"name": ...}.

    A tie, of spellings too, goes to what the winner of the whole-document vote (`JsonVote`) has there,
    if that is among the tied, else the run's seeded generator draws; so two documents that differ are never mixed. If
    the result does not fit the schema, the winner of the whole-document vote is the answer, marked
    `assembled_invalid`. The tally is that of whole documents.

    Args:
        schema: a JSON schema; that of the question's `response_format` if not given.
        arrays: `whole` or `elementwise`.

    Raises:
        BadInput: the schema is none, or there is no such rule for arrays.
    """

    name = "json-fields"

    def __init__(self, schema: Mapping[str, Any] | bool | None = None, *, arrays: Arrays = "whole") -> None:
        if arrays not in ("whole", "elementwise"):
            raise BadInput(f"JsonFieldVote(arrays={arrays!r}): choose 'whole' or 'elementwise'")
        self.whole = JsonVote(schema)
        self.whole.name = self.name
        self.arrays: Arrays = arrays

    def tailored(self, question: Question) -> Ballot:
        """See `protocols.Tailored`."""
        return self.whole.tailored(question)

    def extract(self, candidate: Candidate) -> str | None:
        """See `JsonVote.extract`."""
        return self.whole.extract(candidate)

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """See `JsonVote.tally`."""
        return await self.whole.tally(candidates)

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; one `Done`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        async with aclosing(self.whole.aggregate(question, candidates, run)) as events:
            async for event in events:
                if isinstance(event, Done) and event.answer.tally:
                    yield Done(answer=self._assembled(event.answer, question, run))
                else:
                    yield event

    def _assembled(self, whole: Answer, question: Question, run: RunContext) -> Answer:
        """The answer made of the winning fields, or that of the whole-document vote."""
        schema = self.whole.schema_of(question)
        found = [self.whole.document(c, schema) for c in whole.candidates if c.ok]
        documents = sorted(d for d in found if d is not None)
        lead = _winning(documents, whole)
        value = _Fields(self.arrays, run).voted([d.value for d in documents], lead.value)
        answer = canonical(value)
        if answer == lead.canonical:
            return whole
        if not schema.accepts(value):
            detail = "the winning fields do not fit the schema together; the most frequent document was chosen"
            note = Degradation(code="assembled_invalid", where=f"{run.node}: {self.name}", detail=detail)
            return whole.replace(degraded=(*whole.degraded, note))
        return whole.replace(text=written(value), answer=answer, reasoning=None, tool_calls=(), finish_reason="stop")

    def __repr__(self) -> str:
        return f"JsonFieldVote(arrays={self.arrays!r})"


def _winning(documents: Sequence[Document], whole: Answer) -> Document:
    """The document that the whole-document vote chose, as it was told."""
    told = document_in(whole.text)
    return told or next(d for d in documents if d.canonical == whole.answer)


class _Missing:
    """What the leading document has where it has nothing."""


_MISSING = _Missing()
_OBJECT, _ARRAY = "{", "["


class _Fields:
    """The votes on the places of a document. Values come in an order that depends on them alone."""

    def __init__(self, arrays: Arrays, run: RunContext) -> None:
        self._arrays = arrays
        self._run = run

    def voted(self, values: Sequence[Json], lead: Json | _Missing, path: str = "") -> Json:
        """What most have at a place; `lead` is what the leading document has there."""
        classes: dict[str, list[Json]] = defaultdict(list)
        for value in values:
            classes[self._class(value)].append(value)
        sizes = {name: len(members) for name, members in classes.items()}
        won = self._plurality(sizes, None if isinstance(lead, _Missing) else self._class(lead), path)
        if won == _OBJECT:
            return self._object([v for v in classes[won] if isinstance(v, Mapping)], lead, path)
        if won == _ARRAY:
            return self._array([v for v in classes[won] if isinstance(v, list)], lead, path)
        spellings = Counter(canonical(value) for value in classes[won])
        first = None if isinstance(lead, _Missing) else canonical(lead)
        best = min(spellings, key=lambda spelling: (-spellings[spelling], spelling != first, spelling))
        return next(value for value in classes[won] if canonical(value) == best)

    def _object(self, objects: Sequence[Mapping[str, Json]], lead: Json | _Missing, path: str) -> Json:
        having: dict[str, list[Json]] = defaultdict(list)
        for each in objects:
            for key, value in each.items():
                having[key].append(value)
        first = lead if isinstance(lead, Mapping) else {}
        keys = [*first, *sorted(having.keys() - first.keys())]
        return {
            key: self.voted(having[key], first.get(key, _MISSING), f"{path}/{_escaped(key)}")
            for key in keys
            if 2 * len(having[key]) > len(objects) or (2 * len(having[key]) == len(objects) and key in first)
        }

    def _array(self, arrays: Sequence[Sequence[Json]], lead: Json | _Missing, path: str) -> Json:
        sizes = Counter(str(len(array)) for array in arrays)
        first = lead if isinstance(lead, list) else None
        length = int(self._plurality(sizes, None if first is None else str(len(first)), f"{path}/length"))
        rows = [array for array in arrays if len(array) == length]
        known = first is not None and len(first) == length
        return [
            self.voted([row[i] for row in rows], first[i] if known and first else _MISSING, f"{path}/{i}")
            for i in range(length)
        ]

    def _class(self, value: Json) -> str:
        if isinstance(value, Mapping):
            return _OBJECT
        if isinstance(value, list) and self._arrays == "elementwise":
            return _ARRAY
        return f"={canonical(' '.join(value.split()).casefold() if isinstance(value, str) else value)}"

    def _plurality(self, sizes: Mapping[str, int], lead: str | None, path: str) -> str:
        tied = sorted(name for name, size in sizes.items() if size == max(sizes.values()))
        return lead if lead in tied else self._run.rng(f"field {path}").choice(tied)


def _escaped(key: str) -> str:
    """A key as part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
