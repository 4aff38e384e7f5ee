"""A model or pipeline asked in OpenAI's form in this process: what every integration is made of."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from quorate.agents.embedded.stories import refuse_strange
from quorate.aggregators.replies import describe_answer, list_logprobs, make_usage, translate_finish
from quorate.config.catalog import Catalog
from quorate.config.opening import open_models
from quorate.orchestrator.checks import check_count
from quorate.orchestrator.context import Budget, derive_seed
from quorate.orchestrator.errors import BadInput, MissingExtra, QuorateError
from quorate.orchestrator.events import AnswerToken, Done
from quorate.orchestrator.json_schema import find_format_fault
from quorate.orchestrator.model import ModelBase, iterate_sync, run_sync
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Answer, Degradation, Question, SamplingParams

__all__ = [
    "InProcessChat",
    "Settings",
    "fingerprint_models",
    "make_completion",
    "name_extra",
    "open_catalog",
    "read_question",
]

CONFIG_VARIABLE = "QUORATE_CONFIG"
"""The environment variable that names a `quorate.yaml` where nothing else says where the models are."""
TELLING = {"dtype", "family", "fingerprint", "kind", "model", "sampling"}
"""What of a model's identity changes its answers."""
SAMPLING = ("temperature", "top_p", "top_k", "seed")
ASKED = {"messages", "tools", "tool_choice", "response_format", "stop", "max_tokens", "max_completion_tokens"}
STAY = {"model", "n", "stream", "stream_options", "logprobs", "top_logprobs", "user", "metadata", "store"}
"""Fields of a body that say nothing to the models."""


@contextmanager
def name_extra(extra: str, program: str) -> Iterator[None]:
    """Imports inside say which extra they need.

    Args:
        extra: that brings the library.
        program: the library.

    Raises:
        MissingExtra: it is not installed, or of a version that lacks what is imported.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtra(extra, f"quorate inside {program} ({error})") from error


class Settings(dict[str, Any]):
    """Fields of OpenAI's body; those that are None are left out."""

    def __init__(self, **fields: Any) -> None:
        super().__init__({name: value for name, value in fields.items() if value is not None})


def open_catalog(config_file: str | Path | None = None, upstream: str | None = None) -> Catalog:
    """The models that names are looked up in: a file's, a server's, or the embedded ones.

    A file is read again once it has changed; else the models are the same for all who ask, with what they have loaded.

    Args:
        config_file: a `quorate.yaml`; where neither is given, the one that QUORATE_CONFIG names.
        upstream: URL of an OpenAI-compatible server.

    Raises:
        ConfigError: the file cannot be used.
        UpstreamError: the server does not list its models.
    """
    if config_file is None and upstream is None:
        config_file = os.environ.get(CONFIG_VARIABLE) or None
    path = None if config_file is None else Path(config_file)
    changed = path.stat().st_mtime_ns if path is not None and path.exists() else 0
    return _open_once(path, upstream, changed)


@lru_cache(maxsize=8)
def _open_once(config: Path | None, upstream: str | None, _changed: int) -> Catalog:
    return run_sync(open_models(upstream, config))


class InProcessChat:
    """A model or pipeline that answers OpenAI's bodies, without a server.

    Args:
        model: a model or pipeline, or a name such as `majority@5/qwen`.
        config_file, upstream: where a name is looked up, see `open_catalog`.
        budget: of each answer.

    Raises:
        BadInput: it is no model, or one of config_file and upstream stands beside one that needs neither.
        UnknownName: nothing has this name.
    """

    def __init__(
        self,
        model: Model | str,
        *,
        config_file: str | Path | None = None,
        upstream: str | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.budget = budget
        found = open_catalog(config_file, upstream).resolve(model) if isinstance(model, str) else model
        if not isinstance(found, ModelBase):
            raise BadInput(
                f"model: {model!r:.80} is no model: give a name, Endpoint(...), a pipeline or your own ModelBase"
            )
        if found is model and (config_file is not None or upstream is not None):
            raise BadInput(
                f"config_file, upstream: they say where a name is looked up, and {model!r:.80} is a model itself"
            )
        self.model = found

    def read(self, body: Mapping[str, Any]) -> Question:
        """The question of a body.

        Raises:
            BadInput: see `read_question`; also where the model only knows other questions.
        """
        question = read_question(body)
        refuse_strange(question, self.model.identity.singles)
        return question

    async def answer(self, body: Mapping[str, Any]) -> Answer:
        """The answer; for errors see `ModelBase.answer` and `read`."""
        return await self.model.answer(self.read(body), budget=self.budget)

    async def answer_several(self, body: Mapping[str, Any], n: int) -> list[Answer]:
        """So many independent answers, as the server gives for OpenAI's `n`: the first has the body's own seed.

        The budget is one of each answer. Where some fail the others are given, the first of them marked
        `choice_failed`.

        Raises:
            QuorateError: see `answer`; the first one's, where all of them fail.
        """
        check_count("n", n, 1)
        question = self.read(body)
        seeds = [derive_seed(question.sampling.seed, "choice", repeat) for repeat in range(1, n)]
        asked = [question, *(question.with_params(seed=seed) for seed in seeds)]
        outcomes = await gather([self._try(each) for each in asked])
        answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
        failed = [outcome for outcome in outcomes if isinstance(outcome, QuorateError)]
        if not answers:
            raise failed[0]
        notes = [
            Degradation(code="choice_failed", where=f"choice {index}", detail=str(outcome))
            for index, outcome in enumerate(outcomes)
            if isinstance(outcome, QuorateError)
        ]
        first = answers[0].replace(degraded=(*answers[0].degraded, *notes)) if notes else answers[0]
        return [first, *answers[1:]]

    async def _try(self, question: Question) -> Answer | QuorateError:
        try:
            return await self.model.answer(question, budget=self.budget)
        except QuorateError as error:
            return error

    def answer_sync(self, body: Mapping[str, Any]) -> Answer:
        """`answer` for synchronous code."""
        return self.model.answer_sync(self.read(body), budget=self.budget)

    async def stream(self, body: Mapping[str, Any]) -> AsyncGenerator[AnswerToken | Answer]:
        """Pieces of the answer as they are written, then the answer; of a vote the one piece that it has chosen."""
        question, told = self.read(body), {True: False, False: False}
        async for event in self.model.events(question, budget=self.budget):
            if isinstance(event, AnswerToken):
                told[event.reasoning] = True
                yield event
            elif isinstance(event, Done):
                answer = event.answer
                if answer.reasoning and not told[True]:
                    yield AnswerToken(text=answer.reasoning, reasoning=True)
                if answer.text and not told[False]:
                    yield AnswerToken(text=answer.text)
                yield answer

    def stream_sync(self, body: Mapping[str, Any]) -> Generator[AnswerToken | Answer]:
        """`stream` for synchronous code."""
        return iterate_sync(self.stream(body))


def fingerprint_models(model: Model) -> str:
    """A hash of the single models that one asks, for caches of other programs, which know a pipeline by its name alone.

    What is only learnt by asking, such as the length of a context, stays out of it.
    """
    singles = [each.model_dump(mode="json", include=TELLING) for each in model.identity.singles]
    return sha256(json.dumps(singles, sort_keys=True).encode()).hexdigest()[:12]


def read_question(body: Mapping[str, Any]) -> Question:
    """The question of a body of OpenAI's chat completions; what is unknown goes to the models as it is.

    Raises:
        BadInput: no message says anything, more than one choice is wanted, or a setting, a tool or the format is
            impossible.
    """
    if body.get("n") not in (None, 1):
        raise BadInput(
            f"n={body['n']!r:.20}: one answer is given; ask several times, or let a pipeline draw the samples"
        )
    given = {name: value for name, value in body.items() if value is not None}
    stop = given.get("stop", ())
    tools = tuple(given.get("tools", ()))
    if strange := [tool for tool in tools if not isinstance(tool, Mapping)]:
        raise BadInput(f"tools: {strange[0]!r:.80} is no object such as {{'type': 'function', 'function': {{...}}}}")
    wanted = given.get("response_format")
    if wanted is not None and (fault := find_format_fault(wanted)) is not None:
        raise BadInput(f"response_format: {wanted!r:.80}: {fault}")
    extra = {name: given[name] for name in given if name not in ASKED | STAY and name not in SAMPLING}
    if not tools:
        extra.pop("parallel_tool_calls", None)
    sampling = Settings(
        **{name: given.get(name) for name in SAMPLING},
        max_tokens=given.get("max_completion_tokens", given.get("max_tokens")),
        stop=(stop,) if isinstance(stop, str) else tuple(stop) or None,
        top_logprobs=given.get("top_logprobs", 0) if given.get("logprobs") else None,
        extra=extra or None,
    )
    asked = Settings(
        tools=tools or None,
        tool_choice=given.get("tool_choice") if tools else None,
        response_format=wanted,
        sampling=SamplingParams(**sampling),
    )
    return Question.of(given.get("messages", ())).model_copy(update=asked)


def make_completion(answer: Answer, *others: Answer) -> dict[str, Any]:
    """A `chat.completion`, a choice an answer, with the first one's `quorate` object beside OpenAI's fields."""
    return {
        "id": f"chatcmpl-{token_hex(16)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": answer.model,
        "choices": [_make_choice(index, each) for index, each in enumerate((answer, *others))],
        "usage": make_usage(sum((each.usage for each in others), answer.usage)),
        "quorate": describe_answer(answer),
    }


def _make_choice(index: int, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message |= {"content": answer.text or None, "tool_calls": [dict(call) for call in answer.tool_calls]}
    logprobs = list_logprobs(answer)
    return {
        "index": index,
        "message": message,
        "finish_reason": translate_finish(answer),
        "logprobs": None if logprobs is None else {"content": logprobs, "refusal": None},
    }
