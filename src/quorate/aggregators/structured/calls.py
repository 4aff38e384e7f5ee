"""A vote over tool calls (self-consistency, arXiv 2203.11171, over canonical calls).

Different from the paper: what is voted on is not the end of a text but the calls of a message, by the
value of their arguments; a message without calls votes for making none.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.json_values import parse_json, to_json
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.types import Answer, Candidate, Question, Sampled

from ..equivalence import SameText
from ..markup import visible
from ..specs import Options, PipelineSpec
from ..votes.majority import AnswerCounter, MajorityVote, count_votes

NO_CALL = "no tool call"
"""What a text without calls votes for; no call is spelled like this."""


class ToolCallVote(MajorityVote):
    """The tool calls that most candidates make; ties and abstention as in `MajorityVote`.

    Two messages agree if they make the same calls with the same arguments by value: keys in any order,
    1 as 1.0, white space between tokens as it likes (see `canonical`). Several calls of a message are
    a multiset: they are made side by side, so their order means nothing, but how often does. Ids do
    not count. A call whose arguments are not a JSON object, or of a tool that the question does not
    offer, makes its message abstain; so does a text that was cut off or is blank, or any text where
    `tool_choice` demands a call. All other texts are one class, `no tool call`: where it wins, `text`
    decides among them.

    The answer has the calls of a candidate of the winning class as they came, ids included, and as
    answer their canonical form. Where all abstain it is some candidate's message, marked
    `all_abstained`.

    Args:
        text: the aggregator of texts; `MajorityVote()` by default.
        ignore_arguments: names of arguments that do not count, in every tool (`reason`) or in one (`search.reason`);
            calls that differ in nothing else are one vote. What is called has them as a candidate wrote them.

    Raises:
        BadInput: a name is empty.
    """

    name = "tool-vote"

    def __init__(self, text: Aggregator | None = None, *, ignore_arguments: Collection[str] = ()) -> None:
        super().__init__(equivalence=SameText())
        if isinstance(ignore_arguments, str) or not all(name.strip() for name in ignore_arguments):
            raise BadInput(f"ToolCallVote(ignore_arguments={ignore_arguments!r}): give a list of names of arguments")
        self.text = text or MajorityVote()
        self.ignore_arguments = frozenset(ignore_arguments)

    def counter(self, question: Question, run: RunContext) -> AnswerCounter:  # noqa: ARG002 - nothing is drawn
        """See `protocols.Aggregator`; calls that the question does not offer abstain."""
        return AnswerCounter(_Offer.of(question, self.ignore_arguments).vote_of, SameText())

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`; `text` answers where no call wins.

        Raises:
            NoAnswer: no candidate is ok.
        """
        sampled = await count_votes(self.counter(question, run), sampled)
        vote = await super().aggregate(question, sampled, run)
        voters = winners(vote, sampled)
        if not vote.tally or vote.tally[0].answer != NO_CALL:
            winner = min(voters, key=_preference)
            reason = winner.finish_reason or ("tool_calls" if winner.tool_calls else "stop")
            changes = {"answer": vote.answer, "tally": vote.tally, "degraded": vote.degraded}
            return Answer.of(winner, finish_reason=reason, **changes)
        silent = [c.model_copy(update={"answer": None}) if c.answer == NO_CALL else c for c in voters]
        answer = await self.text.aggregate(question, Sampled(candidates=tuple(silent)), run)
        return answer.replace(tally=vote.tally)

    async def aclose(self) -> None:
        """Closes the aggregator of texts."""
        await self.text.aclose()

    def __repr__(self) -> str:
        return f"ToolCallVote(text={self.text!r})"


def winners(vote: Answer, sampled: Sampled) -> list[Candidate]:
    """The candidates of the winning class; all of those that are ok where all abstained."""
    voters = set(vote.tally[0].voters) if vote.tally else None
    return [c for c in sampled.good if voters is None or c.index in voters]


def canonical_calls(calls: Sequence[Mapping[str, Any]], ignore: Collection[str] = ()) -> str | None:
    """The canonical form of a message's calls; None where one of them cannot be made.

    Args:
        calls: of one message.
        ignore: arguments that are left out, see `ToolCallVote`.
    """
    spelled = [_canonical_call(call, ignore) for call in calls]
    known = sorted(call for call in spelled if call is not None)
    return f"[{','.join(known)}]" if spelled and len(known) == len(spelled) else None


@dataclass(frozen=True)
class _Offer:
    """What a question lets a message do."""

    names: frozenset[str] | None = None
    """The tools there are; None: nothing is known of them."""
    demanded: bool = False
    """A text without a call is no answer."""
    ignore: frozenset[str] = frozenset()
    """Arguments that do not count."""

    @classmethod
    def of(cls, question: Question, ignore: frozenset[str] = frozenset()) -> Self:
        names = {_name(tool) for tool in question.tools}
        choice = question.tool_choice
        return cls(frozenset(names - {""}) or None, isinstance(choice, Mapping) or choice == "required", ignore)

    def vote_of(self, candidate: Candidate) -> str | None:
        if candidate.tool_calls:
            unknown = self.names is not None and any(_name(call) not in self.names for call in candidate.tool_calls)
            return None if unknown else canonical_calls(candidate.tool_calls, self.ignore)
        cut = candidate.finish_reason == "length"
        return None if self.demanded or cut or not visible(candidate.text).strip() else NO_CALL


def _name(tool: Mapping[str, Any]) -> str:
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else ""


def _canonical_call(call: Mapping[str, Any], ignore: Collection[str]) -> str | None:
    """One call in its one spelling; without arguments at all, it has none."""
    function = call.get("function")
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    arguments = "{}" if arguments is None else arguments
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)
    document = parse_json(text.strip() or "{}")
    if not _name(call) or document is None or not isinstance(document.value, Mapping):
        return None
    if ignore:
        name = _name(call)
        kept = {key: v for key, v in document.value.items() if key not in ignore and f"{name}.{key}" not in ignore}
        document = parse_json(to_json(kept)) or document
    return f'{{"name":{to_json(_name(call))},"arguments":{document.canonical}}}'


def _preference(candidate: Candidate) -> tuple[object, ...]:
    """First those that ended by themselves, then those with the shortest calls and text, then by the alphabet."""
    calls = json.dumps(candidate.tool_calls, sort_keys=True, default=str)
    ended = candidate.finish_reason in {"tool_calls", "stop"}
    texts = (len(candidate.text), candidate.text, candidate.reasoning or "")
    return (not ended, candidate.finish_reason != "tool_calls", len(calls), calls, *texts, candidate.model)


class CallOptions(Options):
    """When tool calls are one vote."""

    ignore_arguments: tuple[str, ...] = ()
    """Arguments that do not count, in every tool (`reason`) or in one (`search.reason`)."""


PIPELINES = (
    PipelineSpec(
        "tool-vote",
        "the tool calls that most of N samples make, arguments compared by value",
        "arXiv 2203.11171, section 2, over canonical calls",
        8,
        lambda context: ToolCallVote(ignore_arguments=context.options.ignore_arguments),
        options=CallOptions,
    ),
)
