"""Judges: a model, a reward model or the running of code picks one of the candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from quorate.aggregators.specs import BuildContext, Options, PipelineSpec, VerifierConfig
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator, Verifier

if TYPE_CHECKING:
    from quorate.aggregators.judges import Judge

__all__ = ["PIPELINES"]


class JudgeOptions(Options):
    """How a judge reads."""

    max_context_tokens: int = Field(default=24_000, ge=1)
    """Room for the candidates in one prompt; longer ones lose their middle."""
    concurrency: int = Field(default=8, ge=1)
    """Requests to the judge at a time."""


class SwissOptions(JudgeOptions):
    """How a Swiss tournament goes."""

    rounds: int | None = Field(default=None, ge=1)
    """log2 of the candidates, rounded up, if not given."""
    ranking: Literal["bradley-terry", "borda"] = "bradley-terry"


class RewardOptions(Options):
    """Who scores."""

    verifier: VerifierConfig | None = None
    """A pipeline by its bare name has none, and says so when it is built."""
    concurrency: int = Field(default=16, ge=1)
    """Scores at a time."""

    def open_verifier(self, name: str, context: BuildContext) -> Verifier:
        if self.verifier is None:
            raise BadInput(
                f"{name} needs a reward model: configure it in quorate.yaml as "
                f"{{pipeline: {name}, models: [...], options: {{verifier: {{base_url: ..., model: ...}}}}}}"
            )
        return context.providers.verifier(self.verifier)


class RewardSoftmaxOptions(RewardOptions):
    """Who scores, and how sharply."""

    temperature: float = Field(default=1.0, gt=0)


class ExecutionOptions(Options):
    """What runs, and how much of it."""

    run_code: bool = False
    """Programs that models wrote run only where the operator says so, sandboxed as they are."""
    tests: tuple[str, ...] = ()
    """Statements such as `assert f(2) == 4`; a model writes them if none are given."""
    samples: int = Field(default=4, ge=1)
    """How often a model is asked for tests."""
    seconds: float = Field(default=1.0, gt=0)
    """For one test of one program."""
    memory: int = Field(default=512 * 2**20, ge=2**25)
    """Bytes of a program."""


def _judge(context: BuildContext, kind: str, **settings: Any) -> Aggregator | Pipeline:
    from quorate.aggregators import StructuredVote, judges

    options = context.options
    judge: type[Judge] = getattr(judges, kind)
    given = {"max_context_tokens": options.max_context_tokens, "concurrency": options.concurrency, **settings}
    return judge(context.writer, fallback=StructuredVote(), **given)


def _usc(context: BuildContext) -> Aggregator | Pipeline:
    return _judge(context, "UniversalSelfConsistency")


def _genselect(context: BuildContext) -> Aggregator | Pipeline:
    return _judge(context, "GenSelect")


def _knockout(context: BuildContext) -> Aggregator | Pipeline:
    return _judge(context, "Knockout")


def _swiss(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.judges import borda, bradley_terry

    ranking = {"bradley-terry": bradley_terry, "borda": borda}[context.options.ranking]
    return _judge(context, "Swiss", rounds=context.options.rounds, ranking=ranking)


def _run_off(context: BuildContext) -> Aggregator | Pipeline:
    return _judge(context, "JudgeRunOff")


def _reward_best(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import BestOfN

    verifier = context.options.open_verifier("reward-best", context)
    return BestOfN(verifier, name="reward-best", concurrency=context.options.concurrency)


def _reward_vote(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import ScoredVote, ScoreSum

    verifier = context.options.open_verifier("reward-vote", context)
    return ScoredVote(verifier, ScoreSum(), name="reward-vote", concurrency=context.options.concurrency)


def _reward_softmax(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import ByConfidence, ScoredVote

    options = context.options
    verifier, rule = options.open_verifier("reward-softmax-vote", context), ByConfidence(options.temperature)
    return ScoredVote(verifier, rule, name="reward-softmax-vote", concurrency=options.concurrency)


def _execution(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.execution import ExecutionAgreement, Limits, Sandbox, TestWriter

    options = context.options
    if not options.run_code:
        raise BadInput(
            "execution runs programs that models wrote, in a sandbox: allow it in quorate.yaml as "
            "{pipeline: execution, models: [...], options: {run_code: true}}"
        )
    tests = options.tests or TestWriter(context.writer, samples=options.samples)
    executor = Sandbox(Limits(memory=options.memory))
    return ExecutionAgreement(tests, executor=executor, seconds=options.seconds)


USC = "arXiv 2311.17311, section 3"
GENSELECT = "arXiv 2507.17797"
PAIRWISE = "arXiv 2603.04304; arXiv 2306.02561"
RUN_OFF = "arXiv 2302.02300"
BEST_OF_N = "arXiv 2110.14168, section 4.2"
WEIGHTED = "arXiv 2206.02336, section 3.2"
CODET = "arXiv 2207.10397, section 2"

PIPELINES = (
    PipelineSpec("usc", "a model names the most consistent of N samples", USC, 8, _usc, JudgeOptions),
    PipelineSpec("genselect", "a model compares N samples and names the best", GENSELECT, 8, _genselect, JudgeOptions),
    PipelineSpec("knockout", "N samples in a knockout, judged in both orders", PAIRWISE, 8, _knockout, JudgeOptions),
    PipelineSpec("swiss", "N samples in a Swiss tournament, judged in both orders", PAIRWISE, 8, _swiss, SwissOptions),
    PipelineSpec("judge-run-off", "a model judges the two most frequent answers", RUN_OFF, 16, _run_off, JudgeOptions),
    PipelineSpec(
        "reward-best",
        "the sample that a reward model scores best",
        BEST_OF_N,
        16,
        _reward_best,
        RewardOptions,
        listed=False,
    ),
    PipelineSpec(
        "reward-vote",
        "a vote weighted by a reward model's scores",
        WEIGHTED,
        16,
        _reward_vote,
        RewardOptions,
        listed=False,
    ),
    PipelineSpec(
        "reward-softmax-vote",
        "a vote weighted by the exponentials of a reward model's scores",
        WEIGHTED,
        16,
        _reward_softmax,
        RewardSoftmaxOptions,
        listed=False,
    ),
    PipelineSpec(
        "execution",
        "the program of N whose behaviour on tests most programs share, run in a sandbox",
        CODET,
        16,
        _execution,
        ExecutionOptions,
        listed=False,
    ),
)
