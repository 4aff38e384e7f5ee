"""Where models are, and how they are loaded: once in a process for each (folder, dtype, device)."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from quorate.orchestrator.errors import BadInput, MissingExtra, UnknownName
from quorate.orchestrator.json_values import repair_surrogates
from quorate.orchestrator.types import Question

from .attention import share_keys
from .chat import encode_prompt
from .home import find_models, list_added_models

Dtype = Literal["float32", "bfloat16"]

FAMILY = "quorate-tiny"
"""Of the models that ship inside the package."""
FIRST = ("quorate-tiny-base", "quorate-tiny-sum", "quorate-tiny-product")
"""The default, then the two specialists; what else ships follows by name."""


def _weights() -> Path:
    return Path(str(files(__package__))) / "weights"


def list_embedded_models() -> tuple[str, ...]:
    """Names of the models that run in this process, the default first: those that were added, then the shipped ones."""
    return (*(model.name for model in list_added_models()), *list_shipped_models())


def list_shipped_models() -> tuple[str, ...]:
    """Names of the models that ship inside the package."""
    shipped = {folder.parent.name for folder in _weights().glob("*/config.json")}
    return (*(name for name in FIRST if name in shipped), *sorted(shipped.difference(FIRST)))


def locate(model: str | Path) -> Path:
    """The folder of a shipped or added model, or a folder of one's own.

    Raises:
        UnknownName: neither a model by this name nor a folder with a `config.json`.
    """
    if str(model) in list_shipped_models():
        return _weights() / str(model)
    for added in list_added_models():
        if added.name == str(model):
            return added.folder
    folder = Path(model).expanduser()
    if not (folder / "config.json").is_file():
        raise UnknownName("embedded model", str(model), list_embedded_models())
    return folder.resolve()


def is_shipped(folder: Path) -> bool:
    """Whether this is the folder of a model that ships inside the package."""
    return folder.parent == _weights()


def default_dtype(folder: Path) -> Dtype:
    """bfloat16 for an added model: as exact as its file, half its memory in float32, and up to 1.7 times as fast."""
    return "bfloat16" if folder.parent == find_models() else "float32"


def read_context(folder: Path) -> int | None:
    """Tokens that prompt and answer may have together, as the folder's `config.json` has it, without loading."""
    try:
        return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model with its tokenizer, ready to run.

    The tokenizer is used under a lock, since fast tokenizers refuse concurrent changes of their
    truncation and padding.
    """

    folder: Path
    model: Any
    """A transformers causal language model in eval mode."""
    tokenizer: Any
    context: int
    """Tokens that prompt and answer may have together."""
    ends: frozenset[int]
    """Tokens that end an answer."""
    defaults: Mapping[str, Any]
    """What the model's `generation_config.json` sets: temperature, top_p, top_k, min_p, repetition_penalty,
    max_new_tokens."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def prompt(self, question: Question) -> list[int]:
        """The conversation as token ids; raises as `encode_prompt` does."""
        with self.lock:
            return encode_prompt(self.tokenizer, question, self.folder.name)

    def count(self, text: str) -> int:
        """Tokens of a text by itself."""
        with self.lock:
            return len(self.tokenizer.encode(repair_surrogates(text), add_special_tokens=False, verbose=False))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of these tokens, without special ones."""
        return str(self._decoder.decode(tokens, skip_special_tokens=True))

    def spell(self, token: int) -> str:
        """One token as text, special ones by their name."""
        return str(self._decoder.decode([token], skip_special_tokens=False))

    @property
    def _decoder(self) -> Any:
        """The tokenizer itself where it is one in Rust: its wrapper takes ten times as long for one token."""
        return getattr(self.tokenizer, "backend_tokenizer", self.tokenizer)


_PARTS = ("*.safetensors", "*.bin", "config.json", "generation_config.json", "token*", "*.jinja")
"""Files of a model's folder that decide what it says."""
_hashed: dict[tuple[tuple[str, int, int], ...], str] = {}


def hash_files(folder: Path) -> str:
    """Content hash of a model's files; they are read once in a process, and again when they change."""
    files = sorted({file for pattern in _PARTS for file in folder.glob(pattern) if file.is_file()})
    stats = [(str(file), file.stat()) for file in files]
    state = tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
    if state not in _hashed:
        whole = hashlib.sha256()
        for file in files:
            with file.open("rb") as content:
                whole.update(file.name.encode() + hashlib.file_digest(content, "sha256").digest())
        _hashed[state] = whole.hexdigest()[:16]
    return _hashed[state]


_loading = threading.Lock()
_loaded: dict[tuple[Path, str, str], LoadedModel] = {}


def load(model: str | Path, dtype: Dtype | None = None, device: str | None = None) -> LoadedModel:
    """The model, loaded at the first call and kept; never asks the network.

    Args:
        model: the name of a shipped or added model, or a folder that transformers can load.
        dtype: what it computes in; see `default_dtype` if not given.
        device: as torch names it; a GPU where there is one, if not given.

    Raises:
        UnknownName: no such model.
        MissingExtra: torch or transformers is not installed.
        BadInput: the folder holds no causal language model that transformers can load.
    """
    folder = locate(model)
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra("local", f"the model {folder.name}") from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or default_dtype(folder)
    key = (folder, dtype, device)
    with _loading:
        if key not in _loaded:
            with _quiet(transformers):
                if device == "cpu":
                    _limit_threads(torch, folder)
                _loaded[key] = _load(folder, getattr(torch, dtype), device)
        return _loaded[key]


def _limit_threads(torch: Any, folder: Path) -> None:
    """Half of the cores that are idle, one for a shipped model; torch itself takes all cores.

    Threads of torch's wait for each other in every layer: where another program has one of their cores, two take
    up to ten times as long as one, and where none has, they are less than twice as fast.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    idle = cores if sys.platform == "win32" else cores - os.getloadavg()[0]
    torch.set_num_threads(1 if is_shipped(folder) else max(1, int(idle / 2)))


def _load(folder: Path, dtype: Any, device: str) -> LoadedModel:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if (folder / "tekken.json").is_file() and not (folder / "tokenizer.json").is_file():
        raise BadInput(
            f"{folder} has a tekken.json and no tokenizer.json, which is what can be read here; AutoTokenizer."
            "from_pretrained(FOLDER, mistral_format=False).save_pretrained(FOLDER) writes one where mistral-common is "
            "installed"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, local_files_only=True, trust_remote_code=False, attn_implementation="eager"
        )
        share_keys(model)
    except Exception as error:  # whatever a folder's files make transformers raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise BadInput(f"{folder} cannot be loaded as a causal language model ({reason})") from error
    ends = model.generation_config.eos_token_id
    ends = tokenizer.eos_token_id if ends is None else ends
    return LoadedModel(
        folder=folder,
        model=model.to(device).eval().requires_grad_(False),
        tokenizer=tokenizer,
        context=model.config.max_position_embeddings,
        ends=frozenset([ends] if isinstance(ends, int) else ends or ()),
        defaults=model.generation_config.to_diff_dict() | _read_greedy(folder),
    )


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No progress bar for a file of a few megabytes."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _read_greedy(folder: Path) -> dict[str, Any]:
    """Temperature 0 where the folder says in so many words not to sample; transformers' own default says it always."""
    try:
        said = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {"temperature": 0.0} if said.get("do_sample") is False else {}


def read_aggregation_form(folder: Path) -> str | None:
    """What `aggregator.json`, written by `quorate train aggregator`, says of the form of its prompts; None without one.

    Raises:
        BadInput: the file is not what training writes.
    """
    sidecar = folder / "aggregator.json"
    if not sidecar.is_file():
        return None
    try:
        return str(json.loads(sidecar.read_text(encoding="utf-8"))["form"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{sidecar}: not what quorate train aggregator writes") from error
