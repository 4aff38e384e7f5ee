"""An embedded model as a GGUF file, for llama.cpp: `python scripts/embedded/to_gguf.py FOLDER OUT.gguf`.

Needs the packages `gguf` and `numpy`, nothing of ours. llama.cpp knows no split of texts like our tokenizer's, so
the vocabulary goes in as one of SentencePiece's kind, whose merges are ranked alike and not bound to a split. Of 900
generated questions 24 are cut differently, each at one comma before a frequent word (`tests/upstreams/test_llama.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

__all__ = ["write"]


def write(folder: Path, out: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(str(out), "llama")
    _describe(writer, config)
    _vocabulary(writer, folder, config)
    for name, values in _tensors(folder / "model.safetensors"):
        writer.add_tensor(*_placed(name, values, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: Any, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _vocabulary(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    """Tokens in SentencePiece's spelling; what is merged earlier scores higher."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    special = {token["content"] for token in tokenizer["added_tokens"]}
    rank = {"".join(pair): place for place, pair in enumerate(tokenizer["model"]["merges"])}
    tokens, scores, types = [], [], []
    for token, _ in sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1]):
        text, kind = (token, gguf.TokenType.CONTROL) if token in special else _spelled(token)
        tokens.append(text.encode())
        scores.append(-float(rank.get(token, 0)))
        types.append(kind)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(settings["chat_template"])


def _spelled(token: str) -> tuple[str, Any]:
    """A byte-level token as text, a lone byte that is none as `<0xNN>`."""
    raw = bytes(_BYTES[character] for character in token)
    if len(raw) == 1 and raw[0] >= 128:
        return f"<0x{raw[0]:02X}>", gguf.TokenType.BYTE
    return raw.decode(errors="replace").replace(" ", "\u2581"), gguf.TokenType.NORMAL


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's: printable bytes stand for themselves, the others for characters from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_alphabet()


def _tensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Names and float32 values of a safetensors file; numpy has no bfloat16."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        start, end = (8 + size + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(data[start:end], np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(data[start:end], {"F32": np.float32, "F16": np.float16}[entry["dtype"]])
        yield name, values.astype(np.float32).reshape(entry["shape"])


_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def _placed(name: str, values: Any, config: dict[str, Any]) -> tuple[str, Any]:
    """A tensor under llama.cpp's name; it turns neighbouring values of a head where transformers turns halves."""
    name = name.removeprefix("model.").removesuffix(".weight")
    if name in ("embed_tokens", "norm", "lm_head"):
        return {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}[name] + ".weight", values
    _, layer, part = name.split(".", 2)
    if part in ("self_attn.q_proj", "self_attn.k_proj"):
        heads = config["num_attention_heads" if "q_proj" in part else "num_key_value_heads"]
        values = values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
    return f"blk.{layer}.{_NAMES[part]}.weight", np.ascontiguousarray(values)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
