"""Counts votes on any question: values by value, prose by meaning; which of both is decided for the set so far."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from quorate.orchestrator.reading import AnswerReader
from quorate.orchestrator.types import Candidate, Cluster

from ..equivalence import default_equivalence
from ..equivalence.mathematics import Partition, undecided_answers
from ..extraction import AnswerExtractor, is_only_reasoned, read_answer
from ..markup import visible
from ..ranking import by_weight
from .grouping import ProseClasses
from .lexical import LexicalClasses, medoid
from .texts import Statement
from .values import Reading, is_bare, read_values

Weigh = Callable[[Sequence[Candidate], tuple[Cluster, ...]], tuple[Cluster, ...]]
MAX_ANSWER = 400
"""Characters of a text of prose that stand for it as its answer."""
MAX_SET = 64
"""Distinct texts that are read together; of a larger set every further one is read as these were."""


def excerpt(text: str) -> str:
    """A text of prose as an answer: without its thinking, and no longer than is read in a tally."""
    shown = " ".join(visible(text).split())
    return shown if len(shown) <= MAX_ANSWER else shown[:MAX_ANSWER].rsplit(" ", 1)[0] + " …"


@dataclass(frozen=True)
class _Classified:
    """What a set of sources was read as."""

    answers: Mapping[str, str | None]
    """By source."""
    classes: Mapping[str, int]
    """By source; those that abstain are missing."""
    certain: bool
    prose: bool
    undecided: frozenset[str] = frozenset()
    """Answers that took too long to compare with others."""


class MeaningCounter:
    """Counts the votes on one question.

    A candidate that is seen for the first time gets the answer that its text gives alone; `tally` reads the whole set,
    and `extract` then gives the answers by which it was counted.

    Args:
        question: its text.
        reader: of answers that are marked as such, and which of them are one.
        prose: which texts mean the same.
        weigh: from the candidates that are ok and their classes to what the classes weigh; votes, if not given.
    """

    def __init__(self, question: str, reader: AnswerReader, prose: ProseClasses, weigh: Weigh | None = None) -> None:
        self._question, self._reader, self._prose, self._weigh = question, reader, prose, weigh
        self._issued: dict[str, set[str | None]] = defaultdict(set)
        self._alone: dict[str, str | None] = {}
        self._values: dict[str, str | None] = {}
        self._said: dict[tuple[str, str | None, str | None], str] = {}
        self._cut: set[str] = set()
        self._settled: _Classified | None = None
        self._counts: tuple[tuple[str, int], ...] = ()

    @property
    def problem(self) -> str:
        """Why prose could not be grouped as it should have been."""
        return self._prose.problem if self._settled is not None and self._settled.prose else ""

    def complete(self) -> MeaningCounter:
        """The counter itself, now that no candidate comes any more."""
        self._prose.complete = True
        return self

    def with_weights(self, weigh: Weigh) -> MeaningCounter:
        """The same counter with other weights."""
        return MeaningCounter(self._question, self._reader, self._prose, weigh)

    def extract(self, candidate: Candidate) -> str | None:
        if not candidate.ok:
            return None
        source, preset = self._source(candidate)
        if self._settled is not None and source in self._settled.answers:
            answer = self._settled.answers[source]
        elif preset:
            answer = source or None
        else:
            answer = self._read_alone(source)
        if not preset:
            self._issued[candidate.text].add(answer)
        return answer

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        voters = [c for c in candidates if c.ok]
        sources = {c.index: self._source(c) for c in voters}
        counts = tuple(sorted(Counter(source for source, _ in sources.values()).items()))
        if counts != self._counts or self._settled is None:
            self._settled = await self._settle(counts, all(preset for _, preset in sources.values()))
            self._counts = counts
        settled = self._settled
        members: dict[int, list[Candidate]] = defaultdict(list)
        named = []
        for c in voters:
            answer = self.extract(c)
            named.append(c if c.answer == answer else c.model_copy(update={"answer": answer}))
            if (number := settled.classes.get(sources[c.index][0])) is not None and answer is not None:
                members[number].append(named[-1])
        tally = by_weight(self._cluster(group, [sources[c.index][0] for c in group]) for group in members.values())
        return tally if self._weigh is None else self._weigh(named, tally)

    def _cluster(self, group: Sequence[Candidate], sources: Sequence[str]) -> Cluster:
        settled = self._settled
        assert settled is not None
        spellings = Counter(c.answer or "" for c in group)
        answer = min(spellings, key=lambda a: (-spellings[a], a))
        if settled.prose:
            answer = excerpt(medoid(self._question, sources))
        return Cluster(
            answer=answer,
            votes=len(group),
            weight=float(len(group)),
            voters=tuple(sorted(c.index for c in group)),
            certain=settled.certain,
            undecided=not settled.undecided.isdisjoint(spellings),
        )

    def _source(self, candidate: Candidate) -> tuple[str, bool]:
        """What is compared, and whether the candidate came with it as its answer."""
        answer = candidate.answer
        if answer is None or answer in self._issued.get(candidate.text, ()) or answer == excerpt(candidate.text):
            return self._say(candidate), False
        return answer, True

    def _say(self, candidate: Candidate) -> str:
        """What a candidate says. Of its reasoning and of a text that was cut, a value counts as `read_answer` has it;
        a cut text without one is left as it is, since it may be prose.
        """
        key = (candidate.text, candidate.reasoning, candidate.finish_reason)
        if key not in self._said:
            self._said[key] = self._find_words(*key)
        return self._said[key]

    def _find_words(self, text: str, reasoning: str | None, finish_reason: str | None) -> str:
        if finish_reason == "content_filter":
            return ""
        shown = bool(visible(text).strip())
        if shown and finish_reason != "length":
            return text
        if not shown and not is_only_reasoned(text, reasoning):
            return ""
        value = read_answer(self._reader.extractor, text, reasoning, finish_reason)
        if value is not None:
            return f"\\boxed{{{value}}}"
        if not shown:
            return ""
        cut = f"{text.rstrip()} …"
        self._cut.add(cut)
        return cut

    def _read_alone(self, text: str) -> str | None:
        if text not in self._alone:
            if self._is_silent(text):
                answer = None
            else:
                reading = read_values(self._question, [text])
                answer = self._answers(reading, [text])[0]
            self._alone[text] = answer
        return self._alone[text]

    @staticmethod
    def _is_silent(source: str) -> bool:
        return not is_bare(source) and Statement.of(source).silent

    def _read_value(self, source: str) -> str | None:
        """What is marked as the answer in a text."""
        if source not in self._values:
            self._values[source] = None if source in self._cut else self._reader.extractor.extract(source) or None
        return self._values[source]

    def _answers(self, reading: Reading, sources: Sequence[str]) -> list[str | None]:
        if reading.kind == "prose":
            return [excerpt(source) or None for source in sources]
        if reading.kind == "marked":
            return [self._read_value(source) for source in sources]
        return [None if s in self._cut else a for s, a in zip(sources, reading.answers, strict=True)]

    async def _settle(self, counts: Sequence[tuple[str, int]], preset: bool) -> _Classified:
        silent = {s for s, _ in counts if self._is_silent(s)}
        spoken = [(s, n) for s, n in counts if s not in silent]
        distinct = [s for s, _ in spoken]
        answers: dict[str, str | None] = dict.fromkeys(silent)
        if not distinct:
            return _Classified(answers, {}, certain=True, prose=False)
        # A set is read with its multiplicities, up to a bound that keeps the cost linear.
        sources = [s for s, n in spoken for _ in range(min(n, max(1, MAX_SET // len(distinct))))]
        reading = read_values(self._question, sources[: 4 * MAX_SET])
        if preset:
            return await self._settle_presets(distinct, reading, sources, answers)
        read = dict(
            zip(
                sources,
                self._answers(reading, sources[: len(reading.answers)] if reading.classes else sources),
                strict=False,
            )
        )
        answers |= {s: read.get(s) for s in distinct}
        if reading.kind == "prose":
            numbers = await self._prose.classes(distinct)
            return _Classified(
                answers,
                dict(zip(distinct, numbers, strict=True)),
                certain=self._prose.certain or len(distinct) == 1,
                prose=True,
            )
        undecided: frozenset[str] = frozenset()
        if reading.classes is None:
            values = sorted({a for a in answers.values() if a is not None})
            number_of = dict(zip(values, await self._reader.equivalence.classes(values), strict=True))
            classes = {s: number_of[a] for s, a in answers.items() if a is not None}
            undecided = undecided_answers(self._reader.equivalence)
        else:
            given = dict(zip(sources, reading.classes, strict=False))
            classes = {s: n for s in distinct if s not in self._cut and (n := given.get(s)) is not None}
        return _Classified(answers, classes, certain=True, prose=False, undecided=undecided)

    async def _settle_presets(
        self, distinct: Sequence[str], reading: Reading, sources: Sequence[str], answers: dict[str, str | None]
    ) -> _Classified:
        """Answers that candidates came with are values: the equivalence of values joins them, and names that agree."""
        numbers = await self._reader.equivalence.classes(distinct)
        partition = Partition(map(str, range(len(distinct) + max(numbers, default=0) + 1)))
        first: dict[str, str] = {}
        given = (
            dict(zip(sources, reading.classes or (), strict=False)) if reading.kind in ("name", "date", "polar") else {}
        )
        for place, (source, number) in enumerate(zip(distinct, numbers, strict=True)):
            for key in (f"value {number}", f"read {given[source]}" if given.get(source) is not None else ""):
                if key:
                    partition.join(first.setdefault(key, str(place)), str(place))
        classes = {source: int(partition.root(str(place))) for place, source in enumerate(distinct)}
        prose = reading.kind == "prose" and sum(len(s.split()) for s in distinct) > 8 * len(distinct)
        undecided = undecided_answers(self._reader.equivalence)
        return _Classified(answers | {s: s for s in distinct}, classes, not prose, prose=False, undecided=undecided)


class MeaningEquivalence:
    """An `Equivalence` of whole texts, decided for their set as `MeaningCounter` does without a question or a model."""

    async def classes(self, answers: Sequence[str]) -> list[int]:
        """See `protocols.Equivalence`; a text that says nothing is a class of its own."""
        reader = AnswerReader(AnswerExtractor(), default_equivalence().for_caller(""))
        counter = MeaningCounter("", reader, LexicalClasses(""))
        texts = [Candidate(index=i, model="", agent="", text=text) for i, text in enumerate(answers)]
        found = {i: n for n, cluster in enumerate(await counter.tally(texts)) for i in cluster.voters}
        silent: dict[str, int] = {}
        numbers: dict[object, int] = {}
        keys = [found[i] if i in found else silent.setdefault(text, -1 - len(silent)) for i, text in enumerate(answers)]
        return [numbers.setdefault(key, len(numbers)) for key in keys]
