"""A pipeline as a node of somebody else's graph."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel

from quorate.aggregators import MajorityVote
from quorate.integrations.langchain import ChatQuorate
from quorate.integrations.langgraph import make_node
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import sample
from quorate.testing import ScriptedModel

VOTE = sample(ScriptedModel(["It is 408", "I say 407", "Answer: 408"]), n=3) | MajorityVote()


class Counted(MessagesState):
    """A state with places for more than messages."""

    product: str | None
    votes: dict[str, Any]


class Chat(BaseModel):
    """A state that is an object, with a key of its own."""

    said: Annotated[list[Any], add_messages]
    steps: Annotated[list[str], add] = []


def compile_graph(state: type, node: Any) -> Any:
    builder: Any = StateGraph(state)
    builder.add_node("vote", node)
    builder.add_edge(START, "vote")
    builder.add_edge("vote", END)
    return builder.compile()


async def test_the_node_answers_the_conversation() -> None:
    """With a message, and where wanted the answer alone and what led to it."""
    graph = compile_graph(Counted, make_node(VOTE, answer="product", report="votes"))
    asked = {"messages": [("user", "What is 17 * 24?")]}
    for state in (graph.invoke(asked), await graph.ainvoke(asked)):
        assert isinstance(state["messages"][-1], AIMessage)
        assert state["messages"][-1].content == "It is 408"
        assert state["product"] == "408"
        assert [cluster["votes"] for cluster in state["votes"]["tally"]] == [2, 1]


def test_the_state_may_be_an_object_with_other_keys() -> None:
    """Of pydantic's, for one."""
    graph = compile_graph(Chat, make_node(VOTE, messages="said"))
    assert graph.invoke({"said": [("user", "What is 17 * 24?")]})["said"][-1].content == "It is 408"


async def test_langgraph_sees_the_tokens() -> None:
    """Its own stream of messages has those of the model."""
    graph = compile_graph(MessagesState, make_node(ScriptedModel(["It is 408"]), temperature=0.5))
    asked = {"messages": [("user", "What is 17 * 24?")]}
    told = [chunk.content async for chunk, _ in graph.astream(asked, stream_mode="messages")]
    assert [text for text in told if text] == ["It ", "is ", "408"]


def test_a_chat_model_may_be_given_ready_made() -> None:
    """With tools bound, for one; its settings are its own."""
    chat = ChatQuorate(model=VOTE)
    graph = compile_graph(MessagesState, make_node(chat.bind(seed=3)))
    assert graph.invoke({"messages": [("user", "17 * 24?")]})["messages"][-1].content == "It is 408"
    with pytest.raises(BadInput, match="temperature"):
        make_node(chat, temperature=1)


def test_a_state_without_the_conversation_is_refused() -> None:
    """Naming what there is."""
    graph = compile_graph(Counted, make_node(VOTE, messages="chat"))
    with pytest.raises(BadInput, match="no 'chat', but 'messages'"):
        graph.invoke({"messages": [("user", "17 * 24?")]})
