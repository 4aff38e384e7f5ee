#!/bin/sh
# langgraph 1.2.24: of n equal `Send`s to a cached node, a second run takes one from the cache and asks for n - 1 again.
#
# Self-consistency in LangGraph sends one question n times to a node that samples. With a CachePolicy and a cache, a guess for
# the second run of the same question is that it costs nothing: the n answers of the first run, or one of them n times.
# All n have one key, under which one answer is kept, and a hit is given to one of the tasks alone. So three of four
# calls are paid again with each run, and the vote mixes one old answer with three new ones: evaluations that are
# run again over a cache have other figures, and costs that do not fall.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" langgraph==1.2.24 langgraph-checkpoint==4.3.2
PYTHONPATH="$place" python3 - <<'END'
import itertools
import operator
from importlib.metadata import version
from typing import Annotated, TypedDict

from langgraph.cache.memory import InMemoryCache
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, Send

assert version("langgraph") == "1.2.24"
calls = itertools.count(1)


class State(TypedDict):
    question: str
    answers: Annotated[list[int], operator.add]


def sample(state):
    return {"answers": [next(calls)]}


def run(questions, cache):
    """The answers of two runs, each the number of the call that gave it."""
    graph = StateGraph(State)
    graph.add_node("sample", sample, cache_policy=CachePolicy())
    graph.add_conditional_edges(START, lambda _: [Send("sample", {"question": q}) for q in questions], ["sample"])
    graph.add_edge("sample", END)
    app = graph.compile(cache=cache)
    return [app.invoke({"question": "?", "answers": []})["answers"] for _ in range(2)]


first, second = run("wxyz", InMemoryCache())
print("four questions:", first, second)
assert second == first
first, second = run("qqqq", InMemoryCache())
kept = set(first) & set(second)
print("one question four times:", first, second, "from the cache:", kept)
assert len(set(first)) == 4
assert len(kept) == 1 and len(set(second)) == 4, "no longer so"
END
