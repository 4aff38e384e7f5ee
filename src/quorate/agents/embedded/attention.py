"""Attention for models whose heads share keys and values, without a copy of these for every head.

transformers' eager attention repeats the cache once a head, in every layer and at every step: with SmolLM2's three
heads to a key, most of the time of a batch goes into these copies. Here the heads that share a key are rows of one
product (grouped-query attention, Ainslie et al., arXiv 2305.13245).
"""

from __future__ import annotations

from typing import Any

__all__ = ["share_keys"]

KNOWN = frozenset({"gemma3_text", "llama", "mistral", "qwen2", "qwen3", "smollm3"})
"""Model types whose eager attention is the plain one: no sinks, no biases."""
NAME = "quorate-shared-keys"


def share_keys(model: Any) -> None:
    """Lets a causal language model that was loaded with eager attention use this one, where it is worth anything."""
    config = model.config.get_text_config()
    if config.model_type not in KNOWN or config.num_key_value_heads == config.num_attention_heads:
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    model.set_attn_implementation(NAME)


def attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float,
    dropout: float = 0.0,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Any, Any]:
    """See `transformers.AttentionInterface`.

    Args:
        module: the layer.
        query: of shape [rows, heads, positions, width].
        key: of shape [rows, shared heads, columns, width], as `value` is.
        value: what is mixed.
        attention_mask: is added, of a shape that broadcasts to [rows, heads, positions, columns].
        scaling: of the products.
        dropout: in training.
        softcap: bound of the scaled products, where the model has one.

    Returns:
        What is read, of shape [rows, positions, heads, width], and the weights.
    """
    import torch

    rows, heads, positions, _width = query.shape
    shared = key.shape[1]
    weights = query.reshape(rows, shared, heads // shared * positions, -1) @ key.transpose(2, 3)
    weights = weights.view(rows, heads, positions, -1) * scaling
    if softcap is not None:
        weights = torch.tanh(weights / softcap) * softcap
    if attention_mask is not None:
        weights = weights + attention_mask
    weights = torch.softmax(weights, -1, dtype=torch.float32).to(query.dtype)
    weights = torch.nn.functional.dropout(weights, p=dropout, training=module.training)
    read = weights.view(rows, shared, heads // shared * positions, -1) @ value
    return read.view(rows, heads, positions, -1).transpose(1, 2).contiguous(), weights
