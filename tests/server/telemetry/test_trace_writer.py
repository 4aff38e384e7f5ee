"""The store of traces: what a server keeps of its requests."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest

from quorate import Endpoint, MajorityVote, sample
from quorate.agents import RetryPolicy
from quorate.aggregators import AdaptiveConsistency
from quorate.config.server_settings import ApiKey, hash_key
from quorate.orchestrator.ensembling import Ensembling, TokenStep
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import Candidate, Degradation
from quorate.server.telemetry import trace_writer
from quorate.storage.traces import Trace, TraceStore
from quorate.testing import Fault, Reply, ScriptedUpstream

from ..conftest import Start, asked, wait_until
from ..scripted import Echo, Stuck
from .scraping import scraped

PRIVATE = "a-very-private"


def traces(file: Path) -> list[Trace]:
    store = TraceStore(file, create=False)
    try:
        return list(store.all())
    finally:
        store.close()


def held(folder: Path) -> bytes:
    """All bytes of the file and its log."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_trace_holds_what_led_to_the_answer(start: Start, tmp_path: Path) -> None:
    """Candidates as they were, votes, usage by stage, every call with its tries, and when all of it was."""
    file = tmp_path / "traces.sqlite"
    script = [Fault.status(503), *[Reply("it is 4", usage=(10, 3))] * 3]
    async with (
        ScriptedUpstream(script) as up,
        Endpoint("m", base_url=up.url, n_supported=False, retries=RetryPolicy(backoff=0.01)) as agent,
        start(agent, traces=file, log_prompts=True) as served,
    ):
        reply = await served.post(model="majority@3/m", quorate={"trace": True}, seed=7)
    [trace] = traces(file)
    told = reply.json()
    assert trace.id == reply.headers["x-request-id"]
    assert (trace.route, trace.model, trace.pipeline, trace.status) == (
        *("/v1/chat/completions", "majority@3/m"),
        *("majority", 200),
    )
    assert trace.question is not None
    assert trace.question.text == "hello there"
    assert trace.usage.total_tokens == told["usage"]["total_tokens"]
    assert [entry.node for entry in trace.nodes] == ["sample"]
    [choice] = trace.choices
    assert choice.answer is not None
    assert choice.answer.text == "it is 4"
    dumped = [c.model_dump(mode="json", exclude={"logprobs", "prompt_counted"}) for c in choice.candidates]
    assert dumped == told["quorate"]["candidates"]
    assert [cluster.model_dump(mode="json") for cluster in choice.answer.tally] == told["quorate"]["tally"]
    assert sorted(call.indices for call in choice.calls) == [(0,), (1,), (2,)]
    [retried] = [call for call in choice.calls if call.failures]
    assert len(retried.sent) == 2
    assert retried.failures[0][1:] == ("upstream_bad_reply", 503)
    whats = [moment.what for moment in choice.moments]
    assert whats[:2] == ["node", "candidate_started"]
    assert whats[-1] == "done"
    assert whats.count("candidate_finished") == 3
    assert 1 <= whats.count("tally") <= 3, "those that came together are counted together"
    assert [m.at for m in choice.moments] == sorted(m.at for m in choice.moments)
    assert 0 < choice.moments[-1].at <= trace.seconds


async def test_without_leave_a_trace_holds_no_text(start: Start, tmp_path: Path) -> None:
    """Neither question, answer, thinking, log-probabilities nor an upstream's words; votes are told by letters."""
    file = tmp_path / "traces.sqlite"
    says = [rf"it is \boxed{{{PRIVATE}-{said}}}" for said in ("one", "one", "other")]

    def script(received: object) -> Reply:
        return Reply(says[len(up.requests) - 1], reasoning=f"{PRIVATE}-thought")

    async with (
        ScriptedUpstream(script) as up,
        ScriptedUpstream(Fault.status(400, f"{PRIVATE}-words")) as down,
        Endpoint("m", base_url=up.url, n_supported=False) as agent,
        Endpoint("bad", base_url=down.url) as bad,
        start(agent, bad, traces=file) as served,
    ):
        question = {"messages": [{"role": "user", "content": f"{PRIVATE}-question"}], "logprobs": True}
        assert (await served.post(model="majority@3/m", **question)).status_code == 200
        assert (await served.post(model="bad", **question)).status_code == 400
    assert PRIVATE.encode() not in held(tmp_path)
    good, refused = traces(file)
    assert PRIVATE not in good.model_dump_json() + refused.model_dump_json()
    assert good.question_key == refused.question_key
    answer = good.choices[0].answer
    assert answer is not None
    assert [(cluster.answer, cluster.votes) for cluster in answer.tally] == [("A", 2), ("B", 1)]
    assert answer.answer == "A"
    assert sorted(c.answer or "" for c in answer.candidates) == ["A", "A", "B"]
    assert refused.error is not None
    assert (refused.error.code, refused.error.message) == ("upstream_rejected", "")


async def test_what_models_wrote_together_is_counted_and_not_told_without_leave(start: Start, tmp_path: Path) -> None:
    """Counts stay; every token's story and the reasons of lost verifiers go."""
    file = tmp_path / "traces.sqlite"
    story = TokenStep(text=f"{PRIVATE}-token", why="agreed")
    told = Ensembling(counts={"agreed": 1}, drafted=1, verifications=1, lost=(f"{PRIVATE}-lost",), steps=(story,))
    notes = (Degradation(code="verifier_lost", where="answer: echo", detail=f"{PRIVATE}-lost"),)
    said = Candidate(index=0, model="echo", text="4", ensembling=told, degraded=notes)
    async with start(Echo(say=lambda question, index: said), traces=file) as served:
        assert (await served.post()).status_code == 200
    assert PRIVATE.encode() not in held(tmp_path)
    [trace] = traces(file)
    assert PRIVATE not in trace.model_dump_json()
    [candidate] = trace.choices[0].candidates
    assert candidate.ensembling is not None
    assert (candidate.ensembling.counts, candidate.ensembling.lost) == ({"agreed": 1}, ("",))
    assert [note.code for note in candidate.degraded] == ["verifier_lost"]


async def test_failed_and_left_requests_are_kept_too(start: Start, tmp_path: Path) -> None:
    """With the samples that they had; what was never understood leaves no trace."""
    file = tmp_path / "traces.sqlite"
    stuck, echo = Stuck(first="so"), Echo()
    mixed = sample([echo, stuck], n=2) | MajorityVote()
    async with start(stuck, echo, traces=file, pipelines={"mixed": mixed}) as served:
        leaving = asyncio.create_task(served.post(model="mixed"))
        await stuck.asked.wait()
        await wait_until(lambda: bool(echo.questions))
        leaving.cancel()
        await asyncio.wait_for(stuck.cancelled.wait(), 30)
        assert (await served.post(model="nobody")).status_code == 404
    [left] = traces(file)
    assert left.status == 499
    assert [(c.model, c.ok) for c in left.choices[0].candidates] == [("echo", True), ("stuck", False)]


async def test_no_key_reaches_the_file(start: Start, tmp_path: Path) -> None:
    """The caller's by its name, the upstream's not at all, even where texts are kept."""
    file = tmp_path / "traces.sqlite"
    caller, upstream = "caller-key-3141592653", "upstream-key-2718281828"
    keys = (ApiKey(name="ann", hash=hash_key(caller)),)
    script = [Fault.status(401, f"bad key {upstream}"), Reply("4")]
    async with (
        ScriptedUpstream(script) as up,
        Endpoint("m", base_url=up.url, api_key=upstream) as agent,
        start(agent, keys=keys, traces=file, log_prompts=True) as served,
    ):
        for _ in range(2):
            await served.http.post(
                "/v1/chat/completions", json=asked() | {"model": "m"}, headers={"authorization": f"Bearer {caller}"}
            )
    assert caller.encode() not in held(tmp_path)
    assert upstream.encode() not in held(tmp_path)
    assert [trace.key for trace in traces(file)] == ["ann", "ann"]


async def test_early_stops_and_streams_are_told(start: Start, tmp_path: Path) -> None:
    """Why sampling stopped, and when the first tokens came."""
    file = tmp_path / "traces.sqlite"
    model = Echo(say=lambda question, index: "it is 4")
    vote = sample(model, n=8, wave=2, stop=AdaptiveConsistency(0.8)) | MajorityVote()
    async with start(model, pipelines={"sure": vote}, traces=file, log_prompts=True) as served:
        await served.post(model="sure", stream=True)
    [trace] = traces(file)
    assert trace.streamed
    moments = {moment.what: moment for moment in trace.choices[0].moments}
    assert moments["stopped"].text.startswith("adaptive consistency: 2 to 0 votes")
    assert moments["first_token"].index is not None
    assert moments["tally"].text == "4 x2"


async def test_a_file_that_is_no_store_is_refused_before_serving(start: Start, tmp_path: Path) -> None:
    """A sample bank, a text file, and a folder that cannot be made."""
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be looked at " * 40)
    bank = tmp_path / "bank.sqlite"
    with sqlite3.connect(bank) as db:
        db.execute("PRAGMA user_version=1")
        db.execute("CREATE TABLE samples (id INTEGER)")
    db.close()
    for file, error in ((text, DataError), (bank, DataError), (text / "below", BadInput)):
        with pytest.raises(error, match=re.escape(str(file.parent if file.parent == text else file))):
            async with start(Echo(), traces=file):
                pass


async def test_a_store_that_breaks_loses_traces_and_no_request(start: Start, tmp_path: Path) -> None:
    """What could not be written is counted."""
    file = tmp_path / "traces.sqlite"
    async with start(Echo(), traces=file) as served:
        with sqlite3.connect(file) as db:
            db.execute("DROP TABLE choices")
        db.close()
        assert (await served.post()).status_code == 200
        async with asyncio.timeout(30):
            while (await scraped(served)).value("quorate_traces_lost_total") != 1:
                pass
        assert (await served.post()).status_code == 200


async def test_traces_wait_for_a_full_disk(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The latest of them, in order; the log says why, and that there is room again."""
    most_pages, tries = 1, 0

    class SmallStore(TraceStore):
        def add(self, given: Iterable[Trace]) -> None:
            nonlocal tries
            self.execute(f"PRAGMA max_page_count={most_pages}")
            tries += 1
            super().add(given)

    monkeypatch.setattr(trace_writer, "TraceStore", SmallStore)
    monkeypatch.setattr(trace_writer, "PAUSE", 0.05)
    monkeypatch.setattr(trace_writer, "KEPT", 2)
    long = [random.Random(number).randbytes(10_000).hex() for number in range(4)]
    file = tmp_path / "traces.sqlite"
    async with start(Echo(), traces=file, log_prompts=True) as served:
        for text in long:
            assert (await served.post(**asked(text))).status_code == 200
        before = tries
        await wait_until(lambda: tries > before + 2)
        assert (await scraped(served)).value("quorate_traces_lost_total") == 2
        assert traces(file) == []
        most_pages = 2**30
        await wait_until(lambda: len(traces(file)) == 2)
    assert [trace.question.text for trace in traces(file) if trace.question] == long[2:]
    assert "disk is full; everything before is kept; the latest 2 traces wait" in caplog.text
    assert "traces are written again" in caplog.text


def test_old_traces_and_too_many_are_deleted(tmp_path: Path) -> None:
    """By age, and by size with the oldest first; the file gets smaller."""
    store = TraceStore(tmp_path / "t.sqlite")
    store.add(
        Trace(id=f"r{i}", began=float(i), seconds=1.0, status=200, model="m" * 2000, route="/v1") for i in range(1000)
    )
    full = store.size
    assert store.prune(before=100.0, most_bytes=full) == 100
    assert [line.id for line in store.latest(1)] == ["r999"]
    assert next(iter(store.all())).id == "r100"
    gone = store.prune(before=0.0, most_bytes=full // 2)
    assert 300 <= gone <= 600
    assert store.size <= full // 2
    assert [line.id for line in store.latest(1)] == ["r999"], "the latest stay"
    store.close()
    assert (tmp_path / "t.sqlite").stat().st_size <= full * 0.6


async def test_what_is_in_the_file_survives_kill_9(tmp_path: Path) -> None:
    """A server that is killed leaves a store that can be read and gone on with."""
    file = tmp_path / "traces.sqlite"
    async with ScriptedUpstream(Reply("it is 4")) as up:
        command = [sys.executable, "-c", "from quorate.cli import main; main()"]
        for round_ in (1, 2):
            process = await asyncio.create_subprocess_exec(
                *command, "serve", "--upstream", up.url, "--port", "0", "--traces", str(file), stderr=subprocess.PIPE
            )
            assert process.stderr is not None
            line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
            found = re.search(r"http://\S+/v1", line)
            assert found, line
            async with httpx.AsyncClient(timeout=30) as client:
                for _ in range(3):
                    reply = await client.post(f"{found[0]}/chat/completions", json=asked() | {"model": "scripted"})
                    assert reply.status_code == 200
            until = time.monotonic() + 30
            while len(traces(file)) < 3 * round_ and time.monotonic() < until:  # noqa: ASYNC110  another process writes
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            assert len(traces(file)) == 3 * round_
