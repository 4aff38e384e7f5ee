"""SmolLM2-135M-Instruct and Gemma 3 270M writing together: 40 short questions, accuracy and speed.

    quorate models add smollm2-135m; quorate models add gemma3-270m
    python -m benchmarks.token_real
    .venv-vllm/bin/python -m benchmarks.token_real backends      # where vLLM is installed, as make test-vllm does

`accuracy`: every system answers all questions at once, greedily, with the same three worked examples before each;
an answer is right if its first line holds the gold answer as a word of its own. `speed`: longer answers one at a
time, the systems by turns, in processor time, which other work on the machine hardly changes. `backends`: the same
questions with the models in transformers, in vLLM in this process, and behind vLLM's server.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from statistics import median
from typing import Any

from quorate.agents import VLLM, Embedded
from quorate.aggregators.token_level import SAFE, Adaptive, EnsembleRule, EveryToken, GaC, PrefixMass, Safe, UniTE
from quorate.evals.statistics import paired_difference, wilson
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer, Message, Question, SamplingParams

SHOTS = (
    ("How many legs does a spider have?", "8"),
    ("What is the capital of Egypt?", "Cairo"),
    ("What is 6 + 7?", "13"),
)
QUESTIONS: Sequence[tuple[str, str]] = (
    ("What is the capital of France?", "Paris"),
    ("What is the capital of Japan?", "Tokyo"),
    ("What is the capital of Italy?", "Rome"),
    ("What is the capital of Canada?", "Ottawa"),
    ("What is the capital of Norway?", "Oslo"),
    ("What is the capital of Peru?", "Lima"),
    ("What is the capital of Kenya?", "Nairobi"),
    ("What is the capital of Poland?", "Warsaw"),
    ("On which continent is Brazil?", "South America"),
    ("On which continent is Nigeria?", "Africa"),
    ("Which planet is closest to the Sun?", "Mercury"),
    ("Which is the largest planet of the solar system?", "Jupiter"),
    ("Which gas do plants take in from the air?", "carbon dioxide"),
    ("What is the chemical symbol of gold?", "Au"),
    ("What is the chemical symbol of iron?", "Fe"),
    ("Which metal is liquid at room temperature?", "mercury"),
    ("Who wrote Romeo and Juliet?", "Shakespeare"),
    ("Who painted the Mona Lisa?", "Leonardo"),
    ("Who developed the theory of general relativity?", "Einstein"),
    ("Who was the first president of the United States?", "Washington"),
    ("In which year did the Second World War end?", "1945"),
    ("How many days does a week have?", "7"),
    ("How many months does a year have?", "12"),
    ("How many minutes does an hour have?", "60"),
    ("How many sides does a hexagon have?", "6"),
    ("Which language is spoken in Mexico?", "Spanish"),
    ("Which language is spoken in Austria?", "German"),
    ("What is the currency of Japan?", "yen"),
    ("What is the opposite of hot?", "cold"),
    ("What do bees make?", "honey"),
    ("What is 2 + 3?", "5"),
    ("What is 9 + 8?", "17"),
    ("What is 14 + 5?", "19"),
    ("What is 10 - 4?", "6"),
    ("What is 20 - 7?", "13"),
    ("What is 3 * 4?", "12"),
    ("What is 5 * 6?", "30"),
    ("What is 8 * 7?", "56"),
    ("What is half of 18?", "9"),
    ("What is 100 + 25?", "125"),
)
LONGER = (
    "Why is the sky blue?",
    "What is a volcano?",
    "How do plants grow?",
)


def ask(text: str) -> Question:
    """A question behind the worked examples."""
    turns = [turn for question, answer in SHOTS for turn in (("user", question), ("assistant", answer))]
    messages = [Message(role=role, content=content) for role, content in (*turns, ("user", text))]
    return Question(messages=tuple(messages), sampling=SamplingParams(temperature=0, max_tokens=12, stop=("\n",)))


def is_right(answer: Answer, gold: str) -> bool:
    """Whether the answer holds the gold one as a word."""
    digits = {"seven": "7", "twelve": "12", "sixty": "60", "six": "6", "nine": "9"}
    text = re.sub(r"\w+", lambda word: digits.get(word[0].lower(), word[0]), answer.text)
    return re.search(rf"(?<![\w.]){re.escape(gold)}(?!\w|\.\d)", text, re.IGNORECASE) is not None


def make_systems(small: Embedded, gemma: Embedded) -> Mapping[str, Model]:
    """What is compared; Gemma drafts."""
    pair = [gemma, small]
    return {
        "smollm2": SAFE([small], name="smollm2"),
        "gemma3": SAFE([gemma], name="gemma3"),
        "safe-unite": SAFE(pair, name="safe-unite"),
        "safe-gac": SAFE(pair, name="safe-gac", rule=EnsembleRule(Safe(Adaptive()), GaC(), PrefixMass())),
        "unite": SAFE(pair, name="unite", rule=EnsembleRule(EveryToken(), UniTE())),
        "gac": SAFE(pair, name="gac", rule=EnsembleRule(EveryToken(), GaC())),
        "safe-smollm2-drafts": SAFE([small, gemma], name="safe-smollm2-drafts"),
    }


async def measure(name: str, system: Model, shown: bool) -> list[bool]:
    """Answers all questions at once, prints a line and returns which are right."""
    began = time.perf_counter()
    answers = await asyncio.gather(*(system.answer(ask(text)) for text, _ in QUESTIONS))
    seconds = time.perf_counter() - began
    right = [is_right(answer, gold) for answer, (_, gold) in zip(answers, QUESTIONS, strict=True)]
    found = [answer.candidates[0].ensembling for answer in answers]
    written = sum(sum(one.counts.values()) for one in found if one is not None)
    decided = sum(one.counts.get("ensembled", 0) for one in found if one is not None)
    estimate = wilson(sum(right), len(right))
    share = decided / max(1, written)
    print(
        f"{name:22} {sum(right):2}/{len(right)} {estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f}) "
        f"tokens {written:4} ensembled {share:.3f} {seconds:6.1f} s {written / seconds:6.1f} tokens/s",
        flush=True,
    )
    if shown:
        for (text, gold), answer in zip(QUESTIONS, answers, strict=True):
            print("   ", text, "|", gold, "|", repr(answer.text))
    return right


async def compare_speed(systems: Mapping[str, Model], drafter: str) -> None:
    """Longer answers one at a time, all systems by turns: processor seconds a token."""
    costs: dict[str, list[float]] = {name: [] for name in systems}
    for text in LONGER:
        params = SamplingParams(temperature=0, max_tokens=16)
        question = Question(messages=(Message(role="user", content=text),), sampling=params)
        for name, system in systems.items():
            began = time.process_time()
            answer = await system.answer(question)
            found = answer.candidates[0].ensembling
            costs[name].append((time.process_time() - began) / sum(found.counts.values()) if found else math.nan)
    for name, each in costs.items():
        ratios = [other / one for one, other in zip(each, costs[drafter], strict=True)]
        print(
            f"{name:22} {1000 * median(each):6.0f} ms a token, {median(ratios):.2f} of {drafter}'s speed alone",
            flush=True,
        )


async def compare_backends(count: int) -> None:
    """The same questions by the same pair on each back end: who is right, and how many answers are the same."""
    from .token_backends import ENGINE, answers, server

    names, wanted = ("gemma3-270m", "smollm2-135m"), {}
    for backend in ("transformers", "vLLM in process", "vLLM over HTTP"):
        async with AsyncExitStack() as stack:
            if backend == "transformers":
                models: list[Any] = [Embedded(name, dtype="float32") for name in names]
            elif backend == "vLLM in process":
                models = [await stack.enter_async_context(VLLM(name, **ENGINE)) for name in names]
            else:
                models = [await stack.enter_async_context(server(name)) for name in names]
            for name, system in {"gemma3": SAFE(models[:1]), "safe-unite": SAFE(models)}.items():
                got = await answers(system, [ask(text) for text, _ in QUESTIONS[:count]])
                print(f"{backend:16} {name:11}", describe(wanted.setdefault(name, got), got), flush=True)


def describe(wanted: Sequence[Answer], got: Sequence[Answer]) -> str:
    """Right and equal answers with 95 % intervals, the share of tokens ensembled, and marks."""
    from .token_backends import wilson

    def share(held: int) -> str:
        low, high = wilson(held, len(got))
        return f"{held}/{len(got)} ({low:.3f} to {high:.3f})"

    right = sum(is_right(one, gold) for one, (_, gold) in zip(got, QUESTIONS, strict=False))
    same = sum(one.text == other.text for one, other in zip(wanted, got, strict=True))
    found = [told for one in got if (told := one.candidates[0].ensembling)]
    decided = sum(told.counts.get("ensembled", 0) for told in found) / sum(told.tokens for told in found)
    marks = ", ".join(sorted({mark.code for one in got for mark in one.degraded}))
    return f"right {share(right)}, as by transformers {share(same)}, ensembled {decided:.3f}  {marks}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accuracy", "speed", "backends"], nargs="*", default=["accuracy", "speed"])
    parser.add_argument("--systems", nargs="*", help="some of them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="every answer")
    parser.add_argument("--questions", type=int, default=len(QUESTIONS), help="of `backends`")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    if "backends" in given.what:
        await compare_backends(given.questions)
    if not {"accuracy", "speed"} & set(given.what):
        return
    systems = make_systems(Embedded("smollm2-135m", dtype="float32"), Embedded("gemma3-270m", dtype="float32"))
    systems = {name: system for name, system in systems.items() if not given.systems or name in given.systems}
    for system in systems.values():
        await system.answer(ask("What is 1 + 1?"))  # loads what is to be loaded
    if "accuracy" in given.what:
        right = {name: await measure(name, system, given.show) for name, system in systems.items()}
        for name in right if "gemma3" in right else ():
            difference = paired_difference(right[name], right["gemma3"])
            print(f"{name} less gemma3: {difference}")
    if "speed" in given.what:
        await compare_speed(systems, "gemma3")


if __name__ == "__main__":
    asyncio.run(main())
