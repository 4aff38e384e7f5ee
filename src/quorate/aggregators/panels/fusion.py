"""Fusion: a panel answers, an analyst says where the answers agree and differ, a writer answers.

The shape of the analysis is that of OpenRouter's Fusion (documentation of 2026). Different from it: the analysis is
left out where the answers agree already; the analyst sees numbers and not names; a reply that cannot be read is
repaired once; and where there is no analysis the text most like the others is the answer, marked `analysis_missing`.

    sample -> agree                      the classes of the answers agree: the vote is the answer
    sample -> analyse -> write           they do not
              analyse -> medoid          the analyst is lost, or there is but one answer

Where the question has tools, the panel only advises (see `acting`) and the writer alone may call them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Self, Unpack

from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.analysis import Analysis
from quorate.orchestrator.conditions import Settled
from quorate.orchestrator.context import RunContext, explain_cut
from quorate.orchestrator.nodes import hand_on
from quorate.orchestrator.pipeline import Pipeline, ShadowGate
from quorate.orchestrator.protocols import Aggregator, Model, StoppingRule, VoteCounter
from quorate.orchestrator.shadow import ShadowRule
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.state import ELSE, END, START, Edge, Node, State
from quorate.orchestrator.types import Answer, Candidate, Degradation, Question, Sampled, SamplingParams
from quorate.prompts import Prompt

from ..judges.model import JudgeModel, JudgeReply, conversation_text
from ..stopping import Agreement
from ..structured import Centroid, StructuredVote
from ..synthesis.context import TokenBudget, learn_limits, truncate_middle, until_it_fits
from ..synthesis.layers import SynthesizerArguments
from ..synthesis.material import LabelledText, label_candidate, pack, shuffle_candidates, visible_answer
from ..synthesis.prompt import MAX_CONTEXT_TOKENS, SynthesisPrompt, load_prompt, system_text
from ..synthesis.synthesizer import Synthesizer
from ..votes.majority import count_votes, draw_tie
from .acting import ActNode, AdviceNode, place_in_system
from .analysis import UnreadableAnalysis, make_fence, number_analysis, parse_analysis

ANALYST_SAMPLING = SamplingParams(temperature=0.0, max_tokens=2048)
"""How an analyst answers where nothing else is said: greedily, with room for every part of its account."""
REPAIRED = 12_000
"""Characters of a reply that its repair shows."""


class PanelMedoid(Aggregator):
    """The text most like the others of the leading class; of all texts where no two answers are in one class.

    Args:
        vote: counts the classes; `StructuredVote()` by default.
    """

    name = "medoid"

    def __init__(self, vote: Aggregator | None = None) -> None:
        self.vote = vote or StructuredVote()
        self.centroid = Centroid()

    def counter(self, question: Question, run: RunContext) -> VoteCounter | None:
        return self.vote.counter(question, run)

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        if (counter := self.counter(question, run)) is not None:
            sampled = await count_votes(counter, sampled)
        tally = draw_tie(sampled.tally or (), run)
        chosen = [c for c in sampled.candidates if tally and tally[0].votes > 1 and c.index in tally[0].voters]
        among = sampled.model_copy(update={"candidates": tuple(chosen)}) if chosen else sampled
        answer = await self.centroid.aggregate(question, among, run)
        return answer.replace(tally=tally)

    async def aclose(self) -> None:
        await self.vote.aclose()


@dataclass(frozen=True)
class AnalyseNode(Node):
    """Has a model compare the candidates; what it says goes on with them."""

    analyst: Model
    prompt: Prompt
    repair: Prompt
    _: KW_ONLY
    max_context_tokens: int = MAX_CONTEXT_TOKENS
    sampling: SamplingParams = ANALYST_SAMPLING
    """The analyst's."""

    @property
    def models(self) -> tuple[Model, ...]:
        return (self.analyst,)

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        return replace(self, analyst=change(self.analyst))

    def calls_for(self, n: int) -> int:  # noqa: ARG002 - one prompt holds them all
        """One for the analysis, one for its repair."""
        return 2 * self.analyst.calls

    @property
    def label(self) -> str:
        return f"{self.name}: {self.analyst.name}"

    async def run(self, state: State, run: RunContext) -> Sampled:
        """See `Node`; without an analysis the candidates go on as they are, the answer marked `analysis_missing`."""
        sampled = state.sampled
        where = f"{run.node}: {self.analyst.name}"
        shown = [c for c in shuffle_candidates(sampled.candidates, run) if visible_answer(c)]
        if len(shown) < 2:
            return hand_on(sampled, "one answer, nothing to compare", ())
        items, words = [label_candidate(c) for c in shown], conversation_text(state.question)
        await learn_limits(self.analyst, [text for _, text in items])
        frame = [self.prompt.render(question=words, responses=["", ""], fence="")]
        fence = make_fence([words, *(text for _, text in items)], run)
        judge = JudgeModel(self.analyst, self.sampling, asyncio.Semaphore(1))

        async def attempt(share: float) -> _Analyst:
            answer = self.sampling.max_tokens
            budget = TokenBudget.of(self.analyst, self.max_context_tokens, frame, answer=answer, share=share)
            material = pack(items, budget, where)
            asker = _Analyst(judge, run, self.repair, list(material.notes))
            await asker.analyse(self.prompt.render(question=words, responses=material.texts, fence=fence), shown)
            return asker

        asker = await until_it_fits(self.analyst, attempt, lambda asker: asker.code)
        notes = asker.notes
        if asker.analysis is not None:
            return sampled.model_copy(update={"analysis": asker.analysis, "degraded": tuple(notes), "savings": ()})
        reason = run.exhausted()
        lost = Degradation(code="analysis_missing", where=where, detail=asker.problem)
        notes.insert(0, lost if reason is None else explain_cut(reason, where))
        return hand_on(sampled, "no analysis", notes)


class _Analyst:
    """One analysis, repaired once."""

    def __init__(self, judge: JudgeModel, run: RunContext, repair: Prompt, notes: list[Degradation]) -> None:
        self._judge, self._run, self._repair = judge, run, repair
        self.notes = notes
        self.analysis: Analysis | None = None
        self.problem = ""
        """Why there is no analysis."""
        self.code = ""
        """Of the model's failure, if it is one."""

    async def analyse(self, words: str, shown: Sequence[Candidate]) -> None:
        """Has an analysis, or a problem, in the end."""
        reply = await self._ask(words, "analysis")
        if reply.problem and not _empty(reply):
            self.problem, self.code = f"judge_upstream_error: {reply.problem}", reply.code
            return
        try:
            self.analysis = parse_analysis(reply.text, shown)
        except UnreadableAnalysis as error:
            self.problem = str(error)
            if reply.text:
                await self._mend(reply.text, error, shown)

    async def _mend(self, text: str, problem: UnreadableAnalysis, shown: Sequence[Candidate]) -> None:
        text = truncate_middle(text, REPAIRED)
        fence = make_fence([text], self._run)
        words = self._repair.render(reply=text, problem=problem.detail, count=len(shown), fence=fence)
        again = await self._ask(words, "repair")
        if again.problem and not _empty(again):
            self.problem = f"{problem}; its repair failed: {again.problem}"
            return
        try:
            self.analysis = parse_analysis(again.text, shown)
        except UnreadableAnalysis as error:
            self.problem = f"{error}; it was asked to repair it once"

    async def _ask(self, words: str, purpose: str) -> JudgeReply:
        reply = await self._judge.ask(words, purpose, self._run)
        self.notes += reply.degraded
        return reply


def _empty(reply: JudgeReply) -> bool:
    return not reply.text and not reply.code and not reply.cut


class FusionWriter(Synthesizer):
    """Writes the answer from the candidates and their analysis; arguments as `Synthesizer`'s."""

    name = "fusion"
    prompt_name = "fusion"
    place = staticmethod(place_in_system(analysis=None))

    def choose_prompt(
        self, question: Question, sampled: Sampled, items: Sequence[LabelledText], run: RunContext
    ) -> SynthesisPrompt:
        """See `Synthesizer`; the analysis names the responses as they are numbered here."""
        said = [(label, text) for label, text in items if text]
        analysis = None
        if sampled.analysis is not None:
            analysis = number_analysis(sampled.analysis, [int(label.removeprefix("#")) for label, _ in said])
        texts = [system_text(question), analysis or "", *(text for _, text in said)]
        return replace(self.prompt, place=place_in_system(analysis=analysis, fence=make_fence(texts, run)))

    @classmethod
    def load_prompt(cls, **settings: Any) -> SynthesisPrompt:
        settings = {"max_context_tokens": MAX_CONTEXT_TOKENS, "overrides": None} | settings
        return SynthesisPrompt.load(cls.prompt_name, cls.place, example={"analysis": "{}", "fence": "="}, **settings)


@dataclass(frozen=True)
class _Agrees(Settled):
    """The classes agree; advice to an agent is no answer, whatever it agrees on."""

    def holds(self, state: State) -> str | None:
        return None if state.question.tools else super().holds(state)


@dataclass(frozen=True)
class _Analysed:
    """There is an analysis; or advice to an agent, who acts without one as well."""

    def holds(self, state: State) -> str | None:
        if state.question.tools:
            return "there are tools to call"
        return "" if state.sampled.analysis is not None else None

    def __str__(self) -> str:
        return "analysed"


def _analyse_node(
    analyst: Model, overrides: Mapping[str, str | Path] | None, max_context_tokens: int, sampling: SamplingParams
) -> AnalyseNode:
    return AnalyseNode(
        "analyse",
        analyst,
        load_prompt("fusion-analysis", overrides, question="x", responses=["x", "y"], fence="="),
        load_prompt("fusion-repair", overrides, reply="x", problem="x", count=2, fence="="),
        max_context_tokens=max_context_tokens,
        sampling=sampling,
    )


def fusion(
    stage: SamplingStage,
    writer: Model,
    *,
    analyst: Model | None = None,
    rule: StoppingRule | None = None,
    always: bool = False,
    shadow: bool = False,
    panel_tokens: int | None = None,
    show_results: bool = False,
    sampling: SamplingParams | None = None,
    name: str | None = None,
    **options: Unpack[SynthesizerArguments],
) -> Pipeline:
    """The graph of a panel, an analyst and a writer.

    Args:
        stage: the panel; several samples of one model will do.
        writer: writes the answer.
        analyst: compares the answers; the writer, if not given.
        rule: when they agree, so that no analysis is needed; if not given, where two or more of them are there and
            all are of one class.
        always: analyses in any case.
        shadow: analyses in any case, and says in `Answer.savings` what the rule would have saved.
        panel_tokens: of each answer of the panel at most.
        show_results: see `acting`.
        sampling: the analyst's settings; `ANALYST_SAMPLING` if not given.
        name: how the graph is called.
        options: see `Synthesizer`; the fallback answers where analyst or writer is lost, `PanelMedoid()` by default.

    Raises:
        BadInput: an option is impossible.
    """
    vote = StructuredVote()
    options["fallback"] = medoid = options.get("fallback") or PanelMedoid(vote)
    rule = rule or Agreement(1.0, min_votes=2)
    last = FusionWriter(writer, **options)
    overrides = options.get("overrides")
    analyse = _analyse_node(analyst or writer, overrides, last.prompt.max_context_tokens, sampling or ANALYST_SAMPLING)
    if shadow:
        stage = replace(stage, stop=ShadowRule(rule))
    advice = load_prompt("advice", overrides, system="x", tools=[])
    panel = AdviceNode(
        "sample", stage, counted_by=vote, prompt=advice, max_tokens=panel_tokens, show_results=show_results
    )
    agree = [] if always or shadow else [AggregateNode("agree", vote)]
    return (ShadowGate if shadow else Pipeline)(
        [panel, *agree, analyse, AggregateNode("medoid", medoid), ActNode("write", last)],
        [
            Edge(START, "sample"),
            *([Edge("sample", "agree", _Agrees(rule, stage.n)), Edge("agree", END)] if agree else []),
            Edge("sample", "analyse", ELSE if agree else None),
            Edge("analyse", "write", _Analysed()),
            Edge("analyse", "medoid", ELSE),
            Edge("medoid", END),
            Edge("write", END),
        ],
        name=name or f"fusion@{stage.n}/{'+'.join(model.name for model in stage.models)}",
    )
