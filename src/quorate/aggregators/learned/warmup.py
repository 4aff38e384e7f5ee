"""Aggregation fine-tuning: drafts in, a verified solution out (arXiv 2501.11877, section 3), through TRL.

Only the solution is graded. Different from the paper: the target is a sample that a grader found
right instead of a stronger model's aggregate.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from .dataset import Row
from .models import common, lora_config, resumable
from .optimizers import muon_with_adamw
from .settings import Settings, WarmUp

__all__ = ["encoded", "warm_up"]


def encoded(rows: Sequence[Row], tokenizer: Any, settings: Settings, how: WarmUp) -> list[dict[str, list[int]]]:
    """Token ids with a mask of the graded ones; sets without a solution and those that are too long are left out."""
    rng, kept = Random(f"shown/{settings.seed}"), []
    for row in rows:
        asked, wanted = _shown(row, how, rng.random())
        if wanted is None:
            continue
        prompt = tokenizer.apply_chat_template(list(asked), add_generation_prompt=True, return_dict=False)
        answer = tokenizer(wanted, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        if len(prompt) + len(answer) > settings.max_tokens:
            continue
        kept.append({"input_ids": prompt + answer, "completion_mask": [0] * len(prompt) + [1] * len(answer)})
    return kept


def _shown(row: Row, how: WarmUp, drawn: float) -> tuple[Sequence[dict[str, str]], str | None]:
    """What is asked and what is wanted, by a number from 0 to 1."""
    if drawn < how.bare:
        return row.bare, row.target
    if drawn < how.bare + how.lone:
        return row.lone, row.lone_text
    return row.prompt, row.target


def warm_up(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    settings: Settings,
    how: WarmUp,
    out: Path,
    callbacks: Sequence[Any] = (),
) -> Any:
    """Trains the model in place; goes on from the last checkpoint in `out`.

    Args:
        how: `settings.warm_up` or `settings.copying`.

    Returns:
        The trainer's model, with adapters where there are any.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    examples = encoded(rows, tokenizer, settings, how)
    micro = how.micro_batch or how.batch
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            **common(settings, out, how.learning_rate, how.max_steps, how.epochs),
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=max(1, how.batch // micro),
            warmup_steps=how.warmup_steps,
            lr_scheduler_type="cosine",
            train_sampling_strategy="group_by_length",
            pad_to_multiple_of=32,
            completion_only_loss=True,
            max_length=None,
        ),
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=lora_config(settings),
        optimizers=(muon_with_adamw(model, how.learning_rate) if how.optimizer == "muon" else None, None),
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=resumable(out))
    return trainer.model
