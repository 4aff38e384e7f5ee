"""A LangGraph graph of your own with votes as its nodes: a small one first, a large one where it does not agree.

Runs without a network: the models ship with the package.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, MessagesState, StateGraph

from quorate import Embedded, MajorityVote, sample
from quorate.integrations.langgraph import make_node

QUESTIONS = (
    "A bakery bakes 7 trays of 12 rolls each. It sells 30. How many are left?",
    "Tom has 4 boxes of 6 pens each. How many pens does Tom have?",
)


class State(MessagesState):
    """The conversation, the answer alone, and what led to it."""

    answer: str | None
    report: dict[str, Any]


def follow(state: State) -> str:
    """Ends where all samples agree."""
    return END if state["report"]["agreement"]["share"] == 1 else "careful"


def main() -> None:
    """Asks each question, and shows which way it went."""
    model = Embedded("quorate-tiny-base")
    builder = StateGraph(State)
    for name, n in (("quick", 4), ("careful", 16)):
        vote = sample(model, n=n) | MajorityVote()
        builder.add_node(name, make_node(vote, answer="answer", report="report", temperature=0.8, seed=1))
    builder.add_edge(START, "quick")
    builder.add_conditional_edges("quick", follow, ["careful", END])
    builder.add_edge("careful", END)
    graph: Any = builder.compile()
    for question in QUESTIONS:
        state = graph.invoke({"messages": [("user", question)]})
        last = state["report"]["path"][0]["outcome"]
        tokens = sum(message.usage_metadata["total_tokens"] for message in state["messages"][1:])
        print(f"{state['answer']} after {last.split(';')[0]}, {tokens} tokens in all: {question}")


if __name__ == "__main__":
    main()
