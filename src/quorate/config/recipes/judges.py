"""Judges: a model, a reward model or the running of code picks one of the candidates."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Verifier
from quorate.orchestrator.types import Frozen

from .recipe import Options, Parts, Recipe

if TYPE_CHECKING:
    from quorate.aggregators.judges import Judge

__all__ = ["RECIPES"]


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


class VerifierConfig(Frozen):
    """A scoring endpoint."""

    base_url: str
    model: str
    key_env: str | None = None
    """Environment variable that holds the API key."""
    api: Literal["pooling", "score", "rerank"] = "pooling"
    """`pooling` for reward models on vLLM; `score` and `rerank` for models of pairs of texts."""

    def build(self) -> Verifier:
        from quorate.agents.reward import RerankModel, RewardModel, ScoreModel, Scorer

        key = os.environ.get(self.key_env) if self.key_env else None
        if self.key_env and not key:
            raise BadInput(f"verifier: the environment variable {self.key_env} is not set")
        kinds: dict[str, type[Scorer]] = {"pooling": RewardModel, "score": ScoreModel, "rerank": RerankModel}
        return kinds[self.api](self.model, base_url=self.base_url, api_key=key)


class RewardOptions(Options):
    """Who scores."""

    verifier: VerifierConfig | None = None
    """A pipeline by its bare name has none, and says so when it is built."""
    concurrency: int = Field(default=16, ge=1)
    """Scores at a time."""

    def built(self, name: str) -> Verifier:
        if self.verifier is None:
            raise BadInput(
                f"{name} needs a reward model: configure it in quorate.yaml as "
                f"{{pipeline: {name}, models: [...], options: {{verifier: {{base_url: ..., model: ...}}}}}}"
            )
        return self.verifier.build()


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


def _judge(parts: Parts, kind: str, **settings: Any) -> Pipeline:
    from quorate.aggregators import StructuredVote, judges

    options = parts.options
    judge: type[Judge] = getattr(judges, kind)
    given = {"max_context_tokens": options.max_context_tokens, "concurrency": options.concurrency, **settings}
    return parts.sample() | judge(parts.aggregator, fallback=StructuredVote(), **given)


def _usc(parts: Parts) -> Pipeline:
    return _judge(parts, "UniversalSelfConsistency")


def _genselect(parts: Parts) -> Pipeline:
    return _judge(parts, "GenSelect")


def _knockout(parts: Parts) -> Pipeline:
    return _judge(parts, "Knockout")


def _swiss(parts: Parts) -> Pipeline:
    from quorate.aggregators.judges import borda, bradley_terry

    ranking = {"bradley-terry": bradley_terry, "borda": borda}[parts.options.ranking]
    return _judge(parts, "Swiss", rounds=parts.options.rounds, ranking=ranking)


def _run_off(parts: Parts) -> Pipeline:
    return _judge(parts, "JudgeRunOff")


def _reward_best(parts: Parts) -> Pipeline:
    from quorate.aggregators.judges import RewardBest

    verifier = parts.options.built("reward-best")
    return parts.sample() | RewardBest(verifier, concurrency=parts.options.concurrency)


def _reward_vote(parts: Parts) -> Pipeline:
    from quorate.aggregators.judges import RewardVote

    verifier = parts.options.built("reward-vote")
    return parts.sample() | RewardVote(verifier, concurrency=parts.options.concurrency)


def _reward_softmax(parts: Parts) -> Pipeline:
    from quorate.aggregators.judges import RewardSoftmaxVote

    options = parts.options
    verifier = options.built("reward-softmax-vote")
    return parts.sample() | RewardSoftmaxVote(
        verifier, temperature=options.temperature, concurrency=options.concurrency
    )


def _execution(parts: Parts) -> Pipeline:
    from quorate.aggregators.execution import ExecutionAgreement, Limits, Sandbox, TestWriter

    options = parts.options
    if not options.run_code:
        raise BadInput(
            "execution runs programs that models wrote, in a sandbox: allow it in quorate.yaml as "
            "{pipeline: execution, models: [...], options: {run_code: true}}"
        )
    tests = options.tests or TestWriter(parts.aggregator, samples=options.samples)
    executor = Sandbox(Limits(memory=options.memory))
    return parts.sample() | ExecutionAgreement(tests, executor=executor, seconds=options.seconds)


USC = "arXiv 2311.17311, section 3"
GENSELECT = "arXiv 2507.17797"
PAIRWISE = "arXiv 2603.04304; arXiv 2306.02561"
RUN_OFF = "arXiv 2302.02300"
BEST_OF_N = "arXiv 2110.14168, section 4.2"
WEIGHTED = "arXiv 2206.02336, section 3.2"
CODET = "arXiv 2207.10397, section 2"

RECIPES = (
    Recipe("usc", "a model names the most consistent of N samples", USC, 8, _usc, JudgeOptions),
    Recipe("genselect", "a model compares N samples and names the best", GENSELECT, 8, _genselect, JudgeOptions),
    Recipe("knockout", "N samples in a knockout, judged in both orders", PAIRWISE, 8, _knockout, JudgeOptions),
    Recipe("swiss", "N samples in a Swiss tournament, judged in both orders", PAIRWISE, 8, _swiss, SwissOptions),
    Recipe("judge-run-off", "a model judges the two most frequent answers", RUN_OFF, 16, _run_off, JudgeOptions),
    Recipe(
        "reward-best",
        "the sample that a reward model scores best",
        BEST_OF_N,
        16,
        _reward_best,
        RewardOptions,
        listed=False,
    ),
    Recipe(
        "reward-vote",
        "a vote weighted by a reward model's scores",
        WEIGHTED,
        16,
        _reward_vote,
        RewardOptions,
        listed=False,
    ),
    Recipe(
        "reward-softmax-vote",
        "a vote weighted by the exponentials of a reward model's scores",
        WEIGHTED,
        16,
        _reward_softmax,
        RewardSoftmaxOptions,
        listed=False,
    ),
    Recipe(
        "execution",
        "the program of N whose behaviour on tests most programs share, run in a sandbox",
        CODET,
        16,
        _execution,
        ExecutionOptions,
        listed=False,
    ),
)
