"""Many samples a question from a folder of weights; one question at a time, which keeps the cache small and fast."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from quorate.evals.tasks.stories import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to sample."""

    samples: int = 16
    temperature: float = 1.0
    max_new_tokens: int = 400
    seed: int = 0


class Sampler:
    """A model folder that answers problems."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def sample(self, problems: list[Problem], settings: Sampling) -> list[list[str]]:
        """For each problem, that many completions."""
        torch.manual_seed(settings.seed)
        return [self._answers(problem, settings) for problem in problems]

    @torch.inference_mode()
    def _answers(self, problem: Problem, settings: Sampling) -> list[str]:
        inputs = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": problem.question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        config = GenerationConfig(
            do_sample=True,
            temperature=settings.temperature,
            top_p=1.0,
            top_k=0,
            max_new_tokens=settings.max_new_tokens,
            num_return_sequences=settings.samples,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        ids = self.model.generate(**inputs, generation_config=config)
        new = ids[:, inputs["input_ids"].shape[1] :]
        texts: list[str] = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return texts
