// Pipelines inside the nodes of a pipeline: what there is, and where in them a thread of the run is.

/** Calls back with every node inside others, and the key of its place. */
export function walkInside(graph, take, place = "") {
  for (const node of graph.nodes) node.inside?.forEach((inner, i) => {
    const here = placeOf(place, node.name, i);
    for (const each of inner.graph.nodes) take(`${here}|${each.name}`, each);
    walkInside(inner.graph, take, here);
  });
}

/** The key of the i-th pipeline inside a node. */
export const placeOf = (place, node, i) => `${place}/${node}#${i}`;

const named = (graph, thread) => graph.nodes.filter((n) => thread.startsWith(`/${n.name}.`)).sort((a, b) => b.name.length - a.name.length)[0];

/** Where a thread is: the key of a pipeline's place, null of one that is in none. Names of nodes may hold slashes. */
export function locate(graph, thread) {
  let place = "", rest = thread;
  while (rest !== "") {
    const node = named(graph, rest);
    if (!node) return null;
    const tail = rest.slice(node.name.length + 2).replace(/^\d+~/, "");
    const whole = tail === node.name || tail.startsWith(`${node.name}/`);
    const purpose = whole ? node.name : tail.match(/^[^/]*/)[0];
    rest = tail.slice(purpose.length);
    // A layer's members are asked in a thread of the layer.
    if (rest.startsWith(`/${node.name}.`) && !node.inside?.some((inner) => named(inner.graph, rest))) continue;
    const i = Math.max(0, node.inside?.findIndex((inner) => inner.samples.includes(Number(purpose))) ?? 0);
    if (!node.inside?.[i]) return null;
    place = placeOf(place, node.name, i);
    graph = node.inside[i].graph;
  }
  return place;
}
