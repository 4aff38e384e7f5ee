"""Opens a report in a real Chromium and checks that it works there; keeps pictures to look at.

    python scripts/look_at_report.py [RUN/report/index.html] [--shots FOLDER]

Without a report it makes one whose answers, questions and names are markup wherever they can be.

No errors in the console, no request to anywhere, charts drawn, search, filters, keyboard, links and both
themes working, and no page wider than its window. Needs Debian's chromium (or CHROMIUM=PATH) and the
Python package playwright; exits with 0 where every check passed, 77 where there is no Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDE, NARROW = {"width": 1320, "height": 900}, {"width": 390, "height": 844}
MISSING = 77
"""Exit status that test runners take for 'cannot be run here'."""
READY = "html[data-ready=yes]"


def main() -> int:
    """Runs every check; prints one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, nargs="?")
    parser.add_argument("--shots", type=Path, help="folder for PNG files of light and dark, wide and narrow")
    given = parser.parse_args()
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("no Chromium here: apt-get install chromium")
        return MISSING
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("playwright is not installed: pip install playwright")
        return MISSING
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as play:
        report = given.page or example(Path(scratch))
        chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        try:
            look = Look(chromium, report.resolve().as_uri(), given.shots)
            for check in (look.works, look.searches, look.filters, look.keys, look.links, look.fits):
                check()
                print(f"{check.__name__}: {check.__doc__}")
        finally:
            chromium.close()
    return 0


def example(folder: Path) -> Path:
    """The page of the tests' own bank."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.evals.report.example import filled

    from quorate.evals.report.collect import collect
    from quorate.evals.report.files import write_report

    async def written() -> Path:
        with await filled(None) as bank:
            return write_report(await collect(bank), folder, pictures=False)[0]

    # In a thread of its own: the browser's driver has an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, written()).result()


class Look:
    """One report under test."""

    def __init__(self, browser: Any, address: str, shots: Path | None) -> None:
        self._browser, self._address, self._shots = browser, address, shots

    @contextmanager
    def page(self, size: dict[str, int] = WIDE, scheme: str = "light", at: str = "") -> Iterator[Any]:
        """The open report; whatever the console says or the page asks for from elsewhere fails the check."""
        said: list[str] = []
        context = self._browser.new_context(viewport=size, color_scheme=scheme)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"console: {message.text}"))
        page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        own = self._address
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith(own) else None)
        page.goto(own + at)
        page.wait_for_selector(READY, timeout=60_000)
        yield page
        assert not said, said
        context.close()

    def works(self) -> None:
        """opens without a word in the console or a request, with its charts and its first question"""
        with self.page() as page:
            assert page.locator(".plot .spot").count() > 0
            page.wait_for_selector("#question .head")
            assert page.locator("#list .item").count() > 0
            assert page.locator("main :is(img, script, iframe, b.evil)").count() == 0

    def searches(self) -> None:
        """finds a question by its own words, and nothing by none of its words"""
        with self.page() as page:
            words = page.locator("#list .item .foot .name").first.text_content()
            page.fill("#search", words)
            _until(page, "document.querySelectorAll('#list .item').length >= 1")
            page.fill("#search", "no question says this 0x5eed")
            _until(page, "document.querySelectorAll('#list .item').length === 0")
            page.check("#deep")
            _until(page, "!document.querySelector('#found').textContent.includes('looking')")
            assert page.locator("#found").text_content().startswith("0 questions")

    def filters(self) -> None:
        """right and wrong questions of a system add up, and clearing shows all again"""
        with self.page() as page:
            whole = _count(page)
            found = {}
            for verdict in ("right", "wrong"):
                page.select_option("#verdict", verdict)
                found[verdict] = _count(page)
            if page.locator("#system option").first.text_content() != "none":
                assert sum(found.values()) <= whole
                assert sum(found.values()) > 0
            page.select_option("#votes", "split")
            page.click("#filters button[type=reset]")
            page.wait_for_timeout(100)
            assert _count(page) == whole

    def keys(self) -> None:
        """arrow keys walk through the list and through a chart's points"""
        with self.page() as page:
            page.focus("#list")
            before = page.locator(".item[aria-selected=true]").get_attribute("id")
            if _count(page) > 1:
                page.keyboard.press("ArrowDown")
                _until(page, f"document.querySelector('.item[aria-selected=true]')?.id !== '{before}'")
            page.locator(".plot .spot[tabindex='0']").first.focus()
            page.keyboard.press("ArrowRight")
            assert page.locator(".tip:not([hidden])").count() == 1

    def links(self) -> None:
        """an address that names a question opens it"""
        with self.page() as page:
            page.focus("#list")
            page.keyboard.press("End")
            _until(page, "location.hash.startsWith('#q=')")
            at, chosen = page.evaluate("location.hash"), page.locator("#question .head").text_content()
        with self.page(at=at) as page:
            page.wait_for_selector("#question .head")
            assert page.locator("#question .head").text_content() == chosen

    def fits(self) -> None:
        """no page is wider than its window, light or dark, wide or narrow"""
        for width, size in (("wide", WIDE), ("narrow", NARROW)):
            for scheme in ("light", "dark"):
                with self.page(size, scheme) as page:
                    assert page.evaluate("document.documentElement.dataset.theme") == scheme
                    room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
                    assert room[0] <= room[1], (width, room)
                    page.wait_for_selector("#question .head")
                    if self._shots is not None:
                        self._shots.mkdir(parents=True, exist_ok=True)
                        page.screenshot(path=self._shots / f"{width}-{scheme}.png", full_page=True)


def _until(page: Any, holds: str) -> None:
    """Waits until an expression is true; the page's own policy forbids the waiting inside it."""
    for _ in range(600):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {holds}")


def _count(page: Any) -> int:
    _until(page, "/^[0-9,]+ question/.test(document.querySelector('#found').textContent)")
    return int(page.locator("#found").text_content().split()[0].replace(",", ""))


if __name__ == "__main__":
    sys.exit(main())
