"""What a question's form says about its answers: a hint, no more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from .texts import FUNCTION_WORDS, stem, words_of

_POLAR = re.compile(
    r"^(?:so|and|but|well|hi|hey|hello|please|quick question|true or false|yes or no|tell me"
    r"|can you tell me|do you know"
    r"|i wonder|i was wondering|could you tell me)?[\s,:;.!-]*(?:if\s|whether\s)?"
    r"(?:is|are|was(?! ist| sind)|were|do|does|did|can|could|will|would|has|have|had|should|may|must|am"
    r"|isn['’]t|aren['’]t|doesn['’]t|don['’]t"
    r"|est-ce|ist|sind|hat|kann|darf|war|es|son|puede)\b(?!\s(?:you|we)\s(?:explain|describe|tell|give"
    r"|write|name|list|recommend|suggest))",
    re.IGNORECASE,
)
_WHETHER = re.compile(
    r"\b(?:true or false|yes or no|whether\b|is (?:it|this|that) (?:true|correct|possible|safe|legal|ok(?:ay)?)\b)",
    re.I,
)
_NUMBER = re.compile(
    r"\bhow (?:many|much|old|long|far|tall|high|deep|heavy|big|large|fast|wide|hot|cold|thick|loud)\b"
    r"|\bwhat(?:['’]s| is| are| was)? (?:the )?(?:\w+ ){0,3}?(?:number|percentage|percent|population"
    r"|distance|temperature|speed|height|weight|"
    r"length|price|cost|sum|product|total|age|area|boiling point|freezing point|melting point"
    r"|atomic number|square root|value|result|remainder)\b"
    r"|\b(?:calculate|compute|solve|evaluate|count|add up|wie\s?viele?|combien|cuant[oa]s|quant[io])\b"
    r"|\d\s*(?:[-+*/x×÷^]|times|plus|minus|divided by|multiplied by|to the power of)\s*\d",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\bwhen\b(?! (?:should|do|does|can|would|is it (?:best|better|appropriate|ok)))|\b(?:what|which"
    r"|in what|in which) (?:year|date|day|month|century|decade)\b|\bdate of\b|\bwann\b|\bquand\b"
    r"|\bcuando\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"\b(?:who|whom|whose|where|which|wer|wo|welche[rs]?|qui|ou|quien|donde|cual|quel(?:le)?|chi|dove)\b"
    r"|\b(?:what|which)(?:['’]s| is| was| are|) (?:the |a |an )?(?:\w+ ){0,2}?(?:capital|name|title"
    r"|colou?r|currency|language|symbol|city|country|"
    r"state|river|mountain|ocean|planet|element|gas|metal|animal|bird|word|term|author|president|king"
    r"|queen|largest|biggest|smallest|"
    r"longest|tallest|highest|fastest|first|last|oldest|most|chemical|formula|continent|sea|lake|organ"
    r"|bone|sport|instrument|nickname|abbreviation|hauptstadt|capitale)\b"
    r"|^\W*(?:name|identify|state|give) (?:the|one|a|an)\b|\bwhat (?:\w+ ){1,2}(?:is|are|was|were|do|does"
    r"|did|has|have|can|produces?|makes?|causes?)\b"
    r"|\bstand(?:s)? for\b|\b(?:spell|translate|translation|synonym|antonym|opposite|plural|past tense)\b|_{2,}",
    re.IGNORECASE,
)
_PERSON = re.compile(r"\b(?:who|whom|whose|wer|qui|quien|chi)\b", re.IGNORECASE)
_PROSE = re.compile(
    r"^\W*(?:why|how (?:do|does|did|can|could|should|would|is|are|was|to|come|might|will)\b(?! (?:you|one"
    r"|i) (?:say|spell|call|write|pronounce)\b)|explain|describe|discuss|summari[sz]e|compare|write"
    r"|tell (?:me|us)"
    r"(?! (?:the|who|what|which|where|when|whether|if|how many))|suggest|recommend|give (?:me|us) (?:some"
    r"|an? (?:tip|idea|name|reason|example|piece|short|brief)|advice|your)"
    r"|define|compose|draft|invent|create|paraphrase|rephrase|advise|propose|outline|warum|pourquoi"
    r"|por que|wie (?:kann|macht|soll)|comment)\b"
    r"|\bwhy\b|\b(?:mean|means|meaning|difference|relation(?:ship)?|purpose|role|function|advantages?"
    r"|disadvantages?|benefits?|effects?|consequences?|"
    r"reasons?|opinion|think of|think about|feel about|best|good|better|favou?rite|nice|advice|tips?"
    r"|steps?|way to|ways to|happens?|should (?:i|we|you|one)|would you|idea|recommend|suggest|"
    r"explain|moral|message|theme|summary|instructions|say(?:s)? (?:about|on)|work|works)\b"
    r"|^\W*what(?:['’]s| is| are) (?!the\b)(?:an? )?[\w-]{3,20}(?: [\w-]+)?\?*$|^\W*what (?:do|does|did"
    r"|can|could|should|would|will|must)\b"
    r"|\bwhat (?:was|were|is|has|had|have|must|should)\b[^?]*\b(?:done|decided|said|agreed|happened"
    r"|announced|learn(?:ed|t)?|advised|reported|ruled|written|promised|ordered|planned|proposed)\b"
    r"|\b(?:what|which) (?:order|change|way|manner|importance|use|sense)\b|\bhow often\b|\bin (?:your"
    r"|one) (?:own )?(?:words|sentence|opinion)\b",
    re.IGNORECASE,
)
_EXPLAIN = re.compile(
    r"\bwhy\b|^\W*(?:please\s)?(?:how (?:do|does|did|can|could|should|would|to|come)\b(?! (?:you|one"
    r"|i) (?:say|spell|call|write|pronounce)\b)|explain|describe|discuss|summari[sz]e|write|compose|draft"
    r"|invent|create"
    r"|suggest|recommend|propose|advise|paraphrase|rephrase|outline|compare|warum|pourquoi|por que)",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?:^|[\s(])\(?([A-Ha-h])[).:]\s*([^\n]*?)(?=[\s,;]*(?:\(?\b[B-Ib-i][).:]\s)|\n|$)")
_EITHER = re.compile(r"[\w'’-]+\s+or\s+[\w'’-]+", re.IGNORECASE)
_COMPARATIVE = re.compile(
    r"\b(?:which|who|what|whose)\b[^?]*\b(?:more|less|fewer|first|earlier|later|\w{2,}er|better|worse|same)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class QuestionForm:
    """One question."""

    text: str

    @staticmethod
    @lru_cache(maxsize=256)
    def of(text: str) -> QuestionForm:
        """The form of a question, remembered, since every answer to it is read by it."""
        return QuestionForm(text)

    @cached_property
    def last(self) -> str:
        """Its last sentence that asks, since context may go before."""
        text = self.text.strip()[-2000:]
        asked = re.findall(r"[^.?!\n]*\?", text)
        return (asked[-1] if asked else text).strip()

    @cached_property
    def polar(self) -> bool:
        """It asks for yes or no."""
        if self.options:
            return False
        either = _EITHER.search(self.last) is not None and not _WHETHER.search(self.text[-400:])
        return not either and (_POLAR.match(self.last) is not None or _WHETHER.search(self.last) is not None)

    @cached_property
    def number(self) -> bool:
        """It asks for a number."""
        return _NUMBER.search(self.text[-2000:]) is not None

    @cached_property
    def sum(self) -> bool:
        """It is a calculation in figures."""
        return re.search(r"\d\s*(?:[-+*/x×÷^]|times|plus|minus|divided by|multiplied by)\s*\d", self.last) is not None

    @cached_property
    def date(self) -> bool:
        """It asks for a point in time."""
        return _DATE.search(self.last) is not None

    @cached_property
    def name(self) -> bool:
        """It asks who, where or which."""
        return _NAME.search(self.last) is not None

    @cached_property
    def person(self) -> bool:
        """It asks who: a name."""
        return _PERSON.search(self.last) is not None

    @cached_property
    def prose(self) -> bool:
        """It asks for what takes a sentence."""
        return _PROSE.search(self.last) is not None

    @cached_property
    def explains(self) -> bool:
        """It asks for reasons, a way to do something, or a text."""
        return _EXPLAIN.search(self.last) is not None

    @cached_property
    def either(self) -> bool:
        """It names the answers that it wants one of, or compares."""
        return _EITHER.search(self.last) is not None or _COMPARATIVE.search(self.last) is not None

    @cached_property
    def options(self) -> dict[str, str]:
        """Lettered options."""
        found = {m[1].upper(): m[2].strip(" .,;") for m in _OPTION.finditer(self.text) if m[2].strip()}
        return found if len(found) >= 2 and sorted(found) == list("ABCDEFGH"[: len(found)]) else {}

    @cached_property
    def words(self) -> list[str]:
        """Folded."""
        return words_of(self.text)

    @cached_property
    def stems(self) -> frozenset[str]:
        """Of its content words."""
        return frozenset(stem(w) for w in words_of(self.last) if w not in FUNCTION_WORDS)
