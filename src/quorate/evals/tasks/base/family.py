"""The base of generated families: fresh problems by seed, split by a hash of what they are about.

The canonical form of a problem is its structure and its numbers, without names and wording. Two wordings
of one problem, of any tier and any seed, fall into the same split: what is trained on is never asked in a test.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

from quorate.evals.task import Item, Selection, Source, Task, content_hash
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question

TEST_ONE_IN = 5
PATIENCE = 5000
"""Problems in a row that are old or of the other split, after which there are no new ones."""
FINGERPRINT = 16
"""Problems of seed 0 that a generator is known by."""


@dataclass(frozen=True)
class GeneratedProblem:
    """One generated problem."""

    question: str
    answer: str
    kind: str
    """The template, by which errors cluster."""
    about: tuple[object, ...]
    """The canonical form: structure and numbers, without names and wording; the split goes by it alone."""


class GeneratedTask(Task):
    """Give it a name, tiers and `draw`."""

    template = "task-short"
    tiers = ("hard", "medium", "easy")
    splits = ("test", "train")
    home = "generated"

    @abstractmethod
    def draw(self, tier: str, rng: Random) -> GeneratedProblem:
        """One problem; everything random about it comes from the generator given."""

    def items(self, selection: Selection) -> list[Item]:
        """The first problems of the stream of this tier, split and seed."""
        if selection.data is not None or selection.revision is not None:
            raise BadInput(f"task {self.name!r} makes its own problems: leave out --data and --revision")
        tier, split, prompt = self.tier(selection.tier) or "", self.split(selection.split), self.prompt(selection)
        stream = self._stream(tier, split, selection.seed)
        drafts = list(islice(stream, selection.limit))
        if len(drafts) < selection.limit:
            raise BadInput(
                f"--limit {selection.limit}: {self.name!r} has about {len(drafts)} different problems "
                f"in tier {tier!r}, split {split!r}"
            )
        identity = f"{self.name}-{tier}-{split}-{selection.seed}"
        return [
            Item(
                f"{identity}-{number}",
                Question.of(prompt.render(question=draft.question).strip() if prompt else draft.question),
                draft.answer,
                f"{self.name}.{draft.kind}",
            )
            for number, draft in enumerate(drafts, start=1)
        ]

    def source(self, selection: Selection) -> Source:
        """See `Task.source`; the revision is a fingerprint of the generator, not of the problems chosen."""
        stream = self._stream(self.tier(selection.tier) or "", self.split(selection.split), seed=0)
        first = repr([(draft.question, draft.answer) for draft in islice(stream, FINGERPRINT)])
        return Source(self.name, hashlib.sha256(first.encode()).hexdigest()[:16], content_hash(self.items(selection)))

    def _stream(self, tier: str, split: str, seed: int) -> Iterator[GeneratedProblem]:
        rng = Random(f"{self.name}/{tier}/{split}/{seed}")
        seen: set[str] = set()
        misses = 0
        while misses < PATIENCE:
            draft = self.draw(tier, rng)
            key = repr((draft.kind, draft.about))
            if key in seen or split_of(repr((self.name, draft.about))) != split:
                misses += 1
                continue
            misses = 0
            seen.add(key)
            yield draft


def split_of(form: str) -> str:
    """Which split the problem of that canonical form belongs to, whatever its seed, tier or wording."""
    number = int(hashlib.sha256(form.encode()).hexdigest(), 16)
    return "test" if number % TEST_ONE_IN == 0 else "train"
