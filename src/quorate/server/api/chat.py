"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from secrets import token_hex
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue
from pydantic.config import JsonDict

from quorate.aggregators.replies import make_usage, translate_finish
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Answer, Message, Question

from ..context import Caller
from ..deltas import Delta
from ..generation import Generation, GenerationRequest, Outcome, apply_control, apply_limits, prepare
from ..http.errors import BadField
from ..http.sse import DONE, encode_event
from ..reply_fields import list_logprobs, make_choice_fields, make_quorate
from .fields import Count, Flag, ModelRequest, StreamOptions, TopLogprobs
from .openrouter import Plugin, describe_fusion, find_fusion
from .tools import CHOICE_NEEDS_TOOLS, ResponseFormat, Tool, ToolChoice, choose_tools

__all__ = ["Chat", "ChatRequest"]


SAYING: dict[str, JsonValue] = {
    "properties": {
        "role": {"not": {"const": "system"}},
        "content": {"anyOf": [{"type": "string", "pattern": "\\S"}, {"type": "array", "minItems": 1}]},
    },
    "required": ["role", "content"],
}
"""A message that there must be: somebody says something."""

TOP_NEEDS_LOGPROBS: JsonDict = {
    "if": {"properties": {"top_logprobs": {"type": "integer"}}, "required": ["top_logprobs"]},
    "then": {"properties": {"logprobs": {"const": True}}, "required": ["logprobs"]},
}


class ChatRequest(ModelRequest):
    """`POST /v1/chat/completions`."""

    model_config = ConfigDict(json_schema_extra={"allOf": [CHOICE_NEEDS_TOOLS, TOP_NEEDS_LOGPROBS]})

    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(
        min_length=1, json_schema_extra={"contains": SAYING}
    )
    n: Count | None = None
    """Independent answers of the model or pipeline; not the samples of a vote (`quorate.n`)."""
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    """The newer name; wins over `max_tokens`."""
    logprobs: Flag | None = None
    top_logprobs: TopLogprobs | None = None
    """Needs `logprobs`."""
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: Flag | None = None
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None
    """Only `text` can be answered with."""
    stream_options: StreamOptions | None = None
    plugins: list[Plugin] | None = Field(default=None, json_schema_extra={"maxItems": 1})
    """OpenRouter's; only `fusion` is known, see `openrouter`."""

    def to_generation(self) -> GenerationRequest:
        """What is wanted.

        Raises:
            BadField: fields that do not fit together, or that came before `tools`.
        """
        self._check()
        try:
            question = Question.of(self.messages)
        except BadInput as error:
            raise BadField(str(error), "messages") from None
        tools, choice = choose_tools(self.tools, self.tool_choice) if self.tools or self.tool_choice else ((), None)
        sampling = self.make_sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens,
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            parallel_tool_calls=self.parallel_tool_calls if tools else None,
        )
        asked = {"tools": tools, "tool_choice": choice, "response_format": self.response_format, "sampling": sampling}
        question = question.model_copy(update={name: value for name, value in asked.items() if value})
        return GenerationRequest(
            model=self.model,
            questions=(question,),
            control=self.control,
            n=self.n or 1,
            max_tokens_field="max_completion_tokens" if self.max_completion_tokens else "max_tokens",
            logprobs=bool(self.logprobs),
            include_usage=bool(self.stream_options and self.stream_options.include_usage),
        )

    def _check(self) -> None:
        if self.top_logprobs is not None and not self.logprobs:
            raise BadField("needs logprobs to be true", "top_logprobs")
        given: dict[str, Any] = self.model_extra or {}
        for old, new in (("functions", "tools"), ("function_call", "tool_choice")):
            if given.get(old) is not None:
                raise BadField(f"is OpenAI's old form: use {new}", old)
        if given.get("audio") is not None:
            raise BadField("this server answers with text only", "audio")


class Chat:
    """OpenAI's chat completions, from a model or a pipeline."""

    path = "/v1/chat/completions"
    form = ChatRequest

    async def prepare(self, request: ChatRequest, caller: Caller, settings: ServerSettings) -> ChatExchange:
        """See `routes.Api`."""
        wanted = request.to_generation()
        if (fusion := find_fusion(request.model, request.plugins)) is None:
            return ChatExchange(await prepare(wanted, caller, settings))
        model = apply_control(wanted.control, await fusion.build(caller, wanted.control))
        return ChatExchange(await apply_limits(wanted, model, caller, settings), fusion=True)


class ChatExchange:
    """See `routes.Exchange`."""

    def __init__(self, generation: Generation, *, fusion: bool = False) -> None:
        self.generation = generation
        self._fusion = fusion
        self._id = f"chatcmpl-{token_hex(16)}"

    async def reply(self) -> dict[str, Any]:
        """A `chat.completion`; a choice that failed is left out and told in `quorate.degraded`."""
        return self.make_reply(await self.generation.answer())

    def make_reply(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """The reply for choices that ended so."""
        return {
            **self._head("chat.completion"),
            "choices": [
                self._choice(index, answer) for index, answer in enumerate(outcomes) if isinstance(answer, Answer)
            ],
            "usage": make_usage(self.generation.ledger.usage),
            "quorate": self._quorate(outcomes),
        }

    async def stream(self, write: Callable[[bytes], None]) -> None:
        """Chunks; the ends of all choices come together at last, and the very last one carries `quorate`."""
        common = self._head("chat.completion.chunk")
        if self.generation.request.include_usage:
            common["usage"] = None

        def write_delta(delta: Delta) -> None:
            choice = {"index": delta.choice, "delta": _chat_delta(delta), "finish_reason": None}
            write(encode_event({**common, "choices": [choice]}))

        outcomes = await self.generation.answer(write_delta)
        for end in self._ends(outcomes):
            write(encode_event({**common, **end}))
        write(DONE)

    def encode_failure(self, envelope: dict[str, Any]) -> bytes:
        """The envelope as the last event."""
        return encode_event(envelope)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": int(time.time()), "model": self.generation.model.name}

    def _quorate(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        fields = make_quorate(self.generation, outcomes)
        if self._fusion:
            fields["fusion"] = describe_fusion(next(o for o in outcomes if isinstance(o, Answer)))
        return fields

    def _choice(self, index: int, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if answer.tool_calls:
            message |= {"content": answer.text or None, "tool_calls": list(answer.tool_calls)}
        return {"index": index, "message": message, **self._end(answer)}

    def _ends(self, outcomes: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
        ends: list[dict[str, Any]] = [
            {"choices": [{"index": index, "delta": {}, **self._end(answer)}]}
            for index, answer in enumerate(outcomes)
            if isinstance(answer, Answer)
        ]
        ends[-1]["quorate"] = self._quorate(outcomes)
        yield from ends
        if self.generation.request.include_usage:
            yield {"choices": [], "usage": make_usage(self.generation.ledger.usage)}

    def _end(self, answer: Answer) -> dict[str, Any]:
        logprobs = list_logprobs(self.generation, answer)
        return {
            "finish_reason": translate_finish(answer),
            "logprobs": None if logprobs is None else {"content": logprobs, "refusal": None},
            **make_choice_fields(self.generation, answer),
        }


def _chat_delta(delta: Delta) -> Mapping[str, Any]:
    """The progress comes as `reasoning_content`, where chat clients show it."""
    match delta.kind:
        case "opened":
            return {"role": "assistant", "content": ""}
        case "text":
            return {"content": delta.text}
        case "calls":
            return {"tool_calls": [{"index": i, **call} for i, call in enumerate(delta.calls)]}
        case _:
            return {"reasoning_content": delta.text}
