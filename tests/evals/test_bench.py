"""A sample bank behind the page: preferences become labels, and evaluations are told while they run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from quorate.cli import app
from quorate.config.catalog import Catalog
from quorate.config.server_settings import ApiKey, hash_key
from quorate.evals.bank import Bank
from quorate.evals.bench import PREFERENCES, BankWorkbench
from quorate.server import ServerSettings, run_server
from tests.server.conftest import asked
from tests.server.scripted import Echo

from .report.example import filled


async def _ask(http: httpx.AsyncClient, model: str, text: str = "hello there") -> str:
    reply = await http.post("/v1/events", json={**asked(text), "model": model})
    return reply.headers["x-request-id"]


async def test_a_preference_is_a_label_in_the_bank(tmp_path: Path) -> None:
    """Two answers of one question, right where they were good; saying it again changes nothing."""
    catalog, file = Catalog({"echo": Echo()}), tmp_path / "bank.sqlite"
    async with (
        run_server(catalog, ServerSettings(port=0), workbench=BankWorkbench(file)) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as http,
    ):
        runs = [await _ask(http, "majority@3/echo"), await _ask(http, "echo")]
        other = await _ask(http, "echo", "something else")
        body: dict[str, Any] = {"runs": runs, "better": "first", "blind": True}
        for _ in range(2):
            reply = await http.post("/v1/preferences", json=body)
            assert reply.json()["models"] == ["majority@3/echo", "echo"]
        for wrong, words in (
            ({**body, "runs": [runs[0], other]}, "not two runs of one question"),
            ({**body, "runs": [runs[0], runs[0]]}, "not two runs of one question"),
            ({**body, "runs": [runs[0], "gone"]}, "in memory any more"),
            ({**body, "better": "left"}, "better"),
        ):
            refused = await http.post("/v1/preferences", json=wrong)
            assert refused.status_code in {400, 404}
            assert words in refused.json()["error"]["message"]
    with Bank(file, create=False) as bank:
        sets = list(bank.sets(task=PREFERENCES))
        kept = [pair for each in sets for pair in zip(each.candidates, each.correct, strict=True)]
        assert {candidate.agent: right for candidate, right in kept} == {"majority@3/echo": True, "echo": False}
        assert {each.question.text for each in sets} == {"hello there"}


async def test_evaluations_are_told_as_far_as_they_came(tmp_path: Path) -> None:
    file = tmp_path / "bank.sqlite"
    with await filled(file, finished=False):
        pass
    keys = (ApiKey(name="all", hash=hash_key("a")), ApiKey(name="one", hash=hash_key("b"), allow=("echo",)))
    settings = ServerSettings(port=0, keys=keys)
    async with (
        run_server(Catalog({"echo": Echo()}), settings, workbench=BankWorkbench(file)) as url,
        httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer a"}, timeout=30) as http,
    ):
        [run] = (await http.get("/v1/evaluations")).json()["data"]
        assert (run["task"], run["finished"], run["questions"], run["answers"]) == ("sums", None, 13, 15)
        told = (await http.get(f"/v1/evaluations/{run['id']}")).json()
        assert [system["name"] for system in told["systems"]] == run["pipelines"]
        value, low, high = told["systems"][0]["accuracy"]
        assert low <= value <= high
        assert told["rows"][0]["right"] == [False, True, False]
        assert len(told["rows"]) == 5
        for path, status in (("99", 404), ("x", 404), ("9" * 30, 404)):
            assert (await http.get(f"/v1/evaluations/{path}")).status_code == status
        refused = await http.get("/v1/evaluations", headers={"authorization": "Bearer b"})
        assert refused.status_code == 403


@pytest.mark.parametrize("by", ["tokens", "seconds"])
async def test_a_comparison_is_that_of_eval_compare(tmp_path: Path, by: str) -> None:
    """Of a whole run the same pairs to the last digit, and curves of its models' samples with all that they take."""
    file = tmp_path / "bank.sqlite"
    with await filled(file):
        pass
    command = ["eval", "compare", str(tmp_path), "--by", by, "--json"]
    printed = await asyncio.to_thread(CliRunner().invoke, app, command)
    [task] = json.loads(printed.stdout)["tasks"]
    async with (
        run_server(Catalog({"echo": Echo()}), ServerSettings(port=0), workbench=BankWorkbench(file)) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as http,
    ):
        told = (await http.get(f"/v1/evaluations/1/comparison?by={by}")).json()
        assert told == (await http.get(f"/v1/evaluations/1/comparison?by={by}")).json()
        pairs = [(p["a"], p["b"], *p["difference"], p["p"], p["p_holm"], p["budget"], p["note"]) for p in told["pairs"]]
        assert pairs == [
            (p["a"], p["b"], q["difference"], q["low"], q["high"], q["p"], p["p_holm"], p["budget"], p["note"])
            for p in task["pairs"]
            for q in [p["paired"]]
        ]
        assert len(pairs) == 3
        assert {curve["name"] for curve in told["curves"]} == {"majority@k", "pass@k (any right)"}
        last = told["curves"][0]["points"][-1]
        assert (last["k"], last["tokens"], last["seconds"], last["cost"]) == (4, 46.0, 0.5, None)
        for path, status in (("1/comparison?by=joules", 400), ("9/comparison", 404), ("1/other", 404), ("1/", 404)):
            assert (await http.get(f"/v1/evaluations/{path}")).status_code == status


async def test_without_a_bank_there_is_nothing(tmp_path: Path) -> None:
    """A server without one has no such paths; a bank that is not there yet is empty, and made by a preference."""
    async with run_server(Catalog({"echo": Echo()})) as url, httpx.AsyncClient(base_url=url, timeout=30) as http:
        assert (await http.get("/v1/evaluations")).json()["error"]["code"] == "unknown_url"
    bench = BankWorkbench(tmp_path / "new" / "bank.sqlite")
    async with (
        run_server(Catalog({"echo": Echo()}), ServerSettings(port=0), workbench=bench) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as http,
    ):
        assert (await http.get("/v1/evaluations")).json()["data"] == []
        assert (await http.get("/v1/evaluations/1")).status_code == 404
        runs = await asyncio.gather(_ask(http, "echo"), _ask(http, "majority@2/echo"))
        body = {"runs": runs, "better": "neither"}
        assert (await http.post("/v1/preferences", json=body)).status_code == 200
        assert (await http.get("/v1/evaluations")).json()["data"] == []
