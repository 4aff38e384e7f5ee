"""Value or prose, decided once for a set of answers; and the values where it is values.

The decision reads the answers: do they lead with yes or no, with a letter, with a number or a date, or do short
answers recur inside the longer ones (anchors)? The form of the question is a hint beside that.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, partial
from typing import Literal

from ..equivalence.mathematics import Partition
from ..extraction import Boxed, Choices, Hashes, LoneLetter, Phrase
from .form import QuestionForm
from .spans import Date, Quantity, Run, contrast_zones, find_dates, find_quantities, find_runs
from .texts import FUNCTION_WORDS, NEGATIONS, WORD, Statement, fold, stem, words_of

__all__ = ["Kind", "Reading", "read_values"]

Kind = Literal["marked", "number", "date", "polar", "letter", "name", "prose"]

SHORT = 4
"""Content words of a short answer."""

_YES = re.compile(
    r"^\W*(?:(?:well|oh|hm+|so|answer|the answer is|short answer|i (?:think|believe|guess|would say)(?: so| that)?)[\s,:;-]+)?"
    r"(?:(?P<yes>yes|yeah|yep|yup|yea|sure|absolutely|certainly|definitely|of course|indeed|true|correct|right|affirmative"
    r"|that(?:['’]s| is) (?:right|correct|true)|it (?:is|does|can|was|did)(?=[\s,.!]*$)|they (?:do|are|can)(?=[\s,.!]*$)|oui|ja|jawohl|si|sim|da|hai)"
    r"|(?P<no>no|nope|nah|not (?:correct|true|right|so|really|at all|exactly|quite|necessarily|yet|anymore)|false|incorrect|never|wrong|negative|absolutely not|certainly not|definitely not|of course not"
    r"|that(?:['’]s| is) (?:not (?:right|correct|true)|false|wrong|incorrect|a (?:common )?(?:myth|misconception))|non|nein|nee|nej|nao|nie))(?![\w'’-])",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"n['’]t\b|\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|hardly|myth|misconception|false|untrue|incorrect|wrong|fails?|failed|unable"
    r"|impossible|unlikely|lacks?|without|avoid|illegal|forbidden|prohibited|banned|unsafe|against|refused?|den(?:y|ied|ies)|far from|nicht|kein\w*|ne|pas|jamais|nunca)\b",
    re.IGNORECASE,
)
_FALSE_DENIAL = re.compile(r"\bnot only\b|\bno (?:doubt|question|problem|matter)\b|\bwithout (?:a )?doubt\b|\bnot (?:just|merely)\b|\b(?:never|not) (?:a|in) doubt\b", re.I)
_SAME = re.compile(
    r"\b(?:(?:the )?same|equal(?:ly|s)?|neither|identical(?:ly)?|both (?:are|weigh|have|cost|take|travel|fall|hit|land|arrive|were|of)|no difference|a? ?(?:tie|draw)|as \w+ as)\b", re.I
)
_HIGH = frozenset(
    stem(w) for w in """large larger largest big bigger biggest great greater greatest heavy heavier heaviest old older oldest fast faster fastest
    tall taller tallest long longer longest high higher highest more most strong stronger strongest hot hotter hottest warm warmer
    warmest wide wider widest deep deeper deepest far farther further rich richer bright brighter loud louder hard harder hardest thick
    thicker expensive late later latest after newer new newest many dense denser quicker quick quickest outweigh outweighs exceed exceeds
    followed""".split()
)
_LOW = frozenset(
    stem(w) for w in """small smaller smallest little less least light lighter lightest young younger youngest slow slower slowest short shorter
    shortest low lower lowest fewer few weak weaker cold colder coldest cool cooler narrow narrower shallow shallower near nearer close closer poor
    poorer dark darker quiet quieter soft softer thin thinner cheap cheaper cheapest early earlier earliest before first preceded precedes predates
    predate""".split()
)
_ROUGHLY = frozenset("exactly roughly approximately around nearly almost circa ca only total altogether old long percent degrees".split())
_ARTICLES = frozenset("the a an der die das le la les el los il lo un une ein eine".split())


@dataclass(frozen=True)
class Reading:
    """What a set of answers was found to be."""

    kind: Kind
    answers: tuple[str | None, ...] = ()
    """By text; None abstains. Of prose they are not given."""
    classes: tuple[int | None, ...] | None = None
    """By text; None where the answers are to be compared by an equivalence of values."""


@dataclass(eq=False)
class _Text:
    """One statement with what was found in it."""

    said: Statement
    form: QuestionForm
    strict: bool = True
    """Leaves out the words of the question."""

    @cached_property
    def lead(self) -> str:
        return self.marked_answer or self.said.lead

    @cached_property
    def marked_answer(self) -> str | None:
        """What stands behind "the answer is"."""
        if "nswer" not in self.said.text and "orrect" not in self.said.text:
            return None
        return Phrase().find(self.said.text[-1500:])

    @cached_property
    def zones(self) -> list[tuple[int, int]]:
        return contrast_zones(self.lead)

    def is_aside(self, place: int) -> bool:
        return any(start <= place < end for start, end in self.zones)

    @cached_property
    def dates(self) -> list[Date]:
        return find_dates(self.lead)

    @cached_property
    def quantities(self) -> list[Quantity]:
        spans = [(d.start, d.start + len(d.text)) for d in self.dates if d.month is not None]
        return [q for q in find_quantities(self.lead) if not any(a <= q.start < b for a, b in spans)]

    @cached_property
    def runs(self) -> list[Run]:
        return find_runs(self.lead, self.form.stems if self.strict else frozenset())

    @cached_property
    def spans(self) -> dict[tuple[str, ...], Run]:
        """Its runs by their stems, the first of equal ones."""
        return {_stems(r.words): r for r in reversed(self.runs)}

    @cached_property
    def clause(self) -> int:
        """Where its main clause ends."""
        return len(_clause(self.lead))

    @cached_property
    def lead_stems(self) -> list[tuple[str, int]]:
        """Stems of the words in the lead that may be answers, with their places."""
        return [(stem(fold(m[0]).removesuffix("'s")), m.start()) for m in re.finditer(WORD, self.lead) if _may_answer(m, self.lead)]

    @cached_property
    def stem_list(self) -> list[str]:
        return [s for s, _ in self.lead_stems]

    @cached_property
    def polarity(self) -> bool | None:
        """What it leads with: yes, no, or neither."""
        match = _YES.match(self.said.text[:80])
        if match is None and self.marked_answer:
            match = _YES.match(self.marked_answer)
        return None if match is None else match["yes"] is not None

    @cached_property
    def content(self) -> list[str]:
        """Content words of all of it, up to where a short answer would have ended."""
        return [w for w in self.said.first_words[:60] if w not in FUNCTION_WORDS]

    @cached_property
    def short(self) -> bool:
        """It is hardly more than its answer."""
        return len(self.content) <= SHORT and len(self.said.first_words) <= SHORT + 4

    @cached_property
    def bare(self) -> str:
        """The text without article and full stop, as a short answer is told."""
        words = self.said.text.strip(" .!\"'“”\n").split()
        while len(words) > 1 and fold(words[0]) in _ARTICLES:
            words = words[1:]
        return " ".join(words)


def read_values(question: str, sources: Sequence[str]) -> Reading:
    """What the answers to a question are compared by, and their values.

    Args:
        question: its text; may be empty.
        sources: the answers, none of which is silent. The reading does not depend on their order.
    """
    form = QuestionForm(question)
    texts = [_Text(Statement.of(source), form) for source in sources]
    if not texts:
        return Reading("prose")
    for attempt in (_read_marked, _read_letters, _read_polar, _read_measures, _read_names):
        reading = attempt(texts, form)
        if reading is not None:
            return reading
    return Reading("prose")


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)


def _read_marked(texts: Sequence[_Text], form: QuestionForm) -> Reading | None:
    """Answers marked as such, and calculations: the reading of story problems."""
    boxes = [
        ("\\" in t.said.text and Boxed().find(t.said.text) is not None)
        or ("####" in t.said.text and Hashes().find(t.said.text) is not None)
        for t in texts
    ]
    working = [
        ("=" in t.said.text and sum(map(t.said.text.count, "0123456789")) > 2)
        or (t.marked_answer is not None and any(map(str.isdigit, t.marked_answer)))
        for t in texts
    ]
    if _share(boxes) >= 0.5 or (_share([a or b for a, b in zip(boxes, working, strict=True)]) >= 0.5):
        return Reading("marked")
    if form.sum and _share([bool(t.quantities) for t in texts]) >= 0.5:
        return Reading("marked")
    return None


def _read_letters(texts: Sequence[_Text], form: QuestionForm) -> Reading | None:
    """A letter of multiple choice, or the words of its option."""
    letters = "".join(form.options) or "ABCDEFGH"
    choices, lone = Choices(letters), LoneLetter()
    found = [_letter(t, choices, lone, form) for t in texts]
    if _share([f is not None for f in found]) < (0.5 if form.options else 0.75):
        return None
    return Reading("letter", tuple(found), tuple(None if f is None else ord(f) for f in found))


_LETTERED = re.compile(r"^\W*(?:(?:option|choice|answer)\W+)?\(?([A-Ha-h])(?:[).:]|\W*$)")


def _letter(text: _Text, choices: Choices, lone: LoneLetter, form: QuestionForm) -> str | None:
    source = text.said.text
    if (match := _LETTERED.match(source)) and (form.options or len(source) < 4):
        return match[1].upper()
    if (form.options or len(source) < 200) and (letter := lone.extract(source) or choices.extract(source)) is not None:
        return letter
    if form.options:
        said = f" {' '.join(text.said.lead_words)} "
        places = {k: said.find(f" {' '.join(words_of(v))} ") for k, v in form.options.items()}
        named = {k: p for k, p in places.items() if p >= 0 and not text.is_aside(p)}
        if named:
            return min(named, key=lambda k: (named[k], k))
    return None


def _read_polar(texts: Sequence[_Text], form: QuestionForm) -> Reading | None:
    """Yes or no; texts that lead with neither are read by their negations and by whom they resemble."""
    led = _share([t.polarity is not None for t in texts])
    if form.options or led < (0.2 if form.polar else 0.5):
        if not (form.polar and not form.prose and led == 0 and _share([_echoes(t, form) for t in texts]) > 0.5):
            return None
    if not form.polar and led < 0.75 and (form.name or form.number or form.date or form.prose):
        return None
    sides = [t.polarity if t.polarity is not None else None for t in texts]
    echo = {side: Counter(w for t, s in zip(texts, sides, strict=True) if s is side for w in set(_own_words(t, form))) for side in (True, False)}
    sizes = {side: max(1, sum(s is side for s in sides)) for side in (True, False)}
    answers = []
    for text, side in zip(texts, sides, strict=True):
        if side is None:
            denies = _denies(text, form)
            if not denies:
                own = set(_own_words(text, form))
                lean = sum(echo[True][w] / sizes[True] - echo[False][w] / sizes[False] for w in own)
                denies = lean < -0.3
            side = not denies  # noqa: PLW2901
        answers.append("yes" if side else "no")
    return Reading("polar", tuple(answers), tuple(int(a == "yes") for a in answers))


def _echoes(text: _Text, form: QuestionForm) -> bool:
    """Whether a sentence states what the question asks."""
    stems = [stem(w) for w in text.said.lead_words[:25] if w not in FUNCTION_WORDS]
    return bool(stems) and len(form.stems) > 0 and len({s for s in stems if s in form.stems}) >= 0.5 * len(form.stems)


def _own_words(text: _Text, form: QuestionForm) -> list[str]:
    return [s for w in text.said.first_words[:60] if w not in FUNCTION_WORDS and w not in NEGATIONS and (s := stem(w)) not in form.stems]


def _denies(text: _Text, form: QuestionForm) -> bool:
    asked = len(_DENIES.findall(re.sub(r"n['’]t\b", "", form.last)))
    clauses = re.split(r"[;:]|,\s(?:but|because|since|so)\b|[.!?]\s", _FALSE_DENIAL.sub("", text.said.text[:400]))
    for place, clause in enumerate(clauses[:4]):
        repeated = sum(stem(w) in form.stems for w in words_of(clause))
        if place == 0 or repeated >= min(2, len(form.stems)) or (repeated and place == 1):
            denials = len(_DENIES.findall(clause))
            if denials and (denials - min(asked, denials)) % 2 == 1:
                return True
    return False


def _read_measures(texts: Sequence[_Text], form: QuestionForm) -> Reading | None:
    """Dates or quantities."""
    dated = [bool(t.dates) for t in texts]
    counted = [bool(t.quantities) for t in texts]
    is_date = [t.short and bool(t.dates) and _is_pure(t, form) for t in texts]
    is_number = [t.short and bool(t.quantities) and not t.dates and _is_pure(t, form) for t in texts]
    if form.date and _share(dated) >= 0.5 and not form.number:
        return _choose_dates(texts, form)
    if form.number and _share([a or (b and not f) for a, b, f in zip(counted, dated, counted, strict=True)]) >= 0.5:
        return _choose_quantities(texts, form)
    if form.prose and not form.name and max(_share(is_date), _share(is_number)) < 0.5:
        return None
    if _share(is_date) >= 0.34 and _share(dated) >= 0.7:
        return _choose_dates(texts, form)
    if _share(is_number) >= 0.34 and _share([a or b for a, b in zip(counted, dated, strict=True)]) >= 0.7:
        return _choose_quantities(texts, form)
    return None


def _is_pure(text: _Text, form: QuestionForm) -> bool:
    """Nothing but dates or numbers, and words of the question."""
    told = " ".join([*(d.text for d in text.dates), *(q.text for q in text.quantities)])
    told_words = {*words_of(told), *(w for q in text.quantities for w in [q.noun])}
    return not any(
        w not in told_words and stem(w) not in told_words and w not in FUNCTION_WORDS and w not in _ROUGHLY and not w[0].isdigit()
        and stem(w) not in form.stems for w in text.said.first_words
    )


def _choose_dates(texts: Sequence[_Text], form: QuestionForm) -> Reading:
    asked = {d.key for d in find_dates(form.last)}
    offered = [[d for d in t.dates if d.key not in asked] or t.dates for t in texts]
    support: Counter[tuple[int | None, int | None, int | None]] = Counter()
    for dates in offered:
        for key in {d.key for d in dates}:
            support[key] += 1
    keys = sorted(support, key=repr)
    backing = {k: sum(any(_agree(k, d.key) for d in dates) for dates in offered) for k in keys}

    def rank(text: _Text, date: Date) -> tuple[float, ...]:
        alone = len(offered[texts.index(text)]) == 1
        return (-alone, text.is_aside(date.start), -backing[date.key], -sum(p is not None for p in date.key), date.start)

    chosen: list[Date | None] = []
    for t, dates in zip(texts, offered, strict=True):
        ranked = sorted(dates, key=partial(rank, t))
        chosen.append(ranked[0] if ranked else None)
    present = sorted({d.key for d in chosen if d is not None}, key=lambda k: (-sum(p is not None for p in k), repr(k)))
    numbers: dict[tuple[int | None, int | None, int | None], int] = {}
    for key in present:
        above = {numbers[k] for k in numbers if _agree(k, key)}
        numbers[key] = above.pop() if len(above) == 1 else len(present) + len(numbers)
    return Reading("date", tuple(d.text if d else None for d in chosen), tuple(numbers[d.key] if d else None for d in chosen))


def _agree(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True)) and any(
        a is not None and b is not None for a, b in zip(one, other, strict=True)
    )


def _choose_quantities(texts: Sequence[_Text], form: QuestionForm) -> Reading:
    asked = {q.value for q in find_quantities(form.last)}
    offered = [[q for q in t.quantities if q.value not in asked] or t.quantities for t in texts]
    flat = sorted({(q.value, q.error, q.dimension, q.number) for quantities in offered for q in quantities})
    partition = Partition(map(str, range(len(flat))))
    for i, one in enumerate(flat):
        for j, other in enumerate(flat[:i]):
            if _close(one, other):
                partition.join(str(i), str(j))
    root = {key: partition.root(str(i)) for i, key in enumerate(flat)}
    backing = Counter(r for quantities in offered for r in {root[q.value, q.error, q.dimension, q.number] for q in quantities})
    short = Counter(
        root[q.value, q.error, q.dimension, q.number] for t, quantities in zip(texts, offered, strict=True) if t.short and len(quantities) == 1 for q in quantities
    )

    def rank(text: _Text, first: Sequence[Quantity], q: Quantity) -> tuple[float, ...]:
        r = root[q.value, q.error, q.dimension, q.number]
        named = q.noun in form.stems and q.noun != ""
        return (text.is_aside(q.start), -(1.5 * named + 1.0 * (short[r] > 0) + backing[r] / len(texts) + 0.6 * (q is first[0])), q.start)

    chosen: list[Quantity | None] = []
    for t, quantities in zip(texts, offered, strict=True):
        ranked = sorted(quantities, key=partial(rank, t, quantities[:1]))
        chosen.append(ranked[0] if ranked else None)
    roots = sorted({root[q.value, q.error, q.dimension, q.number] for q in chosen if q})
    return Reading(
        "number",
        tuple(q.text if q else None for q in chosen),
        tuple(roots.index(root[q.value, q.error, q.dimension, q.number]) if q else None for q in chosen),
    )


_Measure = tuple[Fraction, Fraction, str, Fraction]


def _close(one: _Measure, other: _Measure) -> bool:
    """Equal in the unit that both have, or as bare numbers where one has none; a decimal is as exact as it is told."""
    (a, e, d, raw), (b, f, g, other_raw) = one, other
    if d == g:
        return abs(a - b) <= e + f
    return (not d or not g) and raw == other_raw


@dataclass
class _Anchors:
    """Spans that may be answers, with what speaks for them."""

    short: Counter[tuple[str, ...]] = field(default_factory=Counter)
    sole: Counter[tuple[str, ...]] = field(default_factory=Counter)
    names: Counter[tuple[str, ...]] = field(default_factory=Counter)
    runs: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def inventory(self) -> list[tuple[str, ...]]:
        """All of them, sorted; runs of words only where they recur."""
        return sorted({*self.short, *self.sole, *self.names, *(r for r, n in self.runs.items() if n > 1)})


def _stems(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(stem(w) for w in words)


def _clause(lead: str) -> str:
    """The main clause that a lead begins with."""
    return re.split(
        r"[.;:!?(\n]\s|\s[–—-]\s|\s\(|,\s(?:which|who|whose|where|when|because|since|although|though|not|but|while|after|as|and|with|a|an|the|in|at|on)\b"
        r"|\s(?:which|who|because|since|although|though|but|while|where|when|after|before|until)\s",
        lead,
        maxsplit=1,
    )[0]


def _read_names(texts: Sequence[_Text], form: QuestionForm) -> Reading | None:
    """Names and short spans: those that stand alone somewhere, and recur inside the longer answers."""
    if form.either and (reading := _read_compared(texts, form)) is not None:
        return reading
    anchors = _Anchors()
    for t in texts:
        folded = words_of(t.bare)
        whole = _stems([w for w in folded if w not in FUNCTION_WORDS] or folded[:1])
        if t.short and whole:
            inner = t.runs
            if len(inner) == 1:
                anchors.short[_stems(inner[0].words)] += 1
            elif not set(whole) & form.stems or not inner:
                anchors.short[whole] += 1
        inside = [r for r in t.runs if r.start < t.clause]
        if len(inside) == 1 and len(inside[0].words) <= SHORT:
            anchors.sole[_stems(inside[0].words)] += 1
        for words in {_stems(r.words) for r in t.runs if r.capital and len(r.words) <= SHORT + 1}:
            anchors.names[words] += 1
        anchors.runs.update(words for words in t.spans if len(words) <= SHORT)
    _add_parts(anchors, texts)
    inventory = anchors.inventory()
    chosen = [_best_anchor(t, inventory, anchors, texts) for t in texts]
    if not _are_values(texts, chosen, anchors, form):
        return None
    return _group_names(texts, chosen)


def _add_parts(anchors: _Anchors, texts: Sequence[_Text]) -> None:
    """The first and the last word of a name stand for it where only one name has them."""
    names = [w for w in anchors.inventory() if len(w) > 1 and (anchors.short[w] or anchors.names[w])]
    whole: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for words in names:
        for part in {words[0], words[-1]}:
            whole[part].add(words)
    for part, owners in whole.items():
        largest = max(owners, key=lambda w: (len(w), w))
        if all(set(w) <= set(largest) for w in owners) and any(part in t.stem_list for t in texts):
            for counts in (anchors.short, anchors.names):
                counts[(part,)] = max(counts[(part,)], counts[largest] - 1, 0) + (counts[(part,)] > 0)
            anchors.runs[(part,)] = max(anchors.runs[(part,)], 2)


@dataclass(frozen=True)
class _Chosen:
    words: tuple[str, ...]
    score: float
    strong: bool
    text: str


def _find(words: tuple[str, ...], stems: Sequence[str]) -> int:
    """Where words stand next to each other in others; -1 where they do not."""
    n, first = len(words), words[0]
    for i in range(len(stems) - n + 1):
        if stems[i] == first and tuple(stems[i : i + n]) == words:
            return i
    return -1


def _best_anchor(text: _Text, inventory: Sequence[tuple[str, ...]], anchors: _Anchors, texts: Sequence[_Text]) -> _Chosen | None:
    best: _Chosen | None = None
    run_of, clause, lead = text.spans, text.clause, text.lead_stems
    present = set(text.stem_list)
    for words in inventory:
        if words[0] not in present or (place := _find(words, text.stem_list)) < 0:
            continue
        start = lead[place][1]
        if words in run_of and not text.is_aside(run_of[words].start):
            start = run_of[words].start
        run = run_of.get(words)
        n = len(texts)
        others = anchors.short[words] + anchors.sole[words]
        score = (
            max(1.2 * (anchors.short[words] > 0), 0.9 * (anchors.sole[words] > 0))
            + 0.5 * (anchors.names[words] > 0)
            + 1.0 * max(others, anchors.names[words], anchors.runs[words]) / n
            + 0.15 * (len(words) - 1)
            - 1.6 * text.is_aside(start)
            - 0.8 * (start >= clause)
            - 0.25 * min(4, sum(r.start < start for r in text.runs))
            - 0.5 * all(w[0].isdigit() for w in words)
            - 1.0 * (len(words) > 1 and _only_whole(words, text, anchors, inventory))
        )
        if best is None or score > best.score:
            shown = run.text if run else " ".join(w for w in text.lead[start:].split()[: len(words)]).strip(" .,;:!?\"'")
            best = _Chosen(words, score, anchors.short[words] > 0 or anchors.sole[words] > 0, text.bare if text.short and run is None else shown)
    return best


def _only_whole(words: tuple[str, ...], text: _Text, anchors: _Anchors, inventory: Sequence[tuple[str, ...]]) -> bool:
    """Whether words are one text's own spelling, in which something stands that others say too."""
    support = max(anchors.short[words], anchors.names[words], anchors.runs[words])
    return text.short and support < 2 and any(
        set(w) < set(words) and max(anchors.short[w] + anchors.sole[w], anchors.runs[w], anchors.names[w]) > 1 for w in inventory
    )


def _may_answer(match: re.Match[str], lead: str) -> bool:
    word = match[0]
    return fold(word) not in FUNCTION_WORDS or (word[0].isupper() and word != "I" and (match.start() > 0 or len(word) == len(lead.strip(" ."))))


WEIGHTS = {
    "anchored": 0.7, "strong": 1.4, "recurring": 0.8, "short": 0.5, "named": 1.1, "brief": -0.6, "name": 1.5, "prose": -2.4,
    "explains": -0.7, "clauses": -0.6, "length": -0.1, "asks": 0.4,
}  # fmt: skip
"""Of what speaks for values: logistic regression on labelled sets, ten-fold accuracy .97; see docs/meaning.md."""
BIAS = -2.1


def _are_values(texts: Sequence[_Text], chosen: Sequence[_Chosen | None], anchors: _Anchors, form: QuestionForm) -> bool:
    return _value_score(texts, chosen, anchors, form) > 0


def features(texts: Sequence[_Text], chosen: Sequence[_Chosen | None], anchors: _Anchors, form: QuestionForm) -> dict[str, float]:
    n = len(texts)
    strong = [c is not None and c.strong and c.score > 0.6 for c in chosen]
    support = Counter(c.words for c in chosen if c is not None)
    recurring = sum(v for w, v in support.items() if v > 1) / n
    return {
        "anchored": _share([c is not None and c.score > 0.6 for c in chosen]),
        "strong": _share(strong),
        "recurring": recurring,
        "short": _share([t.short for t in texts]),
        "named": _share([c is not None and anchors.names[c.words] > 0 for c in chosen]),
        "brief": _share([len(t.said.first_words) <= 12 for t in texts]),
        "name": float(form.name or form.date or form.number),
        "prose": float(form.prose),
        "explains": float(form.explains),
        "clauses": _share([c is not None and len(c.words) > 2 and max(anchors.runs[c.words], anchors.short[c.words]) < 2 for c in chosen]),
        "length": sum(min(20, len(t.said.first_words)) for t in texts) / 10 / n,
        "asks": float("?" in form.text or form.name),
    }


def _value_score(texts: Sequence[_Text], chosen: Sequence[_Chosen | None], anchors: _Anchors, form: QuestionForm) -> float:
    found = features(texts, chosen, anchors, form)
    return BIAS + sum(weight * found[name] for name, weight in WEIGHTS.items())


def _group_names(texts: Sequence[_Text], chosen: Sequence[_Chosen | None]) -> Reading:
    """Names of which one has all words of the other are one, unless it could belong to several."""
    words = sorted({c.words for c in chosen if c is not None}, key=lambda w: (-len(w), w))
    partition = Partition(map(" ".join, words))
    for i, small in enumerate(words):
        above = [w for w in words[:i] if set(small) < set(w) or _misspelled(small, w)]
        roots = {partition.root(" ".join(w)) for w in above}
        if len(roots) == 1:
            partition.join(" ".join(small), " ".join(above[0]))
    numbers: dict[str, int] = {}
    classes: list[int | None] = []
    for c in chosen:
        classes.append(None if c is None else numbers.setdefault(partition.root(" ".join(c.words)), len(numbers)))
    for i, number in enumerate(classes):
        if number is None:
            classes[i] = len(numbers) + sorted(t.said.text for t in texts).index(texts[i].said.text)
    answers = tuple(c.text if c is not None else _clause(t.lead)[:200] or None for c, t in zip(chosen, texts, strict=True))
    return Reading("name", answers, tuple(classes))


def _misspelled(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    a, b = "".join(one), "".join(other)
    if min(len(a), len(b)) < 7 or abs(len(a) - len(b)) > 1 or a[0] != b[0] or any(map(str.isdigit, a + b)):
        return False
    i = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[i + 1 :] == b[i + 1 :] or a[i + 1 :] == b[i:] or a[i:] == b[i + 1 :]


def _read_compared(texts: Sequence[_Text], form: QuestionForm) -> Reading | None:
    """One of two things that the question names, or neither."""
    sides = _alternatives(form, texts)
    if len(sides) < 2:
        return None
    wanted = _direction(form.words)
    answers: list[str | None] = []
    for t in texts:
        answers.append(_side(t, sides, wanted))
    told = _share([a is not None for a in answers])
    plain = _share([t.short for t in texts])
    if told < 0.6 or (form.prose and not plain and told < 1 and wanted is None) or (wanted is None and form.prose):
        return None
    numbers = {a: i for i, a in enumerate(sorted({a for a in answers if a}))}
    return Reading("name", tuple(answers), tuple(None if a is None else numbers[a] for a in answers))


_BETWEEN_SIDES = re.compile(r"\bbetween\s([^,?]{2,60}?)\sand\s([^,?]{2,60}?)(?=[,?]|\s(?:which|who|what|is)\b|$)", re.IGNORECASE)
_EITHER_SIDES = re.compile(r"(?:[,:]|\b(?:than|is|are|was|were|of|between|first|faster|larger|more|do|does|use|prefer|as|in|a|an|the)\b)?\s*([^,:?]+?),?\s+or\s+([^,?.;]+)", re.IGNORECASE)


def _alternatives(form: QuestionForm, texts: Sequence[_Text]) -> dict[str, tuple[str, ...]]:
    """Names of the two things, each with the stems that tell it from the other."""
    match = _BETWEEN_SIDES.search(form.last) or _EITHER_SIDES.search(re.sub(r",\s(?:who|which|that)\s[^,?]*", "", form.last))
    if match is None:
        return {}
    right = [w for w in words_of(match[2])]
    left = [w for w in words_of(match[1])]
    while right and right[0] in _ARTICLES:
        right = right[1:]
    if not right:
        return {}
    content_right = [w for w in right if w not in FUNCTION_WORDS][: max(1, SHORT)]
    content_left = [w for w in left if w not in FUNCTION_WORDS]
    if not content_left or not content_right:
        return {}
    content_left = content_left[-len(content_right) :]
    r, l = _stems(content_right), _stems(content_left)
    own_r = tuple(w for w in r if w not in l)
    own_l = tuple(w for w in l if w not in r)
    if not own_r or not own_l:
        return {}
    return {" ".join(content_left): own_l, " ".join(content_right): own_r}


def _direction(words: Sequence[str]) -> int | None:
    for w in words:
        if stem(w) in _HIGH:
            return 1
        if stem(w) in _LOW:
            return -1
    return None


def _side(text: _Text, sides: Mapping[str, tuple[str, ...]], wanted: int | None) -> str | None:
    if _SAME.search(text.said.lead) and not re.search(r"\bthan\b", text.said.lead):
        return "the same"
    lead = text.lead_stems
    stems = [s for s, _ in lead]
    places = {}
    for name, own in sides.items():
        at = [stems.index(w) for w in own if w in stems]
        if at:
            places[name] = min(at)
    if not places:
        return None
    order = sorted(places, key=lambda name: places[name])
    first = order[0]
    if len(order) == 1:
        return first
    clause = re.split(r"[.;]\s|\s(?:because|since)\s", text.lead)[-1 if re.search(r"\bso\b", text.lead) else 0]
    words = words_of(clause)
    pivot = next((i for i, w in enumerate(words) if w in ("than", "before", "after", "precedes", "preceded", "predates", "outweighs")), None)
    if pivot is not None and wanted is not None:
        window = words[max(0, pivot - 4) : pivot + 1]
        said = next((d for w in reversed(window) if (d := _direction([w])) is not None), None)
        if said is not None and said != wanted and any(stem(w) in words_of_sides(sides) for w in words[pivot + 1 :]):
            return order[1] if order else None
    return first


def words_of_sides(sides: Mapping[str, tuple[str, ...]]) -> set[str]:
    return {w for own in sides.values() for w in own}
