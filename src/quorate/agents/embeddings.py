"""Sentence embeddings: an endpoint's `/v1/embeddings` (OpenAI, vLLM, Ollama), or an encoder of a local folder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.usage import Usage

from .reward import PostedModel


class EmbeddingModel(PostedModel):
    """Embeds texts by an endpoint; see `PostedModel` for the settings."""

    path = "/embeddings"

    async def embed(self, texts: Sequence[str], run: RunContext) -> list[list[float]]:
        """A vector for each text, in one request.

        Raises:
            UpstreamError: the server failed, or its reply holds no vector for each text.
        """
        reply = await self.post({"model": self.model, "input": list(texts)}, run)
        try:
            rows = sorted(reply["data"], key=lambda row: row["index"])
            vectors = [[float(x) for x in row["embedding"]] for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise self._bad_reply(f"no embeddings in the reply ({error!r})") from None
        if len(vectors) != len(texts):
            raise self._bad_reply(f"{len(vectors)} embeddings for {len(texts)} texts")
        return vectors


class LocalEmbedder:
    """Embeds texts by an encoder of transformers in a folder, the mean of its last hidden states; needs the extra
    `local`.

    Args:
        folder: with the model and its tokenizer.

    Raises:
        BadInput: there is no such folder.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).expanduser()
        if not self.folder.is_dir():
            raise BadInput(f"LocalEmbedder({str(folder)!r}): there is no such folder")
        self.name = self.folder.name

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            raise BadInput("LocalEmbedder needs transformers: pip install transformers torch") from None
        try:
            return AutoTokenizer.from_pretrained(self.folder), AutoModel.from_pretrained(self.folder).eval()
        except Exception as error:  # whatever a folder's files make transformers raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise BadInput(f"{self.folder} cannot be loaded as an encoder ({reason})") from error

    async def embed(self, texts: Sequence[str], run: RunContext) -> list[list[float]]:
        """A vector for each text, computed in a thread."""
        vectors, tokens = await asyncio.to_thread(self._compute, list(texts))
        run.record(self.name, Usage(prompt_tokens=tokens, requests=1))
        return vectors

    def _compute(self, texts: list[str]) -> tuple[list[list[float]], int]:
        import torch

        tokenizer, model = self._parts
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
        with torch.inference_mode():
            states = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1)
        means = (states * mask).sum(1) / mask.sum(1)
        return means.tolist(), int(mask.sum())

    async def aclose(self) -> None:
        """Nothing is open."""
