"""The tokenizer of a model behind a server: loaded here, and held against the server's own.

Its vocabulary is needed whole, in bytes, and for every token that is written; no server gives that. So it
comes from a folder or the hub, and `/tokenize`, where the server has it, tells whether it is the right one.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from quorate.agents.embedded import list_embedded_models, locate
from quorate.agents.embedded.chat import encode_prompt
from quorate.agents.vocabulary import TokenizerVocabulary, make_vocabulary
from quorate.orchestrator.errors import BadInput, MissingExtra, Rejected
from quorate.orchestrator.types import Question

from .transport import JsonExchange, Transport

__all__ = ["PROBE", "ServedTokenizer", "find_tokenizer"]

log = logging.getLogger("quorate.agents")

PATH = "/../tokenize"
"""vLLM serves it beside the API's version."""
PROBE = "Tom's 12 apples + 7 = 19.\n\tna\u00efve \u6f22\u5b57 \U0001f642 END"
"""A text that different tokenizers read differently."""


def find_tokenizer(where: str, name: str, *, hub: bool) -> Any:
    """A transformers tokenizer.

    Args:
        where: the name of an embedded model, a folder, or a name on the hub.
        name: of the model, for errors.
        hub: whether it may be fetched; else it must be in a folder or in the hub's cache.

    Raises:
        MissingExtra: transformers is not installed.
        BadInput: there is none that transformers can load.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtra("local", f"the tokenizer of {name}") from error
    source = str(locate(where)) if where in list_embedded_models() else str(Path(where).expanduser())
    try:
        return AutoTokenizer.from_pretrained(source, local_files_only=not hub)
    except Exception as error:  # whatever a folder's files make transformers raise
        reason = " ".join(str(error).split())[:200]
        raise BadInput(
            f"{name}: no tokenizer in {where} ({type(error).__name__}: {reason}); token-level ensembling over HTTP "
            "needs the model's own: set `tokenizer` to its folder or its name on the hub"
        ) from error


class ServedTokenizer:
    """Turns conversations into a model's ids, and its ids into bytes.

    Args:
        transport: reaches the model's server.
        model: as the server names it.
        name: for errors.
        tokenizer: the model's, loaded here.
        where: that it came from, for errors.
    """

    def __init__(self, transport: Transport, model: str, name: str, tokenizer: Any, where: str) -> None:
        self._transport, self._model, self._name = transport, model, name
        self._tokenizer, self._where = tokenizer, where
        self._theirs = False
        self.vocabulary: TokenizerVocabulary = make_vocabulary(tokenizer, _ends(tokenizer), name)

    @property
    def context(self) -> int | None:
        """What the tokenizer's settings say; None where they say nothing."""
        length = getattr(self._tokenizer, "model_max_length", None)
        return length if isinstance(length, int) and length < 10**9 else None

    def probe(self) -> list[int]:
        """Ids of some text."""
        return list(self._tokenizer.encode(PROBE, add_special_tokens=False))

    async def check(self) -> int | None:
        """Compares with the server, where that is possible; tokens that prompt and answer may have, if it tells.

        Raises:
            BadInput: the server's tokenizer is another one, or nobody has a chat template.
            UpstreamError: the server failed.
        """
        body = {"model": self._model, "prompt": PROBE, "add_special_tokens": False}
        try:
            reply = await JsonExchange(self._transport, PATH, body).reply()
        except Rejected as error:
            log.info("%s: its tokenizer cannot be compared (%s)", self._name, error)
            self._need_template()
            return None
        if reply.get("tokens") != self.probe():
            raise BadInput(
                f"{self._name}: the tokenizer in {self._where} is not the server's, which reads {PROBE[:15]!r}... "
                "otherwise: set `tokenizer` to the folder of the model that is served"
            )
        self._theirs = await self._differs()
        length = reply.get("max_model_len")
        return length if isinstance(length, int) else None

    def prompt(self, question: Question) -> list[int]:
        """The conversation by the model's chat template: the tokenizer's, or the server's where that is another one.

        Raises:
            BadInput: the template refuses the messages.
            UpstreamError: the server failed.
        """
        return self._ask_server(question) if self._theirs else encode_prompt(self._tokenizer, question, self._name)

    async def _differs(self) -> bool:
        """Whether conversations must go through the server's template."""
        question = Question.of(PROBE)
        try:
            reply = await JsonExchange(self._transport, PATH, self._chat(question)).reply()
        except Rejected:
            self._need_template()
            return False
        if not self._tokenizer.chat_template:
            return True
        ours = await asyncio.to_thread(encode_prompt, self._tokenizer, question, self._name)
        if reply.get("tokens") != ours:
            log.info("%s: the server has a chat template of its own, which is used", self._name)
        return bool(reply.get("tokens") != ours)

    def _need_template(self) -> None:
        if not self._tokenizer.chat_template:
            raise BadInput(
                f"{self._name}: neither the tokenizer in {self._where} nor the server has a chat template: "
                "add chat_template.jinja to the folder"
            )

    def _chat(self, question: Question) -> dict[str, Any]:
        return {
            "model": self._model,
            "messages": [message.model_dump(mode="json", exclude_unset=True) for message in question.messages],
            "add_generation_prompt": True,
            "chat_template_kwargs": dict(question.sampling.extra.get("chat_template_kwargs", {})),
        }

    def _ask_server(self, question: Question) -> list[int]:
        """Waits in the calling thread, as rendering a template here would; the exchange has a loop of its own."""
        with ThreadPoolExecutor(1) as thread:
            reply = thread.submit(
                asyncio.run, JsonExchange(self._transport, PATH, self._chat(question)).reply()
            ).result()
        tokens = reply.get("tokens")
        if not isinstance(tokens, list) or not tokens or not all(type(token) is int for token in tokens):
            raise self._transport.errors.bad_reply("/tokenize: no list of token ids")
        return tokens


def _ends(tokenizer: Any) -> set[int]:
    """Ids that vLLM stops at: those of the tokenizer and of `generation_config.json`."""
    told: Any = None
    try:
        from transformers import GenerationConfig

        told = GenerationConfig.from_pretrained(tokenizer.name_or_path, local_files_only=True).eos_token_id
    except OSError:
        pass  # a tokenizer without a model
    ends = {told} if isinstance(told, int) else set(told or ())
    own = tokenizer.eos_token_id
    return ends if own is None else ends | {own}
