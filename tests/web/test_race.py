"""The race in a real browser: to its end, through failures, cut off in the middle, from a link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from quorate import Endpoint
from quorate.agents.settings import RetryPolicy
from quorate.config.server_settings import ApiKey, KeyBudget, hash_key
from quorate.testing import Fault, Reply, ScriptedUpstream
from quorate.testing.script import Step
from tests.server.conftest import Start
from tests.server.scripted import Echo

from .conftest import OpenPage, ask, ended, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORKING = "Six times seven.\n\nSo it is 42.\n\nAnswer: 42"


def _in_turn(*steps: Step) -> Callable[[Any], Step]:
    """The steps over and over."""
    places = iter(range(10**6))
    return lambda _: steps[next(places) % len(steps)]


async def _texts(page: Any, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in await page.locator(selector).all_inner_texts()]


async def test_a_race_to_its_end(start: Start, open_page: OpenPage) -> None:
    """Cells take their class's colour, the needle falls, the answer says why it won, and what it cost adds up."""
    steps = [Reply(WORKING)] * 3 + [Reply("It is 41.\n\nAnswer: 41")]
    async with (
        ScriptedUpstream(_in_turn(*steps), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url) as page,
    ):
        assert await violations(page) == []
        await ask(page, "What is 6 * 7?", samples=8, pipeline="built:majority")
        await ended(page)
        assert await page.locator(".cell.finished.known").count() == 8
        assert await _texts(page, ".bars li") == ["A 42 6 votes", "B 41 2 votes"]
        assert "decided" in (await _texts(page, ".needle figcaption"))[0]
        assert (await page.locator(".answer .prose").inner_text()).startswith("Six times seven.")
        assert "6 of 8, 2 classes" in (await _texts(page, ".why"))[0]
        assert await page.locator(".cell.won").count() == 1
        assert await page.locator(".node.ended").count() == 4
        assert await page.locator(".minority .dissent").count() == 1
        await page.click(".minority summary")
        assert "It is 41." in await page.locator(".minority .theirs").first.inner_text()
        assert (await _texts(page, ".cost tbody th"))[:3] == ["this run", "one sample", "all 8 samples"]
        assert await violations(page) == []


async def test_the_first_minute(start: Start, open_page: OpenPage) -> None:
    """Whoever has no question yet reads what will happen, and asks an example by one click."""
    async with (
        ScriptedUpstream(Reply(WORKING), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url) as page,
    ):
        await page.wait_for_selector(".intro li:nth-child(3)")
        example = page.locator(".example").first
        text = await example.get_attribute("title")
        await example.click()
        await ended(page)
        assert await page.input_value("#question") == text
        assert upstream.requests[0].body["messages"][-1]["content"] == text
        assert await page.locator(".intro").count() == 0


async def test_who_has_no_vote(start: Start, open_page: OpenPage) -> None:
    """A sample that states no answer says so."""
    steps = [Reply(WORKING)] * 3 + [Reply("Let me think about")]
    async with (
        ScriptedUpstream(_in_turn(*steps), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url) as page,
    ):
        await ask(page, "What is 6 * 7?", samples=4, pipeline="built:majority")
        await ended(page)
        assert await _texts(page, ".cell-note") == ["no vote"]


async def test_stopping_early_saves_tokens(start: Start, open_page: OpenPage) -> None:
    async with (
        ScriptedUpstream(Reply(WORKING), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url) as page,
    ):
        await ask(page, "What is 6 * 7?", samples=16, pipeline="built:adaptive-consistency")
        await ended(page)
        assert await page.locator(".cell.waiting").count() == 12
        assert "Stopped early" in await page.locator(".side").inner_text()
        assert int((await page.locator(".saved dd").inner_text()).replace(",", "")) == 12 * 9
        assert "would have changed the winner" in await page.locator(".needle").inner_text()


async def test_failures_are_told_in_words(start: Start, open_page: OpenPage) -> None:
    """One sample fails and the answer stands; all fail, and the page says what the server said and what to do."""
    steps = [Reply(WORKING), Reply(WORKING), Reply(WORKING), Fault.status(400, "the GPU is <b>on fire</b>")]
    script = [_in_turn(*steps)]

    def answer(received: Any) -> Step:
        return script[0](received)

    async with (
        ScriptedUpstream(answer, refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url, retries=RetryPolicy(attempts=1)) as endpoint,
        start(endpoint) as served,
        open_page(served.url) as page,
    ):
        await ask(page, "What is 6 * 7?", samples=4, pipeline="built:majority")
        await ended(page)
        assert "the GPU is <b>on fire</b>" in await page.locator(".cell.failed").inner_text()
        assert await _texts(page, ".badge summary") == ["a sample failed"]
        script[0] = _in_turn(Fault.status(400, "nothing works"))
        await page.click(".ask .primary")
        await ended(page, "failed")
        assert "nothing works" in await page.locator(".fault").inner_text()
        assert await page.locator(".cell.failed").count() == 4
        assert await violations(page) == []


async def test_a_run_is_stopped_and_shown_again(start: Start, open_page: OpenPage) -> None:
    """Stopping cancels the upstream's work; so does a reload, after which the page says so and has what had come."""
    hold = asyncio.Event()
    async with (
        ScriptedUpstream(Reply("thinking about it", hold=hold), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url, expects=("404 (Not Found)",)) as page,
    ):
        await ask(page, "What is 6 * 7?", samples=4, pipeline="built:majority")
        await page.wait_for_selector(".cell.writing .cell-text:has-text('thinking')")
        await page.click(".stop")
        await ended(page, "left")
        assert await page.locator(".cell.cancelled").count() == 4
        await page.click(".ask .primary")
        await page.wait_for_selector(".cell.writing .cell-text:has-text('thinking')")
        await page.reload()
        await ended(page, "left")
        assert "This run was cut off" in await page.locator(".note-box").inner_text()
        assert await page.locator(".asked").inner_text() == "What is 6 * 7?"
        assert await page.locator(".cell-text:has-text('thinking')").count() >= 1
        assert await page.locator(".cell.writing").count() == 0
        assert all(received.disconnected for received in upstream.requests if received.completion_tokens)
        hold.set()
        await page.click(".note-box button")
        await ended(page)
        await page.goto(served.url + "/#run/none-of-this-name")
        await page.wait_for_selector(".fault")
        assert "in memory until the server ends" in await page.locator(".fault").inner_text()
        for mangled in ("#run/%", "#run/" + "x" * 3000, "#run/..%2f..%2fv1%2fmodels"):
            await page.goto(served.url + "/" + mangled)
            await page.wait_for_selector(".fault")
        await page.goto(served.url + "/#run/")
        await page.wait_for_selector(".ask")


async def test_a_link_shows_the_run_again_with_its_waterfall(start: Start, open_page: OpenPage) -> None:
    async with (
        ScriptedUpstream(Reply(WORKING), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url) as page,
    ):
        await ask(page, "What is 6 * 7?", samples=4, pipeline="built:majority")
        await ended(page)
        link = page.url
        assert "#run/" in link
        async with open_page(link) as other:
            await ended(other)
            assert await other.locator(".cell.finished.known").count() == 4
            assert await other.locator(".waterfall tr.sample").count() == 4
            await other.click(".again .primary")
            await ended(other)
            assert await other.locator(".bars li").count() == 1
            assert await violations(other) == []
            await other.click("nav a:has-text('Traces')")
            await other.wait_for_selector(".traces tbody tr")
            assert "What is 6 * 7?" in await other.locator(".traces tbody tr").first.inner_text()
            assert await violations(other) == []


async def test_a_program_asked_in_parts(start: Start, open_page: OpenPage) -> None:
    """Its run has its text on the page, and can be asked again with all of its parts."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    said = [{"type": "text", "text": "What is this?"}, picture]
    async with (
        ScriptedUpstream(Reply(WORKING), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
    ):
        run = await served.http.post("/v1/events", json={"model": "m", "messages": [{"role": "user", "content": said}]})
        async with open_page(f"{served.url}/#run/{run.headers['x-request-id']}") as page:
            await ended(page)
            assert await page.locator("h1.asked").inner_text() == "What is this?"
            await page.click("text=Ask again")
            await page.wait_for_selector("#question")
            await ended(page)
            assert await page.input_value("#question") == "What is this?"
        assert [request.body["messages"][0]["content"] for request in upstream.requests] == [said, said]


async def test_a_key_that_is_taken_back(start: Start, open_page: OpenPage) -> None:
    """Without a key the page asks for one; one that is no longer good is told in words, and the next one goes on."""
    async with (
        ScriptedUpstream(Reply(WORKING), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
    ):
        keys = (ApiKey(name="ann", hash=hash_key("first")),)
        async with start(endpoint, keys=keys) as served, open_page(served.url, expects=("401 (Unauthorized)",)) as page:
            await page.wait_for_selector(".key")
            assert await violations(page) == []
            await page.fill(".key input", "wrong")
            await page.click(".key button")
            await page.wait_for_selector(".key:has-text('does not know the key')")
            await page.fill(".key input", "first")
            await page.click(".key button")
            await ask(page, "What is 6 * 7?", samples=4, pipeline="built:majority")
            await ended(page)
            await page.evaluate("sessionStorage.setItem('quorate-key', 'expired')")
            await page.click(".ask .primary")
            await page.wait_for_selector(".key:has-text('has expired')")
            assert "The server wants a key" in await page.locator(".fault").inner_text()


async def test_a_key_that_may_ask_little_and_spend_less(start: Start, open_page: OpenPage) -> None:
    """It is offered what it may ask, though it may not ask the model alone; a spent budget is told in words."""
    async with (
        ScriptedUpstream(Reply(WORKING), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
    ):
        budget = KeyBudget(tokens=60, seconds=3600)
        keys = (ApiKey(name="ann", hash=hash_key("first"), allow=("majority@*/m",), budget=budget),)
        expects = ("401 (Unauthorized)", "429 (Too Many Requests)")
        async with start(endpoint, keys=keys) as served, open_page(served.url, expects=expects) as page:
            await page.fill(".key input", "first")
            await page.click(".key button")
            await ask(page, "What is 6 * 7?", samples=4)
            await ended(page)
            assert await page.locator(".chosen > summary").inner_text() == "majority@4/m"
            for _ in range(3):
                await page.click(".ask .primary")
                await page.wait_for_selector(".run:is([data-status=done], [data-status=failed])")
            await page.wait_for_selector(".fault:has-text('spent what it may')")


async def test_what_the_page_does_not_check_is_told_by_the_server(start: Start, open_page: OpenPage) -> None:
    """Impossible settings are no silence, though their fields are folded away."""
    async with start(Echo("m")) as served, open_page(served.url, expects=("400 (Bad Request)",)) as page:
        await page.wait_for_selector(".ask")
        await page.click(".more summary")
        await page.get_by_label("Temperature").fill("-1")
        await ask(page, "What is 6 * 7?")
        await ended(page, "failed")
        assert "temperature" in await page.locator(".fault").inner_text()
        await page.click(".ask .primary")
        await ended(page, "failed")


async def test_a_server_that_stops_and_a_model_that_is_not_there(start: Start, open_page: OpenPage) -> None:
    hold = asyncio.Event()
    async with (
        ScriptedUpstream(Reply("a b", hold=hold), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
    ):
        async with start(endpoint, shutdown_seconds=0.0) as served:
            opened = open_page(served.url, expects=("404 (Not Found)", "ERR_CONNECTION_REFUSED"))
            page = await opened.__aenter__()
            await page.wait_for_selector(".ask")
            await page.click(".more summary")
            await page.fill(".settings .code", "majority@4/nowhere")
            await ask(page, "What is 6 * 7?")
            await ended(page, "failed")
            told = await page.locator(".fault").inner_text()
            assert "There is no such model" in told
            assert "nowhere" in told
            await page.click(".chosen summary")
            await ask(page, "What is 6 * 7?", pipeline="built:majority")
            await page.wait_for_selector(".cell.writing")
        await page.wait_for_selector(".run:not([data-status=running]):not([data-status=asking])")
        await page.click(".ask .primary")
        await page.wait_for_selector(".fault:has-text('does not answer')")
        await opened.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (360, "dark"),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((360, "light"), (2200, "light"), (2200, "dark"))),
    ],
)
async def test_no_page_is_wider_than_its_window(start: Start, open_page: OpenPage, width: int, scheme: str) -> None:
    steps = [Reply("x " * 300 + "y" * 4000 + "\n\nAnswer: 42"), Reply("Answer: " + "9" * 300)]
    async with (
        ScriptedUpstream(_in_turn(*steps), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url, width=width, scheme=scheme) as page,
    ):
        await ask(page, "What is 6 * 7?", samples=5, pipeline="built:majority")
        await ended(page)
        assert await page.evaluate("document.documentElement.dataset.theme") == scheme
        await page.click(".minority summary")
        wide, room = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= room
        assert await violations(page) == []


async def test_everything_works_from_the_keyboard(start: Start, open_page: OpenPage) -> None:
    async with (
        ScriptedUpstream(Reply(WORKING), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url) as page,
    ):
        await page.wait_for_selector(".ask")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        await page.focus("#question")
        await page.keyboard.type("What is 6 * 7?")
        await page.keyboard.press("Control+Enter")
        await ended(page)
        await page.focus(".cell")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("dialog[open]")
        assert await violations(page) == []
        await page.keyboard.press("Escape")
        await page.wait_for_selector("dialog", state="detached")
        assert await page.evaluate("document.activeElement.classList.contains('cell')")
        await page.wait_for_selector("[role=status]:has-text('The answer is there: 42')", state="attached")
