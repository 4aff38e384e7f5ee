"""Teach an embedded model to read attempts: `python -m scripts.embedded.reader --start MODEL --out DIR --minutes 25`.

A start for `quorate train aggregator` where the model is small: one that has only ever seen questions neither copies
from its prompt nor finds out from a bank of some thousand questions, which it remembers sooner than it reads. Here no
problem comes twice: fresh ones of the training split, attempts made up from their working (`attempts.py`), merged as
`agglm` merges them. Some come without attempts, so that solving stays, and some attempts come alone, to be copied.

A reader that solves well looks at attempts less and less. `--start READER --shares set=0.35,...` goes on with a mix in
which solving does not do: numbers of the question are hidden, or all of it, or what the results come from.
"""

import argparse
import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import count
from math import inf
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import LlamaForCausalLM

from quorate.agents.embedded import locate
from quorate.aggregators.learned.dataset import form_prompt
from quorate.aggregators.synthesis.prompt import SynthesisPrompt
from quorate.orchestrator.types import Message, Question

from .attempts import MANNERS, attempts
from .batches import Batch, _pad, training_problems
from .train import Settings, _update, optimizers, save
from .vocabulary import ASSISTANT, END, PAD, USER

WAYS = ("set", "bare", "lone", "blind", "holes", "veiled")
"""A problem with attempts, without them, one attempt to copy, attempts alone, attempts beside a question with gaps,
and attempts beside working with gaps, whose results can only be read."""
SHARES = {"set": 0.7, "bare": 0.15, "lone": 0.15}
"""How often a problem comes which way."""
FIRST = {"set": 0.3, "bare": 0.1, "lone": 0.6}
"""The same at the start: what cannot copy finds nothing in a set."""
COPYING = 300
"""Steps over which the first shares become the later ones."""
COUNT = 8
HIDDEN = 0.5
"""Numbers hidden of a question with gaps."""
GAP = "?"
_OPERANDS = re.compile(r"\d+ ([-+*/]) \d+ =")
_POOL = 16


def shares_at(step: int) -> dict[str, float]:
    """The shares at a step of the run."""
    done = min(1.0, step / COPYING)
    return {way: first + (SHARES[way] - first) * done for way, first in FIRST.items()}


def given_shares(text: str) -> dict[str, float]:
    """`set=0.5,blind=0.5` as a mix.

    Raises:
        argparse.ArgumentTypeError: a way is unknown, or a share no positive number or 0.
    """
    try:
        shares = {way: float(share) for way, share in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: give it as set=0.5,blind=0.5") from error
    if not (all(0 <= share < inf for share in shares.values()) and any(shares.values())):
        raise argparse.ArgumentTypeError(f"{text!r}: shares are numbers of at least 0, not all 0")
    if unknown := set(shares) - set(WAYS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not among {', '.join(WAYS)}")
    return shares


def composed(
    shown: SynthesisPrompt, question: str, solution: str, rng: Random, shares: dict[str, float], manner: str = "wide"
) -> tuple[str, str]:
    """What is asked, and what is wanted."""
    way = rng.choices(list(shares), list(shares.values()))[0]
    if way == "bare":
        return question, solution
    texts = attempts(solution, 1 if way == "lone" else COUNT, rng, manner)
    if way == "holes":
        question = re.sub(r"\d+", lambda number: GAP if rng.random() < HIDDEN else number[0], question)
    asked = Question.of(question)
    if way in ("lone", "blind"):
        asked = asked.with_messages(Message(role="user", content=""))
    # Chat templates strip what is around a message.
    prompt = shown.ask(asked, texts).text.strip()
    if way == "veiled":
        solution = _OPERANDS.sub(rf"{GAP} \1 {GAP} =", solution)
    return prompt, texts[0] if way == "lone" else solution


def batches(
    tokenizer: Tokenizer,
    size: int,
    seed: int,
    begun: int = 0,
    mix: dict[str, float] | None = None,
    manner: str = "wide",
) -> Iterator[Batch]:
    """Token ids and grading weights, both (problems, length); begun at a later step, other problems."""
    rng, problems = Random(f"reader/{seed}/{begun}"), training_problems(seed + 7919 * begun)
    shown = form_prompt("steps")
    pad = tokenizer.token_to_id(PAD)
    for step in count(begun, _POOL):
        rows, shares = [], mix or shares_at(step)
        for _ in range(size * _POOL):
            problem = next(problems)
            prompt, wanted = composed(shown, problem.question, problem.solution, rng, shares, manner)
            asked = tokenizer.encode(f"{USER}{prompt}{ASSISTANT}").ids
            answer = tokenizer.encode(f"{wanted}{END}")
            # A gap is no answer: nothing is learned from it.
            rows.append((asked + answer.ids, [0.0] * len(asked) + [float(GAP not in t) for t in answer.tokens]))
        rows.sort(key=lambda row: len(row[0]))
        chunks = [rows[i : i + size] for i in range(0, len(rows), size)]
        rng.shuffle(chunks)
        yield from (_pad(chunk, pad) for chunk in chunks)


def teach(
    start: Path, out: Path, settings: Settings, mix: dict[str, float] | None = None, manner: str = "wide"
) -> None:
    """Train from a folder of an embedded model, log, and write the weights; run again, it goes on.

    `mix` holds the shares of all steps; by default they move from `FIRST` to `SHARES`.
    """
    torch.manual_seed(settings.seed)
    start = locate(start)
    tokenizer = Tokenizer.from_file(str(start / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(start, dtype=torch.float32).train()
    steppers, state = optimizers(model), out / "state.pt"
    begun, spent = _resumed(model, steppers, state)
    out.mkdir(parents=True, exist_ok=True)
    recent, since = list[float](), time.monotonic() - spent
    saved = time.monotonic()
    with (out / "log.jsonl").open("a") as log:
        for step, batch in enumerate(batches(tokenizer, settings.problems, settings.seed, begun, mix, manner), begun):
            minutes = (time.monotonic() - since) / 60
            progress = settings.progress(step, minutes)
            if progress >= 1.0:
                break
            recent.append(_update(model, steppers, batch, settings.rate_at(step, progress)))
            if (step + 1) % 10 == 0:
                record = {"step": step + 1, "loss": round(sum(recent) / len(recent), 4), "minutes": round(minutes, 2)}
                print(json.dumps(record), file=log, flush=True)
                recent = []
            if time.monotonic() - saved > settings.every * 60:
                saved = time.monotonic()
                save(model, tokenizer, out / "checkpoint", {})
                _keep(model, steppers, state, step + 1, saved - since)
    record = {
        "recipe": "reader",
        "parameters": sum(p.numel() for p in model.parameters()),
        "threads": torch.get_num_threads(),
        "start": start.name,
        "settings": asdict(settings),
        "steps": step,
        "minutes": round((time.monotonic() - since) / 60, 1),
        "shares": mix or SHARES,
        "first": mix or FIRST,
        "attempts": COUNT,
        "manner": manner,
    }
    save(model, tokenizer, out, record)


def _keep(model: nn.Module, steppers: list[torch.optim.Optimizer], state: Path, step: int, spent: float) -> None:
    """All that going on needs, in place at once."""
    parts = {"step": step, "spent": spent, "model": model.state_dict(), "steppers": [s.state_dict() for s in steppers]}
    torch.save(parts, state.with_suffix(".new"))
    state.with_suffix(".new").replace(state)


def _resumed(model: nn.Module, steppers: list[torch.optim.Optimizer], state: Path) -> tuple[int, float]:
    """The step to go on with, and the seconds spent before it."""
    if not state.exists():
        return 0, 0.0
    parts = torch.load(state, weights_only=True)
    model.load_state_dict(parts["model"])
    for stepper, kept in zip(steppers, parts["steppers"], strict=True):
        stepper.load_state_dict(kept)
    return parts["step"], parts["spent"]


def main() -> None:
    """Read the command line and teach."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.002)
    parser.add_argument("--shares", type=given_shares, help=f"as set=0.5,blind=0.5, of {', '.join(WAYS)}")
    parser.add_argument("--attempts", choices=MANNERS, default="wide", help="how they are made up")
    parser.add_argument("--decay", type=float, default=0.6, help="the part of the run in which the rate falls")
    given = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(given.threads)
    settings = Settings(
        seed=given.seed,
        minutes=given.minutes,
        steps=given.steps,
        rate=given.rate,
        decay=given.decay,
        warmup=30,
        every=2.0,
    )
    teach(given.start, given.out, settings, given.shares, given.attempts)


if __name__ == "__main__":
    main()
