"""Attention over shared keys gives what transformers' eager attention gives."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from quorate.agents.embedded.attention import NAME, share_keys  # noqa: E402  torch first
from quorate.agents.embedded.batch_engine import find_cache_argument  # noqa: E402

SMALL = {
    "vocab_size": 50,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "attn_implementation": "eager",
}


def make(kind: str, **changes: Any) -> Any:
    """A model of random weights."""
    torch.manual_seed(7)
    config = transformers.AutoConfig.for_model(kind, **(SMALL | changes))
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma3_text"])
def test_logits_are_those_of_eager_attention(kind: str) -> None:
    """For prompts of different length, padded on the left, and for a token after them."""
    model = make(kind)
    tokens = torch.randint(1, 50, (3, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[0] * 4 + [1] * 5, [1] * 9, [0] * 1 + [1] * 8])

    def read() -> Any:
        with torch.inference_mode():
            first = model(tokens, attention_mask=mask, use_cache=True)
            longer = torch.cat([mask, torch.ones(3, 1, dtype=mask.dtype)], 1)
            then = model(tokens[:, :1], attention_mask=longer, **{find_cache_argument(model): first.past_key_values})
            return torch.cat([first.logits, then.logits], 1)[:, -6:]

    eager = read()
    share_keys(model)
    assert model.config._attn_implementation == NAME
    torch.testing.assert_close(read(), eager, rtol=1e-4, atol=1e-5)


def test_a_row_does_not_depend_on_its_company() -> None:
    """In float32 a row of a batch reads what it reads alone, to rounding."""
    model = make("llama")
    share_keys(model)
    tokens = torch.randint(1, 50, (5, 9), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        together = model(tokens).logits
        alone = torch.cat([model(row.unsqueeze(0)).logits for row in tokens])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "changes"), [("gpt_oss", {}), ("llama", {"num_key_value_heads": 6})])
def test_other_models_keep_their_attention(kind: str, changes: dict[str, Any]) -> None:
    """One that has more in its attention than this knows, or nothing to share."""
    model = make(kind, **changes)
    share_keys(model)
    assert model.config._attn_implementation == "eager"
