"""Classes of prose by a model: one grouping call for the whole set, or entailment in both directions.

A judge is trusted only after a test of its own: until it has told negations, before from after, swapped roles and
changed digits apart, and paraphrases not, its classes order the answers and no more.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import copy
from itertools import combinations
from typing import Literal, Self

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Question, SamplingParams
from quorate.prompts import load as load_prompt

from ..judges.model import JudgeModel
from .grouping import ProseClasses
from .lexical import Profile, are_opposed, lexical_classes, link
from .texts import Statement

Way = Literal["grouping", "entailment"]
WORDS = 320
"""Of all answers together that a judge reads: about those of one sample."""
MOST = 32
"""Distinct answers that it is asked about."""
FREE = 3
"""Calls about a set that still grows; after these one follows each time that it has doubled."""
PASSED = 0.9
"""Share of the pairs of the self-test that a judge must get right."""
REMEMBERED = 256
"""Sets whose classes are kept."""
SELF_TEST: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("What did the inspector say about the bridge?", (
        ("A", "The bridge is safe to cross."), ("B", "The bridge is not safe to cross."),
        ("A", "One can cross the bridge safely."), ("B", "It isn't safe to go over the bridge."),
    )),
    ("When shall the pump be primed?", (
        ("A", "Prime the pump before opening the valve."), ("B", "Prime the pump after opening the valve."),
        ("A", "First prime the pump, then open the valve."), ("B", "Open the valve first and prime the pump after it."),
    )),
    ("What happened at the trial?", (
        ("A", "Miller accused Stone of fraud."), ("B", "Stone accused Miller of fraud."),
        ("A", "Stone was accused of fraud by Miller."), ("C", "Miller was cleared of fraud."),
    )),
    ("How long does the repair take?", (
        ("A", "The repair takes 36 hours."), ("B", "The repair takes 63 hours."),
        ("A", "It will be repaired in 36 hours."), ("A", "Thirty-six hours are needed for it."),
    )),
)  # fmt: skip
"""Questions with answers whose classes are known."""


def parse_groups(reply: str, n: int) -> list[int] | None:
    """The groups of n answers by a reply: the last line that holds just n numbers; None where none does."""
    for line in reversed(reply[-4000:].splitlines()):
        numbers = re.findall(r"[0-9]{1,4}", line)
        if len(numbers) == n and not re.search(r"[A-Za-z]", line):
            return [int(number) for number in numbers]
    return None


class JudgedGrouping:
    """Groups texts by a model.

    Args:
        judge: the model.
        way: `grouping` asks once about the whole set; `entailment` asks of pairs whether each entails the other, two
            calls a pair (semantic entropy, Farquhar et al., Nature 630, 2024).
        concurrency: requests at a time.

    Raises:
        BadInput: concurrency is below 1.
    """

    def __init__(self, judge: Model, way: Way = "grouping", *, concurrency: int = 8) -> None:
        if concurrency < 1:
            raise BadInput(f"JudgedGrouping(concurrency={concurrency}): give at least 1")
        self.judge, self.way, self.concurrency = judge, way, concurrency
        self.score: float | None = None
        """Share of the pairs of the self-test that the judge got right; None before it."""
        self._prompt = load_prompt("meaning" if way == "grouping" else "entailment")
        self._known: OrderedDict[tuple[str, tuple[str, ...]], tuple[int, ...]] = OrderedDict()

    @property
    def models(self) -> tuple[Model, ...]:
        return (self.judge,)

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        other = copy(self)
        other.judge = change(self.judge)
        return other

    @property
    def calls(self) -> int:
        """See `Grouping`; without the self-test, which is done once."""
        return 6 if self.way == "grouping" else 2 * MOST

    def bind(self, question: Question, run: RunContext) -> ProseClasses:
        return _Judged(self, question.text, run)

    async def ask(self, question: str, texts: Sequence[str], run: RunContext) -> tuple[int, ...] | str:
        """The classes of distinct texts by the judge, in the order given; or why there are none, in words."""
        key = (question, tuple(texts))
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        judge = JudgeModel(self.judge, _SAMPLING[self.way], asyncio.Semaphore(self.concurrency))
        answers = [_shorten(text, max(12, WORDS // len(texts))) for text in texts]
        how = self._group if self.way == "grouping" else self._entail
        classes = await how(judge, _shorten(question, WORDS), answers, run)
        if not isinstance(classes, str):
            self._known[key] = classes
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return classes

    async def _group(
        self, judge: JudgeModel, question: str, texts: Sequence[str], run: RunContext
    ) -> tuple[int, ...] | str:
        reply = await judge.ask(self._prompt.render(question=question, answers=texts), f"meaning:{len(texts)}", run)
        if reply.problem:
            return reply.problem
        groups = parse_groups(reply.text, len(texts))
        return f"its reply names no groups of {len(texts)} answers" if groups is None else tuple(groups)

    async def _entail(
        self, judge: JudgeModel, question: str, texts: Sequence[str], run: RunContext
    ) -> tuple[int, ...] | str:
        """Each text is compared with the first of every class, in the order given, as in the paper."""
        firsts: list[int] = []
        classes: list[int] = []
        for place, text in enumerate(texts):
            for number, first in enumerate(firsts):
                pairs = ((texts[first], text), (text, texts[first]))
                words = (self._prompt.render(question=question, one=a, other=b) for a, b in pairs)
                replies = await asyncio.gather(
                    *(judge.ask(w, f"entail:{place}:{first}:{k}", run) for k, w in enumerate(words))
                )
                if problem := next((r.problem for r in replies if r.problem), ""):
                    return problem
                if all(_YES.match(r.text) for r in replies):
                    classes.append(number)
                    break
            else:
                classes.append(len(firsts))
                firsts.append(place)
        return tuple(classes)

    async def test(self, run: RunContext) -> str:
        """The self-test, once; why the judge cannot be trusted, in words, or nothing."""
        if self.score is None:
            run, right, total = run.replace(requests=None), 0, 0  # once for all runs
            for question, labelled in SELF_TEST:
                gold = [label for label, _ in labelled]
                found = await self.ask(question, [text for _, text in labelled], run)
                if isinstance(found, str) and run.exhausted() is not None:
                    return f"{self.judge.name} could not be tested: {found}"
                for i, j in combinations(range(len(gold)), 2):
                    total += 1
                    right += not isinstance(found, str) and (found[i] == found[j]) == (gold[i] == gold[j])
            self.score = right / total
        if self.score >= PASSED:
            return ""
        return f"{self.judge.name} failed the self-test: {self.score:.2f} of its pairs right, {PASSED:.2f} are needed"

    async def aclose(self) -> None:
        """Closes the judge."""
        await self.judge.aclose()

    def __repr__(self) -> str:
        return f"JudgedGrouping({self.judge.name!r}, {self.way!r})"


_YES = re.compile(r"\W*yes\b(?!\W*(?:and|or|/)?\W*no\b)", re.IGNORECASE)
_SAMPLING = {
    "grouping": SamplingParams(temperature=0.0, max_tokens=4 * MOST + 16),
    "entailment": SamplingParams(temperature=0.0, max_tokens=8),
}


def _shorten(text: str, words: int) -> str:
    """One line of at most so many words."""
    parts = Statement.of(text).text.split()
    return " ".join(parts[:words])[: 12 * words] + (" …" if len(parts) > words else "")


class _Judged:
    """The classes of one question's answers."""

    def __init__(self, grouping: JudgedGrouping, question: str, run: RunContext) -> None:
        self._grouping, self._question, self._run = grouping, question, run
        self._asked, self._times = 1, 0
        self.certain, self.problem, self.complete = False, "", False

    async def classes(self, answers: Sequence[str]) -> list[int]:
        """See `protocols.Equivalence`; by shared words where the judge cannot say."""
        self.certain, self.problem = False, ""
        texts = sorted(set(answers), key=lambda s: (len(s), s))
        due = len(texts) > 1 and (self.complete or self._times < FREE or len(texts) >= 2 * self._asked)
        found = await self._ask(texts) if due else None
        if found is None:
            return lexical_classes(self._question, answers)
        number = dict(zip(texts, found, strict=True))
        return [number[a] for a in answers]

    async def _ask(self, texts: Sequence[str]) -> list[int] | None:
        if len(texts) > MOST:
            self.problem = f"{len(texts)} different answers, and a judge is asked about {MOST} at most"
            return None
        self._asked, self._times = len(texts), self._times + 1
        doubt = await self._grouping.test(self._run)
        found = await self._grouping.ask(self._question, texts, self._run)
        if isinstance(found, str):
            self.problem = f"{self._grouping.judge.name}: {found}"
            return None
        self.certain, self.problem = not doubt, doubt
        return _veto(texts, found)


def _veto(texts: Sequence[str], classes: Sequence[int]) -> list[int]:
    """Takes classes apart between texts that a guard keeps apart."""
    profiles = [Profile.of(text) for text in texts]
    matrix = [[1.0 if a == b else -1.0 for b in classes] for a in classes]
    for i, j in combinations(range(len(texts)), 2):
        if matrix[i][j] > 0 and are_opposed(profiles[i], profiles[j]):
            matrix[i][j] = matrix[j][i] = -1.0
    return link(matrix, 0.5)
