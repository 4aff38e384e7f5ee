"""A model that answers at `/v1/completions` as vLLM does, by token ids: a script for `ScriptedUpstream`."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from quorate.agents import Embedded
from quorate.agents.embedded import load
from quorate.orchestrator.tokens import Distribution, DraftAsk, Draw, ScoreAsk
from quorate.orchestrator.types import Message, Question
from quorate.testing import Fault, Raw, Received
from quorate.testing.script import Step

T = TypeVar("T")


class Speaking:
    """Computes every reply with the model itself.

    Args:
        folder: of the model.
        most: log-probabilities that may be asked for; -1 for all.
        silent: whether log-probabilities that were asked for are left out.
        words: whether tokens come as text, although ids were asked for.
        template: what conversations are put into, instead of the model's own template.
        counted: whether replies tell usage.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most: int = -1,
        silent: bool = False,
        words: bool = False,
        template: Callable[[Sequence[Message]], str] | None = None,
        counted: bool = True,
    ) -> None:
        self._loaded = load(folder)
        self._model = Embedded(folder).token_model()
        self._most, self._silent, self._words, self._template = most, silent, words, template
        self._counted = counted
        self.counts: list[dict[str, int]] = []
        """The usage of every completion."""
        self.about = {"root": str(folder), "max_model_len": self._loaded.context}

    async def open(self) -> Speaking:
        """Loads the model."""
        await self._model.open()
        return self

    def __call__(self, received: Received) -> Step:
        body = received.body
        if received.path == "/tokenize":
            return _json({"tokens": self._tokenize(body), "max_model_len": self._loaded.context})
        prompts = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
        size = self._model.vocabulary.size
        k = size if body["logprobs"] == -1 else body["logprobs"]
        if self._most >= 0 and k > self._most:
            return Fault.status(400, f"Requested sample logprobs of {k}, which is greater than max allowed")
        if (longest := max(map(len, prompts))) >= self._loaded.context:
            return Fault.status(400, f"maximum context length is {self._loaded.context}, not {longest}")
        choices = [self._choice(n, prompt, body, k) for n, prompt in enumerate(prompts)]
        written = sum(len(choice["logprobs"]["tokens"]) for choice in choices)
        if self._silent:
            choices = [{**choice, "logprobs": None} for choice in choices]
        usage = {"prompt_tokens": sum(map(len, prompts)), "completion_tokens": written}
        self.counts.append(usage)
        # Choices may come in any order.
        return _json({"choices": choices[::-1], **({"usage": usage} if self._counted else {})})

    def _tokenize(self, body: dict[str, Any]) -> list[int]:
        encode = self._loaded.tokenizer.encode
        if "prompt" in body:
            return list(encode(body["prompt"], add_special_tokens=False))
        messages = tuple(Message(**message) for message in body["messages"])
        if self._template is not None:
            return list(encode(self._template(messages), add_special_tokens=False))
        return self._loaded.prompt(Question(messages=messages))

    def _choice(self, number: int, prompt: list[int], body: dict[str, Any], k: int) -> dict[str, Any]:
        if body["max_tokens"] == 1:
            [scores] = run_without_waiting(self._model.score([ScoreAsk(number, prompt, [len(prompt)])]))
            tokens, distributions = [scores.distributions[0].best], scores.distributions
        else:
            ask = DraftAsk(number, prompt, body["max_tokens"], draw=_draw(body))
            [draft] = run_without_waiting(self._model.draft([ask]))
            tokens, distributions = list(draft.tokens), draft.distributions
        self._model.release([number])
        likeliest = [self._list_top(distribution, k) for distribution in distributions]
        return {"index": number, "logprobs": {"tokens": list(map(self._name, tokens)), "top_logprobs": likeliest}}

    def _list_top(self, distribution: Distribution, k: int) -> dict[str, float]:
        return {self._name(token): max(value, -9999.0) for token, value in distribution.top(k)}

    def _name(self, token: int) -> str:
        return self._loaded.spell(token) if self._words else f"token_id:{token}"


def _draw(body: dict[str, Any]) -> Draw | None:
    if not body["temperature"]:
        return None
    random = Random(body["seed"])
    return Draw(body["temperature"], [random.random() for _ in range(body["max_tokens"])])


def _json(value: Any) -> Raw:
    return Raw([json.dumps(value).encode()], content_type="application/json")


def run_without_waiting(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise RuntimeError("it waits")
