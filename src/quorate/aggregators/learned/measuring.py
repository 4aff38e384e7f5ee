"""Right or wrong: the verifiable reward (AggLM, section 3.1), and a model on held-out sets beside the vote.

Held-out sets are answered greedily while training runs: a quick look with transformers; figures to report come from
`quorate eval`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..equivalence import default_equivalence
from ..extraction import AnswerExtractor
from .dataset import TrainingRow

SHOWN = {"loss": "loss", "reward": "reward", "kl": "KL", "completions/mean_length": "tokens"}
"""Of what trainers log, what a person watches; TensorBoard has the rest."""

AT_ONCE = 32
"""Prompts generated together."""


Grade = Callable[[str, str], Awaitable[bool]]
"""Text and gold answer to whether the text answers right; a task's own, where there is one."""


async def same_answer(text: str, gold: str) -> bool:
    """Whether the answer found in a text is equivalent to the gold one; none at all is wrong."""
    found = AnswerExtractor().extract(text)
    if found is None or found == gold:
        return found is not None
    first, second = await default_equivalence().classes([found, gold])
    return first == second


class Reward:
    """1 for a right final answer, else 0; what GRPO calls with the completions of a step.

    Args:
        grade: see `Grade`.
    """

    __name__ = "right"
    """What the trainer's logs call it."""

    def __init__(self, grade: Grade = same_answer) -> None:
        self._grade = grade

    async def __call__(
        self,
        prompts: Sequence[Any],  # noqa: ARG002 - the trainer's names
        completions: Sequence[Any],
        gold: Sequence[str],
        **_: Any,
    ) -> list[float]:
        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        return [float(await self._grade(text, right)) for text, right in zip(texts, gold, strict=True)]


@dataclass(frozen=True)
class Measured:
    """Accuracies over validation sets, which are not balanced."""

    sets: int
    aggregator: float
    vote: float
    """Share of easy sets: plurality, ties counted wrong."""
    hard: float
    """The aggregator's where the vote is wrong; nan without such sets."""
    easy: float

    def __str__(self) -> str:
        return (
            f"{self.aggregator:.3f} on {self.sets} held-out sets (vote {self.vote:.3f}; "
            f"hard {self.hard:.3f}, easy {self.easy:.3f})"
        )

    def as_json(self) -> dict[str, float]:
        return {"sets": self.sets, "aggregator": self.aggregator, "vote": self.vote} | {
            name: value for name in ("hard", "easy") if (value := getattr(self, name)) == value
        }


def measure(
    model: Any, tokenizer: Any, rows: Sequence[TrainingRow], *, max_new_tokens: int, grade: Grade = same_answer
) -> Measured:
    """Greedy answers to these sets, graded."""
    graded = [row for row in rows if row.gold is not None]
    ordered = sorted(graded, key=lambda row: sum(len(m["content"]) for m in row.prompt))
    right: list[bool] = []
    for at in range(0, len(ordered), AT_ONCE):
        part = ordered[at : at + AT_ONCE]
        texts = _write_answers(model, tokenizer, part, max_new_tokens)
        right += asyncio.run(_grade_all(texts, part, grade))
    hard = [ok for ok, row in zip(right, ordered, strict=True) if row.hard]
    easy = [ok for ok, row in zip(right, ordered, strict=True) if not row.hard]
    return Measured(len(ordered), _mean(right), len(easy) / max(1, len(ordered)), _mean(hard), _mean(easy))


def make_watcher(
    stage: str, every: int | None, measured: Callable[[Any], Measured], tell: Callable[[str], None]
) -> Any:
    """A trainer callback that tells the loss and the reward, and measures every so many steps where asked."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        """Tells what the trainer logs; measures at the end of a step."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
            shown = [f"{name} {float(logs[key]):.4g}" for key, name in SHOWN.items() if key in (logs or {})]
            if shown:
                tell(f"{stage}: step {state.global_step} of {state.max_steps}, {', '.join(shown)}")

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ARG002
            if every is not None and state.global_step % every == 0:
                found = measured(model)
                tell(f"{stage}: step {state.global_step}: {found}")
                state.log_history.append({"step": state.global_step, "validation": found.as_json()})

    return Watch()


def _write_answers(model: Any, tokenizer: Any, rows: Sequence[TrainingRow], max_new_tokens: int) -> list[str]:
    import torch

    prompts = [
        tokenizer.apply_chat_template(list(row.prompt), add_generation_prompt=True, tokenize=False) for row in rows
    ]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        ids = model.generate(
            input_ids=batch["input_ids"].to(model.device),
            attention_mask=batch["attention_mask"].to(model.device),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=max_new_tokens,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    model.train(was_training)
    texts: list[str] = tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts


async def _grade_all(texts: Sequence[str], rows: Sequence[TrainingRow], grade: Grade) -> list[bool]:
    return [await grade(text, row.gold or "") for text, row in zip(texts, rows, strict=True)]


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else float("nan")
