"""The code that docs/integrations.md shows runs as it stands there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quorate.testing import Received, Reply, ScriptedUpstream

DOCUMENT = Path(__file__).parents[2] / "docs" / "integrations.md"
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)
SECTIONS = dict(part.split("\n", 1) for part in DOCUMENT.read_text(encoding="utf-8").split("\n## ")[1:])
BLOCKS = {title: found[1] for title, text in SECTIONS.items() if (found := FENCE.search(text))}


def answer(received: Received) -> Reply:
    wants_json = received.body.get("response_format") or "JSON" in json.dumps(received.body["messages"])
    return Reply('{"result": 408}' if wants_json else "17 * 24 = 408. Answer: 408")


@pytest.fixture(autouse=True)
def beside_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a folder with the `quorate.yaml` that the code names."""
    monkeypatch.chdir(tmp_path)
    with ScriptedUpstream(answer, models=("qwen",)) as upstream:
        Path("quorate.yaml").write_text(json.dumps({"models": {"qwen": {"base_url": upstream.url}}}))
        yield


def run(section: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "shown"}
    exec(compile(BLOCKS[section], f"{DOCUMENT.name}: {section}", "exec"), names)
    return names


def test_each_section_of_python_is_here() -> None:
    """None is forgotten."""
    assert set(BLOCKS) == {"LangChain", "LangGraph", "DSPy"}


def test_langchain() -> None:
    """Votes, tokens of all samples, an object, pieces that are the text."""
    found = run("LangChain")
    assert [cluster["votes"] for cluster in found["votes"]] == [5]
    assert found["tokens"] > 5 * 5
    assert found["product"].result == 408
    assert "".join(found["pieces"]) == found["message"].text


def test_langgraph() -> None:
    """The answer and the report in the state."""
    state = run("LangGraph")["state"]
    assert state["answer"] == "408"
    assert state["report"]["agreement"]["share"] == 1


def test_dspy() -> None:
    """Where it is installed."""
    dspy = pytest.importorskip("dspy")
    dspy.configure_cache(enable_disk_cache=False)
    found = run("DSPy")
    assert found["found"].result == 408
    assert found["votes"][0]["votes"] == 5
