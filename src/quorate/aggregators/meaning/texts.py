"""What the comparison of answers in words begins with: plain text, sentences, words, and what says nothing."""

# ruff: noqa: SIM905 - lists of words are read as text
from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ..markup import visible

MAX_CHARACTERS = 6000
"""Of a longer text the beginning and the end are read."""
LEAD = 320
"""Characters in which a text is expected to say its answer."""

_UNDERSCORES = re.compile(r"(?<!\w)_+|_+(?!\w)")
_LINE_MARK = re.compile(r"^[^\S\n]*(?:#+|>|[-•+])\s+", re.MULTILINE)
_REFUSAL_REACH = 400
"""Characters in which a refusal says that it is one, and whether it answers all the same."""
_LEAD_WITH_MARKUP = 2 * _REFUSAL_REACH
_LINK = re.compile(r"\[([^\]\[]{1,200})\]\([^()\s]{1,300}\)")
WORD = r"[^\W_]+(?:(?:['’.&/@+_-]|:(?=[0-9])|,(?=[0-9]{3}\b))[^\W_]+)*[+#]*"
"""A word, a number, an address or a combination of keys."""
_WORD = re.compile(rf"{WORD}|[%°$€£]")
_ASCII_WORD = re.compile(f"{WORD}|[%$]".replace(r"[^\W_]", "[a-z0-9]"))
"""The same for folded text without other letters, three times as fast."""
_SENTENCE = re.compile(r"[.!?\n](?:(?<=\n)\n*|[.!?]*[\"”')]*\s+)")
_SHORTENED = re.compile(r"(?:^|[\s(.])(?:[A-Z]|[A-Z][a-z]{1,2}|[a-z]\.[a-z]|vs|etc|approx|ca|no)$")
_REFUSAL = re.compile(
    r"""^\W*(?:(?:i['’]?\s?a?m\s|sorry|apolog|unfortunately|as\san?\s(?:ai|language|large)|my\sapolog)[^.!?]{0,60}?)?
        (?: i\s(?:really\s|just\s|honestly\s)?(?:do\snot|don['’]?t|can\s?not|can['’]?t|could\snot|couldn['’]?t
        |am\snot\sable\sto
            |['’]m\snot\sable\sto|am\sunable\sto|won['’]?t)\s
            (?:actually\s|really\s)?(?:know|have|help|assist|answer|share|provide|find|tell|say|give|determine|comply
            |access|look|see|predict|foresee|verify|confirm|identify|browse|view|speculate|guess|recall|remember
            |be\ssure|discuss|do\sthat|fulfil|offer|disclose|reveal|support)
          | i['’]m\s(?:unable|not\sable|not\ssure(?=[.!?]*$|\sabout|\sof|\show|\swhat|\swhich|\swho|\swhen|\swhere))
          | i\shave\sno\s(?:idea|information|way|data|knowledge)
          | (?:there\sis\s)?(?:no|not\senough)\s(?:information|data|idea|clue)\b
          | it\sis\s(?:not\spossible|impossible)\sto\s(?:say|tell|know|determine)
          | (?:that|this|it)(?:\sis|['’]s)\s(?:unknown|unclear|not\sknown)(?=[.!?]*$)
          | (?:not\ssure|no\sidea|unknown|unclear|n/a|none\sgiven)(?=[.!?]*$)
          | (?:the\s)?(?:text|passage|question|context|story)\sdoes(?:n['’]t|\snot)\s(?:say|mention|state|specify)
          | (?:sorry|apologies)\b[^.!?]{0,50}[.!?]*$
          | (?:keine\sahnung|ich\swei(?:ß|ss)\s(?:es\s|das\s)?nicht|je\sne\ssais\spas|no\slo\ss[eé]|non\slo\sso)
        )""",
    re.IGNORECASE | re.VERBOSE,
)
_REFUSAL_OPENING = re.compile(
    r"[\W_]*(?:i|sorry|apolog|unf|as|my|the|tha|thi|no|unk|unc|n/a|kei|je|text|pas|que|con|sto)", re.IGNORECASE
)
"""How every refusal begins."""

FUNCTION_WORDS = frozenset(
    """a an the and or but of in on at to for from by with as is are was were be been being am it its it's itself this
    that these those there here he she they we you i him her them his their our your my me us who whom whose
    which what when where why how do does did done has have had having will would can could shall should may
    might must so than then too very just also only some any each both all more most such if because since while
    though although about into over under up out off through during per via s t d ll re ve m o not no nor one's
    that's there's he's she's they're you're we're i'm i've i'd i'll let's indeed
    called known named considered generally usually often typically
    commonly widely really actually well der die das den dem des ein eine einer eines ist sind war waren und
    oder von vom zu im in am auf fur mit es er sie le la les un une des du de et est sont etait il elle ce c'est
    dans sur au aux en que qui el los las una y es son era del al se lo e i o gli della dello nel sono""".split()
)
"""Words that carry no answer, in a few languages, folded."""
NEGATIONS = frozenset(
    """not no never neither nor none nobody nothing without cannot can't don't doesn't didn't isn't aren't wasn't
    weren't won't wouldn't shouldn't couldn't hasn't haven't hadn't ain't nowhere hardly false untrue incorrect
    wrong myth nicht kein keine keinen keiner nie ne pas non jamais nunca""".split()
)


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """The text without case and accents."""
    if text.isascii():
        return text.casefold()
    plain = unicodedata.normalize("NFKD", text.replace("’", "'").replace("ß", "ss"))
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


_ENDINGS = {
    "n": (("ization", 4), ("ation", 4), ("ion", 4)),
    "r": (("or", 4), ("er", 4)),
    "t": (("ment", 4),),
    "s": (("ness", 4), ("ies", 2), ("es", 3), ("s", 3)),
    "g": (("ing", 3),),
    "d": (("ed", 3),),
    "y": (("ly", 4), ("y", 3)),
    "e": (("e", 3),),
}
"""By their last letter, each with the letters that must be left."""


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A folded word without the commonest English endings: enough to find it again, and no more."""
    word = word.removesuffix("'s")
    if len(word) < 4 or word[0].isdigit():
        return word
    for ending, least in _ENDINGS.get(word[-1], ()):
        if word.endswith(ending) and len(word) - len(ending) >= least and not word.endswith("ss"):
            word = word[: -len(ending)]
            return word[:-1] if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "ls" else word
    return word


def words_of(text: str) -> list[str]:
    """The folded words of a text, numbers with their separators included."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return [fold(match[0]) for match in _WORD.finditer(text)]


def is_refusal(text: str) -> bool:
    """Whether a text says that it does not answer; one that goes on to answer ("I'm not sure, but ...") does not."""
    match = _REFUSAL.match(text[:300])
    if match is None:
        return False
    rest = text[match.end() : _REFUSAL_REACH]
    return not re.search(
        r"\b(?:but|however|though)\b[^.]*\b(?:think|believe|guess|probably|likely|may|might|would|is|was|'s)\b",
        rest,
        re.IGNORECASE,
    )


@dataclass(eq=False)
class Statement:
    """One answer in words."""

    source: str
    """What a model wrote."""

    @cached_property
    def text(self) -> str:
        """It without thinking and Markdown; of a very long one the beginning and the end."""
        text = visible(self.source)
        if len(text) > MAX_CHARACTERS:
            text = f"{text[: MAX_CHARACTERS // 2]}\n{text[-MAX_CHARACTERS // 2 :]}"
        return _without_markdown(text)

    @cached_property
    def sentences(self) -> list[str]:
        """The first sentences and lines, without their full stops, as far as a lead can reach."""
        text, parts, start = self.text[: 3 * LEAD], [], 0
        for end in _SENTENCE.finditer(text):
            if end[0][0] != "." or not _SHORTENED.search(text[max(0, end.start() - 8) : end.start()]):
                parts.append(text[start : end.start()].strip())
                start = end.end()
        return [part for part in (*parts, text[start:].strip().rstrip(".!?")) if any(map(str.isalnum, part))]

    @cached_property
    def lead(self) -> str:
        """The first sentences, in which the answer is expected."""
        lead = ""
        for sentence in self.sentences:
            if lead and len(lead) + len(sentence) > LEAD:
                break
            lead = f"{lead}. {sentence}" if lead else sentence[: LEAD + LEAD // 2]
        return lead

    @cached_property
    def silent(self) -> bool:
        """It says nothing, or that it does not know; which of both, its beginning tells."""
        shown = visible(self.source)
        if _REFUSAL_OPENING.match(shown) is None:  # most texts
            return not any(map(str.isalnum, shown))
        lead = _without_markdown(shown[:_LEAD_WITH_MARKUP])
        text = lead if len(lead) > _REFUSAL_REACH else self.text
        return is_refusal(text) or not any(map(str.isalnum, text))

    @classmethod
    def of(cls, source: str) -> Statement:
        """The statement of a text; that of one that is not long is remembered."""
        return _statement(source) if len(source) <= MAX_CHARACTERS else cls(source)

    @cached_property
    def words(self) -> list[str]:
        """The folded words of all of it."""
        return words_of(self.text)

    @cached_property
    def first_words(self) -> list[str]:
        """The folded words of its beginning, some sixty at least."""
        return words_of(self.text[:600])

    @cached_property
    def lead_words(self) -> list[str]:
        """The folded words of the lead."""
        return words_of(self.lead)


def _without_markdown(text: str) -> str:
    text = text.replace("*", "").replace("`", "")
    text = _LINK.sub(r"\1", text) if "](" in text else text
    text = _UNDERSCORES.sub("", text) if "_" in text else text
    return _LINE_MARK.sub("", text).strip()


@lru_cache(maxsize=512)
def _statement(source: str) -> Statement:
    return Statement(source)
