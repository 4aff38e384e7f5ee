r"""What is no answer in an answer's text: asides behind it, empty forms, refusals, and points that are commas.

A number that nobody marked as the answer is a guess. It is not guessed from a confidence, a count of
words or a reference, and not at all from a refusal or a form that was left empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BEGINNING = 400
"""Characters of a text in which a refusal says that it is one."""
_ABLE = (
    r"(?:can(?:'|’)?t|can\s?not|could(?:n['’]t|\s+not)|won['’]?t|will\s+not|(?:am|['’]m)\s+(?:not\s+able|unable)\s+to|(?:must|have\s+to)\s+decline"
    r"|do(?:n['’]t|\s+not)\s+feel\s+comfortable|(?:am|['’]m)\s+not\s+allowed|refuse)"
)
_REFUSAL = re.compile(
    rf"""^\W*(?:
        (?:(?:I['’]?m|I\s+am|we['’]?re)\s+)?(?:very\s+|so\s+|really\s+|truly\s+)?(?:sorry|afraid|apologi[sz]e)\b[^.\n]{{0,80}}?
            \b(?:{_ABLE}|rule|polic|guideline|forbid|against|not\s+(?:possible|allowed|permitted|appropriate))
      | (?:unfortunately,?\s+|apologies,?\s+(?:but\s+)?|regrettably,?\s+)?I\s*{_ABLE}\s+(?:\w+\s+){{0,3}}?
            (?:help|assist|answer|provide|comply|fulfil|do|discuss|share|solve|support|continue|complete|engage|respond|give|say|tell)
      | (?:as\s+an?\s+(?:AI|artificial|large|language)\b)[^.\n]{{0,80}}\b{_ABLE}
      | (?:lo\s+siento|je\s+suis\s+désolé|désolée?|es\s+tut\s+mir\s+leid|entschuldigung|mi\s+dispiace|desculpe
            |sinto\s+muito|извините|к\s+сожалению)
      | (?:很?抱歉|对不起|對不起|申し訳|すみません|죄송)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_EMPTY_FORM = re.compile(
    r"\\boxed\s*+\{\s*+(?:\\text\s?\{\s?\}|\\ldots|\\dots|\.\.\.|…|\?|_++)?\s*+\}|<(answer|final_answer|result)>\s*+</\1>",
    re.IGNORECASE,
)
_EMPTY_END = re.compile(r"(?:^|[\n#*_])\s*(?:the\s)?(?:final\s)?answer(?:\s+is)?$", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"\W*(?:(?:\[|\{|<|\(|\\text\s*\{)?\s*(?:insert|put|write|enter|fill\s+in)?\s*(?:the|your|my)?\s*(?:final|correct|numeric(?:al)?)?\s*"
    r"(?:answer|result|number|letter|solution|value|response)(?:\s+(?:here|goes here|choice))?\s*[\]})>]*)?\W*"
    r"|n/?a|null|nan|tbd|todo|\\[lc]?dots",
    re.IGNORECASE,
)
_LABEL = (
    r"(?:(?:my\s+|overall\s+|final\s+)?(?:confidence|certainty)(?:\s+(?:level|score))?|probability(?:\s+of\s+being\s+correct)?|(?:word|token|character|step)\s+count"
    r"|sure|words|tokens?(?:\s+used)?|characters|difficulty|notes?|n\.?b\.?|p\.?s\.?|sources?|references?|citations?|score|rating|disclaimer"
    r"|(?:time|steps|tools)(?:\s+(?:taken|used|spent))?|number\s+of\s+(?:steps|words|tokens)|version|date|reminder|caveat|explanation"
    r"|justification|reason(?:ing)?|check|verification)"
)
_LABELLED_LINE = re.compile(rf"[ \t#*_>(\[-]*{_LABEL}[ \t*_]*[:=–—-].*", re.IGNORECASE)
_REST_LABEL = re.compile(
    r"[ \t#*_>(\[-]*(?:notes?|references?|sources?|citations?|n\.?b\.?|p\.?s\.?|disclaimer)[ \t*_]*:?[ \t*_]*",
    re.IGNORECASE,
)
_ASIDES = re.compile(
    r"""\((?:since|because|as|note|rounded|approx\w*|confidence|i\.e\.|e\.g\.|see|or\s+about|about|around|checked
            |verified|which|where|not|\d+\s+(?:words|tokens|steps|characters))
            \b[^()\n]{0,300}\)
      | \b(?:that|this|it|i|we|which|solving|the\s+solution)\s+(?:\w+\s+){0,2}?
            (?:took|used|needed|required|takes|needs|requires|written)\b[^.\n]{0,80}
            \b(?:steps?|words?|tokens?|seconds?|minutes?|lines?|tries|attempts?|calculations?|sources?|assumptions?
            |references?)\b
      | \b(?:based|rel(?:y|ies|ied|ying)|rests?|depends?|built|founded)\s+(?:up)?on\s+
            (?:the\s+|these\s+|following\s+){0,2}[0-9]+\s+(?:[a-z]{1,20}\s+)?(?:assumptions?|sources?|facts?|references?|premises?|observations?|examples?
            |documents?|passages?)\b
      | \b(?:this|that|which|it)\s+is\s+the\s+(?:result|product|sum|difference|quotient)\s+of\s
            (?:(?!\b(?:is|equals?|gives|makes)\b)[^.=\n]|\.(?=[0-9])){1,120}(?=\.|\n|$)
      | ,?\s(?:and\s+|but\s+)?(?:not|rather\s+than|instead\s+of|as\s+opposed\s+to)\s+(?:the\s+)?[-−$€£]?[0-9][0-9.,]*
      | ,\s(?:since|because)\b(?![^\n]{0,200}?(?:,\s|\b(?:so|thus|therefore|hence)\b))(?:[^.\n]|\.(?=[0-9])){0,200}
      | (?<=[A-Za-z])\s\([0-9$.,\s]+(?:[-+*×=][0-9$.,\s]+)+\)
      | (?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,4})?\s?%?\s?(?:sure|certain|confident|confidence|certainty)\b
      | \b(?:confidence|certainty|confident|sure)\b(?:\s+(?:is|of|level|score|about|at|around)){0,4}
            \s?:?\s?[0-9]{1,3}(?:\.[0-9]{1,4})?\s?%?
      | \b(?:double[ -])?(?:checked|verified|tested|repeated|calculated)\b[^.\n]{0,40}\b[0-9]+\s+(?:times|ways|methods)
      | \b(?:see|section|polic(?:y|ies)|rule|equation|eq\.|figure|fig\.|page|footnote|chapter|guideline|step)
            \s*(?:no\.?\s*|\#)?\(?[0-9]+(?:\.[0-9]+)*\)?
      | (?<=[\w.,;)])\[\^?[0-9]+\] | (?<=[0-9%])\s\[\^?[0-9]+\](?=[\s.,;]|$)
      | \b[0-9]+\s+(?:words|tokens|characters)\b
      | \b(?:let\s+me\s+know|feel\s+free|if\s+you\s+(?:need|want|have|would)|would\s+you\s+like|do\s+you\s+want
            |hope\s+(?:this|that|it))\b[^\n]*
    """,
    re.IGNORECASE | re.VERBOSE,
)
_TAGGED_ASIDE = re.compile(
    r"<(confidence|certainty|probability|score|explanation|note)>[^<]{0,500}</\1>", re.IGNORECASE
)
_REMARK = re.compile(
    r"\s?(?:\((?:since|because|as|note|rounded|approx\w*|confidence|i\.e\.|e\.g\.|see|or\s|about|around|checked|verified|which|where|not)\b.*"
    r"|[,;]?\s(?:because|since|as|which|so|(?:and\s+|but\s+)?not|rather\s+than|instead\s+of|with\s+(?:a\s+)?(?:confidence|probability)|confidence)\b.*"
    r"|[,;]\s(?:I|we)(?:\s|['’]).*|(?<=[0-9%])\s\[\^?[0-9]+\].*"
    r"|[,;]\s(?:no|non|nicht|pas|n[ãa]o|niet|inte|не)\s.*|[,;]\s*(?:\d+\s*%\s*)?(?:confidence|sure|certain)\b.*|\s[–—]\s.*)",
    re.IGNORECASE,
)
_SHOWN_COMMA = re.compile(
    r"(?<![0-9.,])(?:0,[0-9]|[0-9]+,[0-9]{4,}|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]|[0-9]+,[0-9]{1,2}\s?(?:€|%))"
)
_COMMA_WORDS = re.compile(
    r"\b(?:der|die|das|und|ist|sind|wir|nicht|mit|antwort|les?|la|est|sont|des|donc|réponse|el|los|las|es|son|que|por|para|respuesta|il|gli"
    r"|della|sono|risposta|quindi|os|uma?|são|portanto|resposta|het|een|zijn|antwoord|jest|odpowiedź|ответ|это|равно|svaret|och|är|cevap)\b",
    re.IGNORECASE,
)
_COMMA_ANSWER = re.compile(r"\b(?:ответ|antwort|réponse|risposta|odpowiedź|svar|cevap|antwoord)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"(?<![0-9.,(\[{])([0-9]+),([0-9]{1,2}|[0-9]{4,})(?![0-9)\]}]|[.,][0-9])")


def is_refusal(text: str) -> bool:
    """Whether a text begins by saying that it will not answer."""
    return _REFUSAL.match(text.lstrip()[:_BEGINNING]) is not None


def is_shell(text: str) -> bool:
    """Whether a text holds the form of an answer, and nothing in it."""
    return _EMPTY_FORM.search(text) is not None or _EMPTY_END.search(text.rstrip(" \n\t*_.…:")[-30:]) is not None


def is_placeholder(answer: str) -> bool:
    """Whether an answer only says where one belongs: `your answer`, `...`, `N/A`."""
    return len(answer) <= 60 and _PLACEHOLDER.fullmatch(answer) is not None


def without_asides(text: str) -> str:
    """The text without what follows an answer and is none: confidences, counts, notes, references."""
    return "\n".join(reversed(list(lines_from_end(text))))


def lines_from_end(text: str) -> Iterator[str]:
    """The lines of `without_asides`, the last first: who looks for the last answer reads no more than it needs."""
    lines: list[str] = []
    for line in (_TAGGED_ASIDE.sub(" ", text) if "</" in text else text).splitlines():
        if lines and _REST_LABEL.fullmatch(line):
            break
        lines.append(line)
    return (_ASIDES.sub(" ", line) for line in reversed(lines) if not _LABELLED_LINE.fullmatch(line))


def without_remarks(answer: str) -> str:
    """The answer up to its reasons, corrections and confidence: `12, not 13`, `12 (since 3*4 = 12)`."""
    match = _REMARK.search(answer)
    return answer[: match.start()] if match and match.start() else answer


def with_decimal_points(answer: str, text: str) -> str:
    """The answer with a point for a decimal comma, where the text shows that it writes decimals so."""
    if "," not in answer or not _DECIMAL_COMMA.search(answer) or not _writes_commas(text):
        return answer
    return _DECIMAL_COMMA.sub(r"\1.\2", answer)


def _writes_commas(text: str) -> bool:
    shown = _SHOWN_COMMA.search(text) or _COMMA_ANSWER.search(text)
    return shown is not None or len({m[0].lower() for m in _COMMA_WORDS.finditer(text)}) >= 2
