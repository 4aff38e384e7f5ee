"""Who answers in scenarios.

Scripted models choose what they say by the content of their prompts and never by its order.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from quorate import (
    Embedded,
    Endpoint,
    Question,
    Recorded,
    RunContext,
    SamplingParams,
)
from quorate.agents import BreakerPolicy, RetryPolicy
from quorate.orchestrator.types import Failure
from quorate.testing import Received, Reply, ScriptedModel, ScriptedUpstream, Step

SEED = 7
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
