#!/bin/sh
# langgraph 1.2.24: giving a failed branch's answer by hand throws away what its siblings answered.
#
# Of four samplers side by side one fails. get_state shows the answers of the three others, and says that only the fourth
# is to run; invoke(None) runs that one alone, and all four answers arrive. A guess: update_state(as_node=) with an answer for
# the fourth does the same without running it. The three answers, shown a moment before, are gone from the state; the
# next node is the one that joins them, the samplers do not run again, and the vote is over the one answer given by hand.
# So: before such a repair, read the values and write them all.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" langgraph==1.2.24 langgraph-checkpoint==4.3.2
PYTHONPATH="$place" python3 - <<'END'
import operator
from importlib.metadata import version
from typing import Annotated, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

assert version("langgraph") == "1.2.24"
ran, down = [], set()


class State(TypedDict):
    answers: Annotated[list[str], operator.add]


def sampler(name):
    def sample(state):
        ran.append(name)
        if name in down:
            raise ConnectionError(f"{name} is down")
        return {"answers": [f"answer of {name}"]}

    return sample


def vote(state):
    return {"answers": [f"vote over {len(state['answers'])}"]}


graph = StateGraph(State)
graph.add_node("vote", vote)
graph.add_edge("vote", END)
for name in "abcd":
    graph.add_node(name, sampler(name))
    graph.add_edge(START, name)
    graph.add_edge(name, "vote")
app = graph.compile(checkpointer=InMemorySaver())


def fail(thread):
    """Runs until one has failed; what the state shows then."""
    config = {"configurable": {"thread_id": thread}}
    down.add("d")
    try:
        app.invoke({"answers": []}, config)
    except ConnectionError:
        pass
    down.clear()
    ran.clear()
    state = app.get_state(config)
    print("failed:", state.values["answers"], state.next)
    assert len(state.values["answers"]) == 3 and state.next == ("d",)
    return config


told = app.invoke(None, fail("again"))["answers"]
print("run again:", told, ran)
assert len(told) == 5 and ran == ["d"]

config = fail("by hand")
app.update_state(config, {"answers": ["answer by hand"]}, as_node="d")
state = app.get_state(config)
print("by hand:", state.values["answers"], state.next)
told = app.invoke(None, config)["answers"]
print("then:", told, ran)
assert told == ["answer by hand", "vote over 1"] and ran == [], "no longer so"
END
