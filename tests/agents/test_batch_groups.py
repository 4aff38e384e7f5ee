"""Rows of very different length: what they say, how they are grouped, and how many there may be."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from quorate.agents.embedded import batch_groups as groups_module  # noqa: E402
from quorate.agents.embedded import batch_places as places_module  # noqa: E402
from quorate.agents.embedded import load  # noqa: E402  torch first
from quorate.agents.embedded.batch_engine import BatchEngine, BatchPrompt, BatchRow, SamplingRule  # noqa: E402
from quorate.agents.embedded.batch_groups import BatchGroups  # noqa: E402
from quorate.agents.embedded.batch_places import BatchPlaces  # noqa: E402

from .tiny import build  # noqa: E402

LIMIT = 40
"""Tokens of padding for which rows part, in these tests: seldom otherwise, with so few."""
prompts = st.tuples(st.integers(1, 90), st.integers(1, 3), st.integers(0, 6), st.integers(1, 12))
"""Tokens of a prompt, samples, the step at which it comes, and tokens to draw."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A random model."""
    torch.set_num_threads(1)
    return load(build(tmp_path_factory.mktemp("models") / "tiny")).model


def prompt_of(length: int, samples: int, number: int) -> BatchPrompt:
    """Tokens of which no two prompts have the same, with seeded rows."""
    tokens = [5 + (7 * number + 3 * place) % 250 for place in range(length)]
    return BatchPrompt(tokens, [BatchRow(SamplingRule(), 100 * number + row) for row in range(samples)])


def write(engine: BatchEngine | BatchGroups, asked: list[tuple[int, int, int, int]]) -> list[list[int]]:
    """What each row says."""
    texts: dict[BatchRow, list[int]] = {}
    limits: dict[BatchRow, int] = {}
    step = 0
    with torch.inference_mode():
        while step <= max(come for _, _, come, _ in asked) or engine.running:
            coming = []
            for number, (length, samples, come, limit) in enumerate(asked):
                if come == step:
                    coming.append(prompt_of(length, samples, number))
                    texts.update({row: [] for row in coming[-1].rows})
                    limits.update(dict.fromkeys(coming[-1].rows, limit))
            if coming:
                engine.join(coming)
            for drawn in engine.draw() if engine.running else ():
                texts[drawn.row].append(drawn.token)
                drawn.row.done = len(texts[drawn.row]) == limits[drawn.row]
            if engine.running or coming:
                engine.advance()
            step += 1
    return [texts[row] for row in sorted(texts, key=lambda row: row.seed or 0)]


@settings(max_examples=25, deadline=None)
@given(asked=st.lists(prompts, min_size=1, max_size=6))
def test_groups_say_what_one_batch_says(model: Any, asked: list[tuple[int, int, int, int]]) -> None:
    """Whatever joins and leaves when."""
    groups = BatchGroups(model)
    groups._padding = LIMIT
    assert write(groups, asked) == write(BatchEngine(model), asked)


def test_a_long_prompt_pads_no_short_ones(model: Any) -> None:
    """It gets a batch of its own, and shares one again with the few that are left."""
    groups = BatchGroups(model)
    short = [prompt_of(10, 8, number) for number in range(50)]
    with torch.inference_mode():
        groups.join([*short, prompt_of(200, 2, 99)])
        assert sorted(group.running for group in groups._groups) == [2, 400]
        groups.draw()
        for prompt in short[1:]:
            for row in prompt.rows:
                row.done = True
        groups.advance()
    assert [group.running for group in groups._groups] == [10]
    assert groups._groups[0].padding == 8 * 190


@given(parts=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 5)), min_size=1, max_size=7))
def test_no_other_cuts_cost_less(model: Any, parts: list[tuple[int, int]]) -> None:
    """Among all ways to cut the prompts, by length, into groups."""

    def cost(packed: list[list[Any]]) -> int:
        padded = sum(max(part.longest for part in group) * part.running for group in packed for part in group)
        return int(padded) + len(packed) * LIMIT

    groups = BatchGroups(model)
    groups._padding = LIMIT
    given_parts = [prompt_of(length, samples, 0) for length, samples in parts]
    ordered = sorted(given_parts, key=lambda part: part.longest)
    ways = []
    for cuts in product((False, True), repeat=len(ordered) - 1):
        way = [[ordered[0]]]
        for cut, part in zip(cuts, ordered[1:], strict=True):
            way.append([part]) if cut else way[-1].append(part)
        ways.append(cost(way))
    packed = groups._pack(given_parts)
    assert sorted(map(id, given_parts)) == sorted(id(part) for group in packed for part in group)
    assert cost(packed) == min(ways)


def test_a_group_that_cannot_be_read_loses_no_other(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that ran go on, and say what they would have said."""
    monkeypatch.setattr(groups_module, "PADDING", LIMIT)
    groups, alone = BatchGroups(model), BatchEngine(model)
    ran, same = prompt_of(30, 4, 1), prompt_of(30, 4, 1)
    real = BatchEngine.join

    def fail(engine: BatchEngine, prompts: list[BatchPrompt], others: list[BatchEngine]) -> None:
        if any(prompt.longest == 5 for prompt in prompts):
            raise RuntimeError("out of memory")
        real(engine, prompts, others)

    with torch.inference_mode():
        groups.join([ran])
        alone.join([same])
        monkeypatch.setattr(BatchEngine, "join", fail)
        with pytest.raises(RuntimeError):
            groups.join([prompt_of(5, 4, 2), prompt_of(90, 1, 3)])
        for _ in range(3):
            said = [drawn.token for drawn in groups.draw() if drawn.row in ran.rows]
            assert said == [drawn.token for drawn in alone.draw()]
            groups.advance()
            alone.advance()


def test_places_follow_the_memory(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two layers, two heads, 32 wide, keys and values in float32: 1,024 bytes a token, twice while rows join."""
    monkeypatch.setattr(places_module, "read_free_memory", lambda device: 4 * 256 * (1 << 20))
    vocabulary = model.config.vocab_size
    assert (1 << 20) < places_module.LOGIT * vocabulary + 2048 * 600 < (2 << 20)
    places = BatchPlaces(model)
    assert places.count == 256
    assert places.of(100, 200) == 1
    assert places.of(300, 300) == 2
    assert places.of(0, 1024) == places.of(0, 1 << 20)
    assert places.of(1 << 30, 10) == 256
    monkeypatch.setattr(places_module, "read_free_memory", lambda device: -1)
    assert BatchPlaces(model).of(1, 1) == 256, "one at a time, where nothing is free"


def test_a_number_of_samples_is_taken_as_it_is(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says how many knows the memory."""
    monkeypatch.setattr(places_module, "read_free_memory", lambda device: 1)
    places = BatchPlaces(model, 8)
    assert (places.count, places.of(1 << 30, 1 << 30)) == (8, 1)


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a control group leaves, with the file cache that it can drop; files that are not there say nothing."""
    monkeypatch.setattr(places_module, "GROUP", tmp_path)
    whole = places_module.read_free_memory(torch.device("cpu"))
    assert whole > 1 << 20
    for name, text in (("max", "1000000\n"), ("current", "400000\n"), ("stat", "anon 1\ninactive_file 100000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert places_module.read_free_memory(torch.device("cpu")) == 700000
    (tmp_path / "memory.max").write_text("max\n")
    assert places_module.read_free_memory(torch.device("cpu")) > 1 << 20
