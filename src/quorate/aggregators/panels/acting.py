"""An aggregator that acts: in an agent's loop a panel advises without tools, and one model alone calls them.

Every turn of the loop is a question of its own, whose messages are the conversation so far. The advisers read its
texts, without the calls and what they returned; the acting model reads all of it, with the tools and the advice.
Where a question has no tools this is Self-MoA (`synthesis`): a panel answers, a model writes one answer of it.

Where all advisers are lost, the acting model goes on alone. Where it is lost itself there is an error, because
advice is no answer to an agent, and a call that was made up of it would be one that nobody meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Unpack

from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.nodes import SampleNode
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import sample_candidates
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.state import END, START, Edge, State
from quorate.orchestrator.types import Answer, Message, Question, Sampled
from quorate.prompts import Prompt

from ..synthesis.layers import SynthesizerArguments
from ..synthesis.material import LabelledText
from ..synthesis.prompt import MAX_CONTEXT_TOKENS, Placement, SynthesisPrompt, load_prompt, system_text
from ..synthesis.synthesizer import SelfMoA, Synthesizer
from .analysis import make_fence

NEXT = "What should the agent do next?"
"""The last message that advisers read, where the conversation does not end with the user's."""


def place_in_system(**variables: Any) -> Placement:
    """A placement as the system message, with variables beyond the usual ones."""

    def place(prompt: Prompt, question: Question, responses: Sequence[str]) -> Question:
        words = prompt.render(responses=responses, system=system_text(question), **{"fence": "=", **variables})
        rest = (m for m in question.messages if m.role != "system")
        return question.with_messages(Message(role="system", content=words), *rest)

    return place


def advisory_messages(question: Question, words: str, *, show_results: bool = False) -> tuple[Message, ...]:
    """The conversation as advisers read it: without tools, by turns, the user's last.

    Args:
        question: the agent's.
        words: the system message.
        show_results: whether calls and what they returned are told, as text.
    """
    turns: list[Message] = []
    for role, content in _said(question.messages, show_results=show_results):
        if turns and turns[-1].role == role and isinstance(content, str) and isinstance(turns[-1].content, str):
            turns[-1] = Message(role=role, content=f"{turns[-1].content}\n\n{content}")
        else:
            turns.append(Message(role=role, content=content))
    if not turns or turns[-1].role != "user":
        turns.append(Message(role="user", content=NEXT))
    return (Message(role="system", content=words), *turns)


def _said(messages: Sequence[Message], *, show_results: bool) -> Iterator[tuple[str, Any]]:
    for message in messages:
        calls = (message.model_extra or {}).get("tool_calls") or ()
        if message.role == "user" and message.content:
            yield "user", message.content
        elif message.role == "assistant":
            if message.text.strip():
                yield "assistant", message.text
            if show_results:
                for call in calls:
                    yield "assistant", f"[called {_describe_call(call)}]"
        elif message.role in ("tool", "function") and show_results:
            yield "assistant", f"[it returned]\n{message.text}"


def _describe_call(call: Any) -> str:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return json.dumps(call, default=str)
    return f"{function.get('name')}({function.get('arguments') or ''})"


def _describe_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    functions = [tool.get("function") or {} for tool in tools]
    return [{"name": str(f.get("name", "")), "description": str(f.get("description") or "")} for f in functions]


@dataclass(frozen=True)
class AdviceNode(SampleNode):
    """Draws answers; where the question has tools, advice to the one who may call them."""

    _: KW_ONLY
    prompt: Prompt
    """What advisers are told."""
    max_tokens: int | None = None
    """Of each answer, where the question allows more."""
    show_results: bool = False
    """Advisers are told what tools returned."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_tokens is not None and self.max_tokens < 1:
            raise BadInput(f"node {self.name!r}: max_tokens={self.max_tokens} of each answer: give at least 1")

    async def run(self, state: State, run: RunContext) -> Sampled:
        """See `Node`; where all advisers are lost, whoever acts goes on alone."""
        question, tools = state.question, state.question.tools
        if self.max_tokens is not None:
            limit = min(self.max_tokens, question.sampling.max_tokens or self.max_tokens)
            question = question.with_params(max_tokens=limit)
        if not tools:
            return await super().run(replace(state, question=question), run)
        words = self.prompt.render(system=system_text(question), tools=_describe_tools(tools))
        params = question.sampling
        extra = {name: value for name, value in params.extra.items() if name != "parallel_tool_calls"}
        advised = Question(
            messages=advisory_messages(question, words, show_results=self.show_results),
            sampling=params.model_copy(update={"extra": extra}),
        )
        run = run.at_node(self.name, seconds=self.stage.seconds)
        required = self.stage.min_candidates > 1
        return await sample_candidates(replace(self.stage, stop=None), advised, run, required=required)


class ActingWriter(Synthesizer):
    """Calls tools or answers, with the advice of others; arguments as `Synthesizer`'s.

    Args:
        aggregator: the model that acts.
        blind: whether its advisers do not see what tools returned, which it is told.
        options: see `Synthesizer`.
    """

    name = "act"
    prompt_name = "acting"
    place = staticmethod(place_in_system(blind=True))

    def __init__(self, aggregator: Model, *, blind: bool = True, **options: Unpack[SynthesizerArguments]) -> None:
        super().__init__(aggregator, **options)
        self.blind = blind
        self._plain = SelfMoA.load_prompt(
            max_context_tokens=self.prompt.max_context_tokens, overrides=options.get("overrides")
        )

    @classmethod
    def load_prompt(cls, **settings: Any) -> SynthesisPrompt:
        settings = {"max_context_tokens": MAX_CONTEXT_TOKENS, "overrides": None} | settings
        return SynthesisPrompt.load(cls.prompt_name, cls.place, example={"blind": True, "fence": "="}, **settings)

    def choose_prompt(
        self,
        question: Question,
        sampled: Sampled,  # noqa: ARG002 - as every synthesizer has it
        items: Sequence[LabelledText],
        run: RunContext,
    ) -> SynthesisPrompt:
        """See `Synthesizer`; without tools it is Self-MoA's."""
        if not question.tools:
            return self._plain
        fence = make_fence([system_text(question), *(text for _, text in items)], run)
        return replace(self.prompt, place=place_in_system(blind=self.blind, fence=fence))


@dataclass(frozen=True)
class ActNode(AggregateNode):
    """Aggregates; where there are tools to call, nobody stands in for the model that acts."""

    aggregator: Synthesizer

    async def run(self, state: State, run: RunContext) -> Answer:
        """See `Node`.

        Raises:
            NoAnswer: the acting model failed or said nothing.
        """
        if not state.question.tools:
            return await super().run(state, run)
        sampled = state.sampled
        if any(c.text.strip() for c in sampled.good):
            # Nobody counts advice, so that the first one would not be believed.
            uncounted = sampled.model_copy(update={"tally": ()})
            answer = await self.aggregator.aggregate(state.question, uncounted, run)
        else:
            answer = await self._act_alone(state.question, run)
        return answer.replace(
            candidates=sampled.candidates, stopped=sampled.stopped, tally=(), selected=None, analysis=sampled.analysis
        )

    async def _act_alone(self, question: Question, run: RunContext) -> Answer:
        inner = run.asking("synthesis", emit=run.emit)
        answer = await self.aggregator.aggregator.answer(question.with_params(seed=inner.seed), inner)
        if not answer.text.strip() and not answer.tool_calls:
            raise NoAnswer(f"{self.aggregator.name}: it gave an empty answer", degraded=answer.degraded)
        return answer


def acting(
    stage: SamplingStage,
    actor: Model,
    *,
    show_results: bool = False,
    name: str | None = None,
    **options: Unpack[SynthesizerArguments],
) -> Pipeline:
    """The graph of advisers and the one model that acts.

    Args:
        stage: the advisers.
        actor: calls the tools, and answers.
        show_results: whether the advisers are told what was called and what it returned, as text.
        name: how the graph is called.
        options: see `Synthesizer`.

    Raises:
        BadInput: an option is impossible.
    """
    last = ActingWriter(actor, blind=not show_results, **options)
    advice = load_prompt("advice", options.get("overrides"), system="x", tools=[])
    panel = AdviceNode("sample", stage, counted_by=last, prompt=advice, show_results=show_results)
    return Pipeline(
        [panel, ActNode("act", last)],
        [Edge(START, "sample"), Edge("sample", "act"), Edge("act", END)],
        name=name or f"act@{stage.n}/{'+'.join(model.name for model in stage.models)}",
    )
