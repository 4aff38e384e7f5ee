"""Samples that are all one long text are told where they were to differ."""

from __future__ import annotations

from itertools import cycle

import pytest

from quorate import Endpoint, sample
from quorate.orchestrator.types import Degradation, Question
from quorate.testing import Reply, ScriptedUpstream

from .fakes import Plurality, Texts

LONG = "Ten times eight is eighty, and five times one is five, so that it is eighty-five all in all. Answer: 85"


async def notes_of(*texts: str, temperature: float | None, n: int = 4) -> tuple[Degradation, ...]:
    """Of a vote over an upstream that says these texts by turns."""
    said = cycle(texts)
    async with (
        ScriptedUpstream(lambda _: Reply(next(said))) as up,
        Endpoint("m", base_url=up.url, n_supported=False) as agent,
    ):
        asked = Question.of("8 * 10 + 5?").with_params(temperature=temperature)
        return (await (sample(agent, n=n) | Plurality()).answer(asked)).degraded


@pytest.mark.parametrize("temperature", [0.7, None])
async def test_copies_are_told(temperature: float | None) -> None:
    """Once, with the model and the number; the vote goes on."""
    [note] = await notes_of(LONG, temperature=temperature)
    assert (note.code, note.where[-1], note.detail[:9]) == ("samples_identical", "m", "4 samples")


@pytest.mark.parametrize(
    ("texts", "temperature", "n"),
    [
        ([LONG], 0.0, 4),  # greedy samples are alike
        (["Answer: 85"], 0.7, 4),  # short ones agree by themselves
        ([LONG, LONG + "."], 0.7, 4),
        ([LONG], 0.7, 2),
    ],
)
async def test_what_are_no_copies(texts: list[str], temperature: float, n: int) -> None:
    """Greedy samples, short ones, two of them, and texts that differ."""
    assert await notes_of(*texts, temperature=temperature, n=n) == ()


async def test_models_of_this_process_may_be_sure() -> None:
    """What does not come from a server is sampled as asked."""
    answer = await (sample(Texts(LONG), n=4) | Plurality()).answer("8 * 10 + 5?")
    assert answer.degraded == ()
