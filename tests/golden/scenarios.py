r"""Scenarios whose outcome is pinned as transcripts.

    python -m tests.golden.scenarios --write            every transcript anew
    python -m tests.golden.scenarios --write NAME ...    some of them

A scenario gives a model and a question. It is run twice from scratch, once as a stream of live events and once as
a plain answer; what both come to is its transcript (see `transcript`). Scripted models choose what they say by the
content of their prompts and never by its order, so a transcript does not depend on how an order is drawn.

Everything that is taken from inside the package, and every function that knows its events, stands in the first
section; the scenarios below it speak of pipelines by their names in the catalog.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# ---- What comes from inside the package ------------------------------------------------------------------------
from quorate import (
    Answer,
    Budget,
    Candidate,
    Checkpoints,
    Embedded,
    Endpoint,
    Fallback,
    Hedged,
    Message,
    Pool,
    Question,
    QuorateError,
    Recorded,
    RunContext,
    SamplingParams,
    Usage,
)
from quorate.agents import BreakerPolicy, Price, RetryPolicy
from quorate.aggregators import Sandbox
from quorate.aggregators.registry import build_pipeline, build_rule
from quorate.config.catalog import Catalog
from quorate.config.models import PROVIDERS
from quorate.evals.bank import Bank
from quorate.evals.banked_sampler import BankedSampler
from quorate.evals.records import AnswerRecord, RecordedBank
from quorate.evals.replay import replay
from quorate.orchestrator.errors import BadInput, RateLimited
from quorate.orchestrator.types import Failure
from quorate.testing import Fault, Received, Reply, ScriptedModel, ScriptedUpstream, Step


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


# ---- From a scenario to its transcript -------------------------------------------------------------------------

FOLDER = Path(__file__).with_name("transcripts")
SEED = 7


def masked(text: str | None) -> str | None:
    """A text without the port of a server, which differs between two runs, and the names of nodes."""
    return text and re.sub(
        r"of (stage|node) '[^']*'", "of node NODE", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    )


def plain(value: Any) -> Any:
    """The value as JSON has it."""
    return json.loads(json.dumps(value, sort_keys=True, default=dict))


@dataclass
class Ask:
    """What a scenario runs."""

    model: Any
    question: Question
    _: KW_ONLY
    seed: int | None = SEED
    budget: Budget | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the call."""


@dataclass
class Found:
    """What a scenario that asks no model has found by itself."""

    value: Any


Made = Callable[[], AbstractAsyncContextManager[Ask | Found]]


@dataclass(frozen=True)
class Scenario:
    """One thing that is pinned."""

    name: str
    about: str
    make: Made
    needs: str | None = None
    """A module without which it cannot run, or `jail` for the namespaces that isolate a program."""

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    function: Callable[[], AsyncIterator[Ask | Found]] | None = None, *, needs: str | None = None
) -> Callable[..., Any]:
    """Registers a scenario by the name of its function."""
    if function is None:
        return partial(scenario, needs=needs)
    name = function.__name__.strip("_").replace("_", "-")
    assert name not in SCENARIOS, f"two scenarios are called {name}"
    SCENARIOS[name] = Scenario(name, (function.__doc__ or "").strip(), asynccontextmanager(function), needs)
    return function


async def can_run(needs: str | None) -> bool:
    """Whether what a scenario needs is there."""
    if needs is None:
        return True
    if needs != "jail":
        return find_spec(needs) is not None
    try:
        return (await Sandbox().run("print(1)")).ended == "complete"
    except BadInput:
        return False


async def transcript(chosen: Scenario) -> dict[str, Any]:
    """Runs a scenario live and plainly, each from scratch, and tells what came of both.

    Keys: `live` has the `answer` (or the `error`) and the `events`; `plain` is "as live" where the plain answer is
    the same, else what it was; `ledger` has the usage of the live run, and that of the plain one where it differs.
    """
    await _warm()
    async with chosen.make() as made:
        if isinstance(made, Found):
            return {"scenario": chosen.name, "about": chosen.about, "found": plain(made.value)}
        events, end = read_events(
            await run_events(made.model, made.question, seed=made.seed, budget=made.budget, **made.more)
        )
        await _closed(made.model)
    ledger = await _ledger(chosen, end)
    live = {**_end(end), "events": events}
    async with chosen.make() as made:
        assert isinstance(made, Ask)
        unwatched = await run_answer(made.model, made.question, seed=made.seed, budget=made.budget, **made.more)
        await _closed(made.model)
    same = _end(unwatched) == _end(end)
    if isinstance(unwatched, Answer) and (quiet := told_ledger(unwatched)) != ledger:
        ledger = {**ledger, "plain": quiet}
    told = {"scenario": chosen.name, "about": chosen.about, "live": live, "ledger": ledger}
    return {**told, "plain": "as live" if same else _end(unwatched)}


def _end(end: Answer | QuorateError) -> dict[str, Any]:
    if isinstance(end, QuorateError):
        return {"answer": None, "error": told_error(end)}
    return {"answer": told_answer(end), "error": None}


async def _ledger(chosen: Scenario, end: Answer | QuorateError) -> dict[str, Any]:
    if isinstance(end, Answer):
        return told_ledger(end)
    async with chosen.make() as made:
        assert isinstance(made, Ask)
        run = await run_failing(made.model, made.question, seed=made.seed, budget=made.budget)
        await _closed(made.model)
    return told_ledger(run)


async def _closed(model: Any) -> None:
    close = getattr(model, "aclose", None)
    if close is not None:
        await close()


_warmed = False


async def _warm() -> None:
    """Imports what pipelines import when they first run, so that no deadline has to wait for it."""
    global _warmed
    if not _warmed:
        async with ScriptedUpstream(Reply("ok")) as up:
            await run_answer(build("majority@2/m", m=endpoint(up)), SUM, seed=1, budget=None)
        await run_answer(build("self-moa@2/m", m=solver()), SUM, seed=1, budget=None)
        _warmed = True


def written(told: Mapping[str, Any]) -> str:
    """A transcript as its file holds it."""
    return json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


# ---- Who answers -----------------------------------------------------------------------------------------------

SUM = Question.of("What is 3 + 14 ?")
STORY = Question.of("Tom has 3 apples and buys 14 more. How many apples does Tom have now?")

Line = str | int | Failure | Exception | None

MOSTLY = (17, 17, 17, 18, 17, 17)
"""Whatever part of these is drawn, 17 leads."""

_SHOWN = re.compile(r"^(?:Attempt|Draft|Candidate|Agent|Response|Solution) (\d+):$", re.MULTILINE)
_BOXED = re.compile(r"\\boxed\{(\d+)\}")


def said(line: Line) -> Any:
    """A number as a model says it; anything else as it is."""
    return f"It comes to \\boxed{{{line}}} I think." if isinstance(line, int) else line


def solver(*lines: Line, name: str = "m", writes: Line = "", judges: Line = "") -> ScriptedModel:
    """A model that solves, judges and synthesizes by what its prompt shows.

    Args:
        lines: what it says to the question itself, by the index of the sample.
        name: of the model.
        writes: what it says where it is to synthesize; the commonest answer that it is shown, if not given.
        judges: what it says where it is to choose; the largest answer that it is shown, if not given.
    """
    known = lines or (17, 17, 18)

    def script(question: Question, index: int) -> Any:
        whole = "\n".join(message.text for message in question.messages)
        if "Chosen: N" in whole or "Chosen: tie" in whole:
            return said(judges) if judges != "" else _chosen(whole)
        if _SHOWN.search(whole):
            return said(writes) if writes != "" else _merged(whole)
        return said(known[index % len(known)])

    return ScriptedModel(script, name=name)


def _chosen(prompt: str) -> str:
    """The one of the responses with the largest answer."""
    parts = _SHOWN.split(prompt)[1:]
    answers = {int(number): max(map(int, _BOXED.findall(text)), default=0) for number, text in _pairs(parts)}
    best = [number for number, answer in answers.items() if answer == max(answers.values())]
    return "Chosen: tie" if "Chosen: tie" in prompt and len(best) > 1 else f"Chosen: {best[0]}"


def _pairs(parts: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(parts[::2], parts[1::2], strict=True))


def _merged(prompt: str) -> str:
    """The commonest answer of the responses, the largest of equals."""
    answers = Counter(map(int, _BOXED.findall(prompt)))
    best = max(answers, key=lambda answer: (answers[answer], answer), default=0)
    return f"Having read {answers.total()} answers I say \\boxed{{{best}}}."


def tiny(name: str = "tiny", model: str = "quorate-tiny-base", **sampling: Any) -> Embedded:
    """A small model that is really run, with at most 64 tokens an answer."""
    return Embedded(model, name=name, sampling=SamplingParams(**{"max_tokens": 64, **sampling}))


def endpoint(up: ScriptedUpstream, *, name: str = "m", **settings: Any) -> Endpoint:
    """An agent over a socket that never tries again."""
    given = {"retries": RetryPolicy(attempts=1), "breaker": BreakerPolicy(failures=1000), **settings}
    return Endpoint(name, base_url=up.url, **given)


def recorded(*samples: Any, name: str = "m", question: Question = SUM) -> Recorded:
    """A model that gives these samples: texts, or candidates in parts."""
    return Recorded([{"question": question.text, "answers": [said(sample) for sample in samples]}], name=name)


def sampled_by_seed(indices: int, *steps: Step) -> Callable[[Received], Step]:
    """Steps by the sample whose seed a request has, whatever the order in which requests come."""
    run = RunContext(seed=SEED)
    by_seed = {run.sample_seed(index): steps[index % len(steps)] for index in range(indices)}
    return lambda received: by_seed[received.body["seed"]]


def scoring(received: Received) -> Step:
    """A reward model that likes large answers."""
    found = _BOXED.findall(json.dumps(received.body).replace("\\\\", "\\"))
    return Reply(str(int(found[-1]) / 10 if found else -1.0))


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A tool call as a server sends it."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call-{name}", "type": "function", "function": function}


TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
    },
)
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"],
        },
    },
}
PERSON = Question.of("Who is meant?").model_copy(update={"response_format": SCHEMA})
WEATHER = Question.of("What will the weather be?").model_copy(update={"tools": TOOLS})


# ---- Single models ---------------------------------------------------------------------------------------------


@scenario
async def single_model() -> AsyncIterator[Ask]:
    """One scripted model by itself: its tokens are those of the answer."""
    yield Ask(build("m", m=solver()), SUM)


@scenario
async def single_embedded() -> AsyncIterator[Ask]:
    """The shipped model, sampled with a seed."""
    yield Ask(build("tiny", tiny=tiny()), STORY)


@scenario
async def single_embedded_token_budget() -> AsyncIterator[Ask]:
    """The budget of tokens bounds the answer of a single model."""
    yield Ask(build("tiny", tiny=tiny(temperature=0)), STORY, budget=Budget(tokens=9))


@scenario
async def single_endpoint() -> AsyncIterator[Ask]:
    """A server that thinks aloud before it answers."""
    async with ScriptedUpstream(Reply("It is \\boxed{17}.", reasoning="3 and 14 make 17.", usage=(12, 9))) as up:
        yield Ask(build("m", m=endpoint(up)), SUM)


@scenario
async def single_endpoint_rate_limited() -> AsyncIterator[Ask]:
    """A 429 with its Retry-After survives as the error of the call."""
    async with ScriptedUpstream(Fault.status(429, "slow down", retry_after=30)) as up:
        yield Ask(build("m", m=endpoint(up)), SUM)


@scenario
async def single_endpoint_tried_again() -> AsyncIterator[Ask]:
    """A 503 is tried again, and counts as no spending."""
    async with ScriptedUpstream([Fault.status(503), Reply("It is \\boxed{17}.")]) as up:
        yield Ask(build("m", m=endpoint(up, retries=RetryPolicy(attempts=2, backoff=0.01))), SUM)


@scenario
async def single_endpoint_refused() -> AsyncIterator[Ask]:
    """A 401 is the caller's business and is not tried again."""
    async with ScriptedUpstream(Reply("ok"), api_key="secret") as up:
        yield Ask(build("m", m=endpoint(up, retries=RetryPolicy(attempts=3, backoff=0.01))), SUM)


@scenario
async def single_endpoint_deadline() -> AsyncIterator[Ask]:
    """A stream that hangs after two pieces: what has come is the answer, cut by its length."""
    fault = Fault.hang(after_chunks=2, reply=Reply("one two three four"))
    async with ScriptedUpstream(fault) as up:
        yield Ask(build("m", m=endpoint(up)), SUM, budget=Budget(seconds=0.35))


@scenario
async def single_deadline_without_text() -> AsyncIterator[Ask]:
    """A model that never says anything is an error when the time is over."""
    yield Ask(build("m", m=solver(None)), SUM, budget=Budget(seconds=0.1))


@scenario
async def recorded_answers() -> AsyncIterator[Ask]:
    """Recorded answers with their usage; a sample that is not recorded fails."""
    samples = (
        {"text": said(17), "usage": {"prompt_tokens": 9, "completion_tokens": 4, "requests": 1}},
        {"text": said(18), "reasoning": "Let me see.", "usage": {"completion_tokens": 6, "requests": 1}},
        17,
    )
    yield Ask(build("majority@4/m", m=recorded(*samples)), SUM)


# ---- Votes -----------------------------------------------------------------------------------------------------


@scenario
async def majority() -> AsyncIterator[Ask]:
    """The most frequent of five answers; one abstains."""
    yield Ask(build("majority@5/m", m=solver(18, 17, 17, "I do not know", 17)), SUM)


@scenario
async def majority_tied() -> AsyncIterator[Ask]:
    """Two answers with two votes each."""
    yield Ask(build("majority@4/m", m=solver(18, 17, 17, 18)), SUM)


@scenario
async def majority_equivalent() -> AsyncIterator[Ask]:
    """Different spellings of one value vote together, and the spelling that most voters used is told."""
    lines = ("\\boxed{1/2}", "\\boxed{0.5}", "\\boxed{0.5}", "The answer is 2", "#### 2")
    yield Ask(build("majority@5/m", m=solver(*lines)), SUM)


@scenario
async def majority_all_abstain() -> AsyncIterator[Ask]:
    """Nobody gives an answer that can be counted."""
    yield Ask(build("majority@3/m", m=solver("No idea", "Hm, hard", "Who knows")), SUM)


@scenario
async def majority_without_a_seed() -> AsyncIterator[Ask]:
    """Without a seed candidates have none."""
    yield Ask(build("majority@3/m", m=solver()), SUM, seed=None)


@scenario
async def majority_of_two_models() -> AsyncIterator[Ask]:
    """Samples are dealt to two models in turn."""
    yield Ask(build("majority@5/a+b", a=solver(17, 18, 18, name="a"), b=solver(18, 17, name="b")), SUM)


@scenario
async def majority_embedded() -> AsyncIterator[Ask]:
    """Five samples of the shipped model."""
    yield Ask(build("majority@5/tiny", tiny=tiny()), STORY)


@scenario
async def majority_endpoint_choices() -> AsyncIterator[Ask]:
    """Four choices of one request, whose prompt is counted once."""
    texts = [said(17), said(18), said(17), said(17)]
    async with ScriptedUpstream(Reply(texts)) as up:
        yield Ask(build("majority@4/m", m=endpoint(up, price=Price(prompt=2.0, completion=8.0))), SUM)


@scenario
async def by_model() -> AsyncIterator[Ask]:
    """A trusted model outvotes two others."""
    models = [solver(line, name=name) for name, line in (("a", 18), ("b", 17), ("c", 17))]
    yield Ask(recipe("by-model", *models, n=3, options={"weights": {"a": 2.5}}), SUM)


@scenario
async def log_odds() -> AsyncIterator[Ask]:
    """Votes weigh by how often their models are right."""
    models = [solver(line, name=name) for name, line in (("a", 18), ("b", 17), ("c", 17))]
    yield Ask(recipe("log-odds", *models, n=3, options={"accuracies": {"a": 0.95, "b": 0.7, "c": 0.55}}), SUM)


@scenario
async def run_off() -> AsyncIterator[Ask]:
    """A second round between the two most frequent answers."""
    models = {"a": solver(17, 17, 18, name="a"), "b": solver(18, 16, 18, name="b"), "c": solver(16, 17, 17, name="c")}
    yield Ask(build("run-off@9/a+b+c", **models), SUM)


@scenario(needs="numpy")
async def label_free() -> AsyncIterator[Ask]:
    """Several models' votes with abilities that their agreement teaches."""
    models = {"a": solver(18, name="a"), "b": solver(17, name="b"), "c": solver(17, name="c")}
    yield Ask(build("label-free@3/a+b+c", **models), SUM)


@asynccontextmanager
async def rewarded(name: str, **options: Any) -> AsyncIterator[Ask]:
    """A pipeline with a reward model over a socket."""
    async with ScriptedUpstream(scoring) as up:
        verifier = {"base_url": up.url, "model": "reward"}
        yield Ask(recipe(name, solver(17, 18, 17, 16, 17), n=5, options={"verifier": verifier, **options}), SUM)


@scenario
async def borda() -> AsyncIterator[Ask]:
    """A vote weighted by the rank of a reward model's score."""
    async with rewarded("borda", power=2) as ask:
        yield ask


@scenario(needs="numpy")
async def majority_of_bests() -> AsyncIterator[Ask]:
    """The answer that best-of-m would give most often."""
    async with rewarded("majority-of-bests") as ask:
        yield ask


@scenario
async def reward_best() -> AsyncIterator[Ask]:
    """The sample with the best score."""
    async with rewarded("reward-best") as ask:
        yield ask


@scenario
async def reward_vote() -> AsyncIterator[Ask]:
    """Scores are added up by answer."""
    async with rewarded("reward-vote") as ask:
        yield ask


@scenario
async def reward_softmax_vote() -> AsyncIterator[Ask]:
    """Softmax of the scores, added up by answer."""
    async with rewarded("reward-softmax-vote", temperature=0.5) as ask:
        yield ask


@scenario
async def reward_model_fails() -> AsyncIterator[Ask]:
    """Without any score the vote decides, and the answer says so."""
    async with ScriptedUpstream(Fault.status(400, "no such model")) as up:
        verifier = {"base_url": up.url, "model": "reward"}
        yield Ask(recipe("reward-best", solver(18, 17, 17), n=3, options={"verifier": verifier}), SUM)


def traced(answer: int, *logprobs: float) -> dict[str, Any]:
    """A recorded sample whose tokens have these log-probabilities."""
    tokens = [
        {"token": f"t{place}", "logprob": value, "top": [(f"t{place}", value), (f"u{place}", -3.0)]}
        for place, value in enumerate(logprobs)
    ]
    return {"text": said(answer), "logprobs": tokens}


TRACES = (
    traced(18, -0.1, -0.2, -0.1),
    traced(17, -1.5, -1.0, -2.0),
    traced(17, -1.2, -0.9, -1.1),
    traced(18, -0.3, -0.1, -0.2),
    traced(17, -2.5, -0.5, -0.7),
)


@scenario
async def confidence() -> AsyncIterator[Ask]:
    """The surest samples vote, weighted by how sure they are."""
    model = recorded(*TRACES)
    yield Ask(recipe("confidence", model, n=5, options={"measure": "mean-logprob", "keep": 0.8}), SUM)


@scenario
async def confidence_embedded() -> AsyncIterator[Ask]:
    """The lowest group of the shipped model's own traces."""
    yield Ask(build("confidence@4/tiny", tiny=tiny()), STORY)


@scenario
async def self_certainty() -> AsyncIterator[Ask]:
    """A Borda vote by how sure the model was."""
    yield Ask(build("self-certainty@5/m", m=recorded(*TRACES)), SUM)


@scenario
async def confidence_unknown() -> AsyncIterator[Ask]:
    """A model that tells no probabilities: the votes count alike, and the answer says so."""
    yield Ask(build("confidence@3/m", m=solver(18, 17, 17)), SUM)


@scenario
async def deepconf() -> AsyncIterator[Ask]:
    """After the warm-up sampling ends at a consensus."""
    model = recorded(*[traced(17, -0.2, -0.1 * place) for place in range(1, 13)])
    yield Ask(recipe("deepconf", model, n=12, options={"warm_up": 4, "window": 2}), SUM)


# ---- Stopping --------------------------------------------------------------------------------------------------


@scenario
async def adaptive_consistency() -> AsyncIterator[Ask]:
    """Unanimous samples stop after the first wave."""
    yield Ask(build("adaptive-consistency@12/m", m=solver(17)), SUM)


@scenario
async def adaptive_consistency_divided() -> AsyncIterator[Ask]:
    """Divided samples are all drawn."""
    yield Ask(build("adaptive-consistency@8/m", m=solver(17, 18)), SUM)


@scenario
async def adaptive_consistency_one_by_one() -> AsyncIterator[Ask]:
    """One sample at a time stops as early as it can."""
    model = solver(18, 17, 17, 17, 17, 17)
    yield Ask(recipe("adaptive-consistency", model, n=12, wave=1), SUM)


@scenario
async def esc() -> AsyncIterator[Ask]:
    """A unanimous window of three ends sampling."""
    yield Ask(recipe("esc", solver(18, 17, 17, 17, 17, 17, 17), n=12, wave=1, options={"window": 3}), SUM)


@scenario
async def look_ahead() -> AsyncIterator[Ask]:
    """The samples left would not change the winner."""
    yield Ask(recipe("look-ahead", solver(17, 17, 18, 17, 17, 17, 17), n=10, wave=1), SUM)


@scenario
async def best_of_infinity() -> AsyncIterator[Ask]:
    """The evidence for the leading answer is strong enough."""
    yield Ask(recipe("best-of-infinity", solver(17, 18, 17, 17, 17, 17, 17, 17), n=16, wave=1), SUM)


@scenario
async def stop_at_votes() -> AsyncIterator[Ask]:
    """A number of votes ends sampling; failures and abstentions do not count."""
    model = solver(17, failure(500), "No idea", 18, 17, 17)
    yield Ask(recipe("majority", model, n=12, wave=1, stop=rule("fixed", votes=3)), SUM)


@scenario
async def stop_at_tokens() -> AsyncIterator[Ask]:
    """A number of tokens ends sampling without any budget."""
    yield Ask(recipe("majority", solver(), n=12, wave=1, stop=rule("token-limit", tokens=30)), SUM)


@scenario
async def stop_at_consensus() -> AsyncIterator[Ask]:
    """A share of the weight ends a synthesis's sampling."""
    stop = rule("weight-share", share=0.7, after=4)
    yield Ask(recipe("self-moa", solver(17, 17, 17, 18), n=8, wave=1, stop=stop), SUM)


@scenario
async def quorum_and_grace() -> AsyncIterator[Ask]:
    """Three of five samples will do; the two that hang are cancelled after their grace."""
    model = build("majority@5/m", m=solver(17, None, 18, None, 17))
    yield Ask(drawing(model, quorum=3, grace=0.1), SUM)


@scenario
async def quorum_missed() -> AsyncIterator[Ask]:
    """Too many samples fail for a quorum, and the answer says so."""
    model = build("majority@4/m", m=solver(17, failure(500), failure(500), 17))
    yield Ask(drawing(model, quorum=3, grace=0.1), SUM)


@scenario
async def quorum_of_streams() -> AsyncIterator[Ask]:
    """Three streams end and one hangs in the middle: its part is kept, and what it cost."""
    good = Reply(said(17))
    steps = sampled_by_seed(4, good, Fault.hang(after_chunks=2, reply=Reply("Let me think about it")), good, good)
    async with ScriptedUpstream(steps) as up:
        model = build("majority@4/m", m=endpoint(up, n_supported=False))
        yield Ask(drawing(model, quorum=3, grace=0.35), SUM)


@scenario
async def least_samples() -> AsyncIterator[Ask]:
    """Fewer good samples than asked for are an error with the status of the failures."""
    failed = failure(503, "overloaded", retry_after=4.0)
    model = build("majority@4/m", m=solver(17, failed, failed, 17))
    yield Ask(drawing(model, min_candidates=3), SUM)


@scenario
async def stage_deadline() -> AsyncIterator[Ask]:
    """The time of the sampling stage is over; the vote is over what has come."""
    model = build("majority@4/m", m=solver(17, 18, None, 17))
    yield Ask(drawing(model, seconds=0.3), SUM)


@scenario
async def deadline() -> AsyncIterator[Ask]:
    """The time of the whole call is over; the vote is over what has come."""
    yield Ask(build("majority@4/m", m=solver(17, None, None, 17)), SUM, budget=Budget(seconds=0.3))


@scenario
async def deadline_before_any() -> AsyncIterator[Ask]:
    """Every sample hangs: an error of its own."""
    yield Ask(build("majority@3/m", m=solver(None)), SUM, budget=Budget(seconds=0.1))


@scenario
async def deadline_of_streams() -> AsyncIterator[Ask]:
    """All streams hang in the middle: their parts are the candidates, cut by their length."""
    cut = "It is \\boxed{17} and that because of many things"
    async with ScriptedUpstream(Fault.hang(after_chunks=4, reply=Reply(cut))) as up:
        model = build("majority@2/m", m=endpoint(up, n_supported=False))
        yield Ask(model, SUM, budget=Budget(seconds=0.4))


@scenario
async def aggregation_deadline() -> AsyncIterator[Ask]:
    """The synthesizer hangs; the vote stands in."""
    yield Ask(aggregating_within(build("self-moa@3/m", m=solver(18, 17, 17, writes=None)), 0.1), SUM)


def priced(*answers: int) -> Recorded:
    """Recorded samples of twelve tokens and a quarter of money each."""
    usage = {"prompt_tokens": 6, "completion_tokens": 6, "requests": 1, "cost": 0.25}
    return recorded(*[{"text": said(answer), "usage": usage} for answer in answers])


@scenario
async def token_budget() -> AsyncIterator[Ask]:
    """The budget of tokens is used up by the first wave, so there is no second."""
    yield Ask(build("majority@8/m", m=priced(*MOSTLY, 17, 17)), SUM, budget=Budget(tokens=48))


@scenario
async def token_budget_before_synthesis() -> AsyncIterator[Ask]:
    """Nothing is left for the synthesis, and the vote stands in."""
    yield Ask(build("self-moa@4/m", m=priced(*MOSTLY)), SUM, budget=Budget(tokens=48))


@scenario
async def money_budget() -> AsyncIterator[Ask]:
    """Money is spent by the first wave."""
    yield Ask(build("majority@8/m", m=priced(*MOSTLY, 17, 17)), SUM, budget=Budget(money=1.0))


@scenario
async def sample_budget() -> AsyncIterator[Ask]:
    """The budget allows three of eight samples."""
    yield Ask(build("majority@8/m", m=solver()), SUM, budget=Budget(samples=3))


@scenario
async def sample_budget_of_a_stopping_rule() -> AsyncIterator[Ask]:
    """A rule that looks ahead looks no further than the budget."""
    model = recipe("look-ahead", solver(17, 18, 17, 17, 17), n=16, wave=1)
    yield Ask(model, SUM, budget=Budget(samples=5))


# ---- Failing upstreams -----------------------------------------------------------------------------------------


@scenario
async def some_fail() -> AsyncIterator[Ask]:
    """Two of five samples fail; the others vote."""
    failed = failure(429, "slow down", "rate_limited", retry_after=2.0)
    yield Ask(build("majority@5/m", m=solver(17, failed, 18, failure(500), 17)), SUM)


@scenario
async def all_fail() -> AsyncIterator[Ask]:
    """The most telling of different failures is the error: a 429 before a 500 before a 400."""
    slow = failure(429, "slow down", "rate_limited", retry_after=2.0)
    yield Ask(build("majority@3/m", m=solver(failure(500), failure(400, code="upstream_rejected"), slow)), SUM)


@scenario
async def all_fail_alike() -> AsyncIterator[Ask]:
    """A server that refuses everything with 401."""
    async with ScriptedUpstream(Reply("ok"), api_key="secret") as up:
        yield Ask(build("majority@3/m", m=endpoint(up)), SUM)


@scenario
async def some_statuses() -> AsyncIterator[Ask]:
    """A 500, a broken stream, a reply that is no JSON, and one good answer."""
    good, broken = Reply(said(17)), Fault.close_midway(after_chunks=1)
    steps = sampled_by_seed(4, Fault.status(500), good, broken, Fault.status(413, "too long"))
    async with ScriptedUpstream(steps) as up:
        yield Ask(build("majority@4/m", m=endpoint(up, n_supported=False)), SUM)


@scenario
async def model_crashes() -> AsyncIterator[Ask]:
    """A model that raises what is no error of ours fails its samples; the other model answers."""
    crashing = ScriptedModel([ValueError("oops")], name="a")
    yield Ask(build("majority@4/a+b", a=crashing, b=solver(name="b")), SUM)


@scenario
async def model_raises() -> AsyncIterator[Ask]:
    """A model that raises an upstream's error alone."""
    yield Ask(build("a", a=ScriptedModel([RateLimited("wait", retry_after=3.0)], name="a")), SUM)


@scenario
async def fallback() -> AsyncIterator[Ask]:
    """Another model stands in for the samples that fail."""
    model = Fallback(solver(17, failure(503), failure(500), name="a"), solver(18, name="b"), name="both")
    yield Ask(build("majority@3/both", both=model), SUM)


@scenario
async def fallback_exhausted() -> AsyncIterator[Ask]:
    """Those that stand in fail as well."""
    model = Fallback(solver(failure(500), name="a"), solver(failure(503, "overloaded"), name="b"), name="both")
    yield Ask(build("both", both=model), SUM)


@scenario
async def fallback_over_sockets() -> AsyncIterator[Ask]:
    """A server that is down, and one that stands in for it, streamed."""
    async with ScriptedUpstream(Fault.status(503)) as down, ScriptedUpstream(Reply(said(17))) as up:
        model = Fallback(endpoint(down, name="a"), endpoint(up, name="b"), name="both")
        yield Ask(build("both", both=model), SUM)


@scenario
async def pool() -> AsyncIterator[Ask]:
    """Two servers of one model, of which one fails: the other is asked for its samples too."""
    texts = [said(17), said(18), said(17)]
    async with ScriptedUpstream(Fault.status(500)) as down, ScriptedUpstream(Reply(texts)) as up:
        model = Pool([endpoint(down, name="m"), endpoint(up, name="m")], name="pool")
        yield Ask(build("majority@3/pool", pool=model), SUM)


@scenario
async def hedge() -> AsyncIterator[Ask]:
    """A second request overtakes one that hangs, and both are paid for."""
    steps = iter((Fault.hang(), Reply("It is \\boxed{17}.")))
    async with ScriptedUpstream(lambda _: next(steps)) as up:
        yield Ask(build("m", m=Hedged(endpoint(up, n_supported=False), after=0.1)), SUM)


# ---- Synthesis -------------------------------------------------------------------------------------------------


@scenario
async def self_moa() -> AsyncIterator[Ask]:
    """A model synthesizes its own samples."""
    yield Ask(build("self-moa@4/m", m=solver(18, 17, 17, 16)), SUM)


@scenario
async def self_moa_of_a_conversation() -> AsyncIterator[Ask]:
    """The conversation's own system message and format are kept, and another model synthesizes."""
    question = Question.of(
        [
            Message(role="system", content="Be brief."),
            Message(role="user", content="What is 3 + 14 ?"),
            Message(role="assistant", content="It is 16."),
            Message(role="user", content="Are you sure?"),
        ]
    )
    yield Ask(recipe("self-moa", solver(17, 16), n=3, aggregator_model=solver(name="writer")), question)


@scenario
async def self_moa_thinking() -> AsyncIterator[Ask]:
    """A synthesizer that thinks aloud; its thinking and its text are streamed apart."""
    async with ScriptedUpstream(Reply("So it is \\boxed{17}.", reasoning="They differ. Let me add.")) as up:
        yield Ask(recipe("self-moa", solver(), n=3, aggregator_model=endpoint(up, name="writer")), SUM)


@scenario
async def self_moa_synthesizer_fails() -> AsyncIterator[Ask]:
    """The vote stands in for a synthesizer that fails."""
    yield Ask(build("self-moa@3/m", m=solver(18, 17, 17, writes=failure(500))), SUM)


@scenario
async def self_moa_synthesizer_breaks_off() -> AsyncIterator[Ask]:
    """What has been streamed of a synthesis that breaks off stays the answer."""
    fault = Fault.error_midway(after_chunks=2, reply=Reply("So it is \\boxed{17} for sure."))
    async with ScriptedUpstream(fault) as up:
        yield Ask(recipe("self-moa", solver(18, 17, 17), n=3, aggregator_model=endpoint(up, name="writer")), SUM)


@scenario
async def self_moa_candidates_cut() -> AsyncIterator[Ask]:
    """Candidates that are too long for the prompt lose their middle."""
    long = "\\boxed{17} " + "and so on " * 400
    yield Ask(recipe("self-moa", solver(long, 17), n=2, options={"max_context_tokens": 200}), SUM)


@scenario
async def self_moa_seq() -> AsyncIterator[Ask]:
    """Samples are folded window by window into a running synthesis."""
    yield Ask(recipe("self-moa-seq", solver(*MOSTLY), n=9, options={"window": 4}), SUM)


@scenario
async def moa() -> AsyncIterator[Ask]:
    """Layers of two models, then one aggregator."""
    models = solver(*MOSTLY, name="a"), solver(*MOSTLY, name="b")
    yield Ask(recipe("moa", *models, n=4, options={"layers": 3}), SUM)


@scenario
async def aft() -> AsyncIterator[Ask]:
    """Proposals are aggregated in two rounds."""
    yield Ask(build("aft@3/m", m=solver(17, 17, 18)), SUM)


@scenario
async def rsa() -> AsyncIterator[Ask]:
    """A population is renewed from random subsets."""
    yield Ask(recipe("rsa", solver(*MOSTLY), n=5, options={"loops": 2, "subset": 3}), SUM)


@scenario
async def agglm() -> AsyncIterator[Ask]:
    """Solutions are reviewed and combined by a model that is not trained for it."""
    yield Ask(build("agglm@4/m", m=solver(18, 17, 17, 16)), SUM)


@scenario
async def agglm_embedded() -> AsyncIterator[Ask]:
    """The shipped aggregator reads samples of the shipped model."""
    yield Ask(build("agglm@3/tiny", tiny=tiny(temperature=0)), STORY)


@scenario
async def debate() -> AsyncIterator[Ask]:
    """Three agents revise their answers for two rounds, then vote."""
    yield Ask(build("debate@3/m", m=solver(17, 17, 18)), SUM)


@scenario
async def debate_with_a_failing_agent() -> AsyncIterator[Ask]:
    """An agent that fails is left out of the rounds."""
    model = recipe("debate", solver(17, failure(500), 18, 17), n=4, options={"rounds": 1})
    yield Ask(model, SUM)


@scenario
async def majority_over_self_moa() -> AsyncIterator[Ask]:
    """A vote over syntheses, each with samples of its own."""
    yield Ask(build("majority@3/self-moa@2/m", m=solver(17, 18)), SUM)


@scenario
async def self_moa_over_majority() -> AsyncIterator[Ask]:
    """A synthesis of votes; failures inside are told outside."""
    yield Ask(build("self-moa@2/majority@3/m", m=solver(17, failure(500), 17)), SUM)


@scenario
async def nested_deadline() -> AsyncIterator[Ask]:
    """Votes inside hand up what they have when the time of their own sampling is over."""
    inner = drawing(build("majority@3/m", m=solver(17, None, 17)), seconds=0.25)
    yield Ask(build("majority@2/inner", inner=inner), SUM)


@scenario
async def nested_all_fail() -> AsyncIterator[Ask]:
    """Pipelines inside fail with the status of their models."""
    yield Ask(build("majority@2/self-moa@2/m", m=solver(failure(429, "slow down", "rate_limited"))), SUM)


# ---- Judges and gates ------------------------------------------------------------------------------------------

SPREAD = (17, 18, 17, 16)


@scenario
async def usc() -> AsyncIterator[Ask]:
    """A model names one of the samples."""
    yield Ask(build("usc@4/m", m=solver(*SPREAD)), SUM)


@scenario
async def usc_unreadable() -> AsyncIterator[Ask]:
    """A judge that names nobody leaves it to the vote."""
    yield Ask(build("usc@4/m", m=solver(*SPREAD, judges="They are all fine.")), SUM)


@scenario
async def usc_judge_fails() -> AsyncIterator[Ask]:
    """A judge that fails leaves it to the vote."""
    yield Ask(build("usc@4/m", m=solver(*SPREAD, judges=failure(500))), SUM)


@scenario
async def genselect() -> AsyncIterator[Ask]:
    """A model compares samples in writing and names the best."""
    yield Ask(build("genselect@4/m", m=solver(*SPREAD)), SUM)


@scenario
async def knockout() -> AsyncIterator[Ask]:
    """Samples in a knockout, judged in both orders."""
    yield Ask(build("knockout@4/m", m=solver(15, 18, 17, 16)), SUM)


@scenario
async def swiss() -> AsyncIterator[Ask]:
    """Samples in a Swiss tournament: all pairs of three."""
    yield Ask(recipe("swiss", solver(16, 18, 17), n=3, options={"rounds": 3}), SUM)


@scenario
async def judge_run_off() -> AsyncIterator[Ask]:
    """A judge decides between the two most frequent answers."""
    yield Ask(build("judge-run-off@5/m", m=solver(17, 18, 17, 18, 17)), SUM)


@scenario
async def gate_agreeing() -> AsyncIterator[Ask]:
    """Samples agree, so the vote answers."""
    yield Ask(build("gate@8/m", m=solver(17)), SUM)


@scenario
async def gate_divided() -> AsyncIterator[Ask]:
    """Samples do not agree, so the expensive aggregator is asked."""
    yield Ask(build("gate@4/m", m=solver(*SPREAD)), SUM)


@scenario
async def gate_by_share() -> AsyncIterator[Ask]:
    """A share of the votes decides which way, and a judge is the expensive one."""
    options = {"expensive": "usc", "rule": "agreement", "rule_options": {"share": 0.9}}
    yield Ask(recipe("gate", solver(17, 17, 18), n=3, options=options), SUM)


# ---- Structure -------------------------------------------------------------------------------------------------

CALLS = (
    {"tool_calls": [call("weather", city="Bonn", days=2)], "finish_reason": "tool_calls"},
    {"tool_calls": [call("weather", days=2, city="Bonn")], "finish_reason": "tool_calls"},
    {"tool_calls": [call("weather", city="Köln")], "finish_reason": "tool_calls"},
    {"text": "I cannot know that."},
)
PEOPLE = (
    '{"name": "Ada", "age": 36}',
    '{"age": 36, "name": "Ada"}',
    '{"name": "Ada", "age": 37}',
    '{"name": "Bob", "age": 37}',
    "not JSON",
)


@scenario
async def majority_of_tool_calls() -> AsyncIterator[Ask]:
    """Calls with the same arguments in another order vote together."""
    yield Ask(build("majority@4/m", m=recorded(*CALLS, question=WEATHER)), WEATHER)


@scenario
async def tool_vote() -> AsyncIterator[Ask]:
    """Tool calls of a server, in a vote made for them."""
    reply = Reply("", tool_calls=[call("weather", city="Bonn")], finish_reason="tool_calls", usage=(9, 21))
    async with ScriptedUpstream(reply) as up:
        yield Ask(build("tool-vote@3/m", m=endpoint(up)), WEATHER)


@scenario
async def majority_of_documents() -> AsyncIterator[Ask]:
    """A question that wants JSON makes the majority one of documents."""
    yield Ask(build("majority@5/m", m=recorded(*PEOPLE, question=PERSON)), PERSON)


@scenario
async def json_vote() -> AsyncIterator[Ask]:
    """Documents vote as wholes; what misses the schema abstains."""
    people = ('{"name": "Ada"}', *PEOPLE)
    yield Ask(build("json-vote@6/m", m=recorded(*people, question=PERSON)), PERSON)


@scenario
async def json_fields() -> AsyncIterator[Ask]:
    """Every field is voted on by itself, and the winning fields make a document that nobody gave."""
    shares = (("Ada", 37, 4), ("Bob", 36, 3), ("Cid", 36, 2))
    people = [json.dumps({"name": name, "age": age}) for name, age, times in shares for _ in range(times)]
    yield Ask(build("json-fields@9/m", m=recorded(*people, question=PERSON)), PERSON)


@scenario
async def centroid() -> AsyncIterator[Ask]:
    """The text most like the others."""
    texts = ("The cat sat on the mat.", "A cat sat on a mat.", "Dogs bark at night.", "The cat sat on a mat.")
    yield Ask(build("centroid@4/m", m=solver(*texts)), SUM)


@scenario(needs="jail")
async def execution() -> AsyncIterator[Ask]:
    """Programs that behave alike win together."""
    bodies = ("return x * x", "return 2 * x", "return x + x")
    codes = [f"Here:\n```python\ndef f(x):\n    {body}\n```\n" for body in bodies]
    tests = ("assert f(2) == 4", "assert f(3) == 6", "assert f(0) == 0")
    options = {"run_code": True, "tests": tests, "seconds": 5.0}
    yield Ask(recipe("execution", solver(*codes), n=3, options=options), Question.of("Write f, which doubles."))


# ---- Writing together ------------------------------------------------------------------------------------------


def pair() -> dict[str, Any]:
    """The two shipped models, greedy and short."""
    return {
        "tiny": tiny(temperature=0, max_tokens=24),
        "agg": tiny("agg", "quorate-tiny-agg", temperature=0, max_tokens=24),
    }


@scenario
async def safe() -> AsyncIterator[Ask]:
    """One model drafts, both decide where they disagree."""
    yield Ask(build("safe/tiny+agg", **pair()), STORY)


@scenario
async def unite() -> AsyncIterator[Ask]:
    """Both models decide on every token over their likeliest ones."""
    yield Ask(build("unite/tiny+agg", **pair()), STORY)


@scenario
async def gac() -> AsyncIterator[Ask]:
    """Both models decide on every token over all tokens."""
    yield Ask(build("gac/tiny+agg", **pair()), STORY)


@scenario
async def mix() -> AsyncIterator[Ask]:
    """Models speak in turn as the seed draws."""
    yield Ask(build("mix/tiny+agg", **pair()), STORY)


@scenario
async def majority_over_mix() -> AsyncIterator[Ask]:
    """A vote over texts that two models wrote together."""
    yield Ask(build("majority@3/mix/tiny+agg", **pair()), STORY)


# ---- Banks, checkpoints, bad input -----------------------------------------------------------------------------


@scenario
async def bank_replay() -> AsyncIterator[Ask]:
    """Samples in a bank are served again as if they had just been drawn, though the model now fails."""
    bank, lines = Bank(), [17, 18, 17, 17]
    first = build("majority@3/m", m=BankedSampler(solver(*lines), bank))
    await run_answer(first, SUM, seed=SEED, budget=None)
    yield Ask(build("majority@4/m", m=BankedSampler(solver(failure(500)), bank)), SUM)


@scenario(needs="numpy")
async def eval_replay() -> AsyncIterator[Found]:
    """Aggregators over recorded answers: accuracy, samples and tokens."""

    def item(number: int, classes: Sequence[int | None]) -> AnswerRecord:
        answers = tuple(None if c is None else str(c) for c in classes)
        columns = {"tokens": tuple(range(10, 10 + len(classes)))}
        right = tuple(c == 0 for c in classes)
        return AnswerRecord(f"q{number}", ("m",) * len(classes), answers, tuple(classes), right, columns)

    items = (
        item(0, [0, 0, 1, 0, None, 0, 1, 0]),
        item(1, [1, 1, 0, 1, 0, 0, 0, 2]),
        item(2, [2, 0, 1, 0, 0, 2, 2, 2]),
        item(3, [0] * 8),
    )
    bank = RecordedBank("bank", False, {"m": items}, len(items), frozenset({"samples", "tokens"}))
    results = replay(bank, ["plurality", "pass", "adaptive-consistency", "esc"], k=[1, 3, 8], draws=20)
    yield Found([_rounded(result.model_dump()) for result in results])


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, 6) if isinstance(value, float) else value


@scenario(needs="langgraph")
async def checkpoints_resumed() -> AsyncIterator[Ask]:
    """A thread whose stages are kept is not sampled again, though the model now fails."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        kept = await stack.enter_async_context(Checkpoints(Path(folder) / "runs.sqlite"))
        more = {"checkpoints": kept, "thread": "monday"}
        await run_until_synthesis(build("self-moa@3/m", m=solver()), SUM, seed=SEED, **more)
        yield Ask(build("self-moa@3/m", m=solver(failure(500))), SUM, more=more)


@scenario
async def bad_names() -> AsyncIterator[Found]:
    """What the catalog says to names that it cannot resolve."""
    names = (
        "nobody",
        "nobody/m",
        "majority@0/m",
        "majority@x/m",
        "majority@9999/m",
        "majority@3/m+nobody",
        "borda@3/m",
    )
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = build(name, m=solver()).name
        except QuorateError as error:
            found[name] = {**told_error(error), "message": str(error).partition("; ")[0]}
    yield Found(found)


@scenario
async def names() -> AsyncIterator[Found]:
    """Names that the catalog resolves, and what the pipelines call themselves."""
    models = {"a": solver(name="a"), "b": solver(name="b")}
    asked = ("a", "majority", "majority@3", "majority/a", "majority@4/a+b", "majority@2/self-moa@3/b", "gate@4/b")
    yield Found({name: build(name, **models).name for name in asked})


# ---- The command -----------------------------------------------------------------------------------------------


async def _write(names: Sequence[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in names or SCENARIOS:
        chosen = SCENARIOS[name]
        if await can_run(chosen.needs):
            chosen.path.write_text(written(await transcript(chosen)), encoding="utf-8")
        else:
            print(f"{name} needs {chosen.needs}, which is not here; its file stays as it is")
    if not names:
        for path in FOLDER.glob("*.json"):
            if path.stem not in SCENARIOS:
                path.unlink()
    print(f"{len(names or SCENARIOS)} transcripts in {FOLDER}")


if __name__ == "__main__":
    flag, *chosen_names = sys.argv[1:] or [""]
    if flag != "--write" or not set(chosen_names) <= set(SCENARIOS):
        sys.exit(f"usage: python -m tests.golden.scenarios --write [NAME ...]; names: {', '.join(SCENARIOS)}")
    asyncio.run(_write(chosen_names))
