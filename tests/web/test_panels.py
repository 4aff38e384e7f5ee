"""What stands beside the race: analyses, tokens, two pipelines against each other, evaluations."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from quorate import Endpoint, load_config
from quorate.agents import Embedded
from quorate.aggregators.registry import PIPELINES, SECTIONS
from quorate.config.catalog import Catalog
from quorate.evals.bank import Bank
from quorate.evals.bench import PREFERENCES, BankWorkbench
from quorate.orchestrator.amplification import requests_of
from quorate.orchestrator.drawing import draw_mermaid
from quorate.server import ServerSettings, run_server
from quorate.testing import Reply, ScriptedUpstream
from quorate.testing.script import Step
from tests.aggregators.panels.test_fusion import ANALYSIS, LYON, PARIS
from tests.evals.report.example import filled
from tests.server.conftest import Start
from tests.server.scripted import Echo

from .conftest import OpenPage, ask, ended, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_analysis_of_a_fusion(start: Start, open_page: OpenPage) -> None:
    places = iter([PARIS, LYON] * 50)

    def answer(received: Any) -> Step:
        asked = json.dumps(received.body)
        if "Reply with one JSON object" in asked:
            return Reply(ANALYSIS)
        return Reply("It is *Paris*.") if LYON in asked else Reply(next(places))

    async with (
        ScriptedUpstream(answer, refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url) as page,
    ):
        await ask(page, "Which city?", samples=2, pipeline="built:fusion")
        await ended(page)
        analysis = await page.locator(".analysis").inner_text()
        for words in ("All say", "it is in France", "They contradict each other on", "city", "None of them says"):
            assert words in analysis
        assert await page.locator(".answer em").inner_text() == "Paris"
        assert "written anew" in await page.locator(".why").inner_text()
        assert await violations(page) == []


async def test_pipelines_inside_a_pipeline(start: Start, open_page: OpenPage) -> None:
    """A cascade's graph has the vote that is asked first inside its node; the node that runs is lit there, too."""
    hold = asyncio.Event()
    async with (
        ScriptedUpstream(Reply("Answer: 42", hold=hold), refuses=["n"]) as upstream,
        Endpoint("a/b", base_url=upstream.url) as first,
        Endpoint("b", base_url=upstream.url) as second,
        start(first, second) as served,
        open_page(served.url) as page,
    ):
        await ask(page, "What is 6 * 7?", samples=3, pipeline="built:cascade")
        await page.wait_for_selector(".inside .node.running")
        assert await _texts(page, ".node.running > text") == ["majority@3/a/b", "sample x 3"]
        await page.set_viewport_size({"width": 360, "height": 740})
        assert await page.locator(".lanes > .graph > svg > .node.running").is_visible()
        assert "majority@3/a/b (running now; inside" in str(await page.get_attribute(".graph svg", "aria-label"))
        hold.set()
        await ended(page)
        assert await _texts(page, ".lanes > .graph > svg > .node.ended > text") == [
            "question",
            "majority@3/a/b",
            "answer",
        ]
        assert await _texts(page, ".inside .node.ended > text") == ["sample x 3", "aggregate", "majority"]
        assert await page.locator(".cell, .needle").count() == 0
        assert await violations(page) == []


async def test_members_of_a_layer_that_are_pipelines(start: Start, open_page: OpenPage) -> None:
    """What runs in the thread of a layer is lit, too; each pipeline is drawn once a node."""
    async with (
        ScriptedUpstream(Reply("Answer: 42"), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url) as page,
    ):
        await page.click(".more summary")
        await page.fill(".settings .code", "moa@2/majority@2/m")
        await ask(page, "What is 6 * 7?")
        await ended(page)
        assert await page.locator(".inside").count() >= 2
        assert await page.locator(".inside .node:not(.edge-node):not(.ended)").count() == 0


async def _texts(page: Any, selector: str) -> list[str]:
    return list(await page.locator(selector).all_text_contents())


async def test_every_way_is_composed_by_clicking(start: Start, open_page: OpenPage) -> None:
    """A way that takes several models has them, numbered in their order; one token by token only those that can."""
    models = [Embedded("quorate-tiny-base", name=name) for name in ("a", "b", "c")]
    async with start(Echo("far"), *models) as served, open_page(served.url) as page:
        await page.wait_for_selector(".ask")
        await page.click(".more summary")
        named, picks = page.locator(".settings .code"), page.locator(".models .pick")
        offered = await page.locator(".composer option").evaluate_all("all => all.map((o) => o.value.slice(6))")
        built_in = {spec.name for section in SECTIONS.values() for spec in section if spec.listed}
        assert built_in <= set(offered)
        await page.select_option(".composer select", "built:cascade")
        assert await named.input_value() == "cascade@3/far+a"
        await picks.filter(has_text="far").click()  # it takes two, so this one stays
        await picks.filter(has_text="c").click()
        assert await named.input_value() == "cascade@3/far+a+c"
        await picks.filter(has_text="far").click()
        assert await named.input_value() == "cascade@3/a+c"
        assert (await page.locator(".rank").all_inner_texts()) == ["1", "2"]
        await page.select_option(".models select", "majority")
        assert await named.input_value() == f"cascade@3/a+majority@{PIPELINES['majority'].n}/c"
        assert (await page.locator(".rank").all_inner_texts()) == ["1", "2"]
        assert await violations(page) == []
        await picks.filter(has_text="b").click()
        assert await named.input_value() == "cascade@3/a+c+b", "what is asked next is the last one"
        await picks.filter(has_text="b").click()
        await page.select_option(".composer select", "built:glimpse")
        assert (await picks.all_inner_texts()) == ["1\na", "b", "2\nc"]
        await picks.filter(has_text="b").click()
        assert await named.input_value() == "glimpse/a+b"
        assert await violations(page) == []


YAML = "async (request) => (await import('/web/page/copy.js')).asYaml(request)"


async def test_what_is_copied_as_yaml_is_the_same_pipeline(start: Start, open_page: OpenPage, tmp_path: Path) -> None:
    """Whatever is nested in it, and where names of models look like names of pipelines."""
    names = ("majority@4/a", "cascade@3/a+esc@5/b+c/d", "safe/a+b", "majority@5/safe/a+b", "moa/c/d+a", "run-off")
    models = {name: Embedded("quorate-tiny-base", name=name) for name in ("a", "b", "c/d")}
    file = tmp_path / "quorate.yaml"
    own = "".join(f"  {name}: {{type: embedded, model: quorate-tiny-base}}\n" for name in models)
    async with start(*models.values()) as served, open_page(served.url) as page:
        await page.wait_for_selector(".ask")
        for name in names:
            request = {"model": name, "temperature": 0.7, **({"quorate": {"stop": "esc"}} if name == "run-off" else {})}
            file.write_text(f"models:\n{own}{await page.evaluate(YAML, request)}", encoding="utf-8")
            made, meant = load_config(file).catalog().resolve("mine"), Catalog(dict(models)).resolve(name)
            assert [single.model for single in made.identity.singles] == [s.model for s in meant.identity.singles]
            assert draw_mermaid(made).count("sample x") == draw_mermaid(meant).count("sample x")
            assert requests_of(made) == requests_of(meant)
        assert "stop: {rule: esc}" in file.read_text(encoding="utf-8")
        assert "own configuration" in await page.evaluate(YAML, {"model": "c/d"})


@pytest.mark.slow
async def test_every_token_of_models_that_write_together(start: Start, open_page: OpenPage) -> None:
    """Two shipped models: a token that they decided together says what each would have said; arrow keys walk on."""
    models = [Embedded("quorate-tiny-base", name="base"), Embedded("quorate-tiny-sum", name="sum")]
    async with start(*models) as served, open_page(served.url) as page:
        await ask(page, "What is 17 * 24?", pipeline="built:safe")
        await page.wait_for_selector(".token", timeout=120_000)
        answer = await page.locator(".answer .prose").inner_text()
        assert answer.split("Answer:")[1].strip() in "".join(await page.locator(".token").all_inner_texts())
        await page.locator(".token").first.focus()
        await page.keyboard.press("ArrowRight")
        assert await page.locator(".token[aria-pressed=true]").count() == 1
        await page.locator(".token:is(.ensembled, .accepted, .agreed)").first.hover()
        assert await page.locator(".token-detail tbody tr").count() == 2
        assert await violations(page) == []


@pytest.mark.parametrize("blind", [True, False])
async def test_a_preference_between_two_pipelines(open_page: OpenPage, tmp_path: Path, blind: bool) -> None:
    """Blind, nothing tells which is which until the choice; that lands in the bank as a label."""
    file = tmp_path / "bank.sqlite"
    async with (
        ScriptedUpstream(Reply("So it is 42.\n\nAnswer: 42"), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        run_server(Catalog({"m": endpoint}), ServerSettings(port=0), workbench=BankWorkbench(file)) as url,
        open_page(url + "/#against") as page,
    ):
        await page.wait_for_selector(".against")
        assert await violations(page) == []
        await page.set_checked(".blind input", blind)
        await page.fill("#question", "What is 6 * 7?")
        await page.click(".ask .primary")
        await page.wait_for_selector(".verdict button:not([disabled])")
        shown = await page.locator(".half h2").all_inner_texts()
        assert ("Left" in shown) is blind
        assert (await page.locator(".half .race").count() == 0) is blind
        await page.locator(".verdict button").first.click()
        await page.wait_for_selector(".verdict:has-text('Kept in the sample bank')")
        await page.wait_for_selector(".half .race")
        better = (await page.locator(".half > h2").all_inner_texts())[0]
        assert await violations(page) == []
    with Bank(file, create=False) as bank:
        labels = {
            c.agent: right for s in bank.sets(PREFERENCES) for c, right in zip(s.candidates, s.correct, strict=True)
        }
    assert labels == {"look-ahead@16/m": better == "look-ahead@16/m", "m": better == "m"}


async def test_an_evaluation_while_it_runs(open_page: OpenPage, tmp_path: Path, start: Start) -> None:
    """Its table, chart and matrix follow what the run adds; a server without a bank says how to give it one."""
    file = tmp_path / "bank.sqlite"
    bank = await filled(file, finished=False)
    async with (
        ScriptedUpstream() as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        run_server(Catalog({"m": endpoint}), ServerSettings(port=0), workbench=BankWorkbench(file)) as url,
        open_page(url + "/#evaluations", expects=("ERR_INTERNET_DISCONNECTED",)) as page,
    ):
        await page.wait_for_selector(".evaluation .plot .spot", timeout=60_000)  # it loads the statistics
        assert "15 of 39 answers" in await page.locator(".evaluation").inner_text()
        assert await page.locator(".matrix tbody tr").count() == 5
        assert await violations(page) == []
        first = next(iter(bank.outcomes()))
        bank.add_outcome(1, first.model_copy(update={"item": "sum-6", "answer": "<b>12</b>"}))
        await page.wait_for_selector(".evaluation:has-text('16 of 39 answers')")
        assert await page.locator(".matrix tbody tr").count() == 6
        await page.context.set_offline(True)
        await page.wait_for_selector(".fault:has-text('does not answer')")
        await page.context.set_offline(False)
        await page.wait_for_selector(".fault", state="detached")
        await page.click("text=where systems differ")
        assert await page.locator(".pairs tbody tr").count() == 2
        await page.click("text=by tokens")
        await page.click("text=at equal seconds")
        await page.wait_for_selector(".pairs:has-text('at equal seconds')")
        bank.add_outcome(1, first.model_copy(update={"item": "sum-7"}))
        await page.wait_for_selector(".evaluation:has-text('17 of 39 answers')")
        await page.wait_for_selector("section[aria-busy=false]")
        assert await page.locator("[aria-pressed=true]:is(:text('by tokens'), :text('at equal seconds'))").count() == 2
        assert await violations(page) == []
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.wait_for_timeout(100)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await page.click("nav a:has-text('Race')")
        await page.wait_for_selector(".ask")
    bank.close()
    async with (
        ScriptedUpstream() as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url + "/#evaluations", expects=("404 (Not Found)",)) as page,
    ):
        await page.wait_for_selector("text=quorate serve --bank DIR")
