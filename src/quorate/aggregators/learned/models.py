"""What the stages of training share: loading, arguments of trainers, checkpoints, adapters, optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import BadInput, MissingExtra

from .settings import TrainingSettings


def require_libraries() -> None:
    """Raises MissingExtra where training's libraries are not installed."""
    try:
        import datasets  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise MissingExtra("train", "training an aggregator") from error


@contextmanager
def tuned_processor(settings: TrainingSettings) -> Iterator[None]:
    """The process as training wants it, and as it was afterwards."""
    import torch

    threads = torch.get_num_threads()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    # Tiny gradients become denormal numbers, which are slow on CPUs. The setting is the whole process's.
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


def load_model(source: str | Path, settings: TrainingSettings) -> tuple[Any, Any]:
    """The model to begin with and its tokenizer, weights in float32 on a CPU.

    Raises:
        BadInput: there is no such model, or its tokenizer has no chat template or end token.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch.bfloat16 if torch.cuda.is_available() and settings.precision == "bfloat16" else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source))
        model = AutoModelForCausalLM.from_pretrained(str(source), dtype=dtype)
    except Exception as error:  # whatever a folder's files make transformers raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise BadInput(f"--model {source}: cannot be loaded ({reason})") from error
    if tokenizer.chat_template is None:
        raise BadInput(f"--model {source}: its tokenizer has no chat template; set one, or choose a chat model")
    if tokenizer.eos_token_id is None:
        raise BadInput(f"--model {source}: its tokenizer has no end token (eos_token), so nothing would end a solution")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def trainer_arguments(
    settings: TrainingSettings, out: Path, rate: float, max_steps: int | None, epochs: float
) -> dict[str, Any]:
    """Arguments of either trainer."""
    import torch

    return {
        "output_dir": str(out),
        "learning_rate": rate,
        "max_steps": max_steps or -1,
        "num_train_epochs": epochs,
        "bf16": settings.precision == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": torch.cuda.is_available(),
        "logging_steps": min(10, settings.checkpoint_steps),
        "save_steps": settings.checkpoint_steps,
        "save_total_limit": 2,
        "seed": settings.seed,
        "report_to": ["tensorboard"],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def lora_config(settings: TrainingSettings) -> Any:
    """PEFT's settings, None to train all weights."""
    if settings.lora is None:
        return None
    from peft import LoraConfig

    how = settings.lora
    return LoraConfig(
        r=how.rank,
        lora_alpha=how.alpha,
        lora_dropout=how.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def find_checkpoint(out: Path) -> str | None:
    """The last checkpoint in a folder that is whole."""
    from transformers.trainer_utils import get_last_checkpoint

    return get_last_checkpoint(str(out)) if out.is_dir() else None


def muon_with_adamw(model: Any, rate: float) -> Any:
    """Muon for the matrices inside the layers, AdamW for embeddings, norms and the rest: one optimizer to a trainer.

    Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon) needs markedly fewer steps than AdamW alone
    on models of a few million parameters, whose time is all in steps. Both are torch's, here side by side.

    Args:
        model: a causal language model.
        rate: the learning rate of both.
    """
    import torch

    class Both(torch.optim.Optimizer):  # type: ignore[misc]
        """Steps two optimizers; their groups are shared, so a scheduler sets the rates of both."""

        def __init__(self, *parts: torch.optim.Optimizer) -> None:
            super().__init__([p for part in parts for group in part.param_groups for p in group["params"]], {})
            self.parts = parts
            self.param_groups = [group for part in parts for group in part.param_groups]

        def step(self, closure: Callable[[], float] | None = None) -> float | None:
            loss = closure() if closure is not None else None
            for part in self.parts:
                part.step()
            return loss

        def zero_grad(self, set_to_none: bool = True) -> None:
            for part in self.parts:
                part.zero_grad(set_to_none)

        def state_dict(self) -> dict[str, Any]:
            return {"parts": [part.state_dict() for part in self.parts]}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            for part, saved in zip(self.parts, state["parts"], strict=True):
                part.load_state_dict(saved)
            self.param_groups = [group for part in self.parts for group in part.param_groups]

    inside = {id(p) for p in _layers(model).parameters() if p.ndim == 2 and p.requires_grad}
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if id(p) in inside]
    others = [p for p in trained if id(p) not in inside]
    return Both(
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    )


def _layers(model: Any) -> Any:
    """What repeats in a decoder: matrices there, and none of the embedding's or output's."""
    decoder = model.get_decoder()
    return decoder.layers
