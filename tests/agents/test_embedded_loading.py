"""The embedded agent: what it is, how it is loaded, named and ended."""

from __future__ import annotations

import asyncio
import builtins
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quorate.agents.embedded import Embedded, list_embedded_models, load
from quorate.agents.embedded import weights as weights_module
from quorate.agents.vllm import VLLM
from quorate.orchestrator.errors import BadInput, MissingExtra, UnknownName
from quorate.orchestrator.types import Question, SamplingParams

from .test_embedded import TOM, draw
from .tiny import CONTEXT, build


async def test_what_it_is_is_known_without_loading(tiny: Path, tmp_path: Path) -> None:
    """Its weights' content, its type and its context; the shipped models are a family of their own."""
    agent = Embedded(tiny, name="mine", dtype="bfloat16", sampling=SamplingParams(max_tokens=5))
    identity = agent.identity
    assert (identity.kind, identity.model, identity.dtype) == ("embedded", tiny.name, "bfloat16")
    assert (identity.context, identity.family, identity.sampling.max_tokens) == (CONTEXT, None, 5)
    assert identity.capabilities == {"samples", "tokens"}
    other = build(tmp_path / tiny.name, seed=1)
    assert Embedded(other).identity.fingerprint != identity.fingerprint == Embedded(tiny).identity.fingerprint
    assert {Embedded(name).identity.family for name in list_embedded_models()} == {"quorate-tiny"}


def test_several_loops(tiny: Path) -> None:
    """One agent serves loops of several threads and after one another."""
    agent = Embedded(tiny)
    texts = [asyncio.run(draw(agent, TOM))[0].text for _ in range(2)]

    async def from_threads() -> list[str]:
        return await asyncio.gather(
            *(asyncio.to_thread(lambda: asyncio.run(draw(agent, TOM))[0].text) for _ in range(3))
        )

    assert set(asyncio.run(from_threads())) == set(texts)
    assert agent.answer_sync(TOM, seed=7).text == texts[0]
    asyncio.run(agent.aclose())


async def test_agent_and_model_defaults(tiny: Path, tmp_path: Path) -> None:
    """What the caller leaves open comes from the agent, then from generation_config.json."""
    own = build(tmp_path / "own")
    config = (own / "generation_config.json").read_text()
    (own / "generation_config.json").write_text(config.replace("{", '{"max_new_tokens": 3, "top_k": 1,', 1))
    question = Question.of("Tom has 3 apples.")
    async with Embedded(own) as agent, Embedded(own, sampling=SamplingParams(max_tokens=5)) as other:
        (short,), (longer,) = await draw(agent, question), await draw(other, question)
        greedy = await draw(agent, question.with_params(temperature=0))
    assert short.usage.completion_tokens == 3
    assert longer.usage.completion_tokens == 5
    assert greedy[0].text == short.text, "top_k 1 is greedy"


async def test_weights_are_shared(tiny: Path) -> None:
    """A folder is loaded once for a dtype and device, also when asked for at once."""
    loads = await asyncio.gather(*(asyncio.to_thread(load, tiny) for _ in range(4)))
    assert len(set(map(id, loads))) == 1


def test_loading_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a folder opens no connection."""

    def refuse(*_: Any) -> None:
        raise AssertionError("loading asked the network")

    folder = build(tmp_path / "offline")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert load(folder).context == CONTEXT


def run_script(program: str) -> subprocess.CompletedProcess[str]:
    """A Python program in a process of its own."""
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, env=paths, capture_output=True, text=True, timeout=120, check=False)


def test_interpreter_ends_cleanly(tiny: Path) -> None:
    """A program that closes nothing, and leaves in the middle of an answer, ends without a crash or a wait."""
    program = f"""
import asyncio
from quorate.agents.embedded import Embedded
from quorate.orchestrator.types import Question

async def main():
    events = Embedded({str(tiny)!r}).events(Question.of("Tom").with_params(max_tokens=200), seed=1)
    for _ in range(12):
        print((await anext(events)).type)

asyncio.run(main())
"""
    done = run_script(program)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "synthesis_token" in done.stdout


ENDINGS = {
    "answered": "print(agent.answer_sync(asked, seed=1).text != '')",
    "ensembled": "print(SAFE([agent, agent]).answer_sync(asked, seed=1).text != '')",
    "still answering": """
def answer():
    with suppress(NoAnswer):
        agent.answer_sync(asked.with_params(max_tokens=240, temperature=0))

Thread(target=answer, daemon=True).start()
while agent._worker is None or not agent._worker._active:
    time.sleep(0.01)
print(True)
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_that_closes_nothing_ends_quietly(tiny: Path, ending: str) -> None:
    """After `answer_sync` the background loop closes its models while it still can, and nothing is printed."""
    program = f"""
import time
from contextlib import suppress
from threading import Thread
from quorate.agents.embedded import Embedded
from quorate.aggregators.token_level import SAFE
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.types import Question

agent = Embedded({str(tiny)!r})
asked = Question.of("Tom has 3 apples.").with_params(max_tokens=20)
{ENDINGS[ending]}
"""
    done = run_script(program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_unknown_name() -> None:
    """A name that is neither shipped nor a folder is refused at once, with those that exist."""
    with pytest.raises(UnknownName, match="no embedded model named 'no-such'"):
        Embedded("no-such")


@pytest.mark.parametrize("wrong", [{"dtype": "int4"}, {"max_batch": 0}, {"threads": "2"}, {"name": 3}])
def test_impossible_settings(tiny: Path, wrong: dict[str, Any]) -> None:
    """An impossible setting is named with its value."""
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Embedded(tiny, **wrong)


@pytest.mark.parametrize("model", [3, None, "", " ", b"quorate-tiny-base"])
@pytest.mark.parametrize("kind", [Embedded, VLLM])
def test_what_names_no_model(kind: type[Embedded | VLLM], model: Any) -> None:
    """It is refused at once, before anything is loaded or any engine is started."""
    with pytest.raises(BadInput, match="give the name of a model"):
        kind(model)


def test_shipped_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default comes first, then the specialists, then the others by name; half a folder is none."""
    for name in ("zebra", "quorate-tiny-sum", "quorate-tiny-agg", "quorate-tiny-base", "quorate-tiny-product"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "unfinished").mkdir()
    monkeypatch.setattr(weights_module, "_weights", lambda: tmp_path)
    names = ["quorate-tiny-base", "quorate-tiny-sum", "quorate-tiny-product", "quorate-tiny-agg", "zebra"]
    assert list(list_embedded_models()) == names
    assert Embedded().name == "quorate-tiny-base"


async def test_missing_extra(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch the first question says what to install."""
    real = builtins.__import__

    def without_torch(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torch":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    agent = Embedded(tiny)
    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(MissingExtra, match=r"pip install quorate\[local\]"):
        await draw(agent, TOM)


@pytest.mark.parametrize("name", ["nothing", "tokenizer.json", "tekken.json", "tokenizer.model"])
async def test_not_a_model(tmp_path: Path, tiny: Path, name: str) -> None:
    """A folder that transformers cannot load fails with one line, whatever it raises; tekken's says what to do."""
    (tmp_path / "config.json").write_text((tiny / "config.json").read_text() if name != "nothing" else "{}")
    (tmp_path / name).write_text('{"config": {}, "vocab": []}')
    async with Embedded(tmp_path) as agent:
        (failed,) = await draw(agent, TOM)
    assert failed.error is not None
    wanted = "save_pretrained(FOLDER) writes one where" if name == "tekken.json" else "cannot be loaded"
    assert wanted in failed.error.message
    assert "\n" not in failed.error.message
