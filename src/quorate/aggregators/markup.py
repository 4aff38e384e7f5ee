"""How models dress up an answer - thinking tags, TeX, Markdown - and how to undress it.

Everything here takes time linear in the text, whatever the text: it comes from a model, and may be
hostile.
"""

from __future__ import annotations

import re

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""C0 but tab and line feed, delete, C1, and what turns the direction of writing."""

_TAGS = (
    "think|thinking|thoughts?|thought_process|reasoning|reflection|analysis|scratch_?pad|rationale|inner_?monologue|cot"
    "|seed:think|seed:cot_budget_reflect"
)
_TAG = rf"(?:{_TAGS})(?:\s[^<>\n]{{0,200}})?"
_OPENING = re.compile(
    rf"(?:<|&lt;|\\u003c){_TAG}(?:>|&gt;|\\u003e)|\[THINK\]|◁think▷|<\|(?:START_THINKING|begin_of_thought|think|thinking)\|>"
    r"|<\|channel>\s*thought\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"(?:<|&lt;|\\u003c)/{_TAG}(?:>|&gt;|\\u003e)|\[/THINK\]|◁/think▷|<\|(?:END_THINKING|end_of_thought|/think|/thinking)\|>"
    r"|<channel\|>",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"<\|channel\|>\s*([a-z]+)[^<]{0,200}(?:<\|[a-z]+\|>[^<]{0,100})?<\|message\|>", re.IGNORECASE)
_TURN = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_STRIPPED_CHANNELS = re.compile(r"analysis(?=[A-Z\s])")
_FINAL = re.compile(r"\[BEGIN FINAL RESPONSE\]|<\|START_RESPONSE\|>|<\|begin_of_solution\|>")
_SPECIAL = re.compile(
    r"<\|(?!begin_of_box\||end_of_box\|)[A-Za-z_]{2,30}\|>|</?s>|<(?:end|start)_of_turn>|<eos>|\[END FINAL RESPONSE\]"
)
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|tt|normal)?|math(?:rm|bf|it|sf|tt)|mbox|boxed|fbox|displaystyle|bf|rm|bold)\s*+(?=\{)"
)
_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\].:]?")
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_PEELS = 8
"""Layers of wrapping that anybody could mean; each costs one pass."""


def visible(text: str) -> str:
    """What a model says after its thinking; nothing where the thinking never ends.

    Knows the marks of all current families: tags such as `<think>` and `<reasoning>` (with attributes, or escaped),
    `[THINK]`, `◁think▷`, the channels of harmony, `<|START_THINKING|>`. An opening mark may be missing, since templates
    write it into the prompt. A closing mark that is one too many, behind the answer, changes nothing.
    """
    marked = "<" in text or "[" in text or "&" in text or "\\" in text or "◁" in text
    if not (marked and any(sign in text for sign in _SIGNS)):
        return _final_channel_without_marks(text)
    if "<|channel|>" in text:
        text = _final_channel(text)
    for final in _FINAL.finditer(text):
        text = text[final.end() :]
        break
    return _SPECIAL.sub("", _after_thinking(text))


def thoughts(text: str) -> str:
    """What stands in a text that is nothing but closed thinking; "" for all others."""
    if visible(text).strip() or not (closings := list(_CLOSING.finditer(text))) or text[closings[-1].end() :].strip():
        return ""
    return _OPENING.sub("", _CLOSING.sub("", text)).strip()


_SIGNS = ("<", "&lt;", "\\u003c", "[THINK]", "[/THINK]", "[think]", "[/think]", "◁", "[BEGIN FINAL RESPONSE]")


def _after_thinking(text: str) -> str:
    closings = list(_CLOSING.finditer(text))
    starts = [0, *(closing.end() for closing in closings)]
    ends = [*(closing.start() for closing in closings), len(text)]
    opened = _OPENING.search(text)
    for start, end in zip(reversed(starts), reversed(ends), strict=True):
        if start == 0 and closings and (opened is None or opened.start() > end):
            break  # the prompt opened the thinking that the first mark closes
        unclosed = _OPENING.search(text, start, end)
        if (shown := text[start : unclosed.start() if unclosed else end]).strip():
            return shown
    return ""


def _final_channel(text: str) -> str:
    """What was said in the last channel `final`, up to the end of its turn; what has no channel is shown, too."""
    messages = list(_CHANNEL.finditer(text))
    final = next((message for message in reversed(messages) if message[1].lower() == "final"), None)
    if final is None:
        return "" if messages or text.lstrip().startswith("<|") else text[: text.index("<|channel|>")]
    end = _TURN.search(text, final.end())
    return text[final.end() : end.start() if end else None]


def _final_channel_without_marks(text: str) -> str:
    """`analysis...assistantfinal...`: channels whose marks a server has dropped."""
    if not _STRIPPED_CHANNELS.match(text) or "assistantfinal" not in text:
        return text
    return text.rpartition("assistantfinal")[2]


def closing_brace(text: str, start: int) -> int | None:
    """Where the `{` at `start` is closed; escaped braces do not count."""
    depth = 0
    for token in _BRACE.finditer(text, start):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                return token.start()
    return None


def tidy(answer: str) -> str:
    r"""The answer without emphasis, maths delimiters, a closing full stop, `\text{}`, and brackets of a letter."""
    for _ in range(_PEELS):
        before = answer
        answer = answer.strip().strip("*`")
        stripped = answer if answer.endswith("...") else answer.rstrip(".,;:")
        if not stripped.endswith(("\\", r"\right")):
            answer = stripped
        answer = _peel(answer.strip())
        if answer == before:
            break
    letter = _LETTER.fullmatch(answer)
    return letter[1] if letter else answer


def _peel(answer: str) -> str:
    """One layer of delimiters or wrapping commands less."""
    if not answer.startswith(("$", "\\", "{")):
        return answer
    for opening, closing in _DELIMITERS:
        inner = answer[len(opening) : -len(closing)]
        if len(answer) >= len(opening) + len(closing) and answer == opening + inner + closing:
            return answer if "$" in inner and opening[0] == "$" else inner
    wrapper = _WRAPPER.match(answer)
    start = wrapper.end() if wrapper else 0
    if answer[start : start + 1] == "{" and answer.endswith("}") and closing_brace(answer, start) == len(answer) - 1:
        return answer[start + 1 : -1]
    return answer


def strip_controls(text: str) -> str:
    """The text without what moves a cursor, colours, renames windows or turns lines around; lines and tabs stay."""
    return CONTROLS.sub("", text)
