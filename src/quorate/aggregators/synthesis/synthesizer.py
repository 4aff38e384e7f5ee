"""A new answer that one model writes after reading all candidates.

`SelfMoA` (Li et al., arXiv 2502.00674, section 3): one model synthesizes several of its own samples. Its
system prompt follows Mixture-of-Agents (arXiv 2406.04692, table 1) in words of ours. Different from the
papers: the samples come in a seeded order and without their thinking, the context is bounded, and where the
model fails a vote answers instead, saying so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer, PromptTooLong
from quorate.orchestrator.events import AnswerToken, Event
from quorate.orchestrator.nodes import Revision
from quorate.orchestrator.partial import failure_of
from quorate.orchestrator.protocols import Aggregator, Model, VoteCounter
from quorate.orchestrator.reading import Extractor
from quorate.orchestrator.types import Answer, Candidate, Question, Sampled

from ..extraction import AnswerExtractor
from ..specs import BuildContext, Options, PipelineSpec
from ..votes.majority import MajorityVote, count_votes
from .context import learn_limits, until_it_fits
from .material import LabelledText, label_candidate, shuffle_candidates
from .prompt import MAX_CONTEXT_TOKENS, Placement, SynthesisPrompt, place_as_system


class _Tokens:
    """What is told of an answer that is being written, and whether there was any of it."""

    def __init__(self, run: RunContext) -> None:
        self.any = False
        self._emit = run.emit

    def __call__(self, event: Event) -> None:
        self.any = self.any or type(event) is AnswerToken
        self._emit(event)


class Synthesizer(Aggregator):
    """Base: a model's answer, streamed.

    Failed candidates are left out. Where the model fails or says nothing, where no candidate says anything
    outside its thinking, and where the budget is used up, the fallback answers.

    Args:
        aggregator: the model that synthesizes; a pipeline will do.
        fallback: what answers without it, and counts the votes; `MajorityVote()` by default.
        extractor: finds the answer in the synthesized text; what reads the fallback's votes, if not given.
        max_context_tokens: room for the candidates in one prompt, and no more than three quarters of the
            model's context leave where that is known; estimated at three characters a token where the model
            cannot count. Longer ones lose their middle, and the answer is marked `candidate_cut`.
        overrides: replacements of the class's prompt; see `quorate.prompts.load`.

    Raises:
        BadInput: max_context_tokens leaves no room, or the prompt cannot be used.
    """

    prompt_name: ClassVar[str]
    place: Placement = staticmethod(place_as_system)
    """Where the prompt stands in the conversation."""
    example: ClassVar[Mapping[str, Any]] = {}
    """Variables that its prompt gets beyond those of every synthesizer, with values to try it on."""

    def __init__(
        self,
        aggregator: Model,
        *,
        fallback: Aggregator | None = None,
        extractor: Extractor | None = None,
        max_context_tokens: int = MAX_CONTEXT_TOKENS,
        overrides: Mapping[str, str | Path] | None = None,
    ) -> None:
        self.aggregator = aggregator
        self.extractor = extractor
        self.prompt = self.load_prompt(max_context_tokens=max_context_tokens, overrides=overrides)
        self._fallback = fallback or MajorityVote()

    @classmethod
    def load_prompt(
        cls, *, max_context_tokens: int = MAX_CONTEXT_TOKENS, overrides: Mapping[str, str | Path] | None = None
    ) -> SynthesisPrompt:
        """The prompt of this class, see `SynthesisPrompt.load`.

        Raises:
            BadInput: see `Synthesizer`.
        """
        return SynthesisPrompt.load(
            cls.prompt_name, cls.place, max_context_tokens=max_context_tokens, overrides=overrides, example=cls.example
        )

    @property
    def fallback(self) -> Aggregator:
        return self._fallback

    @property
    def models(self) -> tuple[Model, ...]:
        return (self.aggregator,)

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        other = copy(self)
        other.aggregator, other._fallback = change(self.aggregator), self._fallback.map_models(change)
        return other

    def calls(self, n: int) -> int:  # noqa: ARG002 - one prompt holds them all
        return 1

    def arrange(self, candidates: Sequence[Candidate], run: RunContext) -> list[LabelledText]:
        """What the model reads, in this order: all candidates that are ok, in an order drawn by the seed."""
        return [label_candidate(candidate) for candidate in shuffle_candidates(candidates, run)]

    def choose_prompt(
        self,
        question: Question,  # noqa: ARG002 - for those whose words depend on it
        sampled: Sampled,  # noqa: ARG002
        items: Sequence[LabelledText],  # noqa: ARG002
        run: RunContext,  # noqa: ARG002
    ) -> SynthesisPrompt:
        """The prompt that shows these texts."""
        return self.prompt

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`; the model's tokens are told as they come.

        Raises:
            NoAnswer: the model failed or said nothing, or there was nothing to read.
        """
        counter = self.counter(question, run)
        if counter is not None:
            sampled = await count_votes(counter, sampled)
        items = self.arrange(sampled.candidates, run)
        prompt = self.choose_prompt(question, sampled, items, run)
        await learn_limits(self.aggregator, [text for _, text in items])

        async def attempt(share: float) -> Answer | NoAnswer:
            return await self._write(prompt.revision(question, items, self.aggregator, run.node, share=share), run)

        written = await until_it_fits(self.aggregator, attempt, lambda w: w.code if isinstance(w, NoAnswer) else None)
        if isinstance(written, NoAnswer):
            raise written
        return written.replace(
            answer=self._extract(written, counter),
            prompt_version=prompt.version,
            selected=None,
            candidates=sampled.candidates,
            tally=sampled.tally or (),
        )

    async def _write(self, revision: Revision, run: RunContext) -> Answer | NoAnswer:
        """What the model writes, or why it is nothing."""
        if revision.question is None:
            return NoAnswer("no candidate says anything outside its thinking", degraded=revision.notes)
        told = _Tokens(run)
        inner = run.asking("synthesis", emit=told)
        try:
            written = await self.aggregator.answer(revision.question.with_params(seed=inner.seed), inner)
        except Exception as error:
            # Whatever it is: the vote can answer, and nobody need give up.
            failure = failure_of(error)
            lost = NoAnswer(
                failure.message,
                status=failure.status,
                # A text that has been read cannot be begun again.
                code="upstream_error" if told.any and failure.code == PromptTooLong.code else failure.code,
                retry_after=failure.retry_after,
                degraded=revision.notes,
            )
            lost.__cause__ = error
            return lost
        degraded = (*revision.notes, *written.degraded)
        if not written.text.strip() and not written.tool_calls:
            return NoAnswer("it gave an empty answer", degraded=degraded)
        return written.replace(degraded=degraded)

    def _extract(self, written: Answer, counter: VoteCounter | None) -> str | None:
        """What a synthesized text (or tool call) answers."""
        if self.extractor is not None or counter is None:
            return (self.extractor or AnswerExtractor()).extract(written.text)
        said = Candidate(index=0, model=written.model, text=written.text, tool_calls=written.tool_calls)
        return counter.extract(said)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.aggregator.name})"


class SelfMoA(Synthesizer):
    """A new answer that a model writes after reading all candidates; arguments as `Synthesizer`'s."""

    name = "self-moa"
    prompt_name = "self-moa"


class SynthesisOptions(Options):
    """What every synthesizer can be told."""

    max_context_tokens: int = Field(default=24_000, ge=1)
    """Room for the candidates in one prompt; longer ones lose their middle, and the answer says so."""


def common_arguments(context: BuildContext) -> dict[str, Any]:
    """What every synthesizer of the registry is made with; a vote stands in where it fails."""
    return {"max_context_tokens": context.options.max_context_tokens, "fallback": context.vote()}


def _build_self_moa(context: BuildContext) -> SelfMoA:
    return SelfMoA(context.writer, **common_arguments(context))


PIPELINES = (
    PipelineSpec(
        "self-moa",
        "N samples synthesized by a model, the first of them unless told otherwise, into a new answer",
        "arXiv 2502.00674, section 3",
        6,
        _build_self_moa,
        options=SynthesisOptions,
    ),
)
