"""An analyst's account of several answers: read out of whatever it wrote.

The reply comes from a model and may be anything; reading it takes time linear in its length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from quorate.orchestrator.analysis import Analysis, Contradiction, PartialCoverage, Stance, UniqueInsight
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.frozen import first_fault
from quorate.orchestrator.types import Candidate

TRIES = 4
"""Places in a reply at which a JSON object may begin."""
DEEPEST = 40
"""Brackets within brackets; the object that is asked for has four."""
MOST = 200_000
"""Characters of a reply that are read."""


class UnreadableAnalysis(ValueError):
    """A reply that is no analysis.

    Args:
        reason: `judge_empty_completion`, `judge_not_valid_json` or `judge_schema_mismatch`, as OpenRouter calls it.
        detail: what is wrong, in words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def make_fence(texts: Iterable[str], run: RunContext) -> str:
    """A mark that occurs in none of the texts, so that none of them can end its place in a prompt."""
    everything, generator = list(texts), run.rng("fence")
    while True:
        fence = f"=== {generator.getrandbits(40):010x}"
        if not any(fence in text for text in everything):
            return fence


def _to_number(label: Any) -> Any:
    """`2`, `"2"` and `"Response 2"` name the same response."""
    if isinstance(label, str) and len(found := re.findall(r"\d{1,4}", label[:100])) == 1:
        return int(found[0])
    return label


def _to_list(value: Any) -> Any:
    return [] if value is None else value


Label = Annotated[int, BeforeValidator(_to_number)]
Points = Annotated[list[str], BeforeValidator(_to_list)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _WrittenStance(_Part):
    response: Label = Field(validation_alias=AliasChoices("response", "model"))
    stance: str


class _WrittenContradiction(_Part):
    topic: str
    stances: list[_WrittenStance]


class _WrittenCoverage(_Part):
    responses: list[Label] = Field(validation_alias=AliasChoices("responses", "models"))
    point: str


class _WrittenInsight(_Part):
    response: Label = Field(validation_alias=AliasChoices("response", "model"))
    insight: str


class _WrittenAnalysis(_Part):
    consensus: Points = []
    contradictions: Annotated[list[_WrittenContradiction], BeforeValidator(_to_list)] = []
    partial_coverage: Annotated[list[_WrittenCoverage], BeforeValidator(_to_list)] = []
    unique_insights: Annotated[list[_WrittenInsight], BeforeValidator(_to_list)] = []
    blind_spots: Points = []


def parse_analysis(reply: str, shown: Sequence[Candidate]) -> Analysis:
    """The analysis in a reply.

    Args:
        reply: what the analyst said after its thinking.
        shown: the candidates that it has read, in that order.

    Raises:
        UnreadableAnalysis: there is no such object in it, or it names responses that do not exist.
    """
    if not reply.strip():
        raise UnreadableAnalysis("judge_empty_completion", "it says nothing")
    found = _find_object(reply[:MOST])
    if found is None:
        raise UnreadableAnalysis("judge_not_valid_json", "there is no JSON object in it")
    if not found.keys() & _WrittenAnalysis.model_fields.keys():
        raise UnreadableAnalysis("judge_schema_mismatch", "the object has none of the keys of an analysis")
    try:
        written = _WrittenAnalysis.model_validate(found)
    except ValidationError as error:
        raise UnreadableAnalysis("judge_schema_mismatch", ": ".join(first_fault(error))) from None
    return _Names(shown).resolve(written)


class _Names:
    """The candidates behind the numbers of a reply."""

    def __init__(self, shown: Sequence[Candidate]) -> None:
        self._shown = shown

    def resolve(self, written: _WrittenAnalysis) -> Analysis:
        return Analysis(
            consensus=tuple(written.consensus),
            contradictions=tuple(
                Contradiction(
                    topic=c.topic,
                    stances=tuple(Stance(**self._name(s.response), stance=s.stance) for s in c.stances),
                )
                for c in written.contradictions
            ),
            partial_coverage=tuple(self._cover(c) for c in written.partial_coverage),
            unique_insights=tuple(
                UniqueInsight(**self._name(u.response), insight=u.insight) for u in written.unique_insights
            ),
            blind_spots=tuple(written.blind_spots),
        )

    def _name(self, label: int) -> dict[str, Any]:
        if not 1 <= label <= len(self._shown):
            detail = f"there is no response {label}, but 1 to {len(self._shown)}"
            raise UnreadableAnalysis("judge_schema_mismatch", detail)
        candidate = self._shown[label - 1]
        return {"index": candidate.index, "model": candidate.agent or candidate.model}

    def _cover(self, written: _WrittenCoverage) -> PartialCoverage:
        named = [self._name(label) for label in written.responses]
        return PartialCoverage(
            indices=tuple(n["index"] for n in named), models=tuple(n["model"] for n in named), point=written.point
        )


def _find_object(text: str) -> dict[str, Any] | None:
    """The first JSON object that is whole, if it begins at one of the first braces outside of one another."""
    decoder, start = json.JSONDecoder(), text.find("{")
    for _ in range(TRIES):
        if start < 0:
            break
        if _depth(text, start) <= DEEPEST:
            try:
                found, _ = decoder.raw_decode(text, start)
            except (ValueError, RecursionError):
                pass
            else:
                return found if isinstance(found, dict) else None
        start = text.find("{", start + 1)
    return None


def _depth(text: str, start: int) -> int:
    """Deepest nesting of brackets from here on, whatever stands in strings."""
    deepest = depth = 0
    for mark in re.finditer(r"[\[\]{}]", text[start:]):
        depth = depth + 1 if mark[0] in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def number_analysis(analysis: Analysis, shown: Sequence[int]) -> str:
    """The analysis as JSON whose responses are named by their places.

    Args:
        analysis: of candidates.
        shown: their indices in the order in which they are shown; what is said of others is left out.
    """
    place = {index: number for number, index in enumerate(shown, 1)}
    written: Mapping[str, Any] = {
        "consensus": list(analysis.consensus),
        "contradictions": [
            {
                "topic": c.topic,
                "stances": [{"response": place[s.index], "stance": s.stance} for s in c.stances if s.index in place],
            }
            for c in analysis.contradictions
        ],
        "partial_coverage": [
            {"responses": [place[i] for i in c.indices if i in place], "point": c.point}
            for c in analysis.partial_coverage
        ],
        "unique_insights": [
            {"response": place[u.index], "insight": u.insight} for u in analysis.unique_insights if u.index in place
        ],
        "blind_spots": list(analysis.blind_spots),
    }
    return json.dumps(written, ensure_ascii=False, indent=1)
