"""Files of requests: each line alone, in order, gone on with where it was."""

from __future__ import annotations

import asyncio
import json
import os
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from quorate import Endpoint
from quorate.config.catalog import Catalog
from quorate.evals.banked_sampler import keep_samples
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import Failure
from quorate.server import ServerSettings, create_app
from quorate.server.batch import Batch, BatchProgress
from quorate.testing import Raw, ScriptedUpstream

from .scripted import Echo


def line(name: str, text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"custom_id": name, "body": {"model": "echo", "messages": [{"role": "user", "content": text}]}, **more}


def write(folder: Path, lines: Sequence[Mapping[str, Any] | str]) -> tuple[Path, Path]:
    source = folder / "in.jsonl"
    source.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines))
    return source, folder / "out.jsonl"


async def run(source: Path, out: Path, echo: Echo | None = None, *, concurrency: int = 4, **more: Any) -> BatchProgress:
    echo = echo or Echo()
    app = create_app(Catalog({echo.name: echo}), ServerSettings(metrics=False))
    with Batch(source, out, **more) as batch:
        return await batch.run(app, concurrency=concurrency)


def read(out: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in out.read_text().splitlines()]


def text_of(record: dict[str, Any]) -> str:
    text: str = record["response"]["body"]["choices"][0]["message"]["content"]
    return text


async def test_every_api(tmp_path: Path) -> None:
    """In the order of the input, in the form of each; none of them is streamed."""
    ask: Any = [{"role": "user", "content": "hi"}]
    lines = [
        line("chat", url="/v1/chat/completions", method="POST"),
        {"custom_id": "text", "url": "/v1/completions", "body": {"model": "echo", "prompt": "hi"}},
        {"custom_id": "answer", "url": "/v1/responses", "body": {"model": "echo", "input": "hi"}},
        {"custom_id": "note", "url": "/v1/messages", "body": {"model": "echo", "max_tokens": 5, "messages": ask}},
    ]
    source, out = write(tmp_path, lines)
    progress = await run(source, out)
    records = read(out)
    assert [record["custom_id"] for record in records] == ["chat", "text", "answer", "note"]
    assert [record["response"]["status_code"] for record in records] == [200] * 4
    assert text_of(records[0]) == "hello"
    assert [r["response"]["body"].get("object", "message") for r in records] == [
        "chat.completion",
        "text_completion",
        "response",
        "message",
    ]
    assert (progress.answered, progress.failed, progress.total) == (4, 0, 4)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("{not json", "not valid JSON"),
        ("[]", "custom_id"),
        ({"body": {}}, "custom_id"),
        ({"custom_id": "x", "url": "/v1/images"}, "url must be one of"),
        ({"custom_id": "x", "body": []}, "body must be an object"),
        (line("x", method="GET"), "method must be POST"),
        ({"custom_id": "x", "body": {"stream": True}}, "does not stream"),
        (line("a"), "occurs more than once"),
    ],
)
async def test_a_bad_line_fails_alone(bad: Any, words: str, tmp_path: Path) -> None:
    """It says why, and the others are answered."""
    source, out = write(tmp_path, [line("a"), bad, line("b")])
    progress = await run(source, out)
    first, failed, last = read(out)
    assert (text_of(first), text_of(last)) == ("hello", "hello")
    assert (failed["response"], failed["error"]["code"]) == (None, "bad_line")
    assert words in failed["error"]["message"]
    assert (progress.answered, progress.failed) == (2, 1)


async def test_a_bad_line_is_told_by_its_place_in_the_file(tmp_path: Path) -> None:
    """As an editor counts lines, empty ones included."""
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n\n{not json\n")
    await run(source, out)
    assert read(out)[0]["error"]["message"].startswith("line 3 is not valid JSON")


async def test_what_the_server_refuses_stands_in_its_place(tmp_path: Path) -> None:
    """An unknown model and a bad field, with status and error as over HTTP."""
    unknown, field = line("a"), line("b")
    unknown["body"]["model"], field["body"]["temperature"] = "nonsense", -1
    source, out = write(tmp_path, [unknown, field, line("c")])
    await run(source, out)
    assert [record["response"]["status_code"] for record in read(out)] == [404, 400, 200]
    assert read(out)[1]["response"]["body"]["error"]["param"] == "temperature"


async def test_one_model_for_all_and_a_seed_for_each(tmp_path: Path) -> None:
    """The batch's model wins; a line's own seed stays, others follow from the batch's seed and the id."""
    own = line("c")
    own["body"] |= {"seed": 7, "model": "other"}
    source, out = write(tmp_path, [line("a"), line("b"), own])
    first, again, other = Echo(), Echo(), Echo()
    await run(source, out, first, model="echo")
    out.unlink()
    await run(source, out, again, model="echo")
    out.unlink()
    await run(source, out, other, model="echo", seed=1)
    seeds = [[run.seed for run in model.runs] for model in (first, again, other)]
    assert seeds[0] == seeds[1]
    assert len({*seeds[0], *seeds[2]}) == 5
    assert seeds[0][2] == seeds[2][2] == 7


async def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """What stands in the output is not asked again; a line that was cut off is."""
    source, out = write(tmp_path, [line(str(number), f"say {number}") for number in range(20)])
    await run(source, out)
    whole = [(record["custom_id"], text_of(record)) for record in read(out)]
    kept = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(kept[:7]) + kept[7][:30])
    model = Echo()
    progress = await run(source, out, model)
    assert [(record["custom_id"], text_of(record)) for record in read(out)] == whole
    assert (progress.before, progress.answered, len(model.questions)) == (7, 13, 13)


async def test_a_stop_in_the_middle_keeps_what_is_done(tmp_path: Path) -> None:
    """And leaves the output free for the next run."""
    source, out = write(tmp_path, [line(str(number)) for number in range(6)])
    model = Echo()
    model.hold = asyncio.Event()
    model.say = lambda question, index: "done"
    slow = asyncio.create_task(run(source, out, model, concurrency=2))
    await asyncio.sleep(0)
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    assert (await run(source, out)).done == 6


async def test_two_batches_on_one_output(tmp_path: Path) -> None:
    """The second is refused, as is an output that is the input, or that of another input."""
    source, out = write(tmp_path, [line("a")])
    with Batch(source, out), pytest.raises(BadInput, match="another batch is writing it"), Batch(source, out):
        pass
    with pytest.raises(BadInput, match="is the input"), Batch(source, source):
        pass
    await run(source, out)
    source.write_text(json.dumps(line("b")))
    with pytest.raises(DataError, match="another input"), Batch(source, out):
        pass
    out.write_text("no json\n")
    with pytest.raises(DataError, match="no output of a batch"), Batch(source, out):
        pass
    with pytest.raises(BadInput, match="No such file"), Batch(tmp_path / "none", out):
        pass
    source.write_text("\n \n")
    with pytest.raises(BadInput, match="has no lines"), Batch(source, tmp_path / "fresh"):
        pass
    assert not (tmp_path / "fresh").exists()


async def test_files_of_other_systems(tmp_path: Path) -> None:
    """A mark of the encoding, carriage returns, empty lines, no line feed at the end."""
    source, out = write(tmp_path, [])
    source.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(json.dumps(line(name)).encode() for name in "ab"))
    progress = await run(source, out)
    assert (progress.answered, progress.total) == (2, 2)


async def test_a_line_without_a_chance_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server says that it had no time for it; what is the line's own fault is not."""
    monkeypatch.setattr("quorate.server.batch.LONGEST", 0.001)
    asked: list[str] = []

    def say(question: Any, _: int) -> Any:
        asked.append(question.text)
        if question.text == "busy" and asked.count("busy") < 3:
            return Failure(code="rate_limited", message="slow down", status=429)
        return Failure(code="upstream_rejected", message="no", status=400) if question.text == "bad" else "fine"

    source, out = write(tmp_path, [line("a", "busy"), line("b", "bad")])
    await run(source, out, Echo(say=say), concurrency=1)
    assert asked == ["busy", "busy", "busy", "bad"]
    assert [record["response"]["status_code"] for record in read(out)] == [200, 400]


async def test_lines_are_read_as_they_are_needed(tmp_path: Path) -> None:
    """No more of them are under way than may be, and few are begun before the first is written."""
    source, out = write(tmp_path, [line(str(number)) for number in range(200)])
    most = now = 0

    class Counting(Echo):
        async def sample(self, *given: Any) -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            await super().sample(*given)
            now -= 1

    await run(source, out, Counting(), concurrency=3)
    assert most == 3
    assert [record["custom_id"] for record in read(out)] == [str(number) for number in range(200)]


@pytest.mark.slow
async def test_a_hundred_thousand_lines_are_never_in_memory(tmp_path: Path) -> None:
    """Nor are their replies: of a long file no more is held than its ids, at the start, in between and gone on with."""
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    text = "x" * 1000
    with source.open("w") as file:
        file.writelines(json.dumps({"custom_id": str(number), "body": text}) + "\n" for number in range(100_000))
    tracemalloc.start()
    try:
        assert (await run(source, out)).failed == 100_000
        assert (await run(source, out)).before == 100_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert source.stat().st_size > 10**8
    assert peak < 32 * 2**20


async def test_an_input_that_changes_meanwhile(tmp_path: Path) -> None:
    """What is added is left for the next run; lines that are gone are told, and what is done is kept."""
    source, out = write(tmp_path, [line(name) for name in "ab"])
    app = create_app(Catalog({"echo": Echo()}), ServerSettings(metrics=False))
    with Batch(source, out) as batch, source.open("a") as more:
        more.write(json.dumps(line("c"))[:20])
        more.flush()
        assert (await batch.run(app, concurrency=1)).done == 2
        more.write(json.dumps(line("c"))[20:])
    assert (await run(source, out)).before == 2
    assert [record["custom_id"] for record in read(out)] == ["a", "b", "c"]
    write(tmp_path, [line(name) for name in "abcde"])
    with Batch(source, out) as batch:
        write(tmp_path, [line(name) for name in "abcd"])
        with pytest.raises(BadInput, match="1 of its 5 lines are gone"):
            await batch.run(app, concurrency=1)
    assert len(read(out)) == 4
    with Batch(source, tmp_path / "fresh") as batch:
        source.unlink()
        with pytest.raises(BadInput, match="No such file"):
            await batch.run(app, concurrency=1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
async def test_only_plain_files(tmp_path: Path) -> None:
    """A pipe can be read once, and a device for ever."""
    source, out = write(tmp_path, [line("a")])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for given in ((pipe, out), (source, pipe), (source, Path("/dev/zero")), (tmp_path, out)):
        with pytest.raises(BadInput, match="is no plain file"), Batch(*given):
            pass


async def test_embeddings_of_an_endpoint(tmp_path: Path) -> None:
    """Passed on as they came, without a seed, through a bank, too."""
    vectors = {"object": "list", "model": "served", "data": [{"index": 0, "embedding": [0.5]}]}
    answer = Raw([json.dumps(vectors).encode()], content_type="application/json")
    asked = {"custom_id": "a", "url": "/v1/embeddings", "body": {"model": "served", "input": "hello"}}
    source, out = write(tmp_path, [asked])
    async with ScriptedUpstream(answer) as up:
        catalog = Catalog({"served": Endpoint("served", base_url=up.url)})
        with keep_samples(tmp_path / "bank.sqlite") as wrap, Batch(source, out) as batch:
            app = create_app(catalog.wrap_models(wrap), ServerSettings(metrics=False))
            await batch.run(app, concurrency=1)
        await catalog.aclose()
        assert up.requests[0].body == {"model": "served", "input": "hello"}
    assert read(out)[0]["response"]["body"]["data"] == vectors["data"]
