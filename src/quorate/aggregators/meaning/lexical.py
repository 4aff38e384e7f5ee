"""Classes of prose by the words that it shares, with guards: no model, no promise.

Texts are joined by average linkage over overlaps weighted within the set; negation, numbers, opposites, order of
the same
words and one word exchanged in the same frame keep them apart. Such classes group and order; they are too often
wrong to stop sampling by, or to state a confidence.
"""

# ruff: noqa: SIM905 - lists of words are read as text
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property, lru_cache
from itertools import combinations
from math import log

from .form import QuestionForm
from .spans import MONTHS, find_quantities
from .texts import FUNCTION_WORDS, MAX_CHARACTERS, NEGATIONS, Statement, stem, words_of

MAX_WORDS = 150
"""Of one text that are compared."""
MAX_TEXTS = 64
"""Distinct texts that are compared pair by pair; further ones are classes of their own."""
THRESHOLD = 0.15
"""Mean similarity from which two groups are one."""

_OPPOSITES = """left|right; clockwise|counterclockwise anticlockwise counter-clockwise anti-clockwise;
positive plus|negative minus;
raise raises raised increase increases increased rise rises rising grow grows up|lower lowers lowered decrease
decreases decreased fall falls
falling drop drops reduce reduces reduced shrink shrinks down; before|after; high higher|low; open opens
opened|close closes closed shut;
on|off; hot warm|cold cool; more|less fewer; true|false; safe|unsafe dangerous; win won wins|lose lost loses;
benign|malignant; buy bought buys
acquire acquired|sell sold sells; allow allowed allows permitted legal|forbid forbidden prohibited banned illegal;
first|last; above over|below under;
inside indoors|outside outdoors; always|never; start starts begin begins|stop stops end ends; north|south;
east|west; empty|full; morning|evening
night; accept accepted approved approve|reject rejected denied refuse refused; early earlier|late later; fast
faster quick quickly|slow slower
slowly; alive|dead; guilty|innocent; expensive|cheap; strong stronger|weak weaker; gain gains gained|loss lose
loses; attach connect
connected|detach disconnect disconnected; common everywhere|rare; freeze freezes|melt melts; push|pull; enter
entered|leave left; passed
pass|failed fail; present|absent; minimum|maximum; male|female; heavy heavier|light lighter; agree agrees|disagree
disagrees; import
imports|export exports; lend lends|borrow borrows; horizontal|vertical; old older|young younger; tighten|loosen;
include includes
with|exclude excludes without; rough|smooth; ascending|descending; public|private; acid acidic|alkaline basic;
solid|liquid; wet|dry"""
_GROUPS: dict[str, list[tuple[int, int]]] = {}
for _i, _pair in enumerate(_OPPOSITES.replace("\n", " ").split(";")):
    for _side, _words in enumerate(_pair.split("|")):
        for _word in _words.split():
            _GROUPS.setdefault(_word, []).append((_i, _side))
_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "mis", "anti", "counter", "de", "mal")
_BETWEEN = frozenset("to from before after than by over into above below".split())
_COMMON_VERBS = frozenset(
    "use try put get take make go press hit type click choose select add give keep let set turn need want help".split()
)


@dataclass(eq=False)
class Profile:
    """A statement as its words."""

    said: Statement
    asked: frozenset[str] = frozenset()

    @classmethod
    def of(cls, source: str, asked: frozenset[str] = frozenset()) -> Profile:
        """The profile of a text beside the stems of its question; that of one that is not long is remembered."""
        return _profile(source, asked) if len(source) <= MAX_CHARACTERS else cls(Statement.of(source), asked)

    @cached_property
    def tokens(self) -> list[str]:
        """Folded words, hyphens taken apart."""
        return [
            part
            for word in words_of(self.said.text[: 8 * MAX_WORDS])[:MAX_WORDS]
            for part in (word.split("-") if "-" in word and word[0].isalpha() else (word,))
            if part
        ]

    @cached_property
    def ordered(self) -> list[str]:
        """Stems of the content words in their order."""
        return [stem(w) for w in self.tokens if w not in FUNCTION_WORDS and w not in NEGATIONS]

    @cached_property
    def stems(self) -> frozenset[str]:
        return frozenset(self.ordered)

    @cached_property
    def own(self) -> frozenset[str]:
        """Those that the question does not have."""
        return self.stems - self.asked

    @cached_property
    def grams(self) -> frozenset[str]:
        """Beginnings and other quadruples of letters of its content words."""
        step = 2 if len(self.own) > 40 else 1
        words = self.own or self.stems
        inner = {w[i : i + 4] for w in words if len(w) > 4 for i in range(step, len(w) - 3, step)}
        return frozenset({w[:4] for w in words} | inner)

    @cached_property
    def denied(self) -> frozenset[str]:
        """Stems that a negation goes before, and nothing but function words between."""
        found: set[str] = set()
        tokens = self.tokens[:80]
        for i, word in enumerate(tokens):
            if word in NEGATIONS or word.endswith("n't"):
                content = [w for w in tokens[i + 1 : i + 6] if w not in FUNCTION_WORDS]
                found.update(stem(w) for w in content[:1])
        return frozenset(found)

    @cached_property
    def asserted(self) -> frozenset[str]:
        """Stems that stand without negation."""
        return self.stems - self.denied

    @cached_property
    def unprefixed(self) -> frozenset[str]:
        """Its words with a prefix that denies, without it."""
        return frozenset(
            w[len(p) :]
            for w in self.stems
            if w.startswith(_PREFIXES)
            for p in _PREFIXES
            if w.startswith(p) and len(w) > len(p) + 3
        )

    @cached_property
    def numbers(self) -> frozenset[str]:
        return frozenset(str(q.value) for q in find_quantities(self.said.lead) if q.value != 1)

    @cached_property
    def passive(self) -> bool:
        t = self.tokens[:40]
        return any(
            w in ("was", "were", "is", "are", "be", "been", "being") and "by" in t[i + 1 : i + 8]
            for i, w in enumerate(t)
        )

    @cached_property
    def poles(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for word in [*self.tokens[:60], *(w for w in self.said.first_words[:60] if "-" in w)]:
            for group, side in _GROUPS.get(word, ()):
                found.setdefault(group, set()).add(side)
        return found


@lru_cache(maxsize=2 * MAX_TEXTS)
def _profile(source: str, asked: frozenset[str]) -> Profile:
    return Profile(Statement.of(source), asked)


def are_opposed(a: Profile, b: Profile) -> bool:
    """Whether a guard says that two texts cannot mean the same."""
    overlap = _dice(a.stems, b.stems)
    if a.denied & b.asserted or b.denied & a.asserted:
        return True
    if a.numbers and b.numbers and not a.numbers & b.numbers and overlap > 0.2:
        return True
    for group in a.poles.keys() & b.poles.keys():
        if len(a.poles[group]) == 1 == len(b.poles[group]) and a.poles[group] != b.poles[group]:
            return True
    if _denied_words(a, b) or _denied_words(b, a):
        return True
    return overlap > 0.6 and (_swapped(a, b) or _exchanged(a, b))


def _denied_words(a: Profile, b: Profile) -> bool:
    """`legal` against `illegal`."""
    return any(rest in a.own and rest not in b.stems for rest in b.unprefixed)


def _swapped(a: Profile, b: Profile) -> bool:
    """The same words with two of them in each other's place; in the passive voice that is how they say the same."""
    shared = [w for w in dict.fromkeys(a.ordered) if w in b.stems and not w[0].isdigit() and w not in MONTHS]
    if len(shared) < 3 or _dice(a.stems, b.stems) < 0.8:
        return False
    order = [w for w in dict.fromkeys(b.ordered) if w in shared]
    misplaced = [i for i, (x, y) in enumerate(zip(shared, order, strict=True)) if x != y]
    transposed = len(misplaced) == 2 and shared[misplaced[0]] == order[misplaced[1]]
    if a.passive != b.passive:
        return not misplaced
    return transposed and (misplaced[1] - misplaced[0] > 1 or bool(_BETWEEN & set(a.tokens) & set(b.tokens)))


def _exchanged(a: Profile, b: Profile) -> bool:
    """One content word stands where the other text has another, everything around it alike."""
    one, other = a.tokens[:60], b.tokens[:60]
    changes = [c for c in SequenceMatcher(None, one, other, autojunk=False).get_opcodes() if c[0] != "equal"]
    if len(changes) != 1 or changes[0][0] != "replace":
        return False
    _, i, j, k, m = changes[0]
    left = [w for w in one[i:j] if w not in FUNCTION_WORDS]
    right = [w for w in other[k:m] if w not in FUNCTION_WORDS]
    return len(left) == 1 == len(right) and stem(left[0]) != stem(right[0]) and not {left[0], right[0]} & _COMMON_VERBS


def _dice(a: frozenset[str], b: frozenset[str]) -> float:
    return 2 * len(a & b) / (len(a) + len(b)) if a and b else 0.0


def similarities(profiles: Sequence[Profile]) -> list[list[float]]:
    """Of every pair, 0 to 1; -1 where a guard keeps them apart."""
    n = len(profiles)
    seen = Counter(w for p in profiles for w in p.stems)
    weight = {w: log(1 + n / count) * (0.4 if count == n and n > 2 else 1.0) for w, count in seen.items()}
    sizes = [_size(p, weight) for p in profiles]
    matrix = [[1.0] * n for _ in profiles]
    for i, j in combinations(range(n), 2):
        a, b = profiles[i], profiles[j]
        matrix[i][j] = matrix[j][i] = -1.0 if are_opposed(a, b) else _similarity(a, b, weight, sizes[i], sizes[j])
    return matrix


def _size(profile: Profile, weight: Mapping[str, float]) -> float:
    return sum(map(weight.__getitem__, profile.own or profile.stems))


def _similarity(a: Profile, b: Profile, weight: Mapping[str, float], size_a: float, size_b: float) -> float:
    top = sum(map(weight.__getitem__, (a.own or a.stems) & (b.own or b.stems)))
    if not size_a or not size_b:
        return 0.0
    dice = 2 * top / (size_a + size_b)
    contained = top / min(size_a, size_b)
    return 0.2 * dice + 0.3 * contained + 0.5 * _dice(a.grams, b.grams)


def link(matrix: Sequence[Sequence[float]], threshold: float) -> list[int]:
    """Classes by average linkage: the most similar groups are joined first, none across a pair of -1.

    Equal similarities are joined in the order of the rows, which the caller sorts by content.
    """
    groups = [[i] for i in range(len(matrix))]
    while len(groups) > 1:
        best, pair = threshold, None
        for x, y in combinations(range(len(groups)), 2):
            values = [matrix[i][j] for i in groups[x] for j in groups[y]]
            if min(values) < 0:
                continue
            mean = sum(values) / len(values)
            if mean > best + 1e-12:
                best, pair = mean, (x, y)
        if pair is None:
            break
        groups[pair[0]] += groups.pop(pair[1])
    number = {i: g for g, members in enumerate(groups) for i in members}
    return [number[i] for i in range(len(matrix))]


def lexical_classes(question: str, sources: Sequence[str], threshold: float = THRESHOLD) -> list[int]:
    """For each text the number of its class; independent of the order of the texts."""
    asked = QuestionForm.of(question).stems
    distinct = sorted(set(sources), key=lambda s: (len(s), s))
    profiles = [Profile.of(s, asked) for s in distinct[:MAX_TEXTS]]
    classes = link(similarities(profiles), threshold)
    class_of = dict(zip(distinct, [*classes, *range(len(distinct), 2 * len(distinct))], strict=False))
    return [class_of[s] for s in sources]


def medoid(question: str, members: Sequence[str]) -> str:
    """Of texts of one class the one most like the rest; shorter ones win ties."""
    if len(set(members)) < 3:
        return min(members, key=lambda s: (-members.count(s), len(s), s))
    asked = QuestionForm.of(question).stems
    distinct = sorted(set(members), key=lambda s: (len(s), s))[:MAX_TEXTS]
    profiles = [Profile.of(s, asked) for s in distinct]
    count = Counter(members)
    seen = Counter(w for p in profiles for w in p.stems)
    weight = {w: log(1 + len(profiles) / n) for w, n in seen.items()}

    sizes = [_size(p, weight) for p in profiles]

    def centrality(i: int) -> float:
        return sum(
            count[s] * _similarity(profiles[i], profiles[j], weight, sizes[i], sizes[j]) for j, s in enumerate(distinct)
        )

    return distinct[max(range(len(distinct)), key=lambda i: (round(centrality(i), 9), -i))]


@dataclass
class LexicalClasses:
    """An `Equivalence` of prose by shared words; approximate.

    Args:
        question: its text, whose words tell nothing; may be empty.
    """

    question: str = ""
    certain: bool = field(default=False, init=False)
    """Its classes may not stop sampling nor state a confidence."""
    problem: str = field(default="", init=False)
    """None."""
    complete: bool = False

    async def classes(self, answers: Sequence[str]) -> list[int]:
        return lexical_classes(self.question, answers)
