"""Self-MoA over a sliding window (Li et al., arXiv 2502.00674, section 5): a loop of the graph, then a last step.

Each step folds the samples in the window into a running synthesis, which stands in the next window several
times, "to bias the aggregator to it". No prompt holds more than one window, whatever the number of samples.
Different from the paper: the samples come in a seeded order and without their thinking; a step whose model
fails leaves the synthesis before it, and its samples are named in a note `candidate_dropped`; where the last
step fails, a vote of all samples answers.

What a step wrote is kept among the candidates, marked by the version of the prompt that it was made with, so
that what each window holds follows from the candidates alone, also after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from math import ceil
from typing import Self, Unpack

from pydantic import Field

from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.context import RunContext, explain_cut
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.nodes import Revision, SampleNode, hand_on, mark_member, note_members
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import sample_candidates
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.state import ELSE, END, START, Edge, Node, State
from quorate.orchestrator.types import Candidate, Degradation, Failure, Question, Sampled

from ..specs import BuildContext, PipelineSpec
from .context import learn_limits, until_it_fits
from .layers import SynthesizerArguments
from .material import LabelledText, label_candidate, shuffle_candidates, visible_answer
from .prompt import SynthesisPrompt
from .synthesizer import SelfMoA, SynthesisOptions, common_arguments

FOLD, LAST = "fold", "aggregate"


@dataclass(frozen=True)
class View:
    """What the next prompt shows."""

    running: tuple[LabelledText, ...]
    """Copies of the running synthesis; none before the first."""
    fresh: tuple[LabelledText, ...]
    """Samples that no prompt has shown."""
    left: int
    """Samples that this prompt does not show either."""


@dataclass(frozen=True)
class Window:
    """How samples are read, some at a time."""

    prompt: SynthesisPrompt
    size: int
    """Responses in one prompt."""
    repeats: int
    """How many of them are copies of the running synthesis."""

    def steps(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """What each step wrote, failed ones included."""
        return [c for c in candidates if c.prompt_version == self.prompt.version]

    def view(self, candidates: Sequence[Candidate], run: RunContext) -> View:
        """What the next prompt shows, after the steps that are among the candidates."""
        running: tuple[LabelledText, ...] = ()
        read = 0
        for step in self.steps(candidates):
            read += self.size - len(running)
            if step.ok:
                running = (LabelledText("(the synthesis so far)", visible_answer(step)),) * self.repeats
        # Every step draws the order anew, and must find the same one.
        samples = [c for c in candidates if c.prompt_version != self.prompt.version]
        waiting = shuffle_candidates(samples, run.replace(node=LAST))[read:]
        take = self.size - len(running)
        return View(running, tuple(map(label_candidate, waiting[:take])), len(waiting[take:]))

    def most_steps(self, n: int) -> int:
        """Steps before the last one that n samples take at most."""
        return ceil(max(0, n - self.size) / (self.size - self.repeats))


@dataclass(frozen=True)
class Unread:
    """There are samples that the next prompt would not hold, and the last step has ended."""

    window: Window

    def holds(self, state: State) -> str | None:
        candidates = state.sampled.candidates
        ended = len(self.window.steps(candidates)) == state.visited(FOLD)
        return "" if ended and self.window.view(candidates, RunContext()).left else None

    def __str__(self) -> str:
        return f"more than {self.window.size} are left"


@dataclass(frozen=True)
class FoldNode(Node):
    """One step: folds a window of samples into the running synthesis, which joins the candidates."""

    model: Model
    window: Window
    _: KW_ONLY
    max_visits: int

    @property
    def models(self) -> tuple[Model, ...]:
        return (self.model,)

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        return replace(self, model=change(self.model))

    def calls_for(self, n: int) -> int:  # noqa: ARG002 - a window holds as many as it does
        return self.model.calls

    def gives(self, n: int) -> int:
        """A synthesis more than it reads, at each visit."""
        return n + self.max_visits

    @property
    def label(self) -> str:
        """How many at a time."""
        return f"{self.window.size} at a time"

    def with_n(self, old: int, n: int) -> Self:  # noqa: ARG002 - n is enough
        return replace(self, max_visits=self.window.most_steps(n))

    async def run(self, state: State, run: RunContext) -> Sampled:
        """See `Node`; out of budget it adds no synthesis."""
        before, visit = state.sampled, f"{self.name}-{state.visited(self.name) + 1}"
        if (reason := run.exhausted()) is not None:
            return hand_on(before, before.stopped, [explain_cut(reason, visit)])
        view = self.window.view(before.candidates, run)
        items = [*view.running, *view.fresh]
        await learn_limits(self.model, [text for _, text in items])

        async def attempt(share: float) -> tuple[Revision, Sampled]:
            revision = self.window.prompt.revision(state.question, items, self.model, visit, share=share)
            return revision, await self._write(state.question, revision, visit, run)

        revision, drawn = await until_it_fits(self.model, attempt, lambda found: _code_of(found[1]))
        if drawn.stopped != "complete":
            return hand_on(before, before.stopped, [*revision.notes, explain_cut(drawn.stopped, visit)])
        step = mark_member(drawn.candidates[0], revision)
        notes = [*revision.notes, *(note_members([step], visit) if revision.question is not None else ())]
        if not step.ok:
            labels = ", ".join(item.label for item in view.fresh)
            where, detail = f"{visit}: {self.model.name}", f"the synthesis does not hold {labels}"
            notes.append(Degradation(code="candidate_dropped", where=where, detail=detail))
        step = step.model_copy(update={"index": 1 + max(c.index for c in before.candidates)})
        return before.model_copy(update={"candidates": (*before.candidates, step), "degraded": tuple(notes)})

    async def _write(self, question: Question, revision: Revision, visit: str, run: RunContext) -> Sampled:
        """The synthesis as the only candidate; a failed one where there is nothing to read."""
        if revision.question is None:
            nothing = Failure(code="nothing_to_read", message="no candidate says anything outside its thinking")
            return Sampled(candidates=(Candidate(index=0, model=self.model.name, error=nothing),))
        inner = run.asking(visit).replace(emit=run.emit)
        stage = SamplingStage((self.model,))
        return await sample_candidates(stage, question, inner, questions={0: revision.question}, required=False)


def _code_of(drawn: Sampled) -> str | None:
    return next((c.error.code for c in drawn.candidates if c.error is not None), None)


class LastWindow(SelfMoA):
    """The last step: reads the running synthesis and what is left, and writes the answer.

    Args:
        aggregator: writes it.
        window: responses in one prompt.
        repeats: how many of them are copies of the running synthesis; half of the window if not given.
        options: see `Synthesizer`.

    Raises:
        BadInput: the window cannot hold the synthesis and a new response, or an option is impossible.
    """

    name = "self-moa-seq"

    def __init__(
        self, aggregator: Model, *, window: int = 6, repeats: int | None = None, **options: Unpack[SynthesizerArguments]
    ) -> None:
        super().__init__(aggregator, **options)
        if window < 2:
            raise BadInput(f"self_moa_seq(window={window}): give at least 2, for the synthesis and a new response")
        copies = window // 2 if repeats is None else repeats
        if not 1 <= copies < window:
            raise BadInput(f"self_moa_seq(repeats={repeats}): give 1 to {window - 1}, fewer than window={window}")
        self.window = Window(self.prompt, window, copies)

    def arrange(self, candidates: Sequence[Candidate], run: RunContext) -> list[LabelledText]:
        view = self.window.view(candidates, run)
        return [*view.running, *view.fresh]


def self_moa_seq(
    stage: SamplingStage,
    aggregator: Model,
    *,
    window: int = 6,
    repeats: int | None = None,
    **options: Unpack[SynthesizerArguments],
) -> Pipeline:
    """Self-MoA over a sliding window; where the window holds all samples it is Self-MoA.

    Args:
        stage: draws the samples.
        aggregator: folds them, and writes the answer in the last step, which is streamed.
        window, repeats, options: see `LastWindow`.

    Raises:
        BadInput: see `LastWindow`.
    """
    last = LastWindow(aggregator, window=window, repeats=repeats, **options)
    unread = Unread(last.window)
    return Pipeline(
        [
            SampleNode("sample", stage, counted_by=last),
            FoldNode(FOLD, aggregator, last.window, max_visits=last.window.most_steps(stage.n)),
            AggregateNode(LAST, last),
        ],
        [
            Edge(START, "sample"),
            Edge("sample", FOLD, unread),
            Edge("sample", LAST, ELSE),
            Edge(FOLD, FOLD, unread),
            Edge(FOLD, LAST, ELSE),
            Edge(LAST, END),
        ],
        name=f"{last.name}@{stage.n}/{'+'.join(model.name for model in stage.models)}",
    )


class WindowOptions(SynthesisOptions):
    """How a long list of candidates is read."""

    window: int = Field(default=6, ge=2)
    """Responses in one prompt."""
    repeats: int | None = Field(default=None, ge=1)
    """How many of them are copies of the running synthesis; half of the window if not given."""


def _build_self_moa_seq(context: BuildContext) -> Pipeline:
    window, repeats = context.options.window, context.options.repeats
    return self_moa_seq(context.sample(), context.writer, window=window, repeats=repeats, **common_arguments(context))


PIPELINES = (
    PipelineSpec(
        "self-moa-seq",
        "N samples folded window by window into a running synthesis; the context is bounded, whatever N",
        "arXiv 2502.00674, section 5",
        16,
        _build_self_moa_seq,
        options=WindowOptions,
    ),
)
