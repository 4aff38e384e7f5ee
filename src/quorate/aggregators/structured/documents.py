"""A vote over JSON documents, each as a whole (self-consistency, arXiv 2203.11171, over canonical JSON).

Different from the paper: a document votes with its value, not its spelling (see `canonical`), and one
that does not fit the caller's schema abstains.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.types import Candidate, Cluster, Question

from ..tallying import best_told
from .ballot import Ballot, winners
from .canonical import Document, document_in
from .schema import Schema

__all__ = ["JsonVote"]


class JsonVote:
    """The JSON document that most candidates give; ties and abstention as in `MajorityVote`.

    A candidate's document is its whole text after the thinking, or the last fenced block in it that is
    JSON. A text without one, or whose document does not fit the schema (see `schema.Schema`), abstains.
    The text of the answer is the document as a candidate of the winning class spelled it, the answer
    its canonical form. Where all abstain, a candidate's text is given, marked `all_abstained`.

    Args:
        schema: a JSON schema; that of the question's `response_format` if not given.

    Raises:
        BadInput: the schema is none.
    """

    name = "json-vote"

    def __init__(self, schema: Mapping[str, Any] | bool | None = None) -> None:
        self.schema = None if schema is None else Schema(schema)

    def tailored(self, question: Question) -> Ballot:
        """See `protocols.Tailored`: documents that do not fit the question's schema abstain."""
        schema = self.schema_of(question)
        return Ballot(self.name, lambda candidate: _canonical(self.document(candidate, schema)))

    def extract(self, candidate: Candidate) -> str | None:
        """The candidate's document in its canonical form, checked by the vote's own schema alone."""
        return _canonical(self.document(candidate, self.schema)) if candidate.ok else None

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """See `protocols.VoteCounter`."""
        return await Ballot(self.name, self.extract).tally(candidates)

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; one `Done`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        answer = await self.tailored(question).answer(question, candidates, run)
        if answer.tally:
            winner = best_told(winners(answer))
            document = self.document(winner)
            text = winner.text if document is None or document.text == winner.text.strip() else document.text
            answer = answer.replace(
                text=text,
                reasoning=winner.reasoning,
                model=winner.model,
                tool_calls=winner.tool_calls,
                finish_reason=winner.finish_reason or "stop",
            )
        yield Done(answer=answer)

    def schema_of(self, question: Question) -> Schema:
        """What documents must fit."""
        return self.schema or Schema.of(question)

    @staticmethod
    def document(candidate: Candidate, schema: Schema | None = None) -> Document | None:
        """The document that a candidate gives, if it fits; its answer stands for a text that was not kept."""
        found = document_in(candidate.text or candidate.answer or "")
        return found if found is not None and (schema is None or schema.accepts(found.value)) else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _canonical(document: Document | None) -> str | None:
    return None if document is None else document.canonical
