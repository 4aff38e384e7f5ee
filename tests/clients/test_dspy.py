"""DSPy over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import STORY, VOTE

dspy = pytest.importorskip("dspy")


@pytest.fixture
def lm(url: str) -> Any:
    return dspy.LM(f"openai/{VOTE}", api_base=url, api_key="any", cache=False, num_retries=0)


def test_a_question(lm: Any) -> None:
    """Its answer, with the tokens of all samples."""
    assert lm("What is 17 * 24?") == ["17 * 24 = 408. Answer: 408"]
    assert lm.history[-1]["usage"]["completion_tokens"] == 21


async def test_structured_output(lm: Any) -> None:
    """A field of a signature, by the JSON adapter; awaited, too."""
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        predict = dspy.Predict("question -> result: int")
        assert predict(question="What is 17 * 24?").result == 408
        assert (await predict.acall(question="What is 17 * 24?")).result == 408


def test_an_embedded_vote(url: str) -> None:
    """A real model behind the server."""
    lm = dspy.LM("openai/majority@3/tiny", api_base=url, api_key="any", cache=False, max_tokens=120)
    assert "Answer:" in lm(STORY)[0]


def test_the_responses_api(url: str) -> None:
    """The other API that DSPy speaks."""
    lm = dspy.LM(f"openai/{VOTE}", model_type="responses", api_base=url, api_key="any", cache=False, num_retries=0)
    [said] = lm("What is 17 * 24?")
    assert said["text"] == "17 * 24 = 408. Answer: 408"
