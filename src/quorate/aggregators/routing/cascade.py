"""`cascade@3/cheap+dear`: a cheap model answers where its samples agree, a dear one elsewhere.

Which score an answer needs is said in the options, or learned from a bank by `quorate train cascade` and kept in a
small file. FrugalGPT (arXiv 2305.05176, section 3) scores answers by a model of its own; agreement of samples as the
score is from mixture-of-thought cascades (arXiv 2310.03094), and agreement of several cheap models works as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from quorate.orchestrator.conditions import Accepted
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.nodes import ModelNode
from quorate.orchestrator.pipeline import Cascade, cascade
from quorate.orchestrator.protocols import AnswerScorer, Model
from quorate.orchestrator.state import END, START, Edge

from ..learned.files import LearnedFile
from ..learned.selector import TrainedSelector
from ..meaning.options import MeaningOptions
from ..specs import BuildContext, GraphSpec
from .scores import ScoreName, make_scorer, needs_logprobs

NAME = "cascade"


class CascadeStage(Frozen):
    """Who is asked at one stage, and which score is enough."""

    models: tuple[str, ...] = Field(min_length=1)
    n: int = Field(ge=1)
    """Samples, dealt over its models."""
    threshold: float | None = Field(default=None, allow_inf_nan=False)
    """Of its answer's score; None never accepts, except for the last stage, whose answer is always taken."""
    tie: float = Field(default=1.0, ge=0, le=1)
    """Part of the questions with just this score that is accepted."""
    share: float = Field(default=0.0, ge=0, le=1)
    """Part of the questions that ended here in training."""
    right: float = Field(default=0.0, ge=0, le=1)
    """Share of right answers, had it been asked every question."""

    def __str__(self) -> str:
        return f"{'+'.join(self.models)}@{self.n}"


class TrainedCascade(LearnedFile):
    """The content of the file: stages with their thresholds."""

    kind: ClassVar[str] = "cascade"
    format: Literal["quorate cascade"] = "quorate cascade"
    version: Literal[1] = 1
    goal: str = ""
    """What the thresholds keep, in words."""
    score: ScoreName = "agreement"
    selector: TrainedSelector | None = None
    """Where answers are accepted by one."""
    stages: tuple[CascadeStage, ...] = Field(min_length=2)
    questions: int = 0
    """On which they were found."""
    note: str = ""
    """What was found out of fold, for people."""

    @model_validator(mode="after")
    def _has_its_selector(self) -> TrainedCascade:
        if (self.score == "selector") != (self.selector is not None):
            raise ValueError("a cascade by a selector holds it, and no other does")
        return self

    @property
    def asked(self) -> tuple[CascadeStage, ...]:
        """Without the stages that never accept."""
        *before, last = self.stages
        return (*(stage for stage in before if stage.threshold is not None), last)

    @property
    def models(self) -> tuple[str, ...]:
        """Of all stages, each once."""
        return tuple(dict.fromkeys(name for stage in self.stages for name in stage.models))

    @property
    def scorer(self) -> AnswerScorer:
        """What its thresholds are about."""
        return make_scorer(self.score, self.selector)


Share = Annotated[float, Field(gt=0, le=1)]


class CascadeOptions(MeaningOptions):
    """When an answer is accepted, and which answers are one."""

    accept: Share | tuple[Share, ...] = 1.0
    """The score that is enough; of several, one for each model but the last."""
    score: ScoreName = "agreement"
    """`agreement`: the share of the candidates; `logprob`: the probability of its tokens, in the geometric mean;
    `selector`: how probably it is right."""
    selector: str | None = None
    """The file of a selector, as `quorate train selector --out` wrote it."""
    file: str | None = None
    """As `quorate train cascade --out` wrote it; says who is asked, how often, and which score is enough."""
    shadow: bool = False
    """Asks all models, takes the last one's answer, and tells what would have been saved."""


def _build_cascade(context: BuildContext) -> Graph:
    options: CascadeOptions = context.options
    if options.file is not None:
        if idle := sorted(options.model_fields_set & {"accept", "score", "selector"}):
            raise BadInput(f"{NAME}: option {idle[0]!r} beside 'file', which says which score is enough: leave one out")
        return _build_trained(context, TrainedCascade.load(options.file), options.file)
    if len(context.models) < 2:
        raise BadInput(f"{NAME} needs two models or more, from the cheapest on: {NAME}@3/cheap+dear")
    if context.n < 2 and options.score == "agreement" and not all(isinstance(m, Graph) for m in context.models[:-1]):
        raise BadInput(f"{NAME}@{context.n}: one sample always agrees with itself: draw more, or accept by `logprob`")
    selector = None if options.selector is None else TrainedSelector.load(options.selector)
    scorer = make_scorer(options.score, selector)
    stages = [_vote(context, [m], context.n, scorer) if not isinstance(m, Graph) else m for m in context.models[:-1]]
    given = options.accept if isinstance(options.accept, tuple) else (options.accept,) * len(stages)
    conditions = [Accepted(threshold, scorer) for threshold in given]
    return cascade(*stages, _last(context, [context.models[-1]], 1), accept=conditions, shadow=options.shadow)


def _build_trained(context: BuildContext, trained: TrainedCascade, file: str) -> Graph:
    """The stages of a file over the models of these names.

    Raises:
        BadInput: it was trained for other models.
    """
    by_name = {model.name: model for model in context.models}
    if lost := [name for name in trained.models if name not in by_name]:
        raise BadInput(
            f"{NAME}: {file} was trained for {', '.join(trained.models)}, and there is no {', '.join(lost)} among its "
            f"models here, which are: {', '.join(by_name)}"
        )
    *before, last = trained.asked
    final = _last(context, _find(by_name, last), last.n)
    if not before:
        # Nothing before the last model is ever accepted, so that one is all.
        return Cascade([ModelNode(final.name, final)], [Edge(START, final.name), Edge(final.name, END)], name=NAME)
    scorer = trained.scorer
    conditions = [Accepted(one.threshold, scorer, one.tie) for one in before if one.threshold is not None]
    stages = [_vote(context, _find(by_name, stage), stage.n, scorer) for stage in before]
    return cascade(*stages, final, accept=conditions, shadow=context.options.shadow)


def _find(by_name: Mapping[str, Model], stage: CascadeStage) -> list[Model]:
    return [by_name[name] for name in stage.models]


def _last(context: BuildContext, models: Sequence[Model], n: int) -> Model:
    """Who has the last word: a model as it is, or the vote of several samples."""
    return models[0] if len(models) == 1 and n == 1 else _vote(context, models, n, None)


def _vote(context: BuildContext, models: Sequence[Model], n: int, scorer: AnswerScorer | None) -> Model:
    """The majority of the samples of a stage."""
    meaning = context.options.model_dump(include=set(MeaningOptions.model_fields))
    narrowed = context.narrowed(models, n, top_logprobs=0 if needs_logprobs(scorer) else None)
    return narrowed.of_another(context.pipelines["majority"], meaning)


GRAPHS = (
    GraphSpec(
        NAME,
        "one model after the other, until an answer is sure enough",
        "FrugalGPT, arXiv 2305.05176; arXiv 2310.03094; thresholds: EERO, arXiv 2402.03779, and risk control",
        3,
        _build_cascade,
        options=CascadeOptions,
    ),
)
