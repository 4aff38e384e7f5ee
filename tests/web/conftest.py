"""A real Chromium, and pages in it that forgive nothing: no word in the console, no request elsewhere, no violation."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files
from typing import Any

import pytest
import pytest_asyncio

from tests.server import conftest as served

MISSING = "needs Debian's chromium (or CHROMIUM=PATH) and `make test-page`, which installs playwright"

start = served.start
"""A server of models, as the server's own tests have it."""

OpenPage = Callable[..., AbstractAsyncContextManager[Any]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncGenerator[Any, None]:
    playwright = pytest.importorskip("playwright.async_api", reason=MISSING)
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip(MISSING)
    async with playwright.async_playwright() as play:
        browser = await play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
def open_page(chromium: Any) -> OpenPage:
    """`async with open_page(url) as page:`; `expects` are words of the console that must come, others must not."""

    @asynccontextmanager
    async def opened(
        url: str, *, expects: tuple[str, ...] = (), width: int = 1280, height: int = 900, scheme: str = "light"
    ) -> AsyncGenerator[Any, None]:
        said: list[str] = []
        viewport = {"width": width, "height": height}
        context = await chromium.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        page = await context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: said.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        origin = "/".join(url.split("/")[:3])
        page.on("request", lambda request: None if request.url.startswith(origin) else said.append(request.url))
        await page.goto(url)
        yield page
        await context.close()
        unexpected = [line for line in said if not any(words in line for words in expects)]
        assert not unexpected, unexpected
        assert all(any(words in line for line in said) for words in expects), said

    return opened


async def ask(page: Any, question: str, *, samples: int | None = None, pipeline: str | None = None) -> None:
    """Types the question, chooses, asks."""
    await page.wait_for_selector(".ask")
    if pipeline is not None:
        await page.select_option(".composer select", pipeline)
    if samples is not None:
        await page.locator(".samples input").fill(str(samples))
    await page.fill("#question", question)
    await page.click(".ask .primary")


async def ended(page: Any, status: str = "done") -> None:
    """Waits for the run's end."""
    await page.wait_for_selector(f".run[data-status={status}]")


async def violations(page: Any) -> list[str]:
    """What axe finds wrong for people who use a keyboard or a screen reader."""
    axe = pytest.importorskip("axe_playwright_python", reason=MISSING)
    await page.evaluate((files(axe) / "axe.min.js").read_text(encoding="utf-8"))
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
