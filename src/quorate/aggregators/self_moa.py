"""Self-MoA: one model synthesizes several of its own samples (Li et al., arXiv 2502.00674, section 3).

The system prompt follows Mixture-of-Agents (arXiv 2406.04692, table 1) in words of ours. Different
from the papers: the samples come in a seeded order and without their thinking, the context is
bounded, and where the model fails a vote answers instead, saying so.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from quorate import prompts
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.events import Done, Event, SynthesisToken
from quorate.orchestrator.proposers import failure_of
from quorate.orchestrator.protocols import Aggregator, Extractor, Model, Tallier
from quorate.orchestrator.run import Run
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Message, Question

from .asking import inner_run
from .context import CHARACTERS_A_TOKEN, fitted, shares
from .extraction import AnswerExtractor
from .markup import visible
from .vote import MajorityVote

__all__ = ["SelfMoA"]


class SelfMoA:
    """A new answer that a model writes after reading all candidates.

    Failed candidates are left out. Without an answer of the model (it failed, it said nothing, the
    budget is used up) the fallback answers, and the answer is marked `aggregator_failed` or
    `budget_exhausted`. If the model fails in the middle of a text of which somebody has read the
    beginning, that beginning is the answer, marked alike, with the finish reason `error`.

    Args:
        aggregator: the model that synthesizes; a pipeline will do.
        fallback: what answers without it, and counts the votes; `MajorityVote()` by default.
        extractor: finds the answer in the synthesized text; `AnswerExtractor()` by default.
        max_context_tokens: room for the candidates, estimated at three characters a token. Longer
            ones lose their middle, and the answer is marked `candidate_cut`.
        overrides: replacements of the prompt `self-moa`; see `quorate.prompts.load`.

    Raises:
        BadInput: max_context_tokens leaves no room, or the prompt cannot be read.
    """

    name = "self-moa"

    def __init__(
        self,
        aggregator: Model,
        *,
        fallback: Aggregator | None = None,
        extractor: Extractor | None = None,
        max_context_tokens: int = 24_000,
        overrides: Mapping[str, str | Path] | None = None,
    ) -> None:
        if max_context_tokens < 1:
            raise BadInput(f"SelfMoA(max_context_tokens={max_context_tokens}): give at least 1")
        self.aggregator = aggregator
        self.fallback = fallback or MajorityVote()
        self.extractor = extractor or AnswerExtractor()
        self.max_context_tokens = max_context_tokens
        try:
            self.prompt = prompts.load("self-moa", overrides)
        except prompts.PromptError as error:
            raise BadInput(str(error)) from error

    def extract(self, candidate: Candidate) -> str | None:
        """What the candidate votes for in the fallback's tally."""
        return self.fallback.extract(candidate) if isinstance(self.fallback, Tallier) else None

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """The fallback's tally of the candidates; it informs, and decides only where the model fails."""
        return await self.fallback.tally(candidates) if isinstance(self.fallback, Tallier) else ()

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: Run
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; the model's tokens as they come, then `Done`."""
        synthesis = _Synthesis(live=run.live)
        if (reason := run.exhausted()) is not None:
            note = Degradation(code="budget_exhausted", where=self._where(run), detail=reason)
        else:
            inner = inner_run(run, "synthesis")
            asked, cut = self.request(question.sampled(seed=inner.seed), candidates, run)
            async with aclosing(synthesis.events(self.aggregator, asked, inner)) as events:
                async for event in events:
                    yield event
            if synthesis.answer is not None:
                yield Done(answer=await self._answer(synthesis.answer, candidates, cut, run))
                return
            note = Degradation(code="aggregator_failed", where=self._where(run), detail=synthesis.problem)
        async with aclosing(self._instead(question, candidates, run, note, synthesis)) as events:
            async for event in events:
                yield event

    def request(
        self, question: Question, candidates: Sequence[Candidate], run: Run
    ) -> tuple[Question, tuple[Degradation, ...]]:
        """What the model is asked, and which candidates had to be cut for it."""
        voters = sorted((c for c in candidates if c.ok), key=lambda c: (c.text, c.model, c.index))
        if not voters:
            raise NoAnswer(f"{self.name}: all {len(candidates)} candidates failed")
        run.rng("order").shuffle(voters)
        texts = [visible(c.text).strip() for c in voters]
        kept = shares([len(text) for text in texts], self.max_context_tokens * CHARACTERS_A_TOKEN)
        cut = tuple(
            Degradation(
                code="candidate_cut",
                where=f"{self._where(run)} #{candidate.index}",
                detail=f"the aggregator read {length} of {len(text)} characters",
            )
            for candidate, text, length in zip(voters, texts, kept, strict=True)
            if length < len(text)
        )
        system = "\n\n".join(m.text for m in question.messages if m.role == "system")
        words = self.prompt.render(responses=[fitted(t, k) for t, k in zip(texts, kept, strict=True)], system=system)
        rest = (m for m in question.messages if m.role != "system")
        return question.asking(Message(role="system", content=words), *rest), cut

    async def _answer(
        self, answer: Answer, candidates: Sequence[Candidate], cut: tuple[Degradation, ...], run: Run
    ) -> Answer:
        """The model's answer, with the candidates and their votes in place of its own inner ones."""
        return answer.with_(
            answer=self.extractor.extract(answer.text),
            prompt_version=self.prompt.version,
            candidates=tuple(candidates),
            tally=await self.tally(candidates),
            degraded=(*cut, *answer.degraded),
            usage=run.ledger.usage,
            stages=run.ledger.stages,
        )

    async def _instead(
        self, question: Question, candidates: Sequence[Candidate], run: Run, note: Degradation, synthesis: _Synthesis
    ) -> AsyncGenerator[Event, None]:
        """What there is without a whole answer of the model: what was read of it, else the fallback's."""
        async with aclosing(self.fallback.aggregate(question, candidates, run)) as events:
            async for event in events:
                if isinstance(event, Done):
                    answer = event.answer.with_(degraded=(note, *event.answer.degraded))
                    yield Done(answer=synthesis.over(answer, self.extractor))
                elif not synthesis.text:
                    yield event

    def _where(self, run: Run) -> str:
        return f"{run.stage}: {self.aggregator.name}"

    async def aclose(self) -> None:
        """Closes the model and the fallback."""
        for owner in (self.aggregator, self.fallback):
            close = getattr(owner, "aclose", None)
            if close is not None:
                await close()

    def __repr__(self) -> str:
        return f"SelfMoA({self.aggregator.name})"


@dataclass
class _Synthesis:
    """What a model wrote so far, as far as somebody has read it."""

    live: bool
    """Tokens are passed on as they come; else nobody reads them, and a failure leaves no trace."""
    text: str = ""
    reasoning: str = ""
    answer: Answer | None = None
    problem: str = "it gave an empty answer"
    held: list[SynthesisToken] = field(default_factory=list)
    """Leading white space, which might stay all there is."""

    async def events(self, model: Model, question: Question, run: Run) -> AsyncGenerator[Event, None]:
        """The model's tokens; afterwards `answer` is set, or `problem` says why not."""
        try:
            async with aclosing(model.stream(question, run)) as events:
                async for event in events:
                    if isinstance(event, SynthesisToken):
                        for token in self._passed(event):
                            yield token
                    elif isinstance(event, Done) and (event.answer.text.strip() or event.answer.tool_calls):
                        self.answer = event.answer
        except Exception as error:
            self.problem = failure_of(error).message

    def _passed(self, token: SynthesisToken) -> list[SynthesisToken]:
        if not self.live:
            return []
        if token.reasoning:
            self.reasoning += token.text
            return [token]
        self.held.append(token)
        if not token.text.strip() and not self.text:
            return []
        passed, self.held = self.held, []
        self.text += "".join(t.text for t in passed)
        return passed

    def over(self, fallback: Answer, extractor: Extractor) -> Answer:
        """The fallback's answer, but for what has been read already, which cannot be taken back."""
        if self.text:
            answer = extractor.extract(self.text)
            return fallback.with_(
                text=self.text, reasoning=self.reasoning or None, answer=answer, tool_calls=(), finish_reason="error"
            )
        return fallback.with_(reasoning=self.reasoning) if self.reasoning else fallback
