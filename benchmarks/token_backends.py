"""Do transformers, vLLM in process and vLLM over HTTP say the same, and how fast is SAFE on each?

    python -m benchmarks.token_backends [--questions 200] [--tokens 96] [--seed 1] [--speed 10]

Needs vLLM; on a CPU `make test-vllm` builds .venv-vllm. Two embedded specialists write together in float32 at
temperature 0, on one back end after the other: the first drafts, the second judges. So does the drafter alone.
Where an answer differs from that of transformers, the first place at which it does is looked at: a near tie there
(the two likeliest tokens of a model, or of the mixture, less than 1e-4 apart) is rounding, anything else a fault,
and ends the program with status 1.

Tokens a second are of one answer at a time, a fresh question each, the median of `--speed` questions.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import takewhile
from tempfile import TemporaryFile
from typing import Any

import aiohttp

from quorate.agents import VLLM, Embedded, Endpoint
from quorate.agents.embedded import locate
from quorate.aggregators.token_level import SAFE, Adaptive, EnsembleRule, EveryToken, Safe, UniTE
from quorate.aggregators.token_level.mixture import NextTokenView
from quorate.aggregators.token_level.token_bytes import TokenBytes
from quorate.evals.tasks.stories import generate
from quorate.orchestrator.tokens import ScoreAsk
from quorate.orchestrator.types import Answer, Question

PAIR = ("quorate-tiny-product", "quorate-tiny-sum")
TIE = 1e-4
AT_ONCE = 16
READY = 300.0
"""Seconds that a server may take to start."""
ENGINE = {"dtype": "float32", "max_model_len": 1024, "max_num_batched_tokens": 65536}
"""vLLM 0.32 dies on the CPU of a seeded request whose prompt it reads in two parts; so many tokens are one part."""
OPTIONS = [word for name, value in ENGINE.items() for word in (f"--{name.replace('_', '-')}", str(value))]
QUIET = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "TORCHDYNAMO_DISABLE": "1"}
RULES = {
    "drafter alone": None,
    "SAFE": EnsembleRule(Safe(Adaptive()), UniTE()),
    "every token": EnsembleRule(EveryToken(), UniTE()),
}


UNCOMPARED = "every token"
"""Only timed."""


def systems(models: Sequence[Any]) -> dict[str, SAFE]:
    """What is asked of a back end. A draft alone is an ensemble without verifiers."""
    return {name: SAFE(models if rule else models[:1], rule=rule) for name, rule in RULES.items()}


async def answers(model: SAFE, questions: Sequence[Question]) -> list[Answer]:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(question: Question) -> Answer:
        async with slots:
            return await model.answer(question, seed=1)

    return list(await asyncio.gather(*map(one, questions)))


async def speed(model: SAFE, questions: Sequence[Question]) -> float:
    """Tokens a second, one answer at a time."""
    rates = []
    for question in questions:
        start = time.perf_counter()
        answer = await model.answer(question, seed=1)
        told = answer.candidates[0].ensembling
        assert told is not None
        rates.append(told.tokens / (time.perf_counter() - start))
    return statistics.median(rates)


@asynccontextmanager
async def server(model: str) -> AsyncIterator[Endpoint]:
    """A vLLM server of an embedded model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(locate(model)), *OPTIONS]
    command += ["--served-model-name", model, "--enforce-eager", "--max-logprobs", "-1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **QUIET}, stdout=log, stderr=log)
        try:
            await ready(url, process)
            async with Endpoint(model, base_url=url) as agent:
                yield agent
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def ready(url: str, process: asyncio.subprocess.Process) -> None:
    end = time.monotonic() + READY
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end and process.returncode is None:
            try:
                async with session.get(f"{url}/health"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.5)
    raise SystemExit("a vLLM server did not start")


async def gap(question: Question, common: str) -> float:
    """The least distance of the two likeliest next tokens after a text, of any model and of the mixture."""
    views, gaps = [], []
    for name in PAIR:
        model = Embedded(name).token_model()
        await model.open()
        context = model.prompt(question) + model.vocabulary.encode(common)[0]
        [scores] = await model.score([ScoreAsk("gap", context, [len(context)])])
        model.release(["gap"])
        (_, first), (_, second) = scores.distributions[0].top(2)
        gaps.append(math.exp(first) - math.exp(second))
        views.append(NextTokenView(TokenBytes(model.vocabulary), scores.distributions[0], 1 / len(PAIR)))
    *_, second, first = sorted(UniTE().merge(views).mass.tolist())
    return min(*gaps, first - second)


def noted(got: Sequence[Answer]) -> bool:
    """Prints how many answers the others are compared with."""
    told = [answer.candidates[0].ensembling for answer in got]
    share = sum(t.counts.get("ensembled", 0) for t in told if t) / sum(t.tokens for t in told if t)
    print(f"{len(got)} answers, {share:.2%} of tokens ensembled  ", end="")
    return not any(answer.degraded for answer in got)


async def compare(questions: Sequence[Question], wanted: Sequence[Answer], got: Sequence[Answer]) -> bool:
    """Prints how many agree; whether all others are near ties."""
    same, ties, faults = 0, 0, []
    for question, one, two in zip(questions, wanted, got, strict=True):
        if one.text == two.text and not two.degraded:
            same += 1
            continue
        pairs = zip(one.text, two.text, strict=False)
        common = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        distance = await gap(question, common)
        ties += distance < TIE
        if distance >= TIE:
            faults.append((distance, one.text[len(common) :][:20], two.text[len(common) :][:20], two.degraded))
    low, high = wilson(same, len(wanted))
    share = f"{same}/{len(wanted)} agree ({same / len(wanted):.1%}, {low:.1%} to {high:.1%})"
    print(f"{share}, {ties} near ties, {len(faults)} faults {faults or ''}  ", end="")
    return not faults and same >= 0.99 * len(wanted)


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share."""
    middle, half = right + z * z / 2, z * math.sqrt(right * (n - right) / n + z * z / 4)
    return (middle - half) / (n + z * z), (middle + half) / (n + z * z)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=int, default=10, help="questions to time; 0 for none")
    given = parser.parse_args()
    problems = generate("medium", given.seed, given.questions + given.speed, "test")
    asked = [Question.of(p.question).with_params(temperature=0, max_tokens=given.tokens) for p in problems]
    questions, timed = asked[: given.questions], asked[given.questions :]
    reference: dict[str, list[Answer]] = {}
    fine = True
    for backend in ("transformers", "vLLM in process", "vLLM over HTTP"):
        async with AsyncExitStack() as stack:
            if backend == "transformers":
                models: list[Any] = [Embedded(name) for name in PAIR]
            elif backend == "vLLM in process":
                models = [await stack.enter_async_context(VLLM(name, **ENGINE)) for name in PAIR]  # type: ignore[arg-type]
            else:
                models = [await stack.enter_async_context(server(name)) for name in PAIR]
            for name, system in systems(models).items():
                print(f"{backend:16} {name:14} ", end="")
                if name != UNCOMPARED:
                    got = await answers(system, questions)
                    wanted = reference.setdefault(name, got)
                    fine &= await compare(questions, wanted, got) if got is not wanted else noted(got)
                if timed:
                    print(f"{await speed(system, timed):.0f} tokens/s", end="")
                print(flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
