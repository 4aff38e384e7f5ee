"""A task: one benchmark, one file. Where its questions come from and when an answer is right.

A new one takes twenty lines:

    class Sums(Task):
        name = "sums"

        def items(self, selection: Selection) -> list[Item]:
            return [Item(f"{n}", Question.of(f"What is {n} + {n}?"), str(2 * n)) for n in range(selection.limit)]

and `--task my_file.py:Sums`, or `register(Sums())`. Benchmarks with a data set on the hub, multiple
choice, maths answers and generated families have bases of their own in `tasks/base`; docs/tasks.md.
"""

from __future__ import annotations

import hashlib
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import BadInput, QuorateError, UnknownName
from quorate.orchestrator.reading import AnswerReader, Equivalence, Extractor
from quorate.orchestrator.types import Question, SamplingParams
from quorate.prompts import Prompt, PromptError, load

BETWEEN = " | "
"""Stands in `Item.gold` between answers that are all right."""


@dataclass(frozen=True)
class Item:
    """One question with its right answer."""

    id: str
    """Unique in its task; the seed of its samples is derived from it."""
    question: Question
    gold: str
    cluster: str = ""
    """What it has in common with other items, such as the template they were made from."""

    def ask(self, sampling: SamplingParams | None) -> Question:
        """The question with these settings where it has none of its own."""
        if sampling is None:
            return self.question
        return self.question.model_copy(update={"sampling": self.question.sampling.over(sampling)})


@dataclass(frozen=True)
class Source:
    """Where questions came from; recorded with every run, and a part of what determines a sample."""

    name: str
    """The hub's name of the data set, a file, or the task that made them itself."""
    revision: str
    """The data set's commit, a file's or folder's hash, or a generator's fingerprint; not the limit's business."""
    hash: str
    """Of ids, questions and gold answers: of the whole split, for generated tasks of the chosen ones."""


@dataclass(frozen=True)
class Selection:
    """Which questions of a task are wanted, and in which words.

    On the command line: `--limit`, `--seed`, `--tier`, `--data PATH`, `--split`, `--revision`, `--prompt FILE`.

    Raises:
        BadInput: the limit is below 1.
    """

    limit: int
    seed: int = 0
    tier: str | None = None
    """None for the task's own default."""
    data: Path | None = None
    """A local file in place of the task's own source."""
    split: str | None = None
    """None for the task's own default, the one that results are reported on."""
    revision: str | None = None
    """A branch, tag or commit of the hub's data set; None for the newest, which `Source` then names."""
    prompt: Path | None = None
    """A Jinja file in place of the task's own prompt, with the same variables."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise BadInput(f"limit={self.limit}: an evaluation needs at least 1 question")


class Task(ABC):
    """Base of tasks: give it a name and `items`; override the rest where the benchmark differs."""

    name: str
    cite: str = ""
    """Who made the benchmark, and where to read about it."""
    home: str = ""
    """Where its questions come from by default, in a word or two."""
    needs: tuple[str, ...] = ()
    """What it takes beyond the package: a network or `--data`, a login, isolation."""
    template: str = ""
    """Name of the prompt that the questions are put into; "" for questions that stand for themselves."""
    tiers: tuple[str, ...] = ()
    """Levels of difficulty or parts of the subject, the default one first; empty for a task that has none."""
    splits: tuple[str, ...] = ("test",)
    """Parts that share no question, the one that results are reported on first."""

    @abstractmethod
    def items(self, selection: Selection) -> list[Item]:
        """At most `limit` items, chosen by the seed; a larger limit keeps those of a smaller one.

        Raises:
            BadInput: the selection fits no questions.
            DataError: the data file is broken; names file, line and field.
        """

    def source(self, selection: Selection) -> Source:
        """Where the questions of this selection come from.

        Raises:
            BadInput, DataError: as `items`.
        """
        found = content_hash(self.items(selection))
        return Source(self.name, found, found)

    def prompt(self, selection: Selection) -> Prompt | None:
        """The words that questions are put into; its `version` is recorded with every run.

        Raises:
            BadInput: the file given in its place cannot be read, or the task takes none.
        """
        if not self.template:
            if selection.prompt is not None:
                raise BadInput(f"task {self.name!r} has no prompt that {selection.prompt} could replace")
            return None
        try:
            return load(self.template, {self.template: selection.prompt} if selection.prompt else None)
        except PromptError as error:
            raise BadInput(str(error)) from error

    async def prepare(self) -> None:
        """Called before anything is sampled: checks what grading will need.

        Raises:
            BadInput: answers could not be graded on this machine.
        """
        return

    @cached_property
    def extractor(self) -> Extractor:
        """How the answer is found in a text; the one that votes use by default."""
        from quorate.aggregators.extraction import AnswerExtractor

        return AnswerExtractor()

    @cached_property
    def equivalence(self) -> Equivalence:
        """When two answers are the same; the one that votes use by default."""
        from quorate.aggregators.equivalence import MathEquivalence

        return MathEquivalence()

    @property
    def answer_reader(self) -> AnswerReader | None:
        """What votes count; None where they shall decide for each set of answers, as they do outside evaluations."""
        return AnswerReader(self.extractor, self.equivalence)

    async def correct(self, answer: str | None, gold: str) -> bool:
        """Whether an extracted answer is right; none at all is wrong."""
        if answer is None:
            return False
        if answer == gold:
            return True
        first, second = await self.equivalence.classes([answer, gold])
        return first == second

    def __getstate__(self) -> dict[str, Any]:
        """Travels to other processes without what can be made again: rows read, verdicts, an event loop's limits."""
        made = {name for kind in type(self).__mro__ for name, v in vars(kind).items() if isinstance(v, cached_property)}
        return {name: value for name, value in vars(self).items() if name not in made}

    def tier(self, asked: str | None) -> str | None:
        """The tier that is meant.

        Raises:
            UnknownName: there is no such tier.
            BadInput: the task has none at all.
        """
        if asked is None:
            return self.tiers[0] if self.tiers else None
        if not self.tiers:
            raise BadInput(f"task {self.name!r} has no tiers; leave out --tier {asked}")
        if asked not in self.tiers:
            raise UnknownName("tier", asked, self.tiers)
        return asked

    def split(self, asked: str | None) -> str:
        """The split that is meant.

        Raises:
            UnknownName: there is no such split.
        """
        if asked is not None and asked not in self.splits:
            raise UnknownName("split", asked, self.splits)
        return asked or self.splits[0]


def content_hash(items: Iterable[Item]) -> str:
    """Hash of ids, questions and gold answers, whatever their order."""
    rows = sorted(repr((item.id, item.question.key, item.gold)) for item in items)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


@contextmanager
def in_task(task: Task, doing: str) -> Iterator[None]:
    """Around a task's own code, whose mistakes are the caller's and end a run.

    Raises:
        BadInput: something else than our own errors was raised; says what, and where in the file.
    """
    try:
        yield
    except QuorateError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        raise BadInput(f"task {task.name!r}: {doing}: {type(error).__name__}: {error} ({place})") from error
