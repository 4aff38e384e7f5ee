"""What a server understands of a request: found out by trying, remembered for its model.

Refusals rarely say what they are about, so a refused request is sent again without whatever is suspicious: what the
refusal names first, then what this server has never been served with, one thing after the other. Only what has
been shown to matter is remembered: what was named, and what was left out last before a reply came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Dialect", "Refused", "named_limit", "names_n"]

Body = Mapping[str, Any]
_SYSTEM = ("system", "developer")
_N = re.compile(
    r"(?<!\w)n(?!\w)|candidates|best_of|num_(?:completions|generations|return_sequences)"
    r"|(?:multiple|several|number of|one|single) (?:choice|completion|sample|response|output|generation)",
    re.IGNORECASE,
)
_BELOW = re.compile(r"(?:(?:less|smaller|fewer|lower) than(?! or)|<(?!=)) *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Setting:
    """A part of a request that some servers refuse."""

    name: str
    field: str
    """Of the body."""
    named: re.Pattern[str]
    """By which a refusal means it."""
    leave_out: Callable[[Body], Body | None]
    """The body without it; None where it is not in there."""
    valued: bool = False
    """Servers that refuse one value may take others."""
    matters: bool = False
    """Samples come from another distribution without it, so that is told."""


@dataclass(frozen=True)
class Refused:
    """A setting, or one value of it, that a server has refused."""

    setting: Setting
    value: Any = None
    was_named: bool = False
    """The refusal spoke of it."""

    @property
    def key(self) -> tuple[str, Any]:
        return self.setting.name, self.value

    @property
    def words(self) -> str:
        return self.setting.name if self.value is None else f"{self.setting.name}={self.value!r}"


def _without(*names: str) -> Callable[[Body], Body | None]:
    def leave_out(body: Body) -> Body | None:
        return {key: value for key, value in body.items() if key not in names} if names[0] in body else None

    return leave_out


def _ask_usage_once(body: Body) -> Body | None:
    options = body.get("stream_options")
    return {**body, "stream_options": {"include_usage": True}} if options and len(options) > 1 else None


def _rename_max_tokens(body: Body) -> Body | None:
    """As OpenAI's reasoning models want it."""
    names = {"max_tokens": "max_completion_tokens"}
    return {names.get(key, key): value for key, value in body.items()} if "max_tokens" in body else None


def _fold_system(body: Body) -> Body | None:
    """What the system says stands before what the user says first, for templates without a system (Gemma 2)."""
    messages: Sequence[Body] = body.get("messages", ())
    said = [message.get("content") for message in messages if message.get("role") in _SYSTEM]
    rest = [dict(message) for message in messages if message.get("role") not in _SYSTEM]
    if not said:
        return None
    parts = [part for content in said for part in _as_parts(content)]
    user = next((message for message in rest if message.get("role") == "user"), None)
    if user is None:
        rest.insert(0, user := {"role": "user", "content": ""})
    parts += [part for part in _as_parts(user.get("content")) if part.get("text") != ""]
    texts = [part["text"] for part in parts if part.get("type") == "text" and len(part) == 2]
    user["content"] = "\n\n".join(texts) if len(texts) == len(parts) else parts
    return {**body, "messages": rest}


def _as_parts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content or ""}] if isinstance(content, str | None) else [dict(p) for p in content]


_OPTIONS = re.compile("stream_options|include_usage|continuous_usage_stats")
SETTINGS = (
    Setting("continuous_usage_stats", "stream_options", _OPTIONS, _ask_usage_once),
    Setting("stream_options", "stream_options", _OPTIONS, _without("stream_options")),
    Setting("max_tokens", "max_tokens", re.compile("max_completion_tokens|max_tokens"), _rename_max_tokens),
    Setting("logprobs", "logprobs", re.compile("log_?prob"), _without("logprobs", "top_logprobs"), valued=True),
    Setting("seed", "seed", re.compile(r"(?<!\w)seed(?!\w)"), _without("seed")),
    Setting("system", "system", re.compile("system|role|alternate", re.IGNORECASE), _fold_system),
    Setting("top_k", "top_k", re.compile("top_k"), _without("top_k"), valued=True, matters=True),
    Setting("top_p", "top_p", re.compile("top_p"), _without("top_p"), valued=True, matters=True),
    Setting(
        "temperature", "temperature", re.compile("temperature"), _without("temperature"), valued=True, matters=True
    ),
)
"""In the order of suspicion."""


class Dialect:
    """Of one model behind a server.

    Args:
        n: whether one request may ask for several samples; None finds out.
    """

    def __init__(self, n: bool | None = None) -> None:
        self._n = {False: n, True: n}
        self.most_n: int | None = None
        """Samples that one request may ask for, where there is a limit."""
        self.ignores_n = False
        """It gives one sample however many are asked for."""
        self.context: int | None = None
        """Tokens that prompt and answer may have together; None until the server has said."""
        self.muddles_n = False
        """It loses account of several samples: of their tokens, or of their ends."""
        self._refused: set[tuple[str, Any]] = set()
        self._served: set[str] = set()

    def takes_n(self, *, greedy: bool) -> bool | None:
        """Whether one request may ask for several samples; None until tried. vLLM refuses several greedy ones only."""
        return self._n[greedy]

    def note_n(self, takes: bool, *, greedy: bool) -> None:
        """It has given several samples, or would not."""
        self._n[greedy] = takes

    def note_muddle(self) -> None:
        """It has lost account of several samples, and is to be asked for one at a time."""
        self.muddles_n, self._n = True, {False: False, True: False}

    def adapt(self, body: Body, left_out: Collection[Refused] = ()) -> Body:
        """The body as the server understands it.

        Args:
            body: as it would be for a server that understands everything.
            left_out: what is to be tried without, too.
        """
        if not self._refused and not left_out:
            return body
        refused = self._refused | {each.key for each in left_out}
        for setting in SETTINGS:
            if _key(setting, body) in refused:
                body = setting.leave_out(body) or body
        return body

    def missing(self, body: Body) -> list[str]:
        """What of a body the server is not sent although its samples are others without."""
        matters = (Refused(s, _key(s, body)[1]) for s in SETTINGS if s.matters and s.leave_out(body) is not None)
        return [each.words for each in matters if each.key in self._refused] if self._refused else []

    def suspect(self, body: Body, words: str, left_out: Collection[Refused] = ()) -> Refused | None:
        """What may be the reason for a refusal.

        Args:
            body: what was sent, without the caller's own fields.
            words: of the refusal.
            left_out: what has been tried without.
        """
        tried = {each.key for each in left_out}
        there = [s for s in SETTINGS if s.leave_out(body) is not None and _key(s, body) not in tried]
        named = [setting for setting in there if setting.named.search(words)]
        unknown = [s for s in there if s.field not in self._served]
        for setting in (*named, *unknown):
            return Refused(setting, _key(setting, body)[1], was_named=setting in named)
        return None

    def note_served(self, body: Body, left_out: Sequence[Refused] = ()) -> None:
        """A body was answered well, after some things had been left out."""
        self._served.update(body)
        if any(message.get("role") in _SYSTEM for message in body.get("messages", ())[:1]):
            self._served.add("system")
        for refused in left_out:
            if refused.was_named or refused is left_out[-1]:
                self._refused.add(refused.key)


def _key(setting: Setting, body: Body) -> tuple[str, Any]:
    value = body.get(setting.field)
    if setting.name == "logprobs":
        value = body.get("top_logprobs", 0)
    return setting.name, value if setting.valued else None


def names_n(words: str) -> bool:
    """Whether a refusal speaks of the number of samples."""
    return _N.search(words) is not None


def named_limit(words: str, n: int) -> int | None:
    """The most samples that a refusal may speak of, fewer than the `n` that were asked for, and several."""
    below = {int(found) for found in _BELOW.findall(words) if len(found) < 10}
    numbers = (int(found) for found in re.findall(r"(?<![\w.])\d{1,9}(?![\w.]*\w)", words))
    limits = [number - (number in below) for number in numbers]
    return max((limit for limit in limits if 1 < limit < n), default=None)
