"""Tokens in bytes: small tokenizers of every kind, written down, against what their own decoders say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quorate.agents.vocabulary import TokenizerVocabulary
from quorate.orchestrator.errors import BadInput

tokenizers = pytest.importorskip("tokenizers")

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
SPACES = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
SENTENCEPIECE = {
    "type": "Sequence",
    "decoders": [SPACES, {"type": "ByteFallback"}, {"type": "Fuse"}],
}
STRIPPING = {
    "type": "Sequence",
    "decoders": [*SENTENCEPIECE["decoders"], {"type": "Strip", "content": " ", "start": 1, "stop": 0}],
}


def add(number: int, content: str, *, special: bool = False) -> dict[str, Any]:
    """An added token."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, "special": special, **flags}


def spell_bytes() -> list[str]:
    """GPT-2's characters for all bytes, in their order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def write_spec(
    tokens: list[str], decoder: Any, added: list[dict[str, Any]], *, merges: list[str] | None = None, **parts: Any
) -> str:
    """A `tokenizer.json` of the BPE kind."""
    fields = dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"))
    model = {
        "type": "BPE",
        **fields,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {token: number for number, token in enumerate(tokens)},
        "merges": [merge.split() for merge in merges or []],
        **parts.pop("model", {}),
    }
    rest = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor"))
    return json.dumps({"version": "1.0", **rest, **parts, "added_tokens": added, "decoder": decoder, "model": model})


def byte_level() -> str:
    """GPT-2's kind, with added tokens that are not ASCII, hold spaces, are a byte's character, or leave a gap."""
    added = [
        add(258, "<｜end▁of▁turn｜>"),
        add(259, "    "),
        add(260, "éé"),
        add(261, "<think>"),
        add(264, "<|end|>", special=True),
    ]
    return write_spec([*spell_bytes(), "Ġth", "çļĦ"], BYTE_LEVEL, added, pre_tokenizer=BYTE_LEVEL)


def with_fallback(decoder: Any) -> str:
    """SentencePiece's kind: bytes for what it has never seen, and runs of marks as added tokens, as Gemma has them."""
    tokens = ["<unk>", "<end>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁▁", "▁▁▁", "a", "b", "▁a", "\n\n"]
    added = [
        add(0, "<unk>", special=True),
        add(1, "<end>", special=True),
        add(259, "▁▁"),
        add(260, "▁▁▁"),
        add(264, "\n\n"),
    ]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    model = {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True}
    return write_spec(tokens, decoder, added, merges=["▁ a"], normalizer=replace, model=model)


def unigram() -> str:
    """ALBERT's and XLM-R's kind: scores, a mark for spaces and no bytes."""
    pieces = [["<unk>", 0.0], ["▁", -2.0], ["▁a", -3.0], ["b", -3.0], ["▁▁", -9.0], ["漢", -4.0]]
    model = {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": False}
    spec = json.loads(write_spec([], METASPACE, [], pre_tokenizer=METASPACE))
    return json.dumps({**spec, "model": model})


def wordpiece() -> str:
    """BERT's kind, whose decoder puts spaces between words and takes them from before full stops."""
    words = ["[UNK]", "the", "##re", "cat", ".", "!", "n't", "'", "##.", "don", "##'"]
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {word: number for number, word in enumerate(words)},
    }
    spec = json.loads(write_spec([], {"type": "WordPiece", "prefix": "##", "cleanup": True}, []))
    return json.dumps({**spec, "pre_tokenizer": {"type": "BertPreTokenizer"}, "model": model})


def word_ends() -> str:
    """The first GPT's kind: a mark where a word ends."""
    decoder = {"type": "BPEDecoder", "suffix": "</w>"}
    return write_spec(["t", "h</w>", "he</w>", "th"], decoder, [], model={"end_of_word_suffix": "</w>"})


KINDS = {
    "byte-level": byte_level(),
    "byte fallback": with_fallback(SENTENCEPIECE),
    "byte fallback, stripping": with_fallback(STRIPPING),
    "unigram": unigram(),
    "wordpiece": wordpiece(),
    "word ends": word_ends(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_what_the_decoder_gives_in_the_middle(kind: str) -> None:
    """Every id but the silent ones, between two others that the vocabulary has."""
    vocabulary, tokenizer = TokenizerVocabulary(KINDS[kind], [], kind), tokenizers.Tokenizer.from_str(KINDS[kind])
    spec = json.loads(KINDS[kind])
    silent = {one["id"] for one in spec["added_tokens"] if one["special"]}
    silent |= {spec["model"].get("unk_id"), tokenizer.token_to_id(spec["model"].get("unk_token") or "")}
    # Not a token for a byte: ByteFallback takes all of a run of these for broken where one is.
    beside = next(
        n for n in reversed(range(vocabulary.size)) if n not in silent and (vocabulary.bytes_of(n) or b"").isalnum()
    )
    before, pair = (tokenizer.decode([beside] * n) for n in (1, 2))
    for token in range(vocabulary.size):
        said = vocabulary.bytes_of(token)
        if token in silent or tokenizer.id_to_token(token) is None:
            assert said is None
        else:
            assert said is not None
            whole = tokenizer.decode([beside, token, beside], skip_special_tokens=False)
            assert whole == before + said.decode(errors="replace") + pair.removeprefix(before)


@pytest.mark.parametrize(
    ("kind", "token", "text"),
    [
        ("byte-level", 258, "<｜end▁of▁turn｜>".encode()),  # once a KeyError: not in GPT-2's alphabet
        ("byte-level", 259, b"    "),
        ("byte-level", 260, b"\xe9\xe9"),
        ("byte-level", 0xE7, b"\xe7"),
        ("byte-level", 257, "的".encode()),
        ("byte-level", 256, b" th"),
        ("byte-level", 263, None),
        ("byte-level", 264, None),
        ("byte-level", 9999, None),
        ("byte fallback", 259, b"  "),  # once the marks themselves
        ("byte fallback", 260, b"   "),
        ("byte fallback", 2 + 0xE6, b"\xe6"),
        ("byte fallback, stripping", 258, b" "),
        ("unigram", 2, b" a"),
        ("unigram", 0, None),
        ("wordpiece", 1, b" the"),
        ("wordpiece", 2, b"re"),
        ("wordpiece", 4, b"."),
        ("wordpiece", 6, b"n't"),
        ("wordpiece", 7, b" '"),
        ("word ends", 1, b"h "),
    ],
)
def test_bytes_of_single_tokens(kind: str, token: int, text: bytes | None) -> None:
    """By hand, one of each sort."""
    assert TokenizerVocabulary(KINDS[kind], [], kind).bytes_of(token) == text


@pytest.mark.parametrize("kind", ["byte-level", "byte fallback", "byte fallback, stripping"])
@pytest.mark.parametrize(
    "text", ["  a\n\n\n  b", "    é 漢字 🙂", "<think> a</think>", "▁a▁▁b", "<|end|><end>", "\r\n\t\0"]
)
def test_texts_join_from_their_tokens(kind: str, text: str) -> None:
    """Tokens of a text are the text again, with spaces for what is taken for them, and end where it ends."""
    vocabulary = TokenizerVocabulary(KINDS[kind], [], kind)
    ids, ends = vocabulary.encode(text)
    said = b"".join(vocabulary.bytes_of(token) or b"" for token in ids)
    marks = text.encode() if "▁" not in text or kind == "byte-level" else text.replace("▁", " ").encode()
    assert said == marks
    assert ends[-1] == len(text.encode())
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    "decoder", [None, {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}]
)
def test_decoders_that_look_at_neighbours_are_refused(decoder: Any) -> None:
    """Without a decoder there is no text, and with CTC's a token twice is the token once."""
    with pytest.raises(BadInput, match="tokenizer of tom does not say what its tokens stand for"):
        TokenizerVocabulary(write_spec(["a", "b"], decoder, []), [], "tom")
