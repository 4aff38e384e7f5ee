"""Names and short spans: anchors stand alone in some answers, and recur inside the longer ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..equivalence.mathematics import Partition
from .compared import read_compared
from .evidence import SHORT, Evidence, Reading, main_clause, share, stems_of
from .form import QuestionForm
from .spans import NUMBER_WORDS
from .texts import FUNCTION_WORDS, words_of

WEIGHTS = {
    "anchored": 0.7, "strong": 1.4, "recurring": 0.8, "short": 0.5, "named": 1.1, "brief": -0.6, "name": 1.5,
    "prose": -2.4,    "explains": -0.7, "clauses": -0.6, "length": -0.1, "asks": 0.4,
}  # fmt: skip
"""Of what speaks for values: logistic regression on labelled sets, ten-fold accuracy .97; see docs/meaning.md."""

BIAS = -2.1


@dataclass
class Anchors:
    """Spans that may be answers, with what speaks for them."""

    short: Counter[tuple[str, ...]] = field(default_factory=Counter)
    sole: Counter[tuple[str, ...]] = field(default_factory=Counter)
    names: Counter[tuple[str, ...]] = field(default_factory=Counter)
    runs: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def inventory(self) -> list[tuple[str, ...]]:
        """All of them, sorted; runs of words only where they recur."""
        return sorted({*self.short, *self.sole, *self.names, *(r for r, n in self.runs.items() if n > 1)})


@dataclass(frozen=True)
class NameChoice:
    words: tuple[str, ...]
    score: float
    strong: bool
    text: str


def read_names(texts: Sequence[Evidence], form: QuestionForm) -> Reading | None:
    """Names and short spans: those that stand alone somewhere, and recur inside the longer answers."""
    if form.either and (reading := read_compared(texts, form)) is not None:
        return reading
    if _value_score(_form_features(texts, form) | _BEST) <= 0:
        return None
    anchors = Anchors()
    for t in texts:
        if t.short:
            _add_short(anchors, t, form)
        inside = [r for r in t.runs if r.start < t.clause]
        if len(inside) == 1 and len(inside[0].stems) <= SHORT:
            anchors.sole[inside[0].stems] += 1
        for words in {r.stems for r in t.runs if r.capital and len(r.stems) <= SHORT + 1}:
            anchors.names[words] += 1
        anchors.runs.update(words for words in t.spans if len(words) <= SHORT)
    _add_parts(anchors, texts)
    inventory = anchors.inventory()
    chosen = [_best_anchor(t, inventory, anchors, texts) for t in texts]
    if _value_score(features(texts, chosen, anchors, form)) <= 0:
        return None
    return _group_names(texts, chosen)


def _add_short(anchors: Anchors, text: Evidence, form: QuestionForm) -> None:
    folded = words_of(text.bare)
    whole = stems_of([w for w in folded if w not in FUNCTION_WORDS] or folded[:1])
    if whole and len(text.runs) == 1:
        anchors.short[text.runs[0].stems] += 1
    elif whole and (not set(whole) & form.stems or not text.runs):
        anchors.short[whole] += 1


def _add_parts(anchors: Anchors, texts: Sequence[Evidence]) -> None:
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


def _find(words: tuple[str, ...], stems: Sequence[str]) -> int:
    """Where words stand next to each other in others; -1 where they do not."""
    n, first = len(words), words[0]
    for i in range(len(stems) - n + 1):
        if stems[i] == first and tuple(stems[i : i + n]) == words:
            return i
    return -1


def _best_anchor(
    text: Evidence, inventory: Sequence[tuple[str, ...]], anchors: Anchors, texts: Sequence[Evidence]
) -> NameChoice | None:
    best: NameChoice | None = None
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
            - 0.5 * all(w[0].isdigit() or w in NUMBER_WORDS for w in words)
            - 0.8 * (text.form.person and not anchors.names[words] and not anchors.short[words])
            - 1.0 * (len(words) > 1 and _only_whole(words, text, anchors, inventory))
        )
        if best is None or score > best.score:
            shown = (
                run.text if run else " ".join(w for w in text.lead[start:].split()[: len(words)]).strip(" .,;:!?\"'")
            )
            best = NameChoice(
                words,
                score,
                anchors.short[words] > 0 or anchors.sole[words] > 0,
                text.bare if text.short and run is None else shown,
            )
    return best


def _only_whole(words: tuple[str, ...], text: Evidence, anchors: Anchors, inventory: Sequence[tuple[str, ...]]) -> bool:
    """Whether words are one text's own spelling, in which something stands that others say too."""
    support = max(anchors.short[words], anchors.names[words], anchors.runs[words])
    return (
        text.short
        and support < 2
        and any(
            set(w) < set(words) and max(anchors.short[w] + anchors.sole[w], anchors.runs[w], anchors.names[w]) > 1
            for w in inventory
        )
    )


def features(
    texts: Sequence[Evidence], chosen: Sequence[NameChoice | None], anchors: Anchors, form: QuestionForm
) -> dict[str, float]:
    n = len(texts)
    strong = [c is not None and c.strong and c.score > 0.6 for c in chosen]
    support = Counter(c.words for c in chosen if c is not None)
    recurring = sum(v for w, v in support.items() if v > 1) / n
    return _form_features(texts, form) | {
        "anchored": share([c is not None and c.score > 0.6 for c in chosen]),
        "strong": share(strong),
        "recurring": recurring,
        "named": share([c is not None and anchors.names[c.words] > 0 for c in chosen]),
        "clauses": share(
            [
                c is not None and len(c.words) > 2 and max(anchors.runs[c.words], anchors.short[c.words]) < 2
                for c in chosen
            ]
        ),
    }


_BEST = {"anchored": 1.0, "strong": 1.0, "recurring": 1.0, "named": 1.0, "clauses": 0.0}
"""Anchors that speak for values as much as any can: where not even they would do, none are looked for."""


def _form_features(texts: Sequence[Evidence], form: QuestionForm) -> dict[str, float]:
    """What can be told without anchors."""
    return {
        "short": share([t.short for t in texts]),
        "brief": share([len(t.said.first_words) <= 12 for t in texts]),
        "name": float(form.name or form.date or form.number),
        "prose": float(form.prose),
        "explains": float(form.explains),
        "length": sum(min(20, len(t.said.first_words)) for t in texts) / 10 / len(texts),
        "asks": float("?" in form.text or form.name),
    }


def _value_score(found: Mapping[str, float]) -> float:
    return BIAS + sum(weight * found[name] for name, weight in WEIGHTS.items())


def _group_names(texts: Sequence[Evidence], chosen: Sequence[NameChoice | None]) -> Reading:
    """Names of which one has all words of the other are one, unless it could belong to several."""
    words = sorted({c.words for c in chosen if c is not None}, key=lambda w: (-len(w), w))
    partition = Partition(map(" ".join, words))
    for i, small in enumerate(words):
        above = [w for w in words[:i] if set(small) < set(w) or _misspelled(small, w)]
        roots = {partition.root(" ".join(w)) for w in above}
        if len(roots) == 1:
            partition.join(" ".join(small), " ".join(above[0]))
    roots_of = [
        t.said.text if c is None else partition.root(" ".join(c.words)) for c, t in zip(chosen, texts, strict=True)
    ]
    numbers = {root: number for number, root in enumerate(sorted(set(roots_of)))}
    classes = [numbers[root] for root in roots_of]
    answers = tuple(
        c.text if c is not None else main_clause(t.lead)[:200] or None for c, t in zip(chosen, texts, strict=True)
    )
    return Reading("name", answers, tuple(classes))


def _misspelled(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    a, b = "".join(one), "".join(other)
    if min(len(a), len(b)) < 7 or abs(len(a) - len(b)) > 1 or a[0] != b[0] or any(map(str.isdigit, a + b)):
        return False
    i = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[i + 1 :] == b[i + 1 :] or a[i + 1 :] == b[i:] or a[i:] == b[i + 1 :]
