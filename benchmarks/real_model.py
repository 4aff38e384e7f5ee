"""A real model on this machine: tokens a second by batch size, here, by `transformers.generate` and by vLLM's server.

    quorate models add smollm2-135m
    python -m benchmarks.real_model [MODEL] [--batch 1 5 16 64] [--tokens 48] [--threads 1] [--vllm PYTHON]

Every line is one question with as many samples, to a fixed number of tokens: one warm call, then the median of three.
`cpu` is processor time a token, which other work on the machine hardly changes; `--vllm` names a Python that has vLLM,
whose server is started with as many threads, and measured by its wall clock alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from quorate.agents import Embedded, Endpoint
from quorate.agents.embedded import LoadedModel, load
from quorate.agents.embedded.weights import Dtype
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question

QUESTION = Question.of("Write a long story about a lighthouse keeper and his dog.").with_params(
    temperature=1.0, top_p=1.0
)
Draw = Callable[[int], Awaitable[int]]
"""Draws so many samples; returns their tokens."""


def draw_with(agent: Agent, tokens: int) -> Draw:
    """By an agent, as one question."""

    async def draw(batch: int) -> int:
        run = RunContext(seed=batch, live=False)
        question = QUESTION.with_params(max_tokens=tokens)
        await agent.sample(question, [PartialCandidate(index, run) for index in range(batch)], run)
        return run.ledger.usage.completion_tokens

    return draw


def draw_with_generate(loaded: LoadedModel, tokens: int) -> Draw:
    """By transformers alone."""

    async def draw(batch: int) -> int:
        prompt = torch.tensor([loaded.prompt(QUESTION)])
        with torch.inference_mode():
            written = loaded.model.generate(
                prompt, attention_mask=torch.ones_like(prompt), do_sample=True, temperature=1.0, top_p=1.0, top_k=0,
                num_return_sequences=batch, max_new_tokens=tokens,
            )  # fmt: skip
        new = written[:, prompt.shape[1] :]
        ends = torch.tensor(sorted(loaded.ends))
        return int((~torch.isin(new, ends)).sum())

    return draw


async def measure(name: str, draw: Draw, batches: list[int], *, local: bool = True) -> None:
    """One line a batch size."""
    for batch in batches:
        await draw(batch)
        rates, costs = [], []
        for _ in range(3):
            wall, cpu = time.perf_counter(), time.process_time()
            count = await draw(batch)
            rates.append(count / (time.perf_counter() - wall))
            costs.append((time.process_time() - cpu) * 1000 / count)
        cost = f"{median(costs):8.1f} ms" if local else "          "
        print(f"{name:32} {batch:5d} samples {median(rates):8.0f} tokens/s  cpu {cost} a token", flush=True)


@contextmanager
def serving_vllm(python: str, model: str, threads: int) -> Iterator[str]:
    """vLLM's server of the model."""
    from tests.vllm.conftest import serving

    os.environ["OMP_NUM_THREADS"] = str(threads)
    with (
        TemporaryDirectory() as place,
        serving(model, Path(place) / "log", "--dtype", "bfloat16", python=python) as url,
    ):
        yield url


async def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 5, 16, 64])
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    parser.add_argument("--vllm", metavar="PYTHON")
    given = parser.parse_args()
    dtypes: list[Dtype] = given.dtype
    for dtype in dtypes:
        loaded = load(given.model, dtype, "cpu")
        torch.set_num_threads(given.threads)
        async with Embedded(given.model, dtype=dtype, threads=given.threads, device="cpu") as agent:
            await measure(f"quorate, {dtype}", draw_with(agent, given.tokens), given.batch)
        await measure(f"transformers.generate, {dtype}", draw_with_generate(loaded, given.tokens), given.batch)
        print(f"memory so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:,} MB", file=sys.stderr)
    if given.vllm:
        with serving_vllm(given.vllm, given.model, given.threads) as url:
            async with Endpoint(given.model, base_url=url) as endpoint:
                await measure("vLLM's server, bfloat16", draw_with(endpoint, given.tokens), given.batch, local=False)


if __name__ == "__main__":
    asyncio.run(main())
