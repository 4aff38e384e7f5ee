"""Embeddings of an endpoint and of a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quorate.agents.embeddings import EmbeddingModel, LocalEmbedder
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, UpstreamError
from quorate.testing import Raw, ScriptedUpstream


def raw(text: str) -> Raw:
    return Raw([text.encode()], content_type="application/json")


def reply(*vectors: tuple[int, list[float]], **more: Any) -> Raw:
    data = [{"index": index, "embedding": vector} for index, vector in vectors]
    body = {"data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}, **more}
    return raw(json.dumps(body))


async def embed(step: Raw, texts: list[str]) -> tuple[list[list[float]], RunContext]:
    run = RunContext()
    async with ScriptedUpstream([step]) as upstream, EmbeddingModel("mini", base_url=upstream.url) as model:
        return await model.embed(texts, run), run


async def test_vectors_come_in_the_order_of_the_texts_and_are_booked() -> None:
    vectors, run = await embed(reply((1, [0.0, 1.0]), (0, [1.0, 0.0])), ["a", "b"])
    assert vectors == [[1.0, 0.0], [0.0, 1.0]]
    assert run.ledger.usage.prompt_tokens == 7


BAD = {"too few": reply((0, [1.0])), "none": raw("{}"), "numbers": raw('{"data": [1]}')}


@pytest.mark.parametrize("step", BAD.values(), ids=BAD)
async def test_a_reply_without_a_vector_for_each_text_is_refused(step: Raw) -> None:
    with pytest.raises(UpstreamError):
        await embed(step, ["a", "b"])


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        LocalEmbedder(tmp_path / "nothing")
