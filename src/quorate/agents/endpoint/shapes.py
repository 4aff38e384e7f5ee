"""What servers call OpenAI-compatible, in the shapes that they really send: messages, ends, errors, listings.

Each function reads one thing in all its shapes and knows nothing of the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from quorate.orchestrator.json_values import repair_surrogates
from quorate.orchestrator.types import FinishReason, TokenLogprob

from .framing import Malformed, describe_kind
from .usage import LARGEST

__all__ = [
    "find_report",
    "find_report_in_all",
    "list_models",
    "read_calls",
    "read_finish",
    "read_logprobs",
    "read_message",
]

_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_text", "reasoning_details", "thinking_blocks")
"""Where a message keeps its thinking; those that are set say the same."""
_WORDS = ("text", "content", "thinking", "reasoning", "summary", "refusal", "parts", "value")
"""Where a part keeps its words."""
_THINKS = re.compile("think|thought|reason")


def read_message(message: Mapping[str, Any]) -> tuple[str, str]:
    """The thinking and the text of a `message` or `delta`.

    Content is text or parts (Mistral's `thinking` and `text`, Databricks' `reasoning`, Anthropic's blocks); the
    thinking is text, an object or a list (`reasoning_details` of OpenRouter).

    Raises:
        Malformed: the content is neither.
    """
    content = message.get("content")
    thoughts, text = ("", content) if isinstance(content, str) else _read_parts(content)
    for name in _THOUGHTS:
        if (value := message.get(name)) and (found := _words(value)):
            thoughts = found
            break
    if not text and (refusal := message.get("refusal")):
        text = _words(refusal)
    return thoughts, text


def _read_parts(content: object) -> tuple[str, str]:
    if content is None:
        return "", ""
    if not isinstance(content, list | dict):
        raise Malformed(f"content is {describe_kind(content)}, not text")
    thoughts, text = "", ""
    for part in content if isinstance(content, list) else [content]:
        thinks = isinstance(part, dict) and (part.get("thought") is True or _THINKS.search(str(part.get("type"))))
        if thinks:
            thoughts += _words(part)
        else:
            text += _words(part)
    return thoughts, text


def _words(value: object) -> str:
    """The text in a part, an object of parts or a list of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_words, value))
    if isinstance(value, dict):
        return next((words for name in _WORDS if (words := _words(value.get(name)))), "")
    return ""


def read_calls(message: Mapping[str, Any]) -> object:
    """The tool calls of a `message` or `delta`, not looked at yet: `tool_calls`, a legacy `function_call`, or parts."""
    if (calls := message.get("tool_calls")) or not message:
        return calls
    if call := message.get("function_call"):
        return [{"function": call}]
    content = message.get("content")
    if not isinstance(content, list):
        return None
    return [p for p in content if isinstance(p, dict) and p.get("type") in ("tool_use", "function_call")]


_ALIASES: dict[FinishReason, str] = {
    "stop": "stop stop_sequence stop_token stop_token_id stop_word stop_str eos eos_token eot end end_turn end_of_text "
    "end_of_turn complete completed completion done finish finished natural success",
    "length": "length max_tokens max_tokens_reached max_output_tokens max_new_tokens max_completion_tokens max_length "
    "max_len max_context max_context_length model_length model_context_window_exceeded context_length "
    "context_length_exceeded context_window_exceeded token_limit length_limit time_limit limit truncated "
    "incomplete repetition repetition_truncation error_limit",
    "content_filter": "content_filter content_filtered content_filtering filtered safety recitation language "
    "blocklist prohibited_content spii image_safety model_armor refusal guardrail_intervened guardrail sensitive "
    "content_blocked blocked moderation policy_violation error_toxic",
    "tool_calls": "tool_calls tool_call tool_use tools function_call function_calls",
}
"""Words of OpenAI, vLLM, SGLang, TGI, Mistral, Cohere, Anthropic, Bedrock, Gemini, xAI, Zhipu and others."""
_FINISH = {alias: reason for reason, aliases in _ALIASES.items() for alias in aliases.split()}
_PREFIX = re.compile(r"^(?:.*\.)?(?:(?:finish_|stop_)?reason_)?")
"""Of the names of enumerations: `FinishReason.STOP`, `FINISH_REASON_STOP`, `REASON_MAX_LEN`."""
_SEAM = re.compile(r"[\s-]+|(?<=[a-z])(?=[A-Z])")


def read_finish(reason: object) -> FinishReason | None:
    """Why a sample has ended, in any server's words; None if it has not.

    Raises:
        Malformed: it did not come to an end of its own, or nobody knows the word.
    """
    if reason is None:
        return None
    if isinstance(reason, dict):  # SGLang's {"type": "length", "length": 16}
        reason = reason.get("type")
    if not isinstance(reason, str):
        raise Malformed(f"finish_reason is {describe_kind(reason)}, not text")
    if reason in _FINISH:
        return _FINISH[reason]
    word = _PREFIX.sub("", _SEAM.sub("_", reason.strip()[:100]).lower())
    if word in ("", "null", "none"):
        return None
    if word not in _FINISH:
        raise Malformed(f"the server broke off (finish_reason {reason[:60]!r})")
    return _FINISH[word]


def find_report(reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The reply, or the event of a stream, if it tells of an error in place of an answer."""
    if _says_something(reply.get("error")):
        return reply
    if reply.get("choices") or reply.get("usage"):
        return None
    status = reply.get("base_resp")  # MiniMax; 0 is success
    told = (
        *(reply.get(name) for name in ("error_code", "error_msg", "error_message", "errors", "detail")),
        reply.get("success") is False or reply.get("object") == "error",
        isinstance(reply.get("message"), str) and reply["message"],
        any(isinstance(code := reply.get(name), int) and code >= 400 for name in ("code", "status", "status_code")),
        re.search("error|exception", str(reply.get("type")), re.IGNORECASE),
        isinstance(status, dict) and status.get("status_code"),
        any(name.endswith("Exception") for name in reply),  # Bedrock's events
    )
    return reply if any(told) else None


def find_report_in_all(choices: object, n: int) -> Mapping[str, Any] | None:
    """The first of `n` choices, where all of them tell of an error and none says anything."""
    if not isinstance(choices, list) or len(choices) != n:
        return None
    failed = [c for c in choices if isinstance(c, dict) and _says_something(c.get("error")) and not _holds_text(c)]
    return failed[0] if failed and len(failed) == n else None


def _holds_text(choice: Mapping[str, Any]) -> bool:
    message = choice.get("message") or choice.get("delta")
    return bool(choice.get("text") or (isinstance(message, dict) and (message.get("content") or read_calls(message))))


def _says_something(error: object) -> bool:
    """Whether an `error` is one: some servers send an empty one with every reply."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def read_logprobs(logprobs: Any, most: int | None = None) -> list[TokenLogprob] | None:
    """The log-probabilities of a choice, or of a piece of it; None where they are not known for every token.

    `content` as chats have it, or the lists of text completions, which Together sends with chats. An alternative
    without a number that can be one (null, minus infinity) is left out, and so are all beyond the `most`.
    """
    if not isinstance(logprobs, dict):
        return None
    entries = logprobs.get("content")
    if entries is None and isinstance(tokens := logprobs.get("tokens"), list):
        entries = list(_entries(tokens, logprobs.get("token_logprobs"), logprobs.get("top_logprobs")))
    if not isinstance(entries, list):
        return None
    read = [_read_logprob(entry, most) for entry in entries]
    known = [entry for entry in read if entry is not None]
    return known if len(known) == len(read) else None


def _entries(tokens: list[Any], numbers: Any, top: Any) -> Iterator[dict[str, Any]]:
    for place, token in enumerate(tokens):
        at = [values[place] if isinstance(values, list) and place < len(values) else None for values in (numbers, top)]
        yield {"token": token, "logprob": at[0], "top_logprobs": at[1]}


def _read_logprob(entry: Any, most: int | None) -> TokenLogprob | None:
    pair = _read_pair(entry)
    if pair is None:
        return None
    top = entry.get("top_logprobs")
    if isinstance(top, dict):
        top = [{"token": token, "logprob": logprob} for token, logprob in top.items()]
    likeliest = [_read_pair(each) for each in top] if isinstance(top, list) else []
    return TokenLogprob(
        token=pair[0], logprob=pair[1], top=tuple(each for each in likeliest if each is not None)[:most]
    )


def _read_pair(entry: Any) -> tuple[str, float] | None:
    token, logprob = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    return (repair_surrogates(token), float(logprob)) if abs(logprob) <= LARGEST else None


def list_models(listing: Any) -> list[dict[str, Any]]:
    """The entries of a list of models, each with an `id`; those without a name are left out.

    `{"data": [...]}`, a bare list (Together), `{"models": [...]}` (Ollama, Cohere, Gemini), names alone; null is none.

    Raises:
        Malformed: it is no list, or none of its entries has a name.
    """
    entries = listing
    if isinstance(listing, dict):
        entries = next((listing[name] for name in ("data", "models") if name in listing), listing)
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise Malformed("not a list of models")
    named = [_with_id(entry) for entry in entries]
    models = [entry for entry in named if entry is not None]
    if entries and not models:
        raise Malformed("not a list of models with an id")
    return models


def _with_id(entry: Any) -> dict[str, Any] | None:
    about = entry if isinstance(entry, dict) else {"id": entry}
    name = next((name for key in ("id", "name", "model") if isinstance(name := about.get(key), str) and name), None)
    return None if name is None else {**about, "id": name}
