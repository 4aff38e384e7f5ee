"""`quorate trace`: one request as a timeline, and lists of them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorate.cli import app
from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Failure, Question
from quorate.orchestrator.usage import Usage
from quorate.storage.traces import Moment, Trace, TracedCall, TracedChoice, TraceStore


def sampled(index: int, answer: str | None, error: Failure | None = None) -> Candidate:
    usage = Usage(prompt_tokens=5, completion_tokens=3, requests=1)
    return Candidate(index=index, model="m", agent="box", text="so", answer=answer, usage=usage, error=error)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A vote of this minute with a failure and a retried call, and an old error."""
    late = Failure(code="upstream_timeout", message="no reply in time", status=504)
    candidates = (sampled(0, "[4]"), sampled(1, None, late), sampled(2, "[4]"))
    answer = Answer(
        text="so",
        model="majority@3/m",
        answer="[4]",
        tally=(Cluster(answer="[4]", votes=2, weight=2.0, voters=(0, 2)),),
        stopped="complete",
        candidates=candidates,
        degraded=(Degradation(code="candidate_failed", where="sample: box #1", detail="no reply in time"),),
    )
    call = TracedCall(
        thread="",
        node="sample",
        agent="box",
        model="m",
        server="http://box/v1",
        indices=(0,),
        started=0.01,
        sent=(0.022, 0.03),
        failures=((0.025, "upstream_bad_reply", 503),),
        answered=0.09,
        ended=0.1,
        outcome="ok",
        usage=candidates[0].usage,
    )
    moments = (
        Moment(at=0.01, what="node", text="sample"),
        *(Moment(at=0.01, what="candidate_started", node="sample", index=i, text="m") for i in range(3)),
        Moment(at=0.1, what="candidate_finished", node="sample", index=0),
        Moment(at=0.12, what="candidate_failed", node="sample", index=1),
        Moment(at=0.15, what="candidate_finished", node="sample", index=2),
        Moment(at=0.15, what="tally", node="sample", text="[4] x2"),
        Moment(at=0.151, what="node", text="aggregate"),
        Moment(at=0.16, what="done"),
    )
    whole = Trace(
        id="req-1",
        began=time.time(),
        seconds=0.17,
        route="/v1/chat/completions",
        model="majority@3/m",
        key="ann",
        status=200,
        question=Question.of("What is [2] + 2?"),
        usage=Usage(prompt_tokens=10, completion_tokens=6, requests=4, cost=0.25),
        choices=(TracedChoice(answer=answer, candidates=candidates, moments=moments, calls=(call,)),),
    )
    failed = Trace(id="req-0", began=time.time() - 86400 * 2, seconds=1.0, model="m", status=503, error=late)
    store = TraceStore(tmp_path / "traces.sqlite")
    store.add([failed, whole])
    store.close()
    return tmp_path / "traces.sqlite"


def told(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["trace", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_one_request_is_shown_as_a_timeline(file: Path) -> None:
    """Who began when and how long it took, tokens, tries, votes, and what was degraded."""
    shown = told("req-1", "--file", file)
    for part in (
        *("req-1", "majority@3/m for ann", "0.170 s", "10 + 6 tokens in 4 calls, cost 0.25", "What is [2] + 2?"),
        *("#0 box", "-> [4]", "5+3", "upstream_timeout no reply in time"),
        *("waited 0.012 s; try at 0.025: upstream_bad_reply 503", "votes: [4] x2; stopped: complete"),
        *("! candidate_failed: sample: box #1: no reply in time", "answer: [4]"),
    ):
        assert part in shown, shown
    rows = [line.split()[0] for line in shown.splitlines() if "━" in line]
    assert rows == ["sample", "#0", "call", "#1", "#2", "aggregate"]


def test_a_graph_is_shown_node_by_node(tmp_path: Path) -> None:
    """Each visit with its own candidates; what the answer does not hold is shown by its times alone."""
    candidates = (sampled(0, "[5]"),)
    visits = [("draft", 0.0, 0.1), ("round", 0.1, 0.2), ("round", 0.2, 0.3)]
    moments = [
        Moment(at=at, what=what, text=node)
        for node, begin, end in visits
        for at, what in ((begin, "node"), (end, "node_ended"))
    ]
    for node, begin, end in visits:
        moments += [
            Moment(at=begin + 0.01, what="candidate_started", node=node, index=0, text="m"),
            Moment(at=end - 0.01, what="candidate_finished", node=node, index=0),
            Moment(at=end - 0.005, what="tally", node=node, text=f"[5] in {node} at {begin:g}"),
        ]
    answer = Answer(text="so", model="debate@1/m", answer="[5]", candidates=candidates)
    choice = TracedChoice(
        answer=answer, candidates=candidates, moments=tuple(sorted(moments, key=lambda moment: moment.at))
    )
    store = TraceStore(tmp_path / "traces.sqlite")
    store.add([Trace(id="req-2", began=time.time(), seconds=0.3, model="debate@1/m", status=200, choices=(choice,))])
    store.close()
    shown = told("req-2", "--file", tmp_path / "traces.sqlite")
    rows = [line.split()[0] for line in shown.splitlines() if "━" in line]
    assert rows == ["draft", "#0", "round", "#0", "round", "#0"]
    assert shown.count("#0 box") == 2
    assert shown.count("-> [5]") == 2
    for tally in ("in draft at 0", "in round at 0.1", "in round at 0.2"):
        assert tally in shown


def test_the_latest_are_listed_and_filtered(file: Path) -> None:
    """By model, status or hundred of statuses, and age."""
    assert [line.split()[2] for line in told("--file", file).splitlines()[1:]] == ["req-1", "req-0"]
    for filters, found in (
        (("--model", "majority"), ["req-1"]),
        (("--status", "503"), ["req-0"]),
        (("--status", "500"), ["req-0"]),
        (("--status", "400"), []),
        (("--since", "1h"), ["req-1"]),
        (("--since", "2020-01-01"), ["req-1", "req-0"]),
        (("--limit", "1"), ["req-1"]),
    ):
        listed = json.loads(told("--file", file, "--json", *filters))["traces"]
        assert [each["id"] for each in listed] == found, filters


def test_json_has_everything(file: Path) -> None:
    """One document, each candidate once."""
    [trace] = json.loads(told("req-1", "--file", file, "--json"))["traces"]
    [choice] = trace["choices"]
    assert [candidate["answer"] for candidate in choice["candidates"]] == ["[4]", None, "[4]"]
    assert "candidates" not in choice["answer"]
    assert choice["calls"][0]["failures"] == [[0.025, "upstream_bad_reply", 503]]


def test_the_file_may_stand_in_the_configuration(file: Path, tmp_path: Path) -> None:
    """As `server.traces`."""
    config = tmp_path / "quorate.yaml"
    config.write_text(f"models: {{m: {{base_url: 'http://localhost:1'}}}}\nserver: {{traces: {file}}}\n")
    assert "req-1" in told("--config", config)


def test_mistakes_are_told_with_their_fix(file: Path, tmp_path: Path) -> None:
    """No file, no such file, no such request, no time."""
    for arguments, error, says in (
        ((), BadInput, "--file FILE"),
        (("--file", tmp_path / "none.sqlite"), BadInput, "quorate serve --traces FILE"),
        (("req-9", "--file", file), UnknownName, "req-0, req-1"),
        (("--file", file, "--since", "soon"), BadInput, "15m"),
    ):
        with pytest.raises(error, match=says):
            told(*arguments)
