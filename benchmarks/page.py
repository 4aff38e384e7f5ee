"""The server's page in a real Chromium: its size, its first paint, and how many frames it draws of a large race.

    python benchmarks/page.py [--samples 64] [--tokens 4000] [--seconds 20] [--loads 15]

Needs Debian's chromium (or CHROMIUM=PATH) and playwright (`make test-page` installs it). Server and browser share the
machine's cores; the model is one of this process that writes its tokens at an even pace.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from quorate.config.catalog import Catalog
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question
from quorate.orchestrator.usage import Usage
from quorate.server import ServerSettings, run_server
from quorate.web import find_asset

FILES = (
    *(f"page/{name}" for name in ("index.html", "page.css", "theme.js", "app.js", "html.js", "api.js", "race.js")),
    *(f"page/{name}" for name in ("words.js", "ask.js", "compose.js", "nesting.js", "icon.svg")),
    *(f"vendor/{name}" for name in ("preact.js", "hooks.js", "htm.js")),
    *(f"parts/{name}" for name in ("colours.css", "charts.css")),
)
"""What the first paint waits for, or loads at once."""
TICK = 0.04
THREAD = {
    "all": "TaskDuration",
    "script": "ScriptDuration",
    "style": "RecalcStyleDuration",
    "layout": "LayoutDuration",
}
FRAMES = """() => {
  const seen = []; window.frames_seen = seen;
  const step = (now) => { seen.push(now); requestAnimationFrame(step); };
  requestAnimationFrame(step);
}"""


class Writer(Agent):
    """Writes samples of so many tokens in so many seconds, all at once."""

    name = "writer"

    def __init__(self, tokens: int, seconds: float) -> None:
        self._tokens, self._ticks = tokens, max(1, round(seconds / TICK))

    async def sample(self, _: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        for slot in slots:
            slot.start(self.name, "", seed=run.sample_seed(slot.index))
        loop = asyncio.get_running_loop()
        begun, written = loop.time(), 0
        for tick in range(1, self._ticks + 1):
            until = self._tokens * tick // self._ticks
            for slot in slots:
                for number in range(written, until):
                    slot.write(f"word{number} ")
            written = until
            await asyncio.sleep(max(0.0, begun + tick * TICK - loop.time()))
        for slot in slots:
            slot.write(f"\n\nAnswer: {40 + slot.index % 3}")
            slot.finish("stop", Usage(prompt_tokens=10, completion_tokens=self._tokens, requests=1))


async def main(samples: int, tokens: int, seconds: float, loads: int) -> None:
    from playwright.async_api import async_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        raise SystemExit("no Chromium here: apt-get install chromium")
    sizes = [asset for name in FILES if (asset := find_asset(name)) is not None]
    print(f"loaded at first: {sum(len(a.compressed) for a in sizes) / 1000:.0f} kB compressed in {len(sizes)} files")
    settings = ServerSettings(port=0, watched_runs=0)
    async with (
        run_server(Catalog({"writer": Writer(tokens, seconds)}), settings) as url,
        async_playwright() as play,
    ):
        browser = await play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        paints = [await measure_paint(browser, url) for _ in range(loads)]
        middle = statistics.median(paints)
        print(f"first paint: median {middle:.0f} ms, worst {max(paints):.0f} ms of {loads} cold loads")
        await measure_frames(browser, url, samples)
        await browser.close()


async def measure_paint(browser: Any, url: str) -> float:
    """Milliseconds from asking for the page to its first paint with content, nothing in the cache."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_selector(".ask")
    found = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    await context.close()
    return float(found)


async def read_metrics(session: Any) -> dict[str, float]:
    """CPU seconds of the page's main thread so far, by what it did."""
    found = await session.send("Performance.getMetrics")
    return {each["name"]: each["value"] for each in found["metrics"] if each["name"] in THREAD.values()}


async def measure_frames(browser: Any, url: str, samples: int) -> None:
    """Frames a second while all samples stream."""
    page = await browser.new_page(viewport={"width": 1400, "height": 1000})
    await page.goto(url)
    await page.wait_for_selector(".ask")
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    await page.select_option(".composer select", "built:majority")
    await page.locator(".samples input").fill(str(samples))
    await page.fill("#question", "What is 6 * 7?")
    await page.click(".ask .primary")
    await page.wait_for_selector(".cell.writing")
    before = await read_metrics(session)
    await page.evaluate(FRAMES)
    await page.wait_for_selector(".run[data-status=done]", timeout=600_000)
    spent = {name: value - before[name] for name, value in (await read_metrics(session)).items()}
    seen = await page.evaluate("frames_seen")
    by_second = [0] * (int((seen[-1] - seen[0]) / 1000) + 1)
    for at in seen:
        by_second[int((at - seen[0]) / 1000)] += 1
    whole = by_second[:-1] or by_second
    gaps = [later - earlier for earlier, later in pairwise(seen)]
    text = await page.locator(".side dl").inner_text()
    print(
        f"{samples} samples: {len(seen) / (seen[-1] - seen[0]) * 1000:.1f} frames a second over "
        f"{(seen[-1] - seen[0]) / 1000:.1f} s, worst second {min(whole)}, longest gap {max(gaps):.0f} ms"
    )
    long = (seen[-1] - seen[0]) / 1000
    parts = ", ".join(f"{name} {1000 * spent[key] / long:.0f} ms" for name, key in THREAD.items())
    print(f"the page's main thread, CPU time a second: {parts}")
    print("the page says:", ", ".join(text.split("\n")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--loads", type=int, default=15)
    given = parser.parse_args()
    asyncio.run(main(given.samples, given.tokens, given.seconds, given.loads))
