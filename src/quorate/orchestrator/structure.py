"""The structure of a graph, looked at before anything runs: what leads where, what comes again, what cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from .errors import BadGraph
from .state import ELSE, END, START, Edge, Node

LOOP = 16
"""How often a node in a loop runs at most, unless it says otherwise."""
MAX_NODES = 500
"""More nodes than this no graph may have."""
MAX_CALLS = 100_000
"""More answers of single models than this one answer may never take."""


class GraphStructure:
    """Nodes by name, and the edges from each.

    Args:
        name: of the graph, for errors.
        nodes: with names of their own.
        edges: between them.

    Raises:
        BadGraph: there are too many nodes, two have one name, or an edge leads nowhere or twice to one node.
    """

    def __init__(self, name: str, nodes: Sequence[Node], edges: Sequence[Edge]) -> None:
        if not isinstance(name, str) or not name.strip():
            raise BadGraph(f"Graph(name={name!r:.60}): give it a name")
        self.name = name
        for what, kind, parts in (("node", Node, nodes), ("edge", Edge, edges)):
            if wrong := [part for part in parts if not isinstance(part, kind)]:
                raise self._error(f"{wrong[0]!r:.80} is no {what}")
        if len(nodes) > MAX_NODES:
            raise self._error(f"it has {len(nodes)} nodes, and {MAX_NODES} is the limit: make a loop, or nest graphs")
        self.nodes: dict[str, Node] = {}
        for node in nodes:
            if node.name in self.nodes or node.name in (START, END):
                raise self._error(f"two nodes are named {node.name!r}; give each a name of its own", node=node.name)
            self.nodes[node.name] = node
        self.out: dict[str, list[Edge]] = {source: [] for source in (START, *self.nodes)}
        for edge in edges:
            self._place(edge)

    def check(self) -> None:
        """Refuses what cannot run.

        Raises:
            BadGraph: names the node or edge, and the fix.
        """
        for name, node in self.nodes.items():
            if node.fallback == name:
                raise self._error(f"node {name!r} is its own fallback; name another one", node=name)
            if node.fallback is not None and node.fallback not in self.nodes:
                raise self._error(f"node {name!r} has the fallback {node.fallback!r}, which is no node", node=name)
        if not self.out[START]:
            raise self._error("nothing follows the start: give an edge from there to the first node")
        reached = self._reachable(START)
        for name in self.nodes:
            if name not in reached:
                raise self._error(f"no edge leads to node {name!r}: give it one, or leave it out", node=name)
            if END not in self.reach[name]:
                way = "is in a loop without an exit" if name in self.looping else "has no way to the end"
                raise self._error(f"node {name!r} {way}: give it an edge on, with a condition or {ELSE!r}", node=name)
        for name in self.looping:
            conditional = any(edge.when is not None for n in self.loops[name] for edge in self.out[n])
            if not conditional:
                raise self._error(f"the loop through {name!r} is never left: give an edge in it a condition", node=name)
        read = self._most_read
        for name, node in self.nodes.items():
            if node.reads and not read[name]:
                raise self._error(f"node {name!r} has no candidates to read: sample before it", node=name)
        if self.calls > MAX_CALLS:
            most = max(self.nodes, key=self._calls_of)
            raise self._error(
                f"one answer could take {self.calls} answers of single models ({self._calls_of(most)} of them in node "
                f"{most!r}), and {MAX_CALLS} is the limit: nest less deep, draw fewer samples, or give max_visits",
                node=most,
            )

    def _place(self, edge: Edge) -> None:
        if edge.source not in self.out:
            raise self._error(f"the edge {edge} begins at {edge.source!r}, which is no node", edge=edge)
        if edge.target != END and edge.target not in self.nodes:
            raise self._error(f"the edge {edge} leads to {edge.target!r}, which is no node", edge=edge)
        if edge.source == START and edge.when is not None:
            raise self._error(
                f"the edge {edge} has a condition, but nothing has happened yet: begin with a node", edge=edge
            )
        if edge.target == END and (edge.source == START or not self.nodes[edge.source].answers):
            raise self._error(
                f"the edge {edge} ends the graph, but {edge.source!r} gives no answer: aggregate its candidates first",
                edge=edge,
            )
        if any(edge.target == other.target for other in self.out[edge.source]):
            raise self._error(f"there are two edges {edge}; make it one", edge=edge)
        self.out[edge.source].append(edge)

    def _targets(self, name: str) -> list[str]:
        if name == END:
            return []
        node = self.nodes.get(name)
        more = [node.fallback] if node is not None and node.fallback is not None else []
        return [*(edge.target for edge in self.out[name]), *more]

    def _reachable(self, name: str) -> set[str]:
        """By one edge or more."""
        found: set[str] = set()
        waiting = self._targets(name)
        while waiting:
            target = waiting.pop()
            if target not in found:
                found.add(target)
                waiting += self._targets(target)
        return found

    @cached_property
    def reach(self) -> dict[str, frozenset[str]]:
        """For each node those that it can lead to, by one edge or more."""
        return {name: frozenset(self._reachable(name)) for name in self.nodes}

    @cached_property
    def looping(self) -> frozenset[str]:
        """The nodes that can come again."""
        return frozenset(name for name in self.nodes if name in self.reach[name])

    @cached_property
    def loops(self) -> dict[str, frozenset[str]]:
        """For each node those that are in a loop with it; none where it is in none."""
        reach = self.reach
        return {name: frozenset(o for o in self.nodes if o in reach[name] and name in reach[o]) for name in self.nodes}

    @cached_property
    def before(self) -> dict[str, frozenset[str]]:
        """For each node those that can lead to it; of those in a loop with it, without going around the loop."""
        forward = self._ancestors()
        return {
            name: frozenset(
                other
                for other in self.nodes
                if other != name
                and (other in forward[name] if other in self.loops[name] else name in self.reach[other])
            )
            for name in self.nodes
        }

    @cached_property
    def calls(self) -> int:
        """Most answers of single models that one answer takes; of nodes in loops as often as they may run."""
        return sum(map(self._calls_of, self.nodes))

    @cached_property
    def max_requests(self) -> int:
        """Most requests to servers that one answer causes."""
        return sum(
            node.requests_for(self._most_read[name]) * self.most_visits(name) for name, node in self.nodes.items()
        )

    def _calls_of(self, name: str) -> int:
        return self.nodes[name].calls_for(self._most_read[name]) * self.most_visits(name)

    def most_visits(self, name: str) -> int:
        """How often a node can run in one answer."""
        given = self.nodes[name].max_visits
        return (LOOP if name in self.looping else 1) if given is None else given

    def _sources(self) -> dict[str, list[str]]:
        """What leads to each node by an edge that closes no loop, as a walk in depth from the start finds them."""
        forward: dict[str, list[str]] = {}
        seen: set[str] = set()

        def walk(name: str, above: frozenset[str]) -> None:
            seen.add(name)
            for target in self._targets(name):
                if target == name or target in above:
                    continue
                forward.setdefault(target, []).append(name)
                if target not in seen:
                    walk(target, above | {name})

        walk(START, frozenset())
        return forward

    @cached_property
    def _most_read(self) -> dict[str, int]:
        """How many candidates each node reads at most."""
        forward, read = self._sources(), {START: 0}

        def count(name: str) -> int:
            if name not in read:
                sources = [source for source in forward.get(name, []) if source != START]
                read[name] = sum(self.nodes[source].gives(count(source)) for source in sources)
            return read[name]

        return {name: count(name) for name in self.nodes}

    def _ancestors(self) -> dict[str, frozenset[str]]:
        """What can lead to each node without going around a loop."""
        forward = self._sources()
        before: dict[str, frozenset[str]] = {}

        def collect(name: str) -> frozenset[str]:
            if name not in before:
                sources = forward.get(name, [])
                before[name] = frozenset(sources).union(*(collect(source) for source in sources)) - {START}
            return before[name]

        for name in self.nodes:
            collect(name)
        return before

    def _error(self, message: str, *, node: str | None = None, edge: Edge | None = None) -> BadGraph:
        place = None if edge is None else (edge.source, edge.target)
        return BadGraph(f"{self.name}: {message}", node=node, edge=place)
