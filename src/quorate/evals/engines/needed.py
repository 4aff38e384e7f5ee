"""What a pipeline that stops early would have generated, had it watched its samples as they came.

The bank draws every sample to its end, so that the next pipeline finds it whole; and a wave is drawn
together. Alone and streaming, the pipeline would have cut off what was in flight when its rule was
sure. A server that batches writes all samples of a wave at one pace, so they end in the order of
their lengths: the answer is the same, only its price is told more exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Limited, Model, StoppingRule, Tailored, VoteCounter
from quorate.orchestrator.sampling import SamplingStage
from quorate.orchestrator.types import Answer, Candidate, Question

__all__ = ["needed_tokens"]

Length = Callable[[Candidate], int]


async def needed_tokens(model: Model, question: Question, answer: Answer) -> int | None:
    """Generated tokens had every sample been cut off when sampling stopped; None for a model without a rule."""
    if not isinstance(model, Pipeline) or model.sampler.stop is None:
        return None
    counts = model.aggregator
    tallier = counts.tailored(question) if isinstance(counts, Tailored) else counts
    if not isinstance(tallier, VoteCounter):
        return None
    drawn = sorted((c for c in answer.candidates if c.ok), key=lambda c: c.index)
    sampled = await _sampled(model.sampler, drawn, tallier)
    return sampled + answer.usage.completion_tokens - sum(c.usage.completion_tokens for c in drawn)


async def _sampled(stage: SamplingStage, drawn: Sequence[Candidate], tallier: VoteCounter) -> int:
    rule, length = _rule(stage), _length(stage, drawn)
    seen: list[Candidate] = []
    total = 0
    for indices in stage.waves(stage.n):
        wave = sorted((c for c in drawn if c.index in indices), key=lambda c: (length(c), c.index))
        for candidate in wave:
            seen.append(candidate)
            if rule.stop(seen, await tallier.tally(seen)) is not None:
                return total + sum(min(length(c), length(candidate)) for c in wave)
        total += sum(map(length, wave))
    return total


def _rule(stage: SamplingStage) -> StoppingRule:
    assert stage.stop is not None
    return stage.stop.within(stage.n) if isinstance(stage.stop, Limited) else stage.stop


def _length(stage: SamplingStage, drawn: Sequence[Candidate]) -> Length:
    """Tokens of a candidate, for DeepConf up to where its trace would have been stopped."""
    from quorate.aggregators.confidence import DeepConfSample
    from quorate.aggregators.confidence.watching import Threshold, stopped_at

    if not isinstance(stage, DeepConfSample):
        return lambda c: c.usage.completion_tokens
    warm_up = Threshold(stage.warm_up, stage.keep, stage.window)
    for candidate in drawn:
        if candidate.index < stage.warm_up:
            warm_up.note(candidate)
    threshold = warm_up.value
    cuts = {
        c.index: stopped_at(c.logprobs or (), threshold, stage.window)
        for c in drawn
        if threshold is not None and c.index >= stage.warm_up
    }

    def length(candidate: Candidate) -> int:
        whole = candidate.usage.completion_tokens
        return min(whole, cuts.get(candidate.index) or whole)

    return length
