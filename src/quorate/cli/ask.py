"""`quorate ask`: one question, its samples, tally and answer."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from quorate.agents.embedded.stories import FAMILY, refuse_strange
from quorate.config.catalog import Catalog
from quorate.orchestrator.checkpoints import Checkpoints
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer, Question, SamplingParams

from .console import echo, print_json
from .options import ConfigFile, Json, Pipeline, Seed, Upstream, open_catalog
from .show import RunWatcher, answer_json, print_answer


def ask(
    question: Annotated[str, typer.Argument(help="What to ask; - reads standard input.")],
    pipeline: Pipeline = None,
    upstream: Upstream = None,
    config: ConfigFile = None,
    seed: Seed = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="The models' own default if not given.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of one sample.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(min=1, help="Of the whole run, prompts included.")] = None,
    budget_seconds: Annotated[float | None, typer.Option(min=0, help="Best answer so far when they are over.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep finished nodes here; asked again, go on after them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask one question and print the answer that the samples agree on."""
    text = sys.stdin.read() if question == "-" else question
    sampling = SamplingParams(temperature=temperature, max_tokens=max_tokens, seed=seed)
    asked = Question.of(text).model_copy(update={"sampling": sampling})
    budget = Budget(tokens=budget_tokens, seconds=_positive(budget_seconds))
    answer = asyncio.run(_answer(asked, pipeline, upstream, config, budget, checkpoint, quiet=as_json))
    if as_json:
        print_json(answer_json(answer))
    else:
        print_answer(answer)


def _positive(seconds: float | None) -> float | None:
    if seconds == 0:
        raise BadInput("--budget-seconds must be above 0")
    return seconds


def default_pipeline(catalog: Catalog) -> str:
    """The first configured pipeline, else a majority vote over the first model; fewer samples of an added one."""
    if catalog.pipelines:
        return next(iter(catalog.pipelines))
    name, model = next(iter(catalog.models.items()), ("", None))
    embedded = model is not None and model.identity.kind == "embedded" and model.identity.family != FAMILY
    return f"majority@{5 if embedded else 16}/{name}".rstrip("/")


def describe_models(catalog: Catalog, chosen: str) -> str:
    """Two lines: what there is, and what is asked where nobody says what."""
    tiny = [name for name, model in catalog.models.items() if model.identity.family == FAMILY]
    real = [name for name in catalog.models if name not in tiny]
    kinds = [f"{', '.join(real)} (any question)"] if real else []
    kinds += [f"{', '.join(tiny)} (story problems and sums with whole numbers)"] if tiny else []
    more = "" if real else "; quorate models add smollm2-135m fetches one for any question (93 MB)"
    return f"models: {'; '.join(kinds)}{more}\nasking {chosen}; --model NAME asks another"


async def _answer(
    question: Question,
    pipeline: str | None,
    upstream: str | None,
    config: Path | None,
    budget: Budget,
    checkpoint: Path | None,
    *,
    quiet: bool,
) -> Answer:
    catalog = await open_catalog(upstream, config)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(catalog.aclose)
        chosen = default_pipeline(catalog) if pipeline is None else pipeline
        model = catalog.resolve(chosen)
        if pipeline is None and not quiet:
            echo(describe_models(catalog, chosen), err=True)
        refuse_strange(question, model.identity.singles)
        kept = await stack.enter_async_context(Checkpoints(checkpoint)) if checkpoint else None
        run = RunContext(seed=question.sampling.seed, budget=budget, checkpoints=kept, live=False)
        return extract_answers(await _watch(model, question, run, quiet=quiet))


async def _watch(model: Model, question: Question, run: RunContext, *, quiet: bool) -> Answer:
    with RunWatcher(model.name, quiet=quiet) as watcher:
        return await model.answer(question, run if quiet else replace(run, emit=watcher.note))


def extract_answers(answer: Answer) -> Answer:
    """A single model's answer with what its text says, as a vote would read it: nothing where it was cut."""
    if answer.answer is not None or len(answer.candidates) > 1 or answer.finish_reason == "length":
        return answer
    from quorate.aggregators import AnswerExtractor

    extract = AnswerExtractor().extract
    candidates = tuple(
        c.model_copy(update={"answer": extract(c.text)}) if c.ok and c.answer is None else c for c in answer.candidates
    )
    return answer.replace(answer=extract(answer.text), candidates=candidates)
