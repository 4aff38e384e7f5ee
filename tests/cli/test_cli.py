"""The command line as scripts and people meet it: what is on standard output, errors, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quorate.testing import Reply, ScriptedUpstream

QUESTION = "A bakery bakes 7 trays of 12 rolls each. It sells 30 rolls. How many rolls are left?"
BARE_ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in {"OPENAI_API_KEY", "QUORATE_UPSTREAM_KEY"}}


def quorate(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from quorate.cli import main; main()", *arguments]
    env = BARE_ENVIRONMENT | environment
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=env, timeout=200, check=False)


def printed(*arguments: str, **environment: str) -> Any:
    done = quorate(*arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_ask_prints_the_contract_as_json() -> None:
    """Every field that scripts rely on, votes that add up, and nothing else on standard output."""
    answer = printed("ask", QUESTION, "--pipeline", "majority@4/quorate-tiny-base", "--seed", "1")
    assert set(answer) == {"answer", "text", "model", "tally", "candidates", "usage", "path", "stopped", "degraded"}
    assert answer["model"] == "majority@4/quorate-tiny-base"
    assert len(answer["candidates"]) == 4
    for candidate in answer["candidates"]:
        assert {"text", "answer", "model", "finish_reason", "usage", "error"} <= set(candidate)
    for cluster in answer["tally"]:
        assert set(cluster) == {"answer", "votes", "weight", "voters", "certain", "undecided"}
    voting = sum(candidate["answer"] is not None for candidate in answer["candidates"])
    assert sum(cluster["votes"] for cluster in answer["tally"]) == voting
    assert answer["text"] in [candidate["text"] for candidate in answer["candidates"]]
    spent = sum(candidate["usage"]["completion_tokens"] for candidate in answer["candidates"])
    assert answer["usage"]["completion_tokens"] == spent > 0
    assert [node["node"] for node in answer["usage"]["nodes"]] == ["sample"]
    assert [(visit["node"], list(visit["to"])) for visit in answer["path"]] == [
        ("sample", ["aggregate"]),
        ("aggregate", ["end"]),
    ]


def test_the_same_seed_asks_the_same() -> None:
    """Texts, tally and usage, byte for byte."""
    command = ("ask", QUESTION, "--pipeline", "majority@4/quorate-tiny-base", "--seed", "5")
    assert printed(*command) == printed(*command)


def test_ask_for_people_ends_in_the_answer() -> None:
    """Votes, text, and the answer on the last line; progress stays on standard error."""
    done = quorate("ask", QUESTION, "-p", "majority@4/quorate-tiny-base", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("answer: ")
    assert "4 sampled" in done.stderr


def test_a_question_may_come_from_standard_input() -> None:
    """`-` reads it."""
    done = quorate("ask", "-", "--pipeline", "quorate-tiny-base", "--seed", "1", stdin=QUESTION)
    assert done.returncode == 0, done.stderr


async def test_ask_over_an_upstream() -> None:
    """With or without /v1, the server's models are found and every pipeline exists over each."""
    async with ScriptedUpstream([Reply("Answer: 54")] * 16, models=("big/model",)) as upstream:
        key = {"QUORATE_UPSTREAM_KEY": "sk-test"}
        for url in (upstream.url, upstream.url.removesuffix("/v1")):
            listing = await run_in_thread(printed, "models", "--upstream", url, **key)
            assert listing["models"][0]["id"] == "big/model"
        command = ("ask", "how many?", "--upstream", upstream.url, "--pipeline", "majority@3/big/model")
        answer = await run_in_thread(printed, *command, **key)
    assert (answer["answer"], answer["tally"][0]["votes"]) == ("54", 3)


async def test_a_single_model_is_read_as_a_vote_reads_it() -> None:
    """The one candidate has the answer too, not only the whole."""
    async with ScriptedUpstream([Reply("7 * 12 - 30. Answer: 54")], models=("m",)) as upstream:
        answer = await run_in_thread(printed, "ask", "how many?", "--upstream", upstream.url, "--pipeline", "m")
    assert (answer["answer"], [c["answer"] for c in answer["candidates"]]) == ("54", ["54"])


async def run_in_thread(function: Any, *arguments: str, **environment: str) -> Any:
    import asyncio

    return await asyncio.to_thread(function, *arguments, **environment)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ask", ""), "the question is empty"),
        (("ask", "   "), "the question is empty"),
        (("ask", "x", "--pipeline", "nope"), "quorate-tiny-base"),
        (("ask", "x", "--pipeline", "nope/quorate-tiny-base"), "majority@16/quorate-tiny-base"),
        (("ask", "x", "--pipeline", "majority@0/quorate-tiny-base"), "from 1 on"),
        (("ask", "x", "--pipeline", "majority@99999/quorate-tiny-base"), "1 to 1024"),
        (("ask", "x", "--upstream", "http://127.0.0.1:9"), "127.0.0.1:9"),
        (("ask", "x", "--upstream", "not a url"), "not a url"),
        (("ask", "x", "--upstream", "http://127.0.0.1:9", "--config", "quorate.yaml"), "not both"),
        (("ask", "x", "--upstream", ""), "base_url ''"),
        (("ask", "x", "--pipeline", ""), "named ''"),
        (("ask", "x", "--config", "none.yaml"), "none.yaml"),
        (("ask", "x", "--budget-seconds", "0"), "above 0"),
        (("graph", "nope"), "quorate-tiny-base"),
        (("eval", "run", "--task", "nope", "-p", "quorate-tiny-base"), "quorate eval tasks"),
        (("eval", "run", "--task", "stories", "--tier", "nope", "-p", "quorate-tiny-base"), "hard"),
        (("eval", "run", "--limit", "0", "-p", "quorate-tiny-base"), "limit"),
        (("eval", "run", "--limit", "1", "-p", "nope"), "quorate-tiny-base"),
        (("serve", "--config", "none.yaml"), "none.yaml"),
        (("ask",), "Missing argument"),
        (("ask", "x", "--bogus"), "bogus"),
        (("serve", "--port", "70000"), "it should be less than or equal to 65535"),
        (("eval", "run"), "pipeline"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments: tuple[str, ...], says: str) -> None:
    """What, where and the fix; no traceback, nothing on standard output."""
    done = quorate(*arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stdout == ""


def test_models_lists_the_embedded_ones_in_their_order() -> None:
    """The default first, then the two specialists."""
    models = printed("models")["models"]
    assert [m["id"] for m in models][:3] == ["quorate-tiny-base", "quorate-tiny-sum", "quorate-tiny-product"]
    assert all(set(m) == {"id", "kind"} for m in models)
    assert models[0]["kind"] == "embedded"


def test_graph_prints_mermaid() -> None:
    """The diagram, ready to paste: every node, condition and model; how much it can ask at worst is a comment in it."""
    done = quorate("graph", "majority@4/self-moa@6/quorate-tiny-base")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("flowchart LR")
    assert done.stdout.count("subgraph") == 2
    assert "%% at most 28 answers of models, 28 requests to their servers at worst" in done.stdout
    example = str(Path(__file__).parents[2] / "examples" / "quorate.yaml")
    drawn = quorate("graph", "careful", "--config", example).stdout
    for part in ("draft", "quick", "second", "agreement #62;= 0.75", "else", "where it fails", "60 s", "terse", "sure"):
        assert part in drawn


def test_graph_draws_pictures(tmp_path: Path) -> None:
    """SVG and PNG by the names of the files, with nothing on standard output; another ending is a mistake."""
    svg, png = tmp_path / "graph.svg", tmp_path / "graph.png"
    done = quorate("graph", "gate@4/quorate-tiny-base", "--svg", str(svg), "--png", str(png))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "gate@4/quorate-tiny-base" in svg.read_text(encoding="utf-8")
    assert png.read_bytes().startswith(b"\x89PNG")
    wrong = quorate("graph", "majority", "--svg", str(tmp_path / "graph.txt"))
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "must end in .svg" in wrong.stderr


def test_eval_run_prints_the_contract_as_json(tmp_path: Path) -> None:
    """Every field of the report; shared samples are drawn once; a second run draws nothing."""
    command = ("eval", "run", "--task", "stories", "--tier", "easy", "--limit", "4", "--seed", "3")
    pipelines = ("--pipeline", "quorate-tiny-base", "--pipeline", "majority@4/quorate-tiny-base")
    first = printed(*command, *pipelines, "--out", str(tmp_path / "run"))
    assert {"task", "questions", "seed", "pipelines", "comparisons"} <= set(first)
    assert first["questions"] == 4
    single, vote = first["pipelines"]
    for figure in ("accuracy", "pass@1", "pass@k"):
        assert set(vote[figure]) == {"value", "low", "high"}
    assert 0 < single["spent"] == single["tokens"] < vote["tokens"]
    assert vote["spent"] < vote["tokens"]
    assert [(c["a"], c["b"]) for c in first["comparisons"]] == [(single["name"], vote["name"])]
    assert {"difference", "low", "high", "p"} <= set(first["comparisons"][0])
    again = printed(*command, *pipelines, "--out", str(tmp_path / "run"))
    assert [p["spent"] for p in again["pipelines"]] == [0, 0]
    assert [p["accuracy"] for p in again["pipelines"]] == [p["accuracy"] for p in first["pipelines"]]


def test_a_config_file_serves_the_command_line() -> None:
    """A configured pipeline by its name, with another N too."""
    example = str(Path(__file__).parents[2] / "examples" / "quorate.yaml")
    answer = printed("ask", QUESTION, "--config", example, "--pipeline", "vote@3", "--seed", "1")
    assert len(answer["candidates"]) == 3


def test_version_and_help() -> None:
    """The first things anybody types."""
    assert quorate("--version").stdout.startswith("quorate ")
    assert "ask" in quorate("--help").stdout


@pytest.mark.parametrize("group", [(), ("eval",), ("eval", "bank"), ("train",)])
def test_no_line_of_help_is_cut_short(group: tuple[str, ...]) -> None:
    """Also on a narrow terminal, as most are."""
    listing = quorate(*group, "--help", COLUMNS="80").stdout.partition("Commands:")[2]
    assert listing
    assert "..." not in listing
