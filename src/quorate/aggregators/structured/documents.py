"""Votes over JSON documents, whole and field by field (self-consistency, arXiv 2203.11171, over canonical JSON).

Different from the paper: a document votes with its value, not its spelling (see `json_values`), and one that does not
fit the caller's schema abstains. Long documents never agree as a whole although their parts do, so `JsonFieldVote`
puts the answer together from the parts. It is checked against the schema again, since parts that fit one by one need
not fit together.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.json_schema import Schema
from quorate.orchestrator.json_values import (
    MAX_CHARACTERS,
    Document,
    Json,
    parse_json,
    remember_texts,
    to_canonical,
    to_json,
)
from quorate.orchestrator.types import Answer, Candidate, Degradation, Question, Sampled

from ..equivalence import SameText
from ..markup import visible
from ..specs import BuildContext, Options, PipelineSpec
from ..votes.majority import AnswerCounter, MajorityVote, count_votes, representative
from .calls import winners

Arrays = Literal["whole", "elementwise"]


@remember_texts
def find_document(text: str) -> Document | None:
    """The document in a model's text.

    The whole text after its thinking, its last fenced block that is JSON, or else the only object in its prose.
    """
    shown = visible(text).strip()
    if (whole := parse_json(shown)) is not None:
        return whole
    blocks = shown.split("```")[1::2]
    if blocks:
        documents = (parse_json(_strip_label(block)) for block in reversed(blocks))
        return next((document for document in documents if document is not None), None)
    return _only_object(shown)


def _only_object(text: str) -> Document | None:
    """The object with prose around it; None where there is no object, or a second brace that could open another."""
    start = text.find("{")
    if start < 0 or len(text) > MAX_CHARACTERS:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return None if "{" in text[end:] else parse_json(text[start:end])


def _strip_label(block: str) -> str:
    """A fenced block without the name of its language."""
    label, newline, rest = block.partition("\n")
    return rest if newline and label.strip().isalnum() else block


class JsonVote(MajorityVote):
    """The JSON document that most candidates give; ties and abstention as in `MajorityVote`.

    A candidate's document is its whole text after the thinking, or the last fenced block in it that is
    JSON. A text without one, or whose document does not fit the schema (see `json_schema.Schema`), abstains.
    The text of the answer is the document as a candidate of the winning class spelled it, the answer
    its canonical form. Where all abstain, a candidate's text is given, marked `all_abstained`.

    Args:
        schema: a JSON schema; that of the question's `response_format` if not given.

    Raises:
        BadInput: the schema is none.
    """

    name = "json-vote"

    def __init__(self, schema: Mapping[str, Any] | bool | None = None) -> None:
        super().__init__(equivalence=SameText())
        self.schema = None if schema is None else Schema(schema)

    def counter(self, question: Question, run: RunContext) -> AnswerCounter:  # noqa: ARG002 - nothing is drawn
        """See `protocols.Aggregator`; documents that do not fit the question's schema abstain."""
        schema = self.schema_of(question)
        return AnswerCounter(lambda candidate: _canonical(self.document(candidate, schema)), SameText())

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        sampled = await count_votes(self.counter(question, run), sampled)
        vote = await super().aggregate(question, sampled, run)
        if not vote.tally:
            return vote
        winner = representative(winners(vote, sampled))
        document = self.document(winner)
        text = winner.text if document is None or document.text == winner.text.strip() else document.text
        return Answer.of(winner, text=text, answer=vote.answer, tally=vote.tally)

    def schema_of(self, question: Question) -> Schema:
        """What documents must fit."""
        return self.schema or Schema.of(question)

    @staticmethod
    def document(candidate: Candidate, schema: Schema | None = None) -> Document | None:
        """The document that a candidate gives, if it fits; its answer stands for a text that was not kept."""
        found = find_document(candidate.text or candidate.answer or "")
        return found if found is not None and (schema is None or schema.accepts(found.value)) else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _canonical(document: Document | None) -> str | None:
    return None if document is None else document.canonical


class JsonFieldVote(JsonVote):
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
        super().__init__(schema)
        self.arrays: Arrays = arrays

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        whole = await super().aggregate(question, sampled, run)
        return self._assemble(whole, sampled.good, question, run) if whole.tally else whole

    def _assemble(self, whole: Answer, candidates: Sequence[Candidate], question: Question, run: RunContext) -> Answer:
        """The answer made of the winning fields, or that of the whole-document vote."""
        schema = self.schema_of(question)
        documents = sorted(d for c in candidates if (d := self.document(c, schema)) is not None)
        lead = find_document(whole.text) or next(d for d in documents if d.canonical == whole.answer)
        value = _FieldVotes(self.arrays, run).choose([d.value for d in documents], lead.value)
        answer = to_canonical(value)
        if answer == lead.canonical:
            return whole
        if not schema.accepts(value):
            detail = "the winning fields do not fit the schema together; the most frequent document was chosen"
            note = Degradation(code="assembled_invalid", where=f"{run.node}: {self.name}", detail=detail)
            return whole.replace(degraded=(*whole.degraded, note))
        changes = {"reasoning": None, "tool_calls": (), "finish_reason": "stop", "selected": None}
        return whole.replace(text=to_json(value), answer=answer, **changes)

    def __repr__(self) -> str:
        return f"JsonFieldVote(arrays={self.arrays!r})"


class _Missing:
    """What the leading document has where it has nothing."""


_MISSING = _Missing()
_OBJECT, _ARRAY = "{", "["


class _FieldVotes:
    """The votes on the places of a document. Values come in an order that depends on them alone."""

    def __init__(self, arrays: Arrays, run: RunContext) -> None:
        self._arrays = arrays
        self._run = run

    def choose(self, values: Sequence[Json], lead: Json | _Missing, path: str = "") -> Json:
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
        spellings = Counter(to_canonical(value) for value in classes[won])
        first = None if isinstance(lead, _Missing) else to_canonical(lead)
        best = min(spellings, key=lambda spelling: (-spellings[spelling], spelling != first, spelling))
        return next(value for value in classes[won] if to_canonical(value) == best)

    def _object(self, objects: Sequence[Mapping[str, Json]], lead: Json | _Missing, path: str) -> Json:
        having: dict[str, list[Json]] = defaultdict(list)
        for each in objects:
            for key, value in each.items():
                having[key].append(value)
        first = lead if isinstance(lead, Mapping) else {}
        keys = [*first, *sorted(having.keys() - first.keys())]
        return {
            key: self.choose(having[key], first.get(key, _MISSING), f"{path}/{_escape(key)}")
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
            self.choose([row[i] for row in rows], first[i] if known and first else _MISSING, f"{path}/{i}")
            for i in range(length)
        ]

    def _class(self, value: Json) -> str:
        if isinstance(value, Mapping):
            return _OBJECT
        if isinstance(value, list) and self._arrays == "elementwise":
            return _ARRAY
        return f"={to_canonical(' '.join(value.split()).casefold() if isinstance(value, str) else value)}"

    def _plurality(self, sizes: Mapping[str, int], lead: str | None, path: str) -> str:
        tied = sorted(name for name, size in sizes.items() if size == max(sizes.values()))
        return lead if lead in tied else self._run.rng(f"field {path}").choice(tied)


def _escape(key: str) -> str:
    """A key as part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


class FieldOptions(Options):
    """How documents are taken apart."""

    arrays: Literal["whole", "elementwise"] = "whole"
    """Whether an array is one value, or its length and each of its places are voted on."""


def _build_fields(context: BuildContext) -> JsonFieldVote:
    return JsonFieldVote(arrays=context.options.arrays)


PIPELINES = (
    PipelineSpec(
        "json-vote",
        "the JSON document that most of N samples give, those that miss the schema abstaining",
        "arXiv 2203.11171, section 2, over canonical JSON",
        8,
        lambda _: JsonVote(),
    ),
    PipelineSpec(
        "json-fields",
        "the JSON document whose every field most of N samples give",
        "arXiv 2203.11171, section 2, over every leaf",
        8,
        _build_fields,
        options=FieldOptions,
    ),
)
