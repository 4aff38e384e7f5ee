"""Every id of every real tokenizer in bytes, against its own decoder and against the library that it comes from."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from scripts.fetch_real import find_folder
from tokenizers import Tokenizer

from .random_models import list_tokenizers, load_vocabulary, read_spec

TEXTS = (
    "Hello  world,\n\n\n   it's 12345 + 6,789.01 = 3.5e10!\r\n\t\tdef f(x):\n        return x\n",
    "naïve e\u0301 漢字かな交じり文 한국어 العربية हिन्दी \U0001f642\U0001f469\u200d\U0001f680 ﬁ ½ Ⅳ",
    "<think> </think> <|im_end|> </s> <start_of_turn> [INST] <｜User｜> <0x0A> \u2581a\u2581\u2581b",
    " " * 40 + "x" + "\n" * 35 + "\t" * 9 + "0" * 50,
)
names = pytest.mark.parametrize("name", list_tokenizers())


@names
def test_bytes_are_the_decoders_in_the_middle(name: str) -> None:
    """Between two others, half characters as marks; and of these marks the bytes, completed to characters."""
    spec = read_spec(name)
    vocabulary, tokenizer = load_vocabulary(name), Tokenizer.from_str(spec)
    parts = json.loads(spec)
    special = {added["id"] for added in parts["added_tokens"] if added["special"]}
    beside = tokenizer.encode(" then", add_special_tokens=False).ids[-1]
    before, pair = (tokenizer.decode([beside] * n) for n in (1, 2))
    after = pair.removeprefix(before)
    broken = []
    for token in range(vocabulary.size):
        said = vocabulary.bytes_of(token)
        if said is None:
            piece = tokenizer.id_to_token(token)
            assert piece is None or token in special or piece == parts["model"]["unk_token"]
            continue
        whole = tokenizer.decode([beside, token, beside], skip_special_tokens=False)
        assert whole == before + said.decode(errors="replace") + after, (token, said)
        if "\ufffd" in whole and said != "\ufffd".encode():
            broken.append((token, said))
    completed = 0
    for token, said in broken:
        if (sides := complete(said)) is None:
            continue
        before_it, behind_it = ([vocabulary.id_of(bytes([byte])) for byte in side] for side in sides)
        row: list[Any] = [beside, *before_it, token, *behind_it, beside]
        if None in row:
            continue
        whole = tokenizer.decode(row, skip_special_tokens=False)
        assert whole == before + b"".join((sides[0], said, sides[1])).decode() + after, (token, said)
        completed += 1
    assert completed > 100


def complete(part: bytes) -> tuple[bytes, bytes] | None:
    """What makes a part of a text whole: bytes before it and behind it."""
    for before in (
        b"",
        b"\xc3",
        b"\xe1",
        b"\xe1\x80",
        b"\xf1",
        b"\xf1\x80",
        b"\xf1\x80\x80",
        b"\xe0",
        b"\xf0",
        b"\xed",
    ):
        for after in (b"", b"\x80", b"\xa0", b"\x90", b"\x80\x80", b"\xa0\x80", b"\x90\x80\x80", b"\x80\x80\x80"):
            try:
                (before + part + after).decode()
            except UnicodeDecodeError:
                continue
            return before, after
    return None


@names
def test_texts_are_read_in_their_bytes(name: str) -> None:
    """Ends rise to the end of the text; where the tokenizer loses nothing, they are those of the tokens' bytes."""
    vocabulary, choose = load_vocabulary(name), random.Random(1)
    for text in TEXTS:
        for part in (text, text[choose.randrange(len(text)) :]):
            ids, ends = vocabulary.encode(part)
            said = [vocabulary.bytes_of(token) or b"" for token in ids]
            assert len(ends) == len(ids)
            assert ends == sorted(ends)
            assert ends[-1] <= len(part.encode())
            if b"".join(said) == part.encode():
                assert ends[-1] == len(part.encode())
    plain = TEXTS[0] + TEXTS[3]
    assert b"".join(vocabulary.bytes_of(token) or b"" for token in vocabulary.encode(plain)[0]) == plain.encode()


@pytest.mark.parametrize("name", sorted(file.parent.name for file in find_folder().glob("[!.]*/bytes.json")))
def test_bytes_are_those_of_the_original_library(name: str) -> None:
    """Mistral's tokenizers: tekken's own bytes and SentencePiece's own pieces."""
    vocabulary = load_vocabulary(name)
    table = json.loads((find_folder() / name / "bytes.json").read_text())
    assert vocabulary.size == len(table)
    assert [vocabulary.bytes_of(token) for token in range(vocabulary.size)] == [
        None if said is None else bytes.fromhex(said) for said in table
    ]
