"""A pipeline as a LangChain chat model, in this process.

    from quorate.integrations.langchain import ChatQuorate

    chat = ChatQuorate(model="majority@5/qwen", config_file="quorate.yaml")
    message = chat.invoke("What is 17 * 24?")
    message.response_metadata["quorate"]["tally"]

Messages carry the tokens of all samples in `usage_metadata` and what led to the answer in
`response_metadata["quorate"]`. Tools and structured output are voted on like any answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InvalidToolCall,
    ToolCall,
    ToolCallChunk,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator

from quorate.aggregators.replies import describe_answer, translate_finish
from quorate.orchestrator.context import Budget
from quorate.orchestrator.events import AnswerToken
from quorate.orchestrator.model import ModelBase
from quorate.orchestrator.types import Answer
from quorate.orchestrator.usage import Usage

from .chat import InProcessChat, Settings, fingerprint_models

__all__ = ["ChatQuorate"]

THOUGHTS = ("reasoning", "redacted_thinking", "thinking")
"""Types of parts of a message in which LangChain keeps what a model thought."""


class ChatQuorate(BaseChatModel):
    """A model or pipeline as LangChain's chat model.

    Raises:
        BadInput: when built or asked; see `InProcessChat` and `read_question`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: ModelBase | str
    """A model or pipeline, or a name such as `majority@5/qwen`."""
    config_file: str | Path | None = None
    """A `quorate.yaml` in which a name is looked up; see `chat.open_catalog` for what holds without it."""
    upstream: str | None = None
    """URL of an OpenAI-compatible server whose models a name may mean."""
    budget: Budget | None = None
    """Of each answer."""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    """Of one sample."""
    seed: int | None = None
    stop: list[str] | None = None

    _chat: InProcessChat = PrivateAttr()

    @model_validator(mode="after")
    def _open(self) -> Self:
        self._chat = InProcessChat(self.model, config_file=self.config_file, upstream=self.upstream, budget=self.budget)
        return self

    @property
    def _llm_type(self) -> str:
        return "quorate"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        """What LangChain's cache tells models apart by."""
        model = self._chat.model
        return {"model": model.name, "fingerprint": fingerprint_models(model), **self._settings()}

    def _settings(self, **more: Any) -> dict[str, Any]:
        own = Settings(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=self.seed,
            stop=self.stop,
        )
        return own | Settings(**more)

    def _body(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        own = {name: value for name, value in given.items() if name not in ("ls_structured_output_format", "stream")}
        return {**self._settings(stop=stop, **own), "messages": _write_messages(messages)}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        return _make_result(self._chat.answer_sync(self._body(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        return _make_result(await self._chat.answer(self._body(messages, stop, kwargs)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for piece in self._chat.stream_sync(self._body(messages, stop, kwargs)):
            chunk = _make_chunk(piece)
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for piece in self._chat.stream(self._body(messages, stop, kwargs)):
            chunk = _make_chunk(piece)
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """See LangChain's `BaseChatModel.bind_tools`; `tool_choice` is a mode, `any`, or a tool's name."""
        choice: Any = tool_choice
        if tool_choice == "any":
            choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            choice = {"type": "function", "function": {"name": tool_choice}}
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """The answer as an object of a schema, on which the samples vote.

        Args:
            schema: a class of pydantic's, a TypedDict or a JSON schema.
            include_raw: whether the message comes along, and what could not be parsed is told and not raised.
            kwargs: `method`: `json_schema`, or `function_calling` for models that know tools better than formats.
        """
        if kwargs.pop("method", "json_schema") == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        described = convert_to_json_schema(schema, strict=True)
        wanted = {"name": described.get("title", "answer"), "schema": described, "strict": True}
        bound = self.bind(response_format={"type": "json_schema", "json_schema": wanted})
        is_class = isinstance(schema, type) and issubclass(schema, BaseModel)
        parser: Runnable[Any, Any] = PydanticOutputParser(pydantic_object=schema) if is_class else JsonOutputParser()
        if not include_raw:
            return bound | parser
        parse = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        fail = RunnablePassthrough.assign(parsed=lambda _: None)
        told = parse.with_fallbacks(
            [fail], exceptions_to_handle=(OutputParserException,), exception_key="parsing_error"
        )
        return RunnableMap(raw=bound) | told


def _write_messages(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """In OpenAI's form, without what other models thought, which no chat server reads back."""
    written = convert_to_openai_messages(list(messages))
    for message in written:
        if isinstance(parts := message.get("content"), list):
            message["content"] = [part for part in parts if part.get("type") not in THOUGHTS]
    return written


def _make_result(answer: Answer) -> ChatResult:
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in answer.tool_calls:
        try:
            calls.append(cast(ToolCall, parse_tool_call(dict(call), return_id=True)))
        except OutputParserException as error:
            invalid.append(make_invalid_tool_call(dict(call), str(error)))
    message = AIMessage(
        content=answer.text,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        additional_kwargs={"reasoning_content": answer.reasoning} if answer.reasoning else {},
        usage_metadata=_make_usage(answer.usage),
        response_metadata=_make_metadata(answer),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _make_chunk(piece: AnswerToken | Answer) -> ChatGenerationChunk:
    """A piece of the text or the thinking; last of all the calls, and what an answer has beside its text."""
    if isinstance(piece, AnswerToken):
        thought = {"reasoning_content": piece.text} if piece.reasoning else {}
        message = AIMessageChunk(content="" if piece.reasoning else piece.text, additional_kwargs=thought)
        return ChatGenerationChunk(message=message)
    calls = [
        ToolCallChunk(
            name=call["function"]["name"],
            args=call["function"]["arguments"],
            id=call.get("id"),
            index=index,
            type="tool_call_chunk",
        )
        for index, call in enumerate(piece.tool_calls)
    ]
    end = AIMessageChunk(
        content="",
        tool_call_chunks=calls,
        usage_metadata=_make_usage(piece.usage),
        response_metadata=_make_metadata(piece),
        chunk_position="last",
    )
    return ChatGenerationChunk(message=end)


def _make_metadata(answer: Answer) -> dict[str, Any]:
    return {
        "model_name": answer.model,
        "model_provider": "quorate",
        "finish_reason": translate_finish(answer),
        "quorate": describe_answer(answer),
    }


def _make_usage(usage: Usage) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        input_token_details=InputTokenDetails(
            cache_read=usage.cached_tokens, cache_creation=usage.cache_write_tokens, audio=usage.prompt_audio_tokens
        ),
        output_token_details=OutputTokenDetails(reasoning=usage.reasoning_tokens, audio=usage.completion_audio_tokens),
    )
