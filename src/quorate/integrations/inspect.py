"""A model provider of Inspect, the UK AI Security Institute's framework for evaluations, in this process.

    inspect eval task.py --model quorate/majority@5/qwen -M config_file=quorate.yaml

Installed beside Inspect it is found by itself. Without a file (or QUORATE_CONFIG) the embedded models answer;
`--model-base-url` names a server whose models are asked instead. The log has the tokens of all samples, and what led to
each answer in its output's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from quorate.aggregators.replies import describe_answer, list_logprobs, translate_finish
from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.orchestrator.types import Answer
from quorate.orchestrator.usage import Usage

from .chat import InProcessChat, Settings, make_completion, name_extra

with name_extra("inspect", "Inspect"):
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessage,
        ChatMessageAssistant,
        ChatMessageTool,
        Content,
        ContentImage,
        ContentReasoning,
        ContentText,
        GenerateConfig,
        Logprobs,
        ModelAPI,
        ModelCall,
        ModelOutput,
        ModelUsage,
        modelapi,
    )
    from inspect_ai.tool import ToolCall, ToolChoice, ToolFunction, ToolInfo

__all__ = ["QuorateAPI"]

CONNECTIONS = 64
"""Requests at once where nobody says: endpoints wait for their servers themselves."""
STOPS = {"length": "max_tokens"}
"""Our finish reasons that Inspect calls otherwise."""


@modelapi(name="quorate")
class QuorateAPI(ModelAPI):
    """A model or pipeline, by its name.

    Args:
        model_name: as the catalog has it, such as `majority@5/qwen`.
        base_url: of an OpenAI-compatible server whose models the name may mean.
        api_key: not used; a server's is read from QUORATE_UPSTREAM_KEY or OPENAI_API_KEY.
        config: Inspect's settings of a generation.
        config_file: a `quorate.yaml`.
        model_args: none are known beyond these.

    Raises:
        BadInput: nothing has this name, or an argument is unknown.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - as Inspect's own providers have it
        config_file: str | None = None,
        **model_args: Any,
    ) -> None:
        if model_args:
            raise BadInput(f"-M {', '.join(model_args)}: unknown; there is: config_file")
        super().__init__(model_name, base_url, api_key, [], config)
        self._chat = InProcessChat(model_name, config_file=config_file, upstream=base_url)

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> tuple[ModelOutput, ModelCall]:
        """See `ModelAPI.generate`; for errors see `InProcessChat.answer`."""
        body = _read_config(config) | Settings(
            messages=[_write_message(message) for message in input],
            tools=[_describe_tool(tool) for tool in tools] or None,
            tool_choice=_describe_choice(tool_choice) if tools else None,
        )
        answers = await self._chat.answer_several(body, 1 if config.num_choices is None else config.num_choices)
        return _make_output(answers), ModelCall.create(body, make_completion(*answers))

    def should_retry(self, ex: BaseException) -> bool:
        """Whether a server has asked to slow down; other failures have been tried again where that may help."""
        return isinstance(ex, QuorateError) and ex.status in (429, 503)

    def max_connections(self) -> int:
        """See `ModelAPI.max_connections`."""
        return CONNECTIONS

    def connection_key(self) -> str:
        """What shares those connections: the model."""
        return self._chat.model.name


def _write_message(message: ChatMessage) -> dict[str, Any]:
    """A message in OpenAI's form."""
    if isinstance(message, ChatMessageTool):
        failed = f"Error: {message.error.message}" if message.error is not None else None
        return {
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": failed or _write_content(message.content),
        }
    written = {"role": message.role, "content": _write_content(message.content)}
    if isinstance(message, ChatMessageAssistant) and message.tool_calls:
        written["content"] = written["content"] or None
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function, "arguments": json.dumps(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return written


def _write_content(content: str | list[Content]) -> str | list[dict[str, Any]]:
    """Text, or parts where there are images; what was thought stays out."""
    if isinstance(content, str):
        return content
    parts = list(_write_parts(content))
    return "".join(p["text"] for p in parts) if all(p["type"] == "text" for p in parts) else parts


def _write_parts(content: list[Content]) -> Iterator[dict[str, Any]]:
    for part in content:
        match part:
            case ContentText():
                yield {"type": "text", "text": part.text}
            case ContentImage():
                yield {"type": "image_url", "image_url": {"url": part.image}}
            case ContentReasoning():
                pass
            case _:
                raise BadInput(f"{part.type}: text and images can be asked about")


def _describe_tool(tool: ToolInfo) -> dict[str, Any]:
    parameters = tool.parameters.model_dump(exclude_none=True, by_alias=True)
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _describe_choice(choice: ToolChoice) -> Any:
    if isinstance(choice, ToolFunction):
        return {"type": "function", "function": {"name": choice.name}}
    return "required" if choice == "any" else choice


def _read_config(config: GenerateConfig) -> dict[str, Any]:
    """Inspect's settings as OpenAI's fields."""
    schema = config.response_schema
    wanted = None
    if schema is not None:
        described = schema.json_schema.model_dump(exclude_none=True, by_alias=True)
        named = Settings(name=schema.name, description=schema.description, strict=schema.strict, schema=described)
        wanted = {"type": "json_schema", "json_schema": named}
    own = Settings(
        max_tokens=config.max_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        seed=config.seed,
        stop=config.stop_seqs,
        logprobs=config.logprobs,
        top_logprobs=config.top_logprobs,
        frequency_penalty=config.frequency_penalty,
        presence_penalty=config.presence_penalty,
        logit_bias=config.logit_bias,
        parallel_tool_calls=config.parallel_tool_calls,
        reasoning_effort=config.reasoning_effort,
        response_format=wanted,
    )
    return {**own, **(config.extra_body or {})}


def _make_output(answers: Sequence[Answer]) -> ModelOutput:
    """A choice an answer, and the tokens of all of them."""
    first = answers[0]
    metadata: dict[str, Any] = {"quorate": describe_answer(first)}
    if len(answers) > 1:
        metadata["quorate_choices"] = [describe_answer(answer) for answer in answers]
    return ModelOutput(
        model=first.model,
        choices=[_make_choice(answer) for answer in answers],
        usage=_make_usage(sum((answer.usage for answer in answers[1:]), first.usage)),
        metadata=metadata,
    )


def _make_choice(answer: Answer) -> ChatCompletionChoice:
    content: str | list[Content] = answer.text
    if answer.reasoning:
        content = [ContentReasoning(reasoning=answer.reasoning), ContentText(text=answer.text)]
    message = ChatMessageAssistant(
        content=content,
        tool_calls=[_read_call(call) for call in answer.tool_calls] or None,
        model=answer.model,
        source="generate",
    )
    finish = translate_finish(answer)
    logprobs = list_logprobs(answer)
    return ChatCompletionChoice(
        message=message,
        stop_reason=STOPS.get(finish, finish),
        logprobs=None if logprobs is None else Logprobs.model_validate({"content": logprobs}),
    )


def _read_call(call: Mapping[str, Any]) -> ToolCall:
    """A call; of one whose arguments are no JSON object Inspect tells the model so."""
    name, said = call["function"]["name"], call["function"]["arguments"]
    try:
        arguments = json.loads(said or "{}")
    except ValueError:
        arguments = None
    if isinstance(arguments, dict):
        return ToolCall(id=call["id"], function=name, arguments=arguments)
    return ToolCall(id=call["id"], function=name, arguments={}, parse_error=f"{said!r:.200} is no JSON object")


def _make_usage(usage: Usage) -> ModelUsage:
    """The tokens of all samples; Inspect counts cached ones apart."""
    return ModelUsage(
        input_tokens=usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        input_tokens_cache_write=usage.cache_write_tokens,
        input_tokens_cache_read=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        total_cost=usage.cost,
    )
