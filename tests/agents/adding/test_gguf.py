"""GGUF files: the same model as the folder they were made of, split by the rule that they name, or one clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from quorate.agents.embedded.adding.gguf import SPLIT_RULES, convert_gguf
from quorate.orchestrator.errors import BadInput
from tests.agents.tiny import build

from .tiny_gguf import write_gguf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny random model."""
    return build(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def convert(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a GGUF file and converts it."""

    def run(**form: Any) -> Path:
        made = tmp_path / "made"
        convert_gguf(write_gguf(folder, tmp_path / "tiny.gguf", **form), made)
        return made

    return run


def test_the_weights_are_the_folders(folder: Path, convert: Callable[..., Path]) -> None:
    """In bfloat16, with its end token and its chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = convert()
    tokens = torch.tensor([[5, 60, 61, 62, 63]])
    logits = [AutoModelForCausalLM.from_pretrained(one, dtype=torch.bfloat16)(tokens).logits for one in (folder, made)]
    assert torch.equal(*logits)
    tokenizers = [AutoTokenizer.from_pretrained(one) for one in (folder, made)]
    assert tokenizers[0].chat_template.strip() == tokenizers[1].chat_template.strip()
    assert tokenizers[0].eos_token_id == tokenizers[1].eos_token_id


@pytest.mark.parametrize("name", ["smollm", "command-r", "falcon", "gpt-2", None])
def test_the_split_rule_is_the_one_that_the_file_names(convert: Callable[..., Path], name: str | None) -> None:
    """GPT-2's rule keeps numbers whole, SmolLM's does not, Falcon's takes three digits, as llama.cpp has it."""
    spec = Tokenizer.from_file(str(convert(rule=name) / "tokenizer.json"))
    pieces = [piece for piece, _ in spec.pre_tokenizer.pre_tokenize_str("1. It's 1234, n\u00b2")]
    numbers = {
        "smollm": ["1", "2", "3", "4"],
        "command-r": ["1", "2", "3", "4"],
        "falcon": ["\u0120", "123", "4"],
        "gpt-2": ["\u01201234"],
        None: ["\u0120", "123", "4"],
    }[name]
    text = "".join(pieces)
    assert text == "1.\u0120It's\u01201234,\u0120n\u00c2\u00b2"
    start = pieces.index(numbers[0], 3 if name != "gpt-2" else 0)
    assert pieces[start : start + len(numbers)] == numbers


def test_rules_that_transformers_has_are_left_to_it(convert: Callable[..., Path]) -> None:
    """Here the two tables must not both speak."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    assert not GGUF_PRE_TOKENIZER_SPLITS.keys() & SPLIT_RULES.keys()
    spec = Tokenizer.from_file(str(convert(rule="llama-bpe") / "tokenizer.json"))
    assert [piece for piece, _ in spec.pre_tokenizer.pre_tokenize_str("12345")] == ["123", "45"]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"rule": "no-such-rule"}, "a rule named 'no-such-rule', which is not known"),
        ({"kind": "Q8_1"}, "tensors in F32, Q8_1"),
        ({"architecture": "mpt"}, "architecture mpt"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    convert: Callable[..., Path], tmp_path: Path, form: dict[str, Any], says: str
) -> None:
    """The rule, the quantisation or the architecture by its name."""
    with pytest.raises(BadInput, match=says):
        convert(**form)
    assert not list((tmp_path / "made").glob("*.safetensors"))


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"no such file at all, but a text", b"GGUF\x03\0\0\0" + b"\xff" * 40]
)
def test_what_is_no_gguf_file(tmp_path: Path, content: bytes) -> None:
    """A file that is cut, or something else."""
    file = tmp_path / "x.gguf"
    file.write_bytes(content)
    with pytest.raises(BadInput, match="no GGUF file that can be read whole"):
        convert_gguf(file, tmp_path / "made")
