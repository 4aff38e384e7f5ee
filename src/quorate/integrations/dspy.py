"""A pipeline as a DSPy language model, in this process.

    import dspy
    from quorate.integrations.dspy import make_lm

    dspy.configure(lm=make_lm("majority@5/qwen", config_file="quorate.yaml"))
    dspy.ChainOfThought("question -> answer: int")(question="What is 17 * 24?")

DSPy's LM keeps its cache, its retries, its history and its callbacks; ours is the engine below it. Each response's
`provider_data["quorate"]` has what led to it. A program that was saved with such a model finds it again where it was
given by its name.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.orchestrator.events import AnswerToken
from quorate.orchestrator.model import ModelBase
from quorate.orchestrator.types import Answer

from .chat import InProcessChat, fingerprint_models, make_completion, name_extra

with name_extra("dspy", "DSPy"):
    import dspy
    from dspy import lm15

__all__ = ["AsyncPipelineEngine", "PipelineEngine", "make_lm"]

PARAMS = {"frequency_penalty", "logit_bias", "max_tokens", "presence_penalty", "seed", "stop", "temperature", "top_p"}
FORMS = {"parallel_tool_calls", "response_format", "tool_choice", "tools"}
"""Parameters of models behind servers; those in this process know no tools."""


class _PipelineAsker:
    """What both engines share.

    Args:
        chat: who answers.
        source: how to make it again, where that can be saved.
    """

    def __init__(self, chat: InProcessChat, source: Mapping[str, Any] | None = None) -> None:
        self.chat = chat
        self._source = source
        served = all("tools" in single.capabilities for single in chat.model.identity.singles)
        self.supports_function_calling = self.supports_response_schema = served
        """Whether DSPy may use tools and formats in place of its own prompts; read by its adapters."""
        self.supported_params = PARAMS | (FORMS if served else set())

    def dump_state(self) -> dict[str, Any]:
        """How to make it again, for a program that is saved.

        Raises:
            BadInput: it was made of a model and not of a name, or with a budget.
        """
        if self._source is None:
            raise BadInput("a saved DSPy program keeps the name of its model: this one is an object or has a budget")
        return dict(self._source)

    @classmethod
    def load_state(cls, state: Mapping[str, Any]) -> Self:
        """The engine that was saved."""
        return cls(InProcessChat(**state), state)


class PipelineEngine(_PipelineAsker):
    """What DSPy asks for one response to one request."""

    def complete(self, request: lm15.Request) -> lm15.Response:
        """The response to a request.

        Raises:
            LM15Error: there is no answer; of a kind that DSPy tries again where that may help.
        """
        try:
            return _read_reply(self.chat.answer_sync(_write_body(request)), request)
        except QuorateError as error:
            raise _translate(error) from error

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        """The response as DSPy's events, a piece at a time where the model writes it so.

        Raises:
            LM15Error: see `complete`.
        """
        writer = _EventWriter(request)
        try:
            for piece in self.chat.stream_sync(_write_body(request)):
                yield from writer.write(piece)
        except QuorateError as error:
            raise _translate(error) from error

    def close(self) -> None:
        """Nothing: the models are shared with who made them."""


class AsyncPipelineEngine(_PipelineAsker):
    """The same, awaited."""

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """See `PipelineEngine.complete`."""
        try:
            return _read_reply(await self.chat.answer(_write_body(request)), request)
        except QuorateError as error:
            raise _translate(error) from error

    async def stream(self, request: lm15.Request) -> AsyncIterator[Any]:
        """See `PipelineEngine.stream`."""
        writer = _EventWriter(request)
        try:
            async for piece in self.chat.stream(_write_body(request)):
                for event in writer.write(piece):
                    yield event
        except QuorateError as error:
            raise _translate(error) from error

    async def aclose(self) -> None:
        """Nothing: the models are shared with who made them."""


class _EventWriter:
    """A stream as DSPy's events: what was thought is the first part of the message, the text the next one."""

    def __init__(self, request: lm15.Request) -> None:
        self._request = request
        self._begun = self._thought = False

    def write(self, piece: AnswerToken | Answer) -> Iterator[Any]:
        """A piece; the answer at last gives the calls, and the end with the usage."""
        if not self._begun:
            self._begun = True
            yield lm15.StreamStartEvent(model=self._request.model)
        if isinstance(piece, Answer):
            for event in lm15.response_to_events(_read_reply(piece, self._request)):
                if not isinstance(event, lm15.StreamStartEvent) and not _is_told(event):
                    yield event
        elif piece.reasoning:
            self._thought = True
            yield lm15.StreamDeltaEvent(delta=lm15.ThinkingDelta(text=piece.text))
        else:
            yield lm15.StreamDeltaEvent(delta=lm15.TextDelta(text=piece.text, part_index=int(self._thought)))


def _is_told(event: Any) -> bool:
    """Whether the pieces have told this event's text."""
    return isinstance(event, lm15.StreamDeltaEvent) and isinstance(event.delta, lm15.TextDelta | lm15.ThinkingDelta)


def make_lm(
    model: ModelBase | str,
    *,
    config_file: str | Path | None = None,
    upstream: str | None = None,
    budget: Budget | None = None,
    **settings: Any,
) -> dspy.LM:
    """A `dspy.LM` that asks a pipeline.

    Args:
        model, config_file, upstream, budget: see `InProcessChat`.
        settings: of `dspy.LM`, such as `temperature`, `max_tokens`, `cache`, `num_retries`.

    Raises:
        BadInput: it is no model, or one of config_file and upstream stands beside one that needs neither.
        UnknownName: nothing has this name.
    """
    chat = InProcessChat(model, config_file=config_file, upstream=upstream, budget=budget)
    source = None
    if isinstance(model, str) and budget is None:
        file = None if config_file is None else str(config_file)
        source = {"model": model, "config_file": file, "upstream": upstream}
    engines = {"engine": PipelineEngine(chat, source), "async_engine": AsyncPipelineEngine(chat, source)}
    # DSPy's cache knows a model by its name alone, and lives on disk.
    return dspy.LM(f"quorate/{chat.model.name}#{fingerprint_models(chat.model)}", **engines, **settings)


_writer = lm15.OpenAIChatLM(api_key="none", base_url="http://quorate.invalid/v1")
"""Writes requests in OpenAI's form; sends none."""


def _write_body(request: lm15.Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(_writer.build_request(request, stream=False).body)
    return body


def _read_reply(answer: Answer, request: lm15.Request) -> lm15.Response:
    return lm15.response_from_openai_chat(make_completion(answer), model=request.model)


def _translate(error: QuorateError) -> lm15.LM15Error:
    """DSPy's error of this kind."""
    known = {"provider": "quorate", "provider_code": error.code, "status": error.status}
    match error.status:
        case 429:
            return lm15.RateLimitError(str(error), retry_after=error.retry_after, **known)
        case status if status < 500:
            return lm15.InvalidRequestError(str(error), **known)
        case _:
            return lm15.ServerError(str(error), retry_after=error.retry_after, **known)
