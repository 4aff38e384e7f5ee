"""Train one embedded model: `python -m scripts.embedded.train quorate-tiny-base --out DIR`.

A loop of our own, since it spends its time on graded tokens only (the output layer skips the
questions) and uses Muon for the matrices.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from .batches import Batch, batches
from .recipes import RECIPES, Recipe
from .transplant import transplant
from .vocabulary import END, PAD, build_tokenizer, save_tokenizer

_ROUND = 256
"""Tokens: few distinct shapes, since every new one costs the kernels' set-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How long and how fast; ends at the steps or the minutes, whichever is given."""

    seed: int = 0
    minutes: float | None = None
    steps: int | None = None
    problems: int = 24
    """Problems a step."""
    rate: float = 0.003
    warmup: int = 100
    decay: float = 0.3
    """The last part of the run, in which the rate falls to zero."""
    every: float = 3.0
    """Minutes between checkpoints."""

    def progress(self, step: int, minutes: float) -> float:
        """From 0 to 1."""
        return min(1.0, step / self.steps if self.steps else minutes / (self.minutes or 20.0))

    def rate_at(self, step: int, progress: float) -> float:
        """Warm up, stay, fall."""
        return self.rate * min(1.0, (step + 1) / self.warmup, (1.0 - progress) / self.decay + 1e-3)


def build_model(tokenizer: Tokenizer) -> LlamaForCausalLM:
    """About 1.9 million parameters; 64 a head, which every attention kernel of vLLM takes."""
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=192,
        intermediate_size=448,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
        use_cache=True,
    )
    return LlamaForCausalLM(config)


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    layers = [p for p in model.model.layers.parameters() if p.ndim == 2]
    chosen = {id(p) for p in layers}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(layers, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def loss_of(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of the graded tokens, whose number is rounded up with ungraded ones."""
    ids, weights = batch
    targets = torch.where(weights[:, 1:] > 0, ids[:, 1:], -100).reshape(-1)
    chosen = (targets >= 0).nonzero().squeeze(1)
    chosen = nn.functional.pad(chosen, (0, -len(chosen) % _ROUND))
    targets = targets[chosen]
    targets[int((weights[:, 1:] > 0).sum()) :] = -100
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(ids[:, :-1], use_cache=False).last_hidden_state
        logits = model.lm_head(hidden.reshape(-1, hidden.shape[-1])[chosen])
    return nn.functional.cross_entropy(logits.float(), targets)


def begin(recipe: Recipe, start: Path | None) -> tuple[Tokenizer, LlamaForCausalLM, list[object]]:
    """A fresh tokenizer and model, or those of an earlier run and the records of that run."""
    if start is None:
        tokenizer = build_tokenizer(recipe)
        return tokenizer, build_model(tokenizer), []
    tokenizer = Tokenizer.from_file(str(start / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(start, dtype=torch.float32).train()
    record = json.loads((start / "training.json").read_text())
    if record["recipe"]["name"] != recipe.name:
        other = build_tokenizer(recipe)
        tokenizer, model = other, transplant(model, tokenizer, build_model(other), other)
    return tokenizer, model, [*record.pop("earlier", []), record]


Batches = Callable[[Recipe, Tokenizer, int, int], Iterator[Batch]]
"""From a recipe, its tokenizer, the problems of a step and a seed."""


def train(
    recipe: Recipe, settings: Settings, out: Path, start: Path | None = None, make_batches: Batches = batches
) -> None:
    """Train, log every 20 steps, checkpoint now and then, and write the final weights."""
    torch.manual_seed(settings.seed)
    tokenizer, model, earlier = begin(recipe, start)
    steppers = optimizers(model)
    begun = saved = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    step, tokens, recent = 0, 0, []
    with (out / "log.jsonl").open("w") as log:
        for batch in make_batches(recipe, tokenizer, settings.problems, settings.seed):
            minutes = (time.monotonic() - begun) / 60
            progress = settings.progress(step, minutes)
            if progress >= 1.0:
                break
            rate = settings.rate_at(step, progress)
            recent.append(_update(model, steppers, batch, rate))
            step, tokens = step + 1, tokens + batch[0].numel()
            if step % 20 == 0:
                record = {
                    "step": step,
                    "loss": round(sum(recent) / len(recent), 4),
                    "lr": round(rate, 6),
                    "tokens": tokens,
                    "tokens/s": round(tokens / (minutes * 60 + 1e-9)),
                    "minutes": round(minutes, 2),
                }
                print(json.dumps(record), file=log, flush=True)
                recent = []
            if time.monotonic() - saved > settings.every * 60:
                saved = time.monotonic()
                save(model, tokenizer, out / "checkpoint", {})
    save(
        model,
        tokenizer,
        out,
        {
            "recipe": asdict(recipe),
            "settings": asdict(settings),
            "steps": step,
            "tokens": tokens,
            "minutes": round((time.monotonic() - begun) / 60, 1),
            "parameters": sum(p.numel() for p in model.parameters()),
            "threads": torch.get_num_threads(),
            "earlier": earlier,
        },
    )


def _update(model: LlamaForCausalLM, steppers: list[torch.optim.Optimizer], batch: Batch, rate: float) -> float:
    """One step; returns the loss."""
    loss = loss_of(model, batch)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for stepper in steppers:
        for group in stepper.param_groups:
            group["lr"] = rate
        stepper.step()
        stepper.zero_grad(set_to_none=True)
    return loss.item()


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path, record: dict[str, object]) -> None:
    """Weights in bfloat16, tokenizer, generation defaults, and how it was trained."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy = copy.to(torch.bfloat16)
    copy.generation_config = GenerationConfig(
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        max_new_tokens=400,
    )
    copy.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    if record:
        (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.003)
    parser.add_argument("--decay", type=float, default=0.3, help="the part of the run in which the rate falls")
    parser.add_argument("--start", type=Path, help="the folder of an earlier run to go on from")
    given = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(given.threads)
    settings = Settings(seed=given.seed, minutes=given.minutes, steps=given.steps, rate=given.rate, decay=given.decay)
    train(RECIPES[given.name], settings, given.out, given.start)


if __name__ == "__main__":
    main()
