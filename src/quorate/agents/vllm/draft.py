"""One sample of vLLM on its way, and how its settings and errors translate."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quorate.agents.embedded.chat import TEMPLATE_FIELDS
from quorate.orchestrator.events import CandidateFailed
from quorate.orchestrator.sampling import failure_of
from quorate.orchestrator.types import Candidate, Failure, FinishReason, SamplingParams, TokenLogprob, Usage

__all__ = ["Draft", "failed", "refused", "settings"]


@dataclass
class Draft:
    """One sample on its way."""

    blank: Candidate
    start: float
    prompt: int
    """Prompt tokens to its account: the question's first sample bears them."""
    alternatives: int | None
    """How many to report for each token."""
    text: str = ""
    tokens: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list)
    told: int = 0
    """Of these, how many a piece of text has been told with."""
    finish_reason: FinishReason | None = None
    aborted: bool = False
    last: float = field(default_factory=time.monotonic)

    def note(self, output: Any) -> str:
        """Takes down what is new in a delta of vLLM; returns its text."""
        self.text += output.text
        self.tokens += len(output.token_ids)
        if output.logprobs is not None:
            pairs = zip(output.token_ids, output.logprobs, strict=True)
            self.logprobs += [_logprob(token, known, self.alternatives or 0) for token, known in pairs]
        self.aborted = output.finish_reason == "abort"
        if output.finish_reason in ("stop", "length"):
            self.finish_reason = output.finish_reason
        self.last = time.monotonic()
        return str(output.text)

    def fresh(self) -> tuple[TokenLogprob, ...] | None:
        """Log-probabilities that no piece of text has been told with; None where nobody asked for any."""
        if self.alternatives is None:
            return None
        fresh = tuple(self.logprobs[self.told :])
        self.told = len(self.logprobs)
        return fresh

    def usage(self, *, cut: bool = False) -> Usage:
        """Its tokens; of a cut sample those that had arrived, so marked as our count."""
        return Usage(
            prompt_tokens=self.prompt, completion_tokens=self.tokens, requests=int(self.prompt > 0), estimated=cut
        )

    def candidate(self, *, cut: bool = False) -> Candidate:
        return self.blank.model_copy(
            update={
                "text": self.text,
                "finish_reason": "cancelled" if cut else self.finish_reason,
                "usage": self.usage(cut=cut),
                "logprobs": None if self.alternatives is None else tuple(self.logprobs),
                "latency": self.last - self.start,
            }
        )


def settings(sampling: SamplingParams) -> dict[str, Any]:
    """What the caller and the agent set, in vLLM's words."""
    named = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "logprobs": sampling.top_logprobs,
    }
    extra = {key: value for key, value in sampling.extra.items() if key not in TEMPLATE_FIELDS}
    return {**extra, **{key: value for key, value in named.items() if value is not None}}


def _logprob(token: int, known: Mapping[int, Any], alternatives: int) -> TokenLogprob:
    """One token with the likeliest; vLLM's mapping holds these and, if it is not among them, the token itself."""
    ranked = sorted(known.values(), key=lambda entry: entry.rank)[:alternatives]
    top = tuple((entry.decoded_token or "", entry.logprob) for entry in ranked)
    return TokenLogprob(token=known[token].decoded_token or "", logprob=known[token].logprob, top=top)


def refused(error: Exception) -> bool:
    """Whether vLLM did not take a request, which then is the caller's fault."""
    return isinstance(error, ValueError) or any(kind.__name__ == "VLLMClientError" for kind in type(error).__mro__)


def failed(candidate: Candidate, error: Exception) -> CandidateFailed:
    """The candidate with the error as a value; vLLM's refusals of a request are the caller's fault."""
    told = Failure(code="upstream_rejected", message=str(error), status=400)
    failure = told if refused(error) else failure_of(error)
    return CandidateFailed(candidate=candidate.model_copy(update={"error": failure}))
