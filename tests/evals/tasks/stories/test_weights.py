"""The embedded models as they ship: small, loadable, byte-exact, and with a chat template."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import quorate.agents

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

WEIGHTS = Path(quorate.agents.__file__).parent / "embedded" / "weights"
NAMES = ("quorate-tiny-base", "quorate-tiny-sum", "quorate-tiny-product")
TOKENIZERS = {name: transformers.AutoTokenizer.from_pretrained(WEIGHTS / name) for name in NAMES}
SPECIALS = ("<|pad|>", "<|user|>", "<|assistant|>", "<|end|>")
named = pytest.mark.parametrize("name", NAMES)


def ids_of(name: str, text: str) -> list[int]:
    """The tokens of a text, as plain numbers."""
    ids: list[int] = TOKENIZERS[name](text, add_special_tokens=False)["input_ids"]
    return ids


def chat(name: str, messages: list[dict[str, str]]) -> str:
    """The prompt that the template makes of a conversation."""
    prompt: str = TOKENIZERS[name].apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return prompt


def test_size() -> None:
    """The three leave room for an aggregator in twenty megabytes."""
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*.safetensors")) <= 20_000_000
    assert sum(path.stat().st_size for name in NAMES for path in (WEIGHTS / name).iterdir()) <= 13_500_000


@named
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=40))
def test_every_text_comes_back(name: str, text: str) -> None:
    """Decoding the tokens of a text gives the text, byte for byte."""
    assert TOKENIZERS[name].decode(ids_of(name, text)) == text


@named
@pytest.mark.parametrize("text", ["a\n\nb  c ", "漢字 😀 é", "\r\n\t", " x", "12.5% of 1,000", "e\u0301", "\x00"])
def test_awkward_texts_come_back(name: str, text: str) -> None:
    """Newlines, spaces, emoji, CJK and combining marks survive."""
    assert TOKENIZERS[name].decode(ids_of(name, text)) == text


@named
@given(number=st.integers(0, 10**9))
def test_a_digit_is_a_token(name: str, number: int) -> None:
    """No token of a number holds two digits, wherever the number stands."""
    tokens = [TOKENIZERS[name].decode([i]) for i in ids_of(name, f"is {number}, or\n{number}.")]
    assert all(sum(c.isdecimal() for c in token) <= 1 for token in tokens)


def test_tokenizers_differ() -> None:
    """The three cut the same text differently."""
    text = "Mia buys 12 apples and 3 bags of flour."
    assert len({tuple(TOKENIZERS[name].convert_ids_to_tokens(ids_of(name, text))) for name in NAMES}) == 3
    assert len({len(TOKENIZERS[name]) for name in NAMES}) == 3


@named
def test_chat_template(name: str) -> None:
    """A turn is marked, a system message joins the user's, earlier answers are ended."""
    ask = {"role": "user", "content": "What is 2 + 3?\n"}
    assert chat(name, [ask]) == "<|user|>What is 2 + 3?<|assistant|>"
    assert chat(name, [{"role": "system", "content": "Be brief."}, ask]) == (
        "<|user|>Be brief.\nWhat is 2 + 3?<|assistant|>"
    )
    assert chat(name, [ask, {"role": "assistant", "content": "Answer: 5"}, ask]) == (
        "<|user|>What is 2 + 3?<|assistant|>Answer: 5<|end|><|user|>What is 2 + 3?<|assistant|>"
    )


@named
def test_special_tokens(name: str) -> None:
    """Each special token is one token, and the end of a turn ends generation."""
    tokenizer = TOKENIZERS[name]
    assert [len(ids_of(name, token)) for token in SPECIALS] == [1, 1, 1, 1]
    assert tokenizer.eos_token == "<|end|>"
    assert tokenizer.pad_token == "<|pad|>"


@named
def test_config(name: str) -> None:
    """A Llama of bfloat16 weights whose heads every attention kernel takes, sampled at temperature one."""
    config, generation = (read(name, file) for file in ("config.json", "generation_config.json"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["dtype"] == "bfloat16"
    assert config["head_dim"] == 64
    assert config["max_position_embeddings"] >= 1024
    assert config["vocab_size"] == len(TOKENIZERS[name])
    assert generation["eos_token_id"] == TOKENIZERS[name].eos_token_id
    assert generation["temperature"] == 1.0


def read(name: str, file: str) -> dict[str, Any]:
    """A JSON file of a model."""
    found: dict[str, Any] = json.loads((WEIGHTS / name / file).read_text())
    return found


@named
def test_card(name: str) -> None:
    """The card states data, seed, steps and the command of its figures, which are on file."""
    card = (WEIGHTS / name / "README.md").read_text()
    training, figures = read(name, "training.json"), read(name, "figures.json")
    assert f"{training['steps']:,} steps" in card
    assert f"Seed {training['settings']['seed']}" in card
    assert figures["command"] in card
    assert f"{figures['figures']['hard']['pass@1']['value']:.3f}" in card


@named
def test_answers(name: str) -> None:
    """Greedily decoded, it works through an easy problem in form, states an answer, and stops."""
    model = transformers.AutoModelForCausalLM.from_pretrained(WEIGHTS / name, dtype=torch.float32)
    tokenizer = TOKENIZERS[name]
    prompt = chat(
        name,
        [
            {
                "role": "user",
                "content": "Mia bakes 12 rolls in the morning. Mia bakes 7 more rolls. "
                "How many rolls does Mia have now?",
            }
        ],
    )
    inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    ids = model.generate(**inputs, do_sample=False, temperature=None, top_p=None, max_new_tokens=80)[0]
    text = tokenizer.decode(ids[inputs["input_ids"].shape[1] :])
    assert "12 + 7 = " in text
    assert text.split("\n")[-1].startswith("Answer: ")
    assert text.endswith("<|end|>")
