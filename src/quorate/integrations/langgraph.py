"""A pipeline as a node of somebody else's LangGraph graph.

    from langgraph.graph import START, MessagesState, StateGraph
    from quorate.integrations.langgraph import make_node

    builder = StateGraph(MessagesState)
    builder.add_node("vote", make_node("majority@5/qwen", config_file="quorate.yaml"))
    builder.add_edge(START, "vote")

The node works in synchronous and asynchronous graphs. What it asks is a LangChain chat model, so that LangGraph's
`stream_mode="messages"`, callbacks and tracing see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.model import ModelBase

from .langchain import ChatQuorate

__all__ = ["make_node"]


def make_node(
    model: ModelBase | str | Runnable[Any, AIMessage],
    *,
    messages: str = "messages",
    answer: str | None = None,
    report: str | None = None,
    name: str = "quorate",
    **settings: Any,
) -> Runnable[Any, dict[str, Any]]:
    """A node that answers the conversation in the state.

    Args:
        model: a model or pipeline, its name, or a `ChatQuorate` with tools or other things bound to it.
        messages: the state's key of the conversation: messages, or one text; the answer is added as a message.
        answer: a key that takes the answer alone, such as the number that was voted for; None where none was found.
        report: a key that takes what led to it: tally, agreement, usage by node, degradations.
        name: of the node in traces.
        settings: of `ChatQuorate`.

    Raises:
        BadInput: the model or a setting is impossible; when run, the state has no such key.
    """
    if isinstance(model, Runnable):
        if settings:
            raise BadInput(f"make_node({', '.join(settings)}): set this on the chat model itself, which is given")
        chat: Runnable[Any, AIMessage] = model
    else:
        chat = ChatQuorate(model=model, **settings)

    def write(message: AIMessage) -> dict[str, Any]:
        told = message.response_metadata.get("quorate", {})
        update: dict[str, Any] = {messages: [message]}
        if answer is not None:
            update[answer] = told.get("answer")
        if report is not None:
            update[report] = told
        return update

    def run(state: Any, config: RunnableConfig) -> dict[str, Any]:
        return write(chat.invoke(_read(state, messages), config))

    async def run_async(state: Any, config: RunnableConfig) -> dict[str, Any]:
        return write(await chat.ainvoke(_read(state, messages), config))

    return RunnableLambda(run, run_async, name=name)


def _read(state: Any, key: str) -> Any:
    """The conversation in a state, which may be a mapping or an object."""
    fields = state if isinstance(state, Mapping) else vars(state)
    if key not in fields:
        raise BadInput(
            f"the state has no {key!r}, but {', '.join(map(repr, fields)) or 'nothing'}: say make_node(messages=...)"
        )
    return fields[key]
