"""Tokens a second of the embedded agent by batch size, beside a bare loop of forward passes.

    python -m benchmarks.embedded [MODEL] [--dtype bfloat16] [--threads 2] [--tokens 128] [--batch 1 16 128]

`bare` runs the model's forward pass on the same cache, without sampling, text, threads or events:
the floor. `agent` is `Embedded` with all of that, one question with as many samples.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import torch

from quorate.agents.embedded import Embedded, LoadedModel, load
from quorate.agents.embedded.batch_engine import CacheRows, assemble_cache, make_cache
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question

QUESTION = Question.of(
    "A farmer picks 12 boxes of apples in the morning and 17 boxes in the afternoon. Each box holds 8 apples. "
    "She sells 45 apples at the market, gives 13 to a neighbour, and packs what is left into bags of 6. How many bags?"
)


def bare(loaded: LoadedModel, batch: int, tokens: int) -> float:
    """Tokens a second of forward passes alone."""
    prompt = loaded.prompt(QUESTION)
    cache = make_cache()
    loaded.model(input_ids=torch.tensor([prompt]), past_key_values=cache, use_cache=True)
    cache = assemble_cache([CacheRows(cache, [0] * batch)], len(prompt))
    token = torch.full((batch, 1), prompt[0])
    start = time.perf_counter()
    for step in range(tokens):
        positions = torch.full((batch, 1), len(prompt) + step)
        loaded.model(
            input_ids=token, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        ).logits.float()
    return batch * tokens / (time.perf_counter() - start)


async def agent(model: Embedded, batch: int, tokens: int, *, live: bool) -> float:
    """Tokens a second of the agent, samples that end early left out."""
    run = RunContext(seed=0, live=live)
    question = QUESTION.with_params(max_tokens=tokens)
    start = time.perf_counter()
    await model.sample(question, [PartialCandidate(index, run) for index in range(batch)], run)
    return run.ledger.usage.completion_tokens / (time.perf_counter() - start)


async def main() -> None:
    """Prints one line a batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="quorate-tiny-base")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16, 64, 128, 256])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    loaded = load(given.model, given.dtype, "cpu")
    print("batch   bare tok/s   agent tok/s   ratio   live tok/s", flush=True)
    async with Embedded(given.model, dtype=given.dtype, threads=given.threads, device="cpu") as model:
        await agent(model, 4, 8, live=False)
        for batch in given.batch:
            floor = bare(loaded, batch, given.tokens)
            quiet = await agent(model, batch, given.tokens, live=False)
            live = await agent(model, batch, given.tokens, live=True)
            print(f"{batch:5d} {floor:12.0f} {quiet:13.0f} {quiet / floor:7.2f} {live:12.0f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
