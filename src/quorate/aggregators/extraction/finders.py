"""The small extractors: a box, `<answer>`, `#### x`, a field of JSON, "the answer is x", the last number.

From a sample to the answer that it votes for.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.reading import Extractor

from ..equivalence.rationals import with_plain_digits
from ..equivalence.units import describe
from ..markup import thoughts, tidy, visible
from .asides import (
    is_placeholder,
    is_refusal,
    is_shell,
    lines_from_end,
    with_decimal_points,
    without_asides,
    without_remarks,
)

NUMBER = re.compile(
    r"""(?<![A-Za-z0-9_^.]) (?<!\^\{) (?<![0-9],)          # not inside a word, an exponent or a number
        (?: (?<==[ ]) [-−–] [ ] | (?<![\w)\]}]) [-−–] )?+ [$€£¥]?+ (?: (?<=[$€£¥]) [-−] )?+
        (?: -?+ \\[dt]?frac \s?+ \{ -?+[0-9]++ \} \{ [0-9]++ \}
          | [0-9]{1,3} (?: ,[0-9]{3}(?![0-9]) )++ (?: \.[0-9]++ )?+
          | [1-9][0-9]{0,2} (?: [ \u00a0\u2009\u202f][0-9]{3}(?![0-9]) )++ (?: \.[0-9]++ )?+
          | [0-9]++ (?: \.[0-9]++ | (?: :[0-9]++ )++ | \s?+/\s?+[0-9]++ )?+
          | \.[0-9]++
        )
        (?: [eE][-+]?+[0-9]++
          | \s?+ (?: \\times | × | \* ) \s?+ 10 \s?+ \^ (?: \{[-+−]?+[0-9]++\} | [-+−]?+[0-9]++ )
        )?+
        (?: \s?+\\?+% )?+
    """,
    re.VERBOSE,
)
"""A number as people write it: signs, thousands, decimals, fractions, powers of ten, per cent, clock times."""


class Finder(ABC):
    """Base of the small extractors: give it `find`, it is an `Extractor`."""

    guesses = False
    """Whether it takes what nobody marked as an answer; not from a cut text, a refusal or an empty form."""

    def extract(self, text: str) -> str | None:
        """The answer, tidied; None (an abstention) where there is none or it is empty."""
        shown = visible(text)
        if self.guesses and (is_refusal(shown) or is_shell(shown)):
            return None
        found = self.find(shown)
        if found is None:
            return None
        answer = tidy(found)
        return None if is_placeholder(answer) else with_decimal_points(answer, shown)

    def extract_marked(self, text: str) -> str | None:
        """The answer that a text marks as such: what counts where the text was cut, or None."""
        return None if self.guesses else self.extract(text)

    @abstractmethod
    def find(self, text: str) -> str | None:
        """The answer as it stands in a text without thinking."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class FirstOf:
    """The first of several extractors that finds something: `FirstOf(Boxed(), LastNumber())`."""

    def __init__(self, *extractors: Extractor) -> None:
        if not extractors:
            raise BadInput("FirstOf() needs at least one extractor")
        self.extractors = extractors

    def extract(self, text: str) -> str | None:
        """The first finding in the order of the extractors, not in that of the text."""
        return next((found for e in self.extractors if (found := e.extract(text))), None)

    def extract_marked(self, text: str) -> str | None:
        """The first finding of those that do not guess."""
        marking = [e for e in self.extractors if isinstance(e, Finder | FirstOf)]
        return next((found for e in marking if (found := e.extract_marked(text))), None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.extractors))})"


class Boxed(Finder):
    r"""The last `\boxed{...}` or `\fbox{...}` that is closed and not empty; of nested ones the innermost.

    Boxes that stand side by side (`\boxed{3} or \boxed{-2}`) are one answer of several parts. A box around nothing but
    a unit whose number stands elsewhere (`40 inches ... \boxed{inches}`) is that number.
    """

    _token = re.compile(r"\\(?:boxed|fbox)\s*+\{|\\.|[{}]", re.DOTALL)
    _bare = re.compile(rf"\\boxed\s++({NUMBER.pattern})", re.VERBOSE)
    _vision = re.compile(r"<\|begin_of_box\|>([^<]{1,1000})<\|end_of_box\|>")
    _between = re.compile(
        r"[\s$,;.&\\()\[\]]*(?:\\(?:text|quad|qquad)\s*\{?\s*)?(?:and|or|und|oder|et|ou|y|o)?[\s},;$&\\()\[\]]*"
        r"(?:(?:\\?[a-zA-Z](?:_\{?\w+\}?)?|\\[a-z]+)\s*=\s*)?[\s$\\()\[\]]*"
    )
    _name = re.compile(r"([A-Za-z](?:_\{?\w\}?)?)\s*=\s*\$?$")

    def find(self, text: str) -> str | None:
        if "box" not in text:
            return None
        boxes = list(self._boxes(text))
        if not boxes:
            others = self._vision.findall(text) or [match[1] for match in self._bare.finditer(text)]
            return others[-1] if others else None
        group = boxes[-1:]
        for start, end, content in reversed(boxes[:-1]):
            if len(group) == 20 or group[0][0] - end > 100 or not self._between.fullmatch(text[end : group[0][0]]):
                break
            group.insert(0, (start, end, content))
        if len({content.strip() for _, _, content in group}) > 1:
            return self._joined(text, group)
        return self._with_number(text, group[-1])

    def _boxes(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Beginning, end and content of the boxes in a text; of those around others only the innermost last one."""
        opened: list[tuple[int, int] | None] = []
        found: list[tuple[int, int, str]] = []
        for token in self._token.finditer(text):
            if token[0] == "{":
                opened.append(None)
            elif token[0].endswith("{") and len(token[0]) > 2:
                opened.append((token.start(), token.end()))
            elif token[0] == "}" and opened and (start := opened.pop()) is not None:
                content = text[start[1] : token.start()]
                if content.strip() and not (found and found[-1][0] > start[0]):
                    found.append((start[0], token.end(), content))
        yield from found

    def _joined(self, text: str, group: list[tuple[int, int, str]]) -> str:
        names = [self._name.search(text[max(0, start - 20) : start]) for start, _, _ in group]
        if all(names) and len({name[1] for name in names if name}) == len(group):
            return ", ".join(f"{name[1]}={content}" for name, (_, _, content) in zip(names, group, strict=True) if name)
        return ", ".join(tidy(content) for _, _, content in group)

    def _with_number(self, text: str, box: tuple[int, int, str]) -> str:
        start, end, content = box
        unit = tidy(content)
        described = describe(unit) if 2 <= len(unit) <= 30 and re.fullmatch(r"[A-Za-z ./^0-9]+", unit) else None
        if described is None or not described.unit or described.label or described.sense:
            return content
        rest = text[:start] + " " + text[end:]
        numbers = [m for m in NUMBER.finditer(rest) if rest[m.end() : m.end() + 60].lstrip(" ~\\,$").startswith(unit)]
        before = list(NUMBER.finditer(text[max(0, start - 40) : start]))[-1:]
        if not before or text[max(0, start - 40) + before[0].end() : start].strip(" ~\\,$"):
            before = numbers[-1:]
        return f"{strip_separators(before[0][0])} {unit}" if before else content


class Tagged(Finder):
    """`<answer>x</answer>`, the last one; it may be left open at the end, as where the closing tag is a stop word."""

    _tag = re.compile(
        r"(?:<(answer|final_answer|final|result|solution)>|\[ANSWER\])([^<\[]{1,1000})(?:</\1?|\[/ANSWER\]|$)",
        re.IGNORECASE,
    )

    def find(self, text: str) -> str | None:
        if "<" not in text and "[" not in text:
            return None
        found = None
        for match in self._tag.finditer(text):
            found = match[2] if match[2].strip() else found
        return self._inner(found) if found is not None else None

    def _inner(self, content: str) -> str:
        return Phrase().find(content) or without_remarks(content)


class Hashes(Finder):
    """GSM8K's `#### x`: the last one that holds a number or ends the text, since `####` also opens a heading."""

    _mark = re.compile(r"(?<!#)####(?!#)[ \t]*+([^\n]*)")
    _number = re.compile(rf"[\s$€£*(\\]*+{NUMBER.pattern}[\s*).]*+(?:[A-Za-z]++)?[\s*.]*+", re.VERBOSE)

    def find(self, text: str) -> str | None:
        if "####" not in text:
            return None
        found = None
        text = without_asides(text)
        for mark in self._mark.finditer(text):
            if self._number.fullmatch(mark[1]) or (mark[1].strip() and not text[mark.end() :].strip()):
                found = without_remarks(mark[1])
        return found


class JsonField(Finder):
    """The value of `answer` in JSON, with whatever stands around it: `{"answer": 42, "confidence": 0.9}`."""

    _field = re.compile(
        r"""[{,]\s*["'](?:final_?\s?|correct_?\s?|the_)?(?:answer|result|solution|choice)["']\s*:\s*
            (?: "((?:[^"\\\n]|\\.){0,1000})" | '([^'\n]{0,1000})' | (-?[0-9][0-9.,eE+_-]*+|true|false)
              | (\[[^\[\]{}]{0,1000}\]) )""",
        re.IGNORECASE | re.VERBOSE,
    )

    def find(self, text: str) -> str | None:
        if "{" not in text:
            return None
        last = None
        for match in self._field.finditer(text):
            last = match
        if last is None:
            return None
        return _unescaped(last[1]) if last[1] is not None else (last[2] or (last[3] or "").rstrip(",") or last[4])


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


class Phrase(Finder):
    """ "The (final) answer is x", "**Answer:** x", a heading "Final answer" with x below: the last one.

    Also in other languages. What follows is taken up to the end of its sentence, without reasons, corrections
    and confidence. Words that only talk about an answer ("the answer is correct") do not count, nor does a box,
    which is the business of `Boxed`. Of a longer sentence with one number the number is taken.
    """

    _mark = re.compile(
        r"""(?:\b(?: answers? | correct[ ](?:option|choice) )\b
            (?: [ ](?:to|for)[ ] [^.:=\n]{1,80}? (?=[ ](?:is|are)\b) )?
            (?: [*_ \t]*+ (?: [:=：] | (?:is|are|was|will[ ]be|must[ ]be|should[ ]be)\b )
                [*_ \t]*+ (?: (?:therefore|thus|then|simply|just|indeed|option|choice)\b )? [*_:,\s]*+
              | [*_ \t]*+ \n \s*+ )
          | (?: 答案 | 答え | 答 | 정답 | 답 | 最终答案 | 解答 | 正解 | 正确选项 | 正確選項 ) [*_ \t]*+
            (?: [:：=] | 是 | 为 | 為 | は | 은 | 는 ) [*_:：,\s]*+
          | (?: 选择 | 选 | 選択 | 選 ) [:：\s]*+ (?=[(（]?[A-J](?![A-Za-z]))
          | \b(?: antwort(?:[ ](?:ist|lautet))? | lösung(?:[ ]ist)? | réponse(?:[ ](?:finale|correcte))?(?:[ ]est)?
               | respuesta(?:[ ](?:final|correcta))?(?:[ ]es)? | solución(?:[ ]es)?
               | risposta(?:[ ](?:finale|corretta))?(?:[ ]è)?
               | resposta(?:[ ](?:final|correta))?(?:[ ]é)? | antwoord(?:[ ]is)? | odpowiedź(?:[ ]to)? | ответ
               | відповідь | svar(?:et)?(?:[ ]är)? | cevap | vastaus | válasz | odpověď | răspuns(?:ul)? | الجواب | उत्तर
               | đáp[ ]án | jawaban )
            (?: (?<=ist) | (?<=lautet) | (?<=est) | (?<=[ ]es) | (?<=[ ]è) | (?<=[ ]é) | (?<=är) | (?<=[ ]is)
               | (?<=[ ]to)
              | [*_ \t]*+ [:=：]
              | [ ]هو ) [*_:：,\s]*+ )""",
        re.IGNORECASE | re.VERBOSE,
    )
    _signs = (
        *(
            "answer",
            "correct",
            "答",
            "选",
            "選",
            "정답",
            "답",
            "最终",
            "解答",
            "正解",
            "正确",
            "正確",
            "antwo",
            "lösung",
            "réponse",
            "respuesta",
            "solución",
        ),
        *("risposta", "resposta", "odpowied", "ответ", "відповідь", "svar", "cevap", "vastaus", "válasz", "odpověď"),
        *("răspuns", "الجواب", "उत्तर", "đáp", "jawaban"),
    )
    """How the forms of `_mark` begin."""
    _ascii_signs = tuple(filter(str.isascii, _signs))
    _heading = re.compile(r"[#*_ \t]*+(?:the\s)?(?:final\s)?", re.IGNORECASE)
    _end = re.compile(
        r"(?<!\.)\.(?=\s|$|[*_]+(?:\s|$))|。|(?<=[0-9０-９A-JＡ-Ｊ])\s?(?:です|である|だ|입니다|이다|個|个)|</\w{1,20}>\s*$|(?<=\S)\s*[!?！？](?=\s|$)"
    )
    _talk = re.compile(
        r"(?:in)?correct\b|right\b|wrong\b|not\b|below\b|above\b|as\sfollows|unclear\b|clear\b|obvious|given\sby"
        r"|found\sby|indeed\b|consistent\b|reasonable\b|verified\b|unknown\b|(?:highly\s)?likely\b|ready\b|complete\b"
        r"|(?:based|built|dependent)\s(?:up)?on\b",
        re.IGNORECASE,
    )
    _option = re.compile(r"\(?([A-J])[).:]\s+\S.*|\(([A-J])\)\s*\S.*", re.DOTALL)
    _reach = 1000
    """Characters after the mark that are looked at."""

    def find(self, text: str) -> str | None:
        start = self._first_sign(text)
        if start is None:
            return None
        marks = [mark for mark in self._mark.finditer(text, start) if self._is_mark(text, mark)]
        values = (self._value(text[mark.end() : mark.end() + self._reach]) for mark in reversed(marks))
        return next((value for value in values if value is not None), None)

    def _first_sign(self, text: str) -> int | None:
        """Where the first mark can begin: looking for words is many times faster than matching all forms everywhere."""
        lowered = text.lower()
        signs = self._ascii_signs if lowered.isascii() else self._signs
        found = [place for sign in signs if (place := lowered.find(sign)) >= 0]
        if not found:
            return None
        return min(found) if len(lowered) == len(text) else 0

    def _is_mark(self, text: str, mark: re.Match[str]) -> bool:
        """A mark without "is" or a colon must be a heading of its own."""
        if "\n" not in mark[0] or re.search(r"[:=：]|\b(?:is|are|was|be)\b", mark[0]):
            return True
        line = text[text.rfind("\n", max(0, mark.start() - 40), mark.start()) + 1 : mark.start()]
        return self._heading.fullmatch(line) is not None

    def _value(self, rest: str) -> str | None:
        for opening, closing in (("$$", "$$"), (r"\[", r"\]")):
            if rest.startswith(opening) and (end := rest.find(closing, 2)) > 0:
                return rest[2:end]
        line = rest.partition("\n")[0]
        sentence_end = self._end.search(line)
        said = line[: sentence_end.start()] if sentence_end else line
        if self._talk.match(tidy(said)):
            return None
        value = tidy(without_remarks(said))
        if not value or self._talk.match(value) or "\\boxed" in value or "\\fbox" in value or is_placeholder(value):
            return None
        if option := self._option.fullmatch(value):
            return option[1] or option[2]
        return self._number_of(value) or value

    def _number_of(self, value: str) -> str | None:
        """The only number in a sentence of more than three words."""
        if len(value.split()) <= 3 or "\\" in value:
            return None
        numbers = [strip_separators(match[0]) for match in NUMBER.finditer(value)]
        return numbers[0] if len(numbers) == 1 else None


class LastNumber(Finder):
    """The last number, without thousands separators and currency; a fraction or a percentage is one number."""

    guesses = True

    def find(self, text: str) -> str | None:
        for line in lines_from_end(with_plain_digits(with_decimal_points(text, text))):
            if numbers := [match[0] for match in NUMBER.finditer(line)]:
                return strip_separators(numbers[-1])
        return None


def strip_separators(number: str) -> str:
    """The number without thousands separators, currency and spaces."""
    plain = re.sub(r"(?<=[0-9]),(?=[0-9])|[$€£¥\s]", "", number)
    return plain.replace("−", "-").replace("–", "-").replace("\\%", "%")


_LAST_WORD = re.compile(r"\S++(?<![}>$])\Z")


def read_answer(
    extractor: Extractor, text: str, reasoning: str | None = None, finish_reason: str | None = None
) -> str | None:
    """The answer that a sample gives; None abstains.

    A text that ran out of tokens counts with an answer that it marks as one (a box, an answer line), never with a
    number from its middle, and its last word may be half of one
    if nothing closes it. Where nothing stands outside the reasoning, what the
    reasoning says counts, if it came to an end. What a filter cut off gives no answer.

    Args:
        extractor: finds the answer in a text.
        text: what was said.
        reasoning: thinking that the backend kept apart.
        finish_reason: why the sample ended, where that is known.
    """
    if finish_reason == "content_filter":
        return None
    if is_only_reasoned(text, reasoning):
        return None if finish_reason == "length" else extractor.extract(reasoning or thoughts(text)) or None
    if finish_reason != "length":
        return extractor.extract(text) or None
    whole = _LAST_WORD.sub("", text)
    find = extractor.extract_marked if isinstance(extractor, Finder | FirstOf) else extractor.extract
    return find(whole) or None


def is_only_reasoned(text: str, reasoning: str | None) -> bool:
    """Whether a sample says nothing outside its reasoning."""
    return not visible(text).strip() and bool((reasoning or "").strip() or thoughts(text))
