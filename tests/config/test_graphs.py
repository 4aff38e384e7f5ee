"""Graphs of nodes of one's own in quorate.yaml: what they build, and how their mistakes are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from quorate import Graph, Pipeline, load_config
from quorate.config.catalog import Catalog
from quorate.config.file import schema
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.errors import BadInput, ConfigError, UnknownName
from quorate.orchestrator.nodes import LayerNode, SampleNode

ANSWERS = Path(__file__).with_name("answers.jsonl")

HEAD = """\
models:
  small: {type: recorded, file: FILE}
  large: {type: recorded, file: FILE}
pipelines:
"""

CAREFUL = """\
  careful:
    nodes:
      draft: {sample: [small], n: 4}
      vote: {aggregate: majority}
      think: {model: majority@2/large, seconds: 60, fallback: vote, budget: {tokens: 5000}}
    edges:
      - draft -> vote
      - {from: vote, to: end, when: agreement >= 0.75}
      - {from: vote, to: think, when: else}
      - think -> end
"""


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Recorded answers: of `easy?` all four agree, of `hard?` none do."""
    path = tmp_path / "answers.jsonl"
    easy = '{"question": "easy?", "answers": ["\\\\boxed{4}", "\\\\boxed{4}", "\\\\boxed{4}", "\\\\boxed{4}"]}'
    hard = '{"question": "hard?", "answers": ["\\\\boxed{1}", "\\\\boxed{2}", "\\\\boxed{3}", "\\\\boxed{4}"]}'
    path.write_text(f"{easy}\n{hard}\n", encoding="utf-8")
    return path


@pytest.fixture
def load(tmp_path: Path, answers: Path) -> Any:
    """Builds the catalog of these pipelines."""

    def load(pipelines: str) -> Catalog:
        path = tmp_path / "quorate.yaml"
        path.write_text(HEAD.replace("FILE", str(answers)) + pipelines, encoding="utf-8")
        return load_config(path).catalog()

    return load


async def test_a_graph_takes_the_way_that_its_conditions_say(load: Any) -> None:
    """Sure votes end, others go on to the second opinion; the way is told with its values."""
    careful = load(CAREFUL).resolve("careful")
    assert isinstance(careful, Graph)
    easy, hard = await careful.answer("easy?"), await careful.answer("hard?")
    assert (easy.answer, [visit.node for visit in easy.path]) == ("4", ["draft", "vote"])
    assert easy.route == "vote: agreement >= 0.75 (agreement 1)"
    assert [visit.node for visit in hard.path] == ["draft", "vote", "think"]
    assert hard.model == "careful"


async def test_its_nodes_have_what_the_file_says(load: Any) -> None:
    """Seconds, budget, fallback and limits of visits; the first node begins."""
    think = load(CAREFUL).resolve("careful").nodes["think"]
    assert (think.seconds, think.fallback, think.budget.tokens) == (60, "vote", 5000)


async def test_a_graph_that_begins_by_sampling_takes_another_n(load: Any) -> None:
    """As any other pipeline: `careful@2`."""
    catalog = load(CAREFUL)
    assert isinstance(catalog.resolve("careful"), Pipeline)
    assert len((await catalog.resolve("careful@2").answer("easy?")).candidates) == 2


def test_the_schema_knows_graphs(load: Any) -> None:
    """What the loader takes validates, and a misspelt field does not."""
    document = yaml.safe_load(HEAD + CAREFUL)
    jsonschema.validate(document, schema())
    document["pipelines"]["careful"]["nodes"]["vote"] = {"aggregat": "majority"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema())


async def test_loops_layers_and_choices(load: Any) -> None:
    """Draws again until they agree, at most three times; long questions and sums go their own ways."""
    catalog = load(
        """\
  again:
    nodes:
      which:
        choose:
          - {option: sum, matches: '\\d+ \\+ \\d+'}
          - {option: long, longer: 100}
          - {option: other}
      draft: {sample: [small, large], n: 4, max_visits: 3}
      debate: {layer: debate, n: 4}
      vote: {aggregate: majority}
      large: {model: large}
    edges:
      - start -> which
      - {from: which, to: large, when: chosen == sum}
      - {from: which, to: large, when: chosen == 'long' or chosen == sum}
      - {from: which, to: draft, when: else}
      - {from: draft, to: draft, when: votes < 2 and visits < 3}
      - {from: draft, to: debate, when: else}
      - debate -> vote -> end
      - large -> end
""".replace("      - {from: which, to: large, when: chosen == sum}\n", "")
    )
    graph = catalog.resolve("again")
    hard = await graph.answer("hard?")
    assert [visit.node for visit in hard.path] == ["which", "draft", "draft", "draft", "debate", "vote"]
    assert [visit.node for visit in (await graph.answer("easy?")).path] == ["which", "draft", "debate", "vote"]
    with pytest.raises(Exception, match="no answers to"):
        await graph.answer("1 + 1?")
    assert isinstance(graph.nodes["debate"], LayerNode)


async def test_an_aggregator_reads_its_own_votes(load: Any) -> None:
    """Of two aggregators behind one stage, only the one that counted while it was sampled need not count again."""
    graph = load(
        """\
  two:
    nodes:
      draft: {sample: [small], n: 4}
      first: {aggregate: majority}
      second: {aggregate: run-off}
    edges:
      - {from: draft, to: first, when: agreement >= 0.5}
      - {from: draft, to: second, when: else}
      - first -> end
      - second -> end
"""
    ).resolve("two")
    draft, first, second = graph.nodes.values()
    assert isinstance(draft, SampleNode)
    assert isinstance(first, AggregateNode)
    assert isinstance(second, AggregateNode)
    assert draft.counted_by is first.aggregator
    assert (first.recount, second.recount) == (False, True)
    assert (await graph.answer("hard?")).path[-1].node == "second"


async def test_wrapping_reaches_every_model_of_a_graph(load: Any) -> None:
    """As of any pipeline: samples, layers and nodes that ask one model."""
    catalog = load(CAREFUL)
    seen: list[str] = []

    def wrap(model: Any) -> Any:
        seen.append(model.name)
        return model

    catalog.wrap_models(wrap).resolve("careful")
    assert sorted(seen) == ["large", "small"]


def test_pipelines_may_name_others_in_any_order(load: Any) -> None:
    """Those that come later in the file too, and names that are read as on the wire; the order of the file stays."""
    catalog = load(
        """\
  outer: {pipeline: majority, models: [inner, 'majority@2/inner@2'], n: 2}
  inner: {pipeline: majority, models: [small], n: 3}
"""
    )
    assert list(catalog.pipelines) == ["outer", "inner"]
    assert catalog.resolve("outer").calls == 3 + 2 * 2


PLAIN = """\
  p:
    nodes:
      a: {sample: [small], n: 2}
      b: {aggregate: majority}
    edges:
      - a -> b
      - b -> end
"""


@pytest.mark.parametrize(
    ("pipelines", "line", "field", "says"),
    [
        (PLAIN.replace("  b: {agg", "  a: {agg"), 8, "a", "stands twice"),
        (PLAIN.replace("- b -> end", "- b -> c"), 11, "pipelines.p.edges.1", "leads to 'c', which is no node"),
        (PLAIN.replace("- a -> b", "- c -> b"), 10, "pipelines.p.edges.0", "begins at 'c', which is no node"),
        (PLAIN.replace("- b -> end", "- b -> a"), 7, "pipelines.p.nodes.a", "is in a loop without an exit"),
        (PLAIN.replace("      - b -> end\n", ""), 7, "pipelines.p.nodes.a", "has no way to the end"),
        (PLAIN.replace("- a -> b", "- b -> end"), 11, "pipelines.p.edges.1", "two edges"),
        (PLAIN.replace("- b -> end", "- a -> end"), 11, "pipelines.p.edges.1", "'a' gives no answer"),
        (PLAIN.replace("- a -> b", "- a - b"), 10, "pipelines.p.edges.0", "write 'a -> b'"),
        (
            PLAIN.replace("- b -> end", "- {from: b, to: end, when: agreement > much}"),
            11,
            "pipelines.p.edges.1",
            "there is 'much', a number should be",
        ),
        (PLAIN.replace("aggregate: majority", "aggregat: majority"), 8, "pipelines.p.nodes.b", "says what it does by"),
        (PLAIN.replace("aggregate: majority", "aggregate: majorty"), 8, "pipelines.p.nodes.b", "'majorty'"),
        (PLAIN.replace("[small]", "[huge]"), 7, "pipelines.p.nodes.a", "'huge'"),
        (PLAIN.replace("n: 2}", "n: 2, fallback: z}"), 7, "pipelines.p.nodes.a", "fallback 'z'"),
        (PLAIN.replace("n: 2}", "m: 2}"), 7, "pipelines.p.nodes.a.m", "unknown field; there is: budget, fallback"),
        (PLAIN.replace("n: 2}", "n: 2, fallback: a}"), 7, "pipelines.p.nodes.a", "its own fallback"),
        (PLAIN.replace("sample: [small], n: 2", "choose: []"), 7, "pipelines.p.nodes.a.choose", "at least 2"),
        (
            PLAIN.replace("sample: [small], n: 2", "choose: [{option: x, matches: '(?=a)'}, {option: y}]"),
            7,
            "pipelines.p.nodes.a.choose.0.matches",
            "RE2, which has no look-around",
        ),
        (PLAIN.replace("- a -> b", "- {form: a, to: b}"), 10, "pipelines.p.edges.0.form", "there is: from, to, when"),
        (PLAIN.replace("- a -> b", "- {from: a, to: b, when: 3}"), 10, "pipelines.p.edges.0.when", "should be text"),
        (
            PLAIN.replace("- a -> b", "- 3"),
            10,
            "pipelines.p.edges.0",
            "{a: b} or should be text",
        ),
        (PLAIN.replace("- a -> b", "- {from: a, to: b, when: votes > 1}"), 10, "pipelines.p.edges.0", "`when: else`"),
        (PLAIN.replace("- a -> b", "- {from: a, to: b, when: agreement > 75}"), 10, "pipelines.p.edges.0", "0.75"),
        (
            PLAIN.replace("- a -> b", "- {from: a, to: b, when: chosen == c}"),
            10,
            "pipelines.p.edges.0",
            "cannot choose",
        ),
        (PLAIN.replace("      a: ", "      1: "), 7, "pipelines.p.nodes.1", "put it in quotes"),
        (
            "  p: {nodes: {b: {aggregate: usc, aggregator_model: small}}, edges: [b -> end]}\n",
            5,
            "pipelines.p.nodes.b",
            "no candidates to read",
        ),
        (PLAIN.replace("n: 2}", "n: 0}"), 7, "pipelines.p.nodes.a.n", "greater"),
        (PLAIN.replace("      b: {", "      end: {"), 8, "pipelines.p.nodes.end", "word of the edges"),
        (PLAIN.replace("aggregate: majority", "aggregate: debate"), 8, "pipelines.p.nodes.b", "no single aggregator"),
        (PLAIN.replace("sample: [small]", "layer: majority"), 7, "pipelines.p.nodes.a", "sample before it"),
        (PLAIN.replace("      - a -> b\n      - b -> end\n", "      []\n"), 9, "pipelines.p.edges", "at least 1"),
        (
            PLAIN.replace("sample: [small], n: 2", "aggregate: majority"),
            7,
            "pipelines.p.nodes.a",
            "put a node with `sample:` before it",
        ),
        (
            PLAIN.replace("sample: [small], n: 2", "choose: [{option: b, longer: 5}, {option: b}]"),
            7,
            "pipelines.p.nodes.a",
            "the option 'b' stands twice",
        ),
        ("  p: {pipeline: majority, models: [p]}\n", 5, "pipelines.p.models", "made of itself: p -> p"),
        (
            "  p: {pipeline: majority, models: [q]}\n  q: {pipeline: majority, models: ['majority@2/p']}\n",
            6,
            "pipelines.q.models",
            "made of itself: p -> q -> p",
        ),
        (PLAIN.replace("sample: [small]", "sample: [p]"), 7, "pipelines.p.nodes.a", "made of itself: p -> p"),
        (
            "  p: {pipeline: majority, models: ['majority@500/majority@500/small'], n: 2}\n",
            5,
            "pipelines.p.models",
            "250000",
        ),
    ],
)
def test_mistakes_name_file_line_and_node(load: Any, pipelines: str, line: int, field: str, says: str) -> None:
    """One line: where, what, and by its words the fix."""
    with pytest.raises(ConfigError) as caught:
        load(pipelines)
    message = str(caught.value)
    assert says in message
    assert (caught.value.line, caught.value.field) == (line, field)
    assert "\n" not in message


def test_too_much_nesting_is_refused_by_name(load: Any) -> None:
    """Before anything is asked, with the number of answers that one would take."""
    with pytest.raises(BadInput, match="250000"):
        load(PLAIN).resolve("majority@500/majority@500/small")
    with pytest.raises(UnknownName):
        load(PLAIN).resolve("majority@500/nobody")


async def test_what_the_documentation_shows_loads(load: Any) -> None:
    """And goes the ways that it says."""
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    [shown] = [block for block in re.findall(r"```yaml\npipelines:\n(.*?)```", text, re.DOTALL) if "nodes:" in block]
    answer = await load(shown).resolve("careful").answer("hard?")
    assert [visit.node for visit in answer.path] == ["kind", "draft", "debate", "debate", "debate", "judge"]
