#!/bin/sh
# langgraph 1.2.24: a run whose process died between two steps has no `next`, as one that is finished.
#
# A guess: `graph.get_state(config).next` is empty when a run has reached its end, so programs ask it whether a thread is to be
# resumed (`invoke(None, config)`) or begun anew. LangGraph writes what a node gives when the node ends, and the checkpoint
# of its step after that. A process that dies between the two leaves a thread whose `next` is empty although half of the
# graph has not run, and whose values hold what the finished node gave. `invoke(None, config)` does go on, at the right
# node: only `next` is wrong, so whoever trusts it runs the finished node again, or takes half an answer for the whole one.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" \
    langgraph==1.2.24 langgraph-checkpoint==4.3.2 langgraph-checkpoint-sqlite==3.1.2
cat > "$place/run.py" <<'END'
import os
import sys
from importlib.metadata import version
from operator import add
from typing import Annotated, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

assert version("langgraph") == "1.2.24"
ran = []


class Values(TypedDict):
    said: Annotated[list[str], add]


def node(name):
    def run(values):
        ran.append(name)
        return {"said": [name]}

    return run


builder = StateGraph(Values)
for name in ("first", "second"):
    builder.add_node(name, node(name))
for edge in ((START, "first"), ("first", "second"), ("second", END)):
    builder.add_edge(*edge)
config = {"configurable": {"thread_id": "t"}}
with SqliteSaver.from_conn_string(sys.argv[2]) as saver:
    graph = builder.compile(checkpointer=saver)
    if sys.argv[1] == "die":
        put = saver.put
        saver.put = lambda *given: os._exit(9) if ran else put(*given)
        graph.invoke({"said": []}, config, durability="sync")
    state = graph.get_state(config)
    print("after the kill: next", state.next, "values", state.values)
    assert (state.next, state.values) == ((), {"said": ["first"]}), "no longer so"
    print("resumed:", graph.invoke(None, config), "ran", ran)
    assert ran == ["second"]
    assert graph.get_state(config).values == {"said": ["first", "second"]}
END
PYTHONPATH="$place" python3 "$place/run.py" die "$place/runs.sqlite" || test $? = 9
PYTHONPATH="$place" python3 "$place/run.py" resume "$place/runs.sqlite"
