"""Letters of multiple choice."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from quorate.orchestrator.errors import BadInput

from ..markup import tidy
from .asides import lines_from_end, without_asides
from .finders import Boxed, Finder, FirstOf, Hashes, JsonField, Phrase, Tagged

_PLAIN = str.maketrans({ord(first) + i: chr(ord("A") + i) for first in "ＡⒶ" for i in range(26)})
_Stance = Literal["for", "against", "open"]


class LoneLetter(Finder):
    """A last line that is one capital letter (`B`, `**(B)**`), settles on one (`Option B`) or holds it, `B) 7 m`."""

    guesses = True
    _line = re.compile(r"[\s*_`$(]*+(?:\\text\s*\{)?\(?([A-Z])\.?\)?[\s*_`$.}]*+")
    _said = re.compile(
        r"""(?!.*(?:\bnot\b|n['’]t\b|\bor\b|\band\b)) (?:
            [\s*_]*+ (?:[\w'’,]+\s+){0,6}? (?:go\s+with|choose|pick|select|option|choice) [\s*_:]+ \(?((?-i:[A-J]))\)?
          | [\s*_(]*+ ((?-i:[A-J]))\)? [\s*_]+ (?:is|must\s+be|seems) \s+ (?:the\s+)? (?:correct|right|best|answer)
            (?:\s+(?:answer|option|choice|one))? ) [\s*_.!]*+""",
        re.VERBOSE | re.IGNORECASE,
    )
    _with_option = re.compile(r"[\s*_`$]*+\(?([A-J])\)[\s*_`]*+[^\n]{1,200}")
    _any_option = re.compile(r"^[ \t*_`$>-]*+\(?[A-J]\)", re.MULTILINE)

    def find(self, text: str) -> str | None:
        line = next((line for line in lines_from_end(text) if line.strip()), "").rstrip()[-240:]
        if len(line) <= 40 and (match := self._line.fullmatch(line)):
            return match[1]
        if len(line) <= 80 and (match := self._said.fullmatch(line)):
            return match[1] or match[2]
        match = self._with_option.fullmatch(line)
        return match[1] if match and len(self._any_option.findall(text)) <= 1 else None


class Choices(Finder):
    r"""The letter of multiple choice that a text settles on, in the case it was configured in.

    A box, `<answer>` or an answer line decides. Otherwise all that is said of the options is weighed: the last one that
    is called right or chosen, or the only one that is not called wrong. Options that are discussed in turn decide
    nothing, and a bare letter inside a sentence does not count, since "A" is a word.

    Args:
        letters: those on offer, for example "ABCD".
    """

    _reach = 60
    """Characters of its sentence around a letter that say what is thought of it."""
    _mentions = 100
    """The last ones that are weighed."""
    _for = re.compile(
        r"""(?:\b(?:not\s+\(?\w\)?,?\s+but|answer|go(?:ing)?\s+with|choose|chose|pick|select|choice|chosen|must\s+be|has\s+to\s+be|have\s+to\s+be|(?:should|might|may)\s+be
              |would\s+be|conclude|therefore|thus|hence|so|rather|actually|clearly|prefer|say|guess|it\s+is|it['’]s|is|mark|opt\s+for|favou?r)\b|:)
            [\s,:*_"'`$]*(?:it\s+(?:is|must\s+be)\s+)?(?:(?:the\s+)?(?:correct\s+|right\s+)?(?:option|choice|answer|letter)(?:\s+is)?\s*)?[(*_"'`$\\\s]*$""",
        re.IGNORECASE | re.VERBOSE,
    )
    _for_after = re.compile(
        r"""[)*_"'`$\].,:\s]*(?:[^.\n]{0,40}?\s)?(?:(?:is|was|as|seems|looks|must\s+be|it)\s+(?:is\b\s*)?(?:(?:clearly|thus|therefore|indeed|the|our|my|definitely|only)\s+)*
              (?:correct|right|true|best|better|answer|valid|one)|it\s+is\b
              |(?:ist|est|es|è|é)\s+(?:die\s+|la\s+|der\s+|le\s+)?(?:richtig|korrekt|corre[ct]t|bonne|juste|giust|cert)\w*|fits|works|matches|holds)\b
            |[)*_\s]*(?:[:–-][\s*_]*(?:correct|right)\b|[:–-]?[\s*_]*[✓✔✅])""",
        re.IGNORECASE | re.VERBOSE,
    )
    _against = re.compile(
        r"(?:\b(?:not|isn['’]t|n['’]t|eliminat\w+|rul\w+\s+out|exclud\w+|reject\w*|discard\w*|neither|nor|except|unlike|than|instead\s+of|wrong|incorrect|rather\s+than)"
        r"[\s,:*_(]*(?:the\s+)?(?:option|choice|answer)?s?[(*_\s]*$)",
        re.IGNORECASE,
    )
    _against_after = re.compile(
        r"""[)*_"'`$\].,:\s]*(?:(?:and|or|,)\s*\(?[A-Z0-9]\)?\s*)*(?:[^.\n]{0,40}?\s)?(?:(?:is|are|was|were|be|can|could|does|do|seems?|would|has|have)\s*
              (?:(?:also|both|all|clearly|thus|therefore|obviously)\s+)*(?:not\b|n['’]t\b|wrong|incorrect|false|invalid|eliminated|ruled|excluded|impossible|too\b|been\s+(?:ruled|eliminated))
              |isn['’]t|aren['’]t|doesn['’]t|don['’]t|can['’]t|cannot|fails?\b|violates?
              |(?:ist|est|es|è|é)\s+(?:falsch|fau(?:x|sse)|incorre|sbagliat|errad))
            |[)*_\s]*(?:[:–-][\s*_]*(?:incorrect|wrong)\b|[:–-]?[\s*_]*[✗✘❌])""",
        re.IGNORECASE | re.VERBOSE,
    )
    _reason = re.compile(r"\b(?:since|because|as\s+opposed|whereas|while|unlike|although|though|if)\b", re.IGNORECASE)

    def __init__(self, letters: Iterable[str] = "ABCD") -> None:
        self.letters = tuple(letters)
        if not self.letters or any(len(letter) != 1 or not letter.isalnum() for letter in self.letters):
            raise BadInput(f"Choices({''.join(self.letters)!r}): give single letters or digits, such as 'ABCD'")
        one = f"([{''.join(map(re.escape, self.letters))}])"
        self._leading = re.compile(
            rf"[\s*_`$(（\[{{\\\"']*+(?:(?:(?:la|el|die|het|le)\s++)?(?:(?:option|choice|opción|opção|opzione|вариант)\s++)?\(?)?{one}(?![\w'’]|\s[a-z])",
            re.I,
        )
        # The text of the option may follow, numbers included: "Answer: C) 7 metres".
        self._lettered = re.compile(
            rf"\banswer(?:\s++is)?+(?:[\s:*_$]++\(?{one}[).:](?!\w)|[\s:*_]*+[=–-][\s*_]*+\(?{one}(?!\w))", re.I
        )
        self._mention = re.compile(
            rf"(?:\b(?:option|choice|answer|letter)[\s:*_]++\(?|\(|\*\*\(?|[\"'`]){one}(?![\w'’])|(?<![\w'’\\/.-]){one}(?![\w'’/-]|\.\w)",
            re.I,
        )
        self._or_another = re.compile(rf"[)*_\s]*+(?:or|/)[\s*_]*+\(?(?:option\s++)?\(?{one}(?!\w)", re.I)
        self._alone = re.compile(rf"[\s*_`$(\[\"']*+{one}[\s*_`$)\].,:!\"']*+", re.I)
        begins = rf"[\s*_`$(]*+{one}"
        self._opening = re.compile(
            rf"{begins}[\s*_`$)]*+(?:[,;–-]|\s(?:since|because)\b)|{begins}[).:]\s[^\n]*+\Z", re.I
        )
        self._line = re.compile(rf"^[ \t*_`>-]*+\(?{one}(?:[).:]|[*_`\s]*+$)", re.MULTILINE)

    def extract_marked(self, text: str) -> str | None:
        """Of a cut text only a box, a tag or an answer line counts."""
        found = FirstOf(Boxed(), Tagged(), JsonField(), Phrase(), Hashes()).extract(text)
        return self._first(self._leading.match(self._words(found)))

    def find(self, text: str) -> str | None:
        text = text.translate(_PLAIN)
        for finder in (Boxed(), Tagged(), JsonField(), Phrase(), Hashes()):
            if (letter := self._first(self._leading.match(self._words(finder.find(text))))) is not None:
                return letter
        body = without_asides(text).strip()
        if (letter := self._first(self._last(self._lettered, body))) or (
            letter := self._first(self._alone.fullmatch(body))
        ):
            return letter
        stances = list(self._stances(body))
        settled = self._settled(stances)
        if settled or len({letter for letter, stance, marked in stances if stance == "open" and marked}) > 1:
            return settled
        return self._first(self._opening.match(body)) or self._only_line(body)

    def _settled(self, stances: Sequence[tuple[str, _Stance, bool]]) -> str | None:
        """The last letter that is spoken for, else the only one that is not spoken against."""
        chosen = [letter for letter, stance, _ in stances if stance == "for"]
        if chosen:
            return chosen[-1]
        rejected = {letter for letter, stance, _ in stances if stance == "against"}
        left = {letter for letter, stance, marked in stances if stance == "open" and marked} - rejected
        if len(left) == 1:
            return left.pop()
        rest = set(self.letters) - rejected
        return rest.pop() if rejected and len(rest) == 1 and len(self.letters) > 2 else None

    def _stances(self, text: str) -> Iterator[tuple[str, _Stance, bool]]:
        """Each mention of a letter, what is thought of it, and whether it is marked as a letter."""
        for mention in deque(self._mention.finditer(text), maxlen=self._mentions):
            letter = self._first(mention)
            if letter is None:
                continue
            bare = mention[2] is not None
            before = re.split(
                r"[.!?\n](?=\s)|\n", text[max(0, mention.start(bare + 1) - self._reach) : mention.start(bare + 1)]
            )[-1]
            after = re.split(
                r"[.!?;](?=\s|$)|\n|,\s(?:so|but|and)\b|\b(?:since|because|whereas|while|unlike)\b",
                text[mention.end(bare + 1) : mention.end() + self._reach],
                maxsplit=1,
            )[0]
            if bare and (mention[2] not in self.letters or (re.match(r"\s[a-z]", after) and not self._speaks(after))):
                continue
            stance: _Stance = "open"
            if self._against.search(before) or self._against_after.match(after):
                stance = "against"
            elif self._or_another.match(after):
                stance = "open"
            elif not self._reason.search(before) and (self._for.search(before) or self._for_after.match(after)):
                stance = "for"
            elif self._reason.search(before):
                stance = "against"
            yield letter, stance, not bare

    def _speaks(self, after: str) -> bool:
        """Whether the words behind a bare letter treat it as one."""
        verb = re.match(
            r"\s(?:is|ist|est|es|è|é|was|because|since|as|for|it|fits|works|must|and|or|fails|cannot|seems|here|would|holds)\b",
            after,
        )
        return verb is not None

    def _only_line(self, text: str) -> str | None:
        """The letter that begins the last line, where no other line begins with one."""
        last = self._line.match(text.rpartition("\n")[2])
        letters = {self._first(match) for match in self._line.finditer(text)}
        return self._first(last) if len(letters) == 1 else None

    def _last(self, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
        last = None
        for match in pattern.finditer(text):
            last = match
        return last

    def _words(self, found: str | None) -> str:
        return re.sub(r"\\(?:text|mathrm|textbf|mathbf)\s*\{", "{", tidy(found or ""))

    def _first(self, match: re.Match[str] | None) -> str | None:
        """The letter matched, spelled as configured."""
        if match is None:
            return None
        letter = next(group for group in match.groups() if group)
        exact = letter if letter in self.letters else letter.swapcase()
        return exact if exact in self.letters else None

    def __repr__(self) -> str:
        return f"Choices({''.join(self.letters)!r})"
