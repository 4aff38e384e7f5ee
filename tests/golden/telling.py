"""What is told of a run and of an answer in a transcript: all that knows the events of the package."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from quorate import (
    Answer,
    Budget,
    Candidate,
    Question,
    QuorateError,
    RunContext,
    Usage,
)
from quorate.aggregators.registry import build_pipeline, build_rule
from quorate.config.catalog import Catalog
from quorate.config.models import PROVIDERS
from quorate.orchestrator.types import Failure


def build(name: str, **models: Any) -> Any:
    """The model or pipeline of this name in a catalog of these models."""
    return Catalog(models=dict(models)).resolve(name)


def recipe(
    name: str,
    *models: Any,
    n: int,
    aggregator_model: Any = None,
    stop: Any = None,
    wave: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """A built-in pipeline as a configuration describes it."""
    parts = {"aggregator_model": aggregator_model, "stop": stop, "wave": wave, "providers": PROVIDERS}
    return build_pipeline(name, models, n=n, options=options, **parts)


def rule(name: str, **options: Any) -> Any:
    """A built-in stopping rule."""
    return build_rule(name, options)


def drawing(pipeline: Any, **changes: Any) -> Any:
    """The pipeline with other fields of its sampling stage: `quorum`, `grace`, `min_candidates`, `seconds`, `wave`."""
    return pipeline.with_sampling(**changes)


def aggregating_within(pipeline: Any, seconds: float) -> Any:
    """The pipeline whose aggregation has so much time."""
    return pipeline.with_timeout(seconds)


def failure(status: int, message: str = "scripted failure", code: str = "upstream_bad_reply", **more: Any) -> Failure:
    """An upstream's failure as a line of a script."""
    return Failure(code=code, message=message, status=status, **more)


async def run_events(
    model: Any, question: Question, *, seed: int | None, budget: Budget | None, **more: Any
) -> list[Any]:
    """All events of a live run; an error that ends it stands last."""
    events: list[Any] = []
    try:
        async for event in model.events(question, seed=seed, budget=budget, **more):
            events.append(event)  # noqa: PERF401 - what came before an error is kept
    except QuorateError as error:
        events.append(error)
    return events


async def run_answer(
    model: Any, question: Question, *, seed: int | None, budget: Budget | None, **more: Any
) -> Answer | QuorateError:
    """The answer of a run that nobody watches, or its error."""
    try:
        answer: Answer = await model.answer(question, seed=seed, budget=budget, **more)
    except QuorateError as error:
        return error
    return answer


async def run_failing(model: Any, question: Question, *, seed: int | None, budget: Budget | None) -> RunContext:
    """The context of a run that ends in an error, which holds what was spent on it."""
    run = RunContext(seed=seed, budget=budget or Budget())
    with suppress(QuorateError):
        await model.answer(question, run)
    return run


async def run_until_synthesis(model: Any, question: Question, *, seed: int | None, **more: Any) -> None:
    """A live run that is left with the first piece of its synthesis."""
    async with aclosing(model.events(question, seed=seed, **more)) as events:
        async for event in events:
            if event.type == "synthesis_token":
                return


def read_events(events: Sequence[Any]) -> tuple[dict[str, Any], Answer | QuorateError]:
    """What the events tell, without any order between candidates, and what they end in."""
    candidates: dict[str, dict[str, Any]] = {}
    synthesis = {"text": "", "reasoning": ""}
    tally: Any = None
    stop: Any = None
    end: Answer | QuorateError | None = None
    for event in events:
        if isinstance(event, QuorateError):
            end = event
            continue
        match event.type:
            case "candidate_started":
                _told_of(candidates, event, event.index)["model"] = event.model
            case "candidate_token":
                _told_of(candidates, event, event.index)["reasoning" if event.reasoning else "tokens"] += event.text
            case "candidate_finished" | "candidate_failed" | "candidate_cancelled":
                _told_of(candidates, event, event.candidate.index)["end"] = event.type.removeprefix("candidate_")
            case "tally_changed":
                tally = told_tally(event.tally)
            case "stopped_early":
                stop = {"reason": masked(event.reason), "code": event.code}
            case "synthesis_token":
                synthesis["reasoning" if event.reasoning else "text"] += event.text
            case "done":
                end = event.answer
    assert end is not None, "the stream ended in neither an answer nor an error"
    told = {
        "candidates": candidates,
        "synthesis": synthesis,
        "tally": tally,
        "stop": stop,
    }
    return told, end


def _told_of(candidates: dict[str, dict[str, Any]], event: Any, index: int) -> dict[str, Any]:
    """What is told of a candidate of the first stage, or of a later node by its name."""
    name = str(index) if event.node in ("sample", "answer") else f"{event.node}: {index}"
    return candidates.setdefault(name, {"model": None, "tokens": "", "reasoning": "", "end": None})


def told_answer(answer: Answer) -> dict[str, Any]:
    """An answer without its accounts."""
    winner = answer.winner
    return {
        "text": answer.text,
        "answer": answer.answer,
        "model": answer.model,
        "reasoning": answer.reasoning,
        "tool_calls": plain(answer.tool_calls),
        "finish_reason": answer.finish_reason,
        "stopped": masked(answer.stopped),
        "route": masked(answer.route),
        "tally": told_tally(answer.tally),
        "degraded": [{"code": note.code, "detail": masked(note.detail)} for note in answer.degraded],
        "candidates": [told_candidate(candidate) for candidate in answer.candidates],
        "winner": None if winner is None else winner.index,
        "prompted": answer.prompt_version is not None,
    }


def told_candidate(candidate: Candidate) -> dict[str, Any]:
    """A candidate; what it lacks is left out."""
    error = candidate.error
    told = {
        "index": candidate.index,
        "model": candidate.model,
        "agent": candidate.agent,
        "text": candidate.text,
        "answer": candidate.answer,
        "reasoning": candidate.reasoning,
        "tool_calls": plain(candidate.tool_calls),
        "finish_reason": candidate.finish_reason,
        "seed": candidate.seed,
        "error": error and {"code": error.code, "status": error.status, "message": masked(error.message)},
        "degraded": [note.code for note in candidate.degraded],
        "usage": told_usage(candidate.usage),
    }
    always = ("index", "model", "text", "answer", "finish_reason", "usage")
    return {name: value for name, value in told.items() if name in always or value not in (None, [])}


def told_tally(tally: Sequence[Any]) -> list[dict[str, Any]]:
    """The clusters of a vote; weights are rounded."""
    return [
        {"answer": c.answer, "votes": c.votes, "weight": round(c.weight, 3), "voters": list(c.voters)} for c in tally
    ]


def told_usage(usage: Usage) -> dict[str, Any]:
    """A usage; what is zero is left out."""
    told = {
        "prompt": usage.prompt_tokens,
        "completion": usage.completion_tokens,
        "reasoning": usage.reasoning_tokens,
        "requests": usage.requests,
        "cost": None if usage.cost is None else round(usage.cost, 9),
        "estimated": usage.estimated,
    }
    return {name: value for name, value in told.items() if value}


def told_ledger(source: Answer | RunContext) -> dict[str, Any]:
    """Usage in all, and by node and model."""
    usage, nodes = (
        (source.usage, source.nodes) if isinstance(source, Answer) else (source.ledger.usage, source.ledger.nodes)
    )
    by_node = sorted(([s.node, s.model, told_usage(s.usage)] for s in nodes), key=lambda row: row[:2])
    return {"total": told_usage(usage), "nodes": by_node}


def told_error(error: QuorateError) -> dict[str, Any]:
    """An error as a caller sees it."""
    return {
        "type": type(error).__name__,
        "status": error.status,
        "code": error.code,
        "retry_after": error.retry_after,
        "message": masked(str(error)),
    }


def masked(text: str | None) -> str | None:
    """A text without the port of a server, which differs between two runs, and the names of nodes."""
    return text and re.sub(
        r"of (stage|node) '[^']*'", "of node NODE", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    )


def plain(value: Any) -> Any:
    """The value as JSON has it."""
    return json.loads(json.dumps(value, sort_keys=True, default=dict))
