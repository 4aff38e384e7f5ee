"""How an aggregator is trained: checked settings, read from YAML; `presets/` holds two complete sets.

The defaults of `Reinforcement` are the paper's (arXiv 2509.06870, section 4.1) but for the batch, which
a preset chooses for its machine.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.frozen import Frozen, first_fault

from .cutting import Cut

Form = Literal["attempts", "steps"]


class WarmUp(Frozen):
    """Aggregation fine-tuning on verified solutions."""

    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    """Ends earlier."""
    batch: int = Field(default=32, ge=1)
    """Sets a step."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Sets at once on the device; the whole batch if not given."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon`: Muon for the matrices inside the layers and AdamW for the rest, for small models trained whole."""
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=50, ge=0)
    bare: float = Field(default=0.0, ge=0, lt=1)
    """Share of the sets whose question is asked without them, so that solving is not forgotten over reading."""
    lone: float = Field(default=0.0, ge=0, lt=1)
    """Share of the sets of which one candidate alone is shown, without the question, to be written as it stands."""

    def model_post_init(self, _: object, /) -> None:
        if self.bare + self.lone > 1:
            raise BadInput(f"bare={self.bare} and lone={self.lone} are shares of the same sets: at most 1 together")


class Reinforcement(Frozen):
    """GRPO with reward 1 for a right final answer."""

    max_steps: int | None = Field(default=None, ge=1)
    epochs: float = Field(default=1.0, gt=0)
    prompts: int = Field(default=128, ge=1)
    """Sets a step; times `group`, the paper's batch of 1,024 completions."""
    group: int = Field(default=8, ge=2)
    """Completions a set."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Completions at once on the device; all of a step if not given."""
    learning_rate: float = Field(default=1e-6, gt=0)
    beta: float = Field(default=0.001, ge=0)
    """Weight of the KL divergence from the model before."""
    temperature: float = Field(default=1.5, gt=0)
    max_new_tokens: int = Field(default=16_384, ge=1)
    vllm: bool = False
    """Rollouts by vLLM on the same GPU."""
    vllm_memory: float = Field(default=0.4, gt=0, lt=1)
    """Share of the GPU's memory that vLLM may take."""


class Lora(Frozen):
    """Low-rank adapters for models too large to train whole (PEFT)."""

    rank: int = Field(default=32, ge=1)
    alpha: int = Field(default=64, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class TrainingSettings(Frozen):
    """One training run from bank to model."""

    form: Form = "attempts"
    """How candidates are shown: one after the other as in the paper, or merged step by step."""
    cut: Cut = Cut()
    validation: float = Field(default=0.05, gt=0, lt=1)
    """Share of the questions of every template family that nothing is learned from."""
    unseen_families: int = Field(default=0, ge=0)
    """Template families that nothing at all is learned from; they are measured apart."""
    copying: WarmUp | None = None
    """Comes first where it is given: a model too small to have learned to copy from its prompt is taught that by
    itself (`lone`), which takes far fewer steps than finding it out from sets."""
    warm_up: WarmUp | None = WarmUp()
    """None begins with reinforcement, as the paper does."""
    reinforcement: Reinforcement | None = Reinforcement()
    lora: Lora | None = None
    max_tokens: int = Field(default=32_768, ge=16)
    """Of prompt and solution together; longer sets are left out."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    threads: int | None = Field(default=None, ge=1)
    """torch's, on a CPU."""
    checkpoint_steps: int = Field(default=50, ge=1)
    evaluate_steps: int | None = Field(default=None, ge=1)
    """Measures validation accuracy so often; at the end of each stage only if not given."""
    evaluate_sets: int = Field(default=200, ge=1)
    seed: int = 0


def list_presets() -> dict[str, Path]:
    """The presets by name."""
    folder = Path(str(files("quorate.aggregators.learned"))) / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_settings(source: str | Path | None = None, **changes: Any) -> TrainingSettings:
    """TrainingSettings of a preset, a YAML file or nothing, with changes (dotted names, such as `cut.m`) on top.

    Raises:
        BadInput: there is no such preset or file, or a setting is unknown or impossible; names it.
    """
    content: dict[str, Any] = {}
    if source is not None:
        content = _read_content(list_presets().get(str(source), Path(source)))
    for name, value in changes.items():
        *path, last = name.split(".")
        here = content
        for part in path:
            here[part] = dict(here.get(part) or {})
            here = here[part]
        here[last] = value
    try:
        return TrainingSettings.model_validate(content)
    except ValidationError as error:
        where, words = first_fault(error)
        raise BadInput(f"{source or 'settings'}: {where}: {words}") from None


def _read_content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise BadInput(f"no preset or file {str(path)!r}; presets: {', '.join(list_presets())}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not YAML: {error}") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path}: give a mapping of settings")
    return content
