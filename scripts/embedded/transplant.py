"""Carry a model over to another tokenizer: same layers, embeddings put together from the old ones."""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM


@torch.no_grad()
def transplant(donor: LlamaForCausalLM, old: Tokenizer, model: LlamaForCausalLM, new: Tokenizer) -> LlamaForCausalLM:
    """Fill `model` from `donor`; a token starts as the mean of the old tokens of its text."""
    kept = {name: value for name, value in donor.state_dict().items() if "embed" not in name and "lm_head" not in name}
    model.load_state_dict(kept, strict=False)
    source, target = donor.get_input_embeddings().weight, model.get_input_embeddings().weight
    for token, index in new.get_vocab().items():
        text = token if old.token_to_id(token) is not None else new.decode([index], skip_special_tokens=False)
        pieces = [old.token_to_id(token)] if text == token and text.startswith("<|") else old.encode(text).ids
        if pieces:
            target[index] = source[pieces].mean(dim=0)
    model.tie_weights()
    return model.train()
