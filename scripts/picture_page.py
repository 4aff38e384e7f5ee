"""Takes the pictures of the server's page that stand in the documentation, from the models that ship in the package.

    python -m scripts.picture_page [--out docs/images] [--only page minority phone inside evaluations]

Real questions to a real server in a real Chromium: which moment of a race is caught is a matter of chance. Needs
Debian's chromium (or CHROMIUM=PATH) and the Python package playwright (`make browser`); takes about a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from quorate.agents import Embedded
from quorate.config.catalog import Catalog
from quorate.evals.bench import BankWorkbench
from quorate.evals.run import EvalSpec, run_eval
from quorate.orchestrator.types import SamplingParams
from quorate.server import ServerSettings, run_server

QUESTION = (
    "Mia counts 8 albums of 34 shells. There are also 3 cases with 52 shells each. Mia trades away 47 shells. At an "
    "auction Mia wins 143 shells. How many shells are left for Mia?"
)
SEED = "4"
MODELS = ("quorate-tiny-base", "quorate-tiny-sum", "quorate-tiny-product")
SYSTEMS = ("quorate-tiny-base", "majority@8/quorate-tiny-base", "adaptive-consistency@16/quorate-tiny-base")
VOTED = 6
"""Votes with which a race is caught in its middle."""
SLOWLY = """(() => {
  const ask = window.fetch, apart = 40;
  window.fetch = async (...asked) => {
    const reply = await ask(...asked);
    if (!String(asked[0]).endsWith("v1/events")) return reply;
    const slow = new TransformStream({ async transform(chunk, out) {
      for (const frame of new TextDecoder().decode(chunk).split(/(?<=\\n\\n)/)) {
        await new Promise((go) => setTimeout(go, apart));
        out.enqueue(new TextEncoder().encode(frame));
      }
    } });
    return new Response(reply.body.pipeThrough(slow), reply);
  };
})()"""
"""Has the page hear of each event a moment later, so that the middle of a race can be caught."""


async def main(out: Path, wanted: list[str]) -> None:
    from playwright.async_api import async_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        raise SystemExit("no Chromium here: apt-get install chromium")
    catalog = Catalog({name: Embedded(name) for name in MODELS})
    with tempfile.TemporaryDirectory() as folder:
        bench = BankWorkbench(Path(folder) / "bank.sqlite")
        async with (
            run_server(catalog, ServerSettings(port=0), workbench=bench) as url,
            async_playwright() as play,
            await play.chromium.launch(executable_path=path, args=["--no-sandbox"]) as browser,
        ):
            if "evaluations" in wanted:
                sampling, bank = SamplingParams(max_tokens=220), Path(folder)
                spec = EvalSpec(
                    "stories", pipelines=SYSTEMS, limit=60, tier="hard", seed=3, sampling=sampling, out=bank
                )
                await run_eval(catalog, spec)
            camera = _Camera(browser, url, out)
            async with camera.open() as page:  # the models are loaded by their first question
                await _ask(page, QUESTION)
                await page.wait_for_selector(".run[data-status=done]")
            for name in wanted:
                await PICTURES[name](camera)
                print(f"page{'' if name == 'page' else f'-{name}'}.png")


class _Camera:
    """Opens pages and takes their pictures."""

    def __init__(self, browser: Any, url: str, out: Path) -> None:
        self._browser, self._url, self._out = browser, url, out

    @asynccontextmanager
    async def open(
        self, place: str = "", *, width: int = 1280, height: int = 760, scheme: str = "light"
    ) -> AsyncGenerator[Any, None]:
        """A page of this size."""
        viewport = {"width": width, "height": height}
        context = await self._browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        page = await context.new_page()
        page.set_default_timeout(120_000)
        await page.add_init_script(SLOWLY)
        await page.goto(f"{self._url}/{place}")
        yield page
        await context.close()

    async def take(self, shown: Any, name: str) -> None:
        """Keeps a page as it is seen, or one part of it."""
        await shown.screenshot(path=self._out / f"{name}.png")


async def _ask(page: Any, question: str, *, seed: str = SEED) -> None:
    await page.wait_for_selector(".ask")
    await page.locator(".more summary").first.click()
    await page.get_by_label("Seed").fill(seed)
    await page.fill("#question", question)
    await page.click(".ask .primary")
    await page.mouse.move(0, 0)


async def _catch(page: Any) -> None:
    """Waits for the middle of a race."""
    for _ in range(2000):
        if await page.locator(".cell.known").count() >= VOTED:
            return
        await asyncio.sleep(0.01)
    raise SystemExit("no race was caught: is the machine busy?")


async def _page(camera: _Camera) -> None:
    async with camera.open() as page:
        await _ask(page, QUESTION)
        await _catch(page)
        await camera.take(page, "page")


async def _phone(camera: _Camera) -> None:
    async with camera.open(width=390, height=1100, scheme="dark") as page:
        await _ask(page, QUESTION)
        await _catch(page)
        await camera.take(page, "page-phone")


async def _minority(camera: _Camera) -> None:
    async with camera.open() as page:
        await _ask(page, QUESTION)
        await page.wait_for_selector(".run[data-status=done]")
        await page.locator(".minority summary").first.click()
        await camera.take(page.locator(".minority"), "page-minority")


async def _inside(camera: _Camera) -> None:
    async with camera.open() as page:
        await page.wait_for_selector(".ask")
        await page.select_option(".composer select", "built:cascade")
        await page.locator(".samples input").fill("16")
        await _ask(page, QUESTION)
        await page.wait_for_selector(".inside .node.running")
        await camera.take(page.locator(".graph"), "page-inside")


async def _evaluations(camera: _Camera) -> None:
    async with camera.open("#evaluations") as page:
        await page.wait_for_selector(".pairs tbody tr")
        await page.wait_for_selector("section[aria-label=Comparison] .plot .spot")
        await page.click("text=by tokens")
        await camera.take(page.locator("section[aria-label=Comparison]"), "page-evaluations")


PICTURES: dict[str, Callable[[_Camera], Awaitable[None]]] = {
    "page": _page,
    "minority": _minority,
    "phone": _phone,
    "inside": _inside,
    "evaluations": _evaluations,
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES), metavar="NAME")
    given = parser.parse_args()
    asyncio.run(main(given.out, given.only))
