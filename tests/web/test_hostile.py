"""Answers are other people's text: nothing of it runs, asks for anything, or breaks the page."""

from __future__ import annotations

import pytest

from quorate import Endpoint
from quorate.testing import Reply, ScriptedUpstream
from tests.server.conftest import Start

from .conftest import OpenPage, ask, ended, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKUP = """<script>alert(1)</script> <img src=x onerror=alert(2)> <iframe src="https://elsewhere.example/"></iframe>
![picture](https://elsewhere.example/pixel.png) [click](javascript:alert(3)) [fine](https://elsewhere.example/)

<svg onload=alert(4)><style>@import url(https://elsewhere.example/x.css)</style></svg>

[ref]: javascript:alert(5)
[ref] `<b>` <math><mtext></form><form><mglyph><style></math><img src onerror=alert(6)>

Answer: <img src=x onerror=alert(7)>"""
TABLE = "\n".join([f"|{'c|' * 1000}", f"|{'-|' * 1000}", *[f"|{'x|' * 1000}"] * 3]) + "\n\nAnswer: 1"
FORMULAS = r"""Good: $x^2 + \frac{1}{2}$ and \(a_i\), money: $5 and $6.

$$\int_0^1 x\,dx = \frac12$$

Bad: $\frac{1$ and $\notacommand{x}$ and $$\begin{matrix} 1 & 2$$ and \(\def\x{\x\x}\x\)

\[ \href{javascript:alert(8)}{x} \includegraphics{https://elsewhere.example/x.png} \]

Answer: 3"""
DIRECTIONS = "\u202eesrever \u2066isolated\u2069 \u200fright \u05e9\u05dc\u05d5\u05dd\n\nAnswer: \u202e24"
ANSWERS = {
    "markup": MARKUP,
    "table": TABLE,
    "formulas": FORMULAS,
    "directions": DIRECTIONS,
    "line": "z" * 200_000 + "\n\nAnswer: 4",
    "nesting": "> " * 3000 + "deep\n" + "[" * 3000 + "\n\nAnswer: 5",
    "fences": "```" * 500 + "\n" + "*_" * 2000 + "\n\nAnswer: 6",
    "nothing": "\n \n\u0000\ufffd\ud7ff",
}


@pytest.mark.parametrize(
    "kind", ["markup", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ANSWERS if kind != "markup")]
)
async def test_no_answer_does_anything(start: Start, open_page: OpenPage, kind: str) -> None:
    text = ANSWERS[kind]
    pieces = [text[place : place + 20_000] for place in range(0, len(text), 20_000)]
    async with (
        ScriptedUpstream(Reply(pieces=pieces), refuses=["n"]) as upstream,
        Endpoint("m", base_url=upstream.url) as endpoint,
        start(endpoint) as served,
        open_page(served.url) as page,
    ):
        await ask(page, "What is this?", samples=3, pipeline="built:majority")
        await ended(page)
        await page.wait_for_timeout(300)
        await page.locator(".cell").first.click()
        await page.wait_for_selector("dialog[open]")
        assert await page.locator("main :is(img, script, iframe, style, form form)").count() == 0
        assert await page.locator("main a[href^='javascript']").count() == 0
        wide, room = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= room
        if kind == "formulas":
            assert await page.locator(".answer math").count() == 3
            assert r"\frac{1" in await page.locator(".answer .tex").first.inner_text()
        if kind == "directions":
            assert await page.locator(".bar-name").first.inner_text() == "[U+202E]24"
        if kind not in {"line", "table"}:  # axe takes seconds for these
            assert await violations(page) == []
