"""The page as text: what it holds, and what it cannot do whatever the answers say."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import zlib
from base64 import b64decode, b64encode
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from quorate.evals.report.collect import collect
from quorate.evals.report.compressed import BLOCK, CompressedBlocks
from quorate.evals.report.data import ReportData
from quorate.evals.report.page import render_page
from tests.evals.report.example import EVIL, PIPELINES, filled


@pytest.fixture(scope="module")
def data() -> ReportData:
    async def gathered() -> ReportData:
        with await filled(None) as bank:
            return await collect(bank)

    return asyncio.run(gathered())


@pytest.fixture(scope="module")
def html(data: ReportData) -> str:
    return render_page(data)


class Tags(HTMLParser):
    """Every tag with its attributes, and the text of every script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and data.strip():
            self.scripts.append((self.tags[-1][1], data))

    def packed(self, name: str) -> Any:
        found = next(text for attributes, text in self.scripts if attributes.get("id") == name)
        return json.loads(zlib.decompress(b64decode(found)))


def test_untrusted_text_is_never_markup(html: str) -> None:
    """Answers, questions, families, settings and errors that are tags stay text."""
    found = Tags(html)
    assert "onerror" not in html.replace("onerror=alert(1)&gt;", "")
    assert not [tag for tag, _ in found.tags if tag in ("img", "b", "iframe", "object", "link", "base", "form-x")]
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    kinds = [attributes.get("type") for attributes, _ in found.scripts]
    assert kinds.count(None) == 1
    assert set(kinds) == {None, "application/deflate+base64"}
    assert html.count("</script>") == len(found.scripts)


def test_untrusted_text_arrives_whole(html: str, data: ReportData) -> None:
    """What was escaped or packed reads as it was."""
    found = Tags(html)
    index = found.packed("index-data")
    assert index["id"][12] == f"evil {EVIL}"
    assert index["text"][12] == f"What is 9 + 9? {EVIL}"
    assert EVIL in index["clusters"]
    assert found.packed("block-0")[12]["messages"][0][1] == f"What is 9 + 9? {EVIL}"
    assert found.packed("block-0")[0]["samples"][0]["text"].startswith(EVIL)


def test_the_page_asks_nobody_for_anything(html: str) -> None:
    """No address in any attribute but links within the page; a policy forbids the rest."""
    found = Tags(html)
    for _, attributes in found.tags:
        for name in ("src", "href", "action", "data", "srcset", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith("#"), (name, value)
    assert "url(" not in html
    assert "@import" not in html
    policy = next(a["content"] for t, a in found.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none'")
    script = next(text for attributes, text in found.scripts if "type" not in attributes)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_script_never_writes_markup(html: str) -> None:
    """Nothing in it could turn an answer into tags or code."""
    script = next(text for attributes, text in Tags(html).scripts if "type" not in attributes)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)


def test_tables_can_be_read_without_script(html: str, data: ReportData) -> None:
    """Every system, every pair and every fact stands in the HTML."""
    for system in data.systems:
        assert html.count(f"{system.accuracy.value:.3f}")
        assert system.name in html
    assert html.count('<tr data-a="') == len(data.pairs)
    assert "exact McNemar" in html
    assert all(name in html for name in ("content hash", "seed", "Versions"))


def test_names_break_at_their_separators_only(data: ReportData) -> None:
    """Also those that are markup; read without the places to break, a name is itself."""
    name = "best-of@16/<b>my_model:1"
    html = render_page(replace(data, systems=(data.systems[0].model_copy(update={"name": name}),)))
    assert '<th scope="row">best-of@<wbr>16/<wbr>&lt;b&gt;my_<wbr>model:<wbr>1' in html


def test_the_index_has_an_entry_a_question_in_every_column(html: str, data: ReportData) -> None:
    """Columns of one length; credit by system."""
    index = Tags(html).packed("index-data")
    columns = [
        index[name] for name in ("id", "text", "gold", "cluster", "classes", "kinds", "samples", "right", "tokens")
    ]
    assert {len(column) for column in columns} == {len(data.rows)}
    assert index["systems"] == list(PIPELINES)
    assert [len(credit) for credit in index["credit"]] == [len(data.rows)] * 3
    assert [index["clusters"][i] for i in index["cluster"]] == [row.cluster for row in data.rows]


def test_the_same_data_give_the_same_bytes(html: str, data: ReportData) -> None:
    """No clock, no chance."""
    assert render_page(data) == html

    async def again() -> str:
        with await filled(None) as bank:
            return render_page(await collect(bank))

    without_times = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
    assert without_times.sub("", asyncio.run(again())) == without_times.sub("", html)


def test_a_run_cut_short_and_notes_are_told_before_the_figures(data: ReportData) -> None:
    """Both above the summary's table."""
    html = render_page(replace(data, complete=False, notes=("beware <b>",)))
    assert html.index("Cut short.") < html.index("<table")
    assert "beware &lt;b&gt;" in html


def test_a_report_of_nothing_but_questions_is_a_page(data: ReportData) -> None:
    """No systems, no curves, no facts."""
    html = render_page(replace(data, systems=(), pairs=(), curves=(), pools=(), facts=()))
    assert "<h1>sums, small: m, " in html
    assert 'id="scaling"' not in html


def test_blocks_keep_order_and_close_in_time() -> None:
    """Each starts at the number that the page looks it up by."""
    objects = [{"n": n, "text": "x" * (BLOCK // 3)} for n in range(10)]
    blocks = CompressedBlocks.of(objects)
    assert blocks.starts == (0, 3, 6, 9)
    assert [o for text in blocks.texts for o in json.loads(zlib.decompress(b64decode(text)))] == objects
    assert CompressedBlocks.of([]) == CompressedBlocks()


def test_blocks_take_what_files_cannot_hold() -> None:
    """Half a surrogate pair becomes a question mark; a number that JSON lacks is refused."""
    assert json.loads(zlib.decompress(b64decode(CompressedBlocks.of(["\ud800x"]).texts[0]))) == ["?x"]
    with pytest.raises(ValueError, match="JSON"):
        CompressedBlocks.of([float("nan")])
