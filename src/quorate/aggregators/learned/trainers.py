"""The two ways to train, both through TRL.

`warm_up`: aggregation fine-tuning, drafts in, a verified solution out (arXiv 2501.11877, section 3). Only the
solution is graded. Different from the paper: the target is a sample that a grader found right instead of a
stronger model's aggregate.

`reinforce`: GRPO with the verifiable reward (AggLM, arXiv 2509.06870, sections 3.1 and 4.1). A group of completions
a set, advantages relative to the group, a small KL penalty towards the model before. Where there is a GPU, vLLM can
draw the completions beside the trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from .dataset import TrainingRow
from .measuring import Grade, Reward, same_answer
from .models import find_checkpoint, lora_config, muon_with_adamw, trainer_arguments
from .settings import TrainingSettings, WarmUp


def encode_rows(
    rows: Sequence[TrainingRow], tokenizer: Any, settings: TrainingSettings, how: WarmUp
) -> list[dict[str, list[int]]]:
    """Token ids with a mask of the graded ones; sets without a solution and those that are too long are left out."""
    rng, kept = Random(f"shown/{settings.seed}"), []
    for row in rows:
        asked, wanted = _show_row(row, how, rng.random())
        if wanted is None:
            continue
        prompt = tokenizer.apply_chat_template(list(asked), add_generation_prompt=True, return_dict=False)
        answer = tokenizer(wanted, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        if len(prompt) + len(answer) > settings.max_tokens:
            continue
        kept.append({"input_ids": prompt + answer, "completion_mask": [0] * len(prompt) + [1] * len(answer)})
    return kept


def _show_row(row: TrainingRow, how: WarmUp, drawn: float) -> tuple[Sequence[dict[str, str]], str | None]:
    """What is asked and what is wanted, by a number from 0 to 1."""
    if drawn < how.bare:
        return row.bare, row.target
    if drawn < how.bare + how.lone:
        return row.lone, row.lone_text
    return row.prompt, row.target


def warm_up(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TrainingRow],
    settings: TrainingSettings,
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

    examples = encode_rows(rows, tokenizer, settings, how)
    micro = how.micro_batch or how.batch
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            **trainer_arguments(settings, out, how.learning_rate, how.max_steps, how.epochs),
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
    trainer.train(resume_from_checkpoint=find_checkpoint(out))
    return trainer.model


def reinforce(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TrainingRow],
    settings: TrainingSettings,
    out: Path,
    *,
    grade: Grade = same_answer,
    callbacks: Sequence[Any] = (),
) -> Any:
    """Trains the model in place; goes on from the last checkpoint in `out`.

    Returns:
        The trainer's model, with adapters where there are any.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    how = settings.reinforcement
    assert how is not None
    asked = [{"prompt": list(r.prompt), "gold": r.gold} for r in _select_fitting(rows, tokenizer, settings)]
    completions = how.prompts * how.group
    micro = how.micro_batch or completions
    rollouts: dict[str, Any] = {}
    if how.vllm:
        rollouts = {
            "use_vllm": True,
            "vllm_mode": "colocate",
            "vllm_gpu_memory_utilization": how.vllm_memory,
            "vllm_max_model_length": settings.max_tokens + how.max_new_tokens,
        }
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[Reward(grade)],
        args=GRPOConfig(
            **trainer_arguments(settings, out, how.learning_rate, how.max_steps, how.epochs),
            **rollouts,
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=max(1, completions // micro),
            num_generations=how.group,
            max_completion_length=how.max_new_tokens,
            temperature=how.temperature,
            beta=how.beta,
            lr_scheduler_type="constant",
        ),
        train_dataset=Dataset.from_list(asked),
        processing_class=tokenizer,
        peft_config=lora_config(settings),
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=find_checkpoint(out))
    return trainer.model


def _select_fitting(rows: Sequence[TrainingRow], tokenizer: Any, settings: TrainingSettings) -> list[TrainingRow]:
    """The sets whose prompt leaves room for a solution and that have a gold answer."""

    def length(row: TrainingRow) -> int:
        return len(tokenizer.apply_chat_template(list(row.prompt), add_generation_prompt=True, return_dict=False))

    return [row for row in rows if row.gold is not None and length(row) < settings.max_tokens]
