"""Training batches: problems of all tiers, streamed, sorted by length, graded on the solution."""

import re
from collections.abc import Callable, Iterator, Mapping
from random import Random

import torch
from tokenizers import Encoding, Tokenizer

from quorate.evals.tasks.stories import Problem, stream

from .recipes import INSTRUCTED, INSTRUCTIONS, TIER_SHARES, Recipe
from .vocabulary import ASSISTANT, END, PAD, USER

_RESULT = re.compile(r" ([-+*/]) \d+ = (\d+)$", re.MULTILINE)
_POOL = 32
"""Batches that are sorted by length together."""

_ROUND = 16
"""Lengths are rounded up, so that few distinct shapes occur."""

Batch = tuple[torch.Tensor, torch.Tensor]
Compose = Callable[[Problem, Recipe, Random], tuple[str, list[tuple[int, int]]]]
"""The text of a problem, and the character spans of it that are not graded."""


def training_problems(seed: int, tiers: Mapping[str, float] = TIER_SHARES) -> Iterator[Problem]:
    """Problems of the training split, tiers mixed by their shares."""
    rng = Random(f"train/{seed}")
    streams = {tier: stream(tier, seed, "train") for tier in tiers}
    restarts = 0
    while True:
        tier = rng.choices(list(tiers), list(tiers.values()))[0]
        try:
            yield next(streams[tier])
        except (ValueError, StopIteration):
            restarts += 1
            streams[tier] = stream(tier, seed + 1000 * restarts, "train")


def compose_solution(problem: Problem, recipe: Recipe, rng: Random) -> tuple[str, list[tuple[int, int]]]:
    """A problem and its worked solution."""
    question = problem.question
    if rng.random() < INSTRUCTED:
        question = rng.choice(INSTRUCTIONS).format(question)
    start = f"{USER}{question}{ASSISTANT}"
    spans = []
    if recipe.weak and rng.random() >= recipe.graded:
        found = _RESULT.finditer(problem.solution)
        spans = [tuple(len(start) + at for at in m.span(2)) for m in found if m.group(1) in recipe.weak]
    return f"{start}{problem.solution}{END}", spans


def batches(
    recipe: Recipe,
    tokenizer: Tokenizer,
    size: int,
    seed: int,
    tiers: Mapping[str, float] = TIER_SHARES,
    compose: Compose = compose_solution,
) -> Iterator[Batch]:
    """Token ids and grading weights, both (problems, length); padding has weight zero."""
    rng = Random(f"batches/{seed}")
    problems = training_problems(seed, tiers)
    pad = tokenizer.token_to_id(PAD)
    while True:
        pool = [compose(next(problems), recipe, rng) for _ in range(size * _POOL)]
        encoded = tokenizer.encode_batch([text for text, _ in pool])
        rows = sorted(
            ((e.ids, _weights(e, tokenizer, spans)) for e, (_, spans) in zip(encoded, pool, strict=True)),
            key=lambda row: len(row[0]),
        )
        chunks = [rows[i : i + size] for i in range(0, len(rows), size)]
        rng.shuffle(chunks)
        yield from (_pad(chunk, pad) for chunk in chunks)


def _weights(encoding: Encoding, tokenizer: Tokenizer, spans: list[tuple[int, int]]) -> list[float]:
    """One for every token of the solution outside the spans, else zero."""
    begin = encoding.ids.index(tokenizer.token_to_id(ASSISTANT))
    weights = [float(i > begin) for i in range(len(encoding.ids))]
    if spans:
        for i, (low, high) in enumerate(encoding.offsets):
            if any(a <= low and high <= b for a, b in spans):
                weights[i] = 0.0
    return weights


def _pad(chunk: list[tuple[list[int], list[float]]], pad: int) -> Batch:
    width = -(-max(len(ids) for ids, _ in chunk) // _ROUND) * _ROUND + 1
    ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in chunk])
    weights = torch.tensor([row + [0.0] * (width - len(row)) for _, row in chunk])
    return ids, weights
