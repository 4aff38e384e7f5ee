"""`stories`: word problems that are generated, so that there are always fresh ones."""

from __future__ import annotations

from dataclasses import replace

from quorate.evals.task import Item, Selection, Source, Task, content_hash
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question

FINGERPRINT = 16
"""Problems of seed 0 that the generator is known by."""


class WordProblems(Task):
    """Problems of the test split, which no shipped model was trained on; clustered by template."""

    name = "stories"
    home = "generated"
    tiers = ("hard", "medium", "easy", "long")
    splits = ("test", "train")

    def items(self, selection: Selection) -> list[Item]:
        """The first problems of the tier's stream for this seed."""
        from .stories import generate

        if selection.data is not None:
            raise BadInput("task 'stories' makes its own problems; use --task jsonl to read a file")
        self.prompt(selection)
        tier = self.tier(selection.tier)
        assert tier is not None
        try:
            problems = generate(tier, selection.seed, selection.limit, self.split(selection.split))
        except ValueError as error:
            raise BadInput(f"--limit {selection.limit}: {error}") from error
        return [Item(p.id, Question.of(p.question), p.answer, p.template) for p in problems]

    def source(self, selection: Selection) -> Source:
        """See `Task.source`; the revision is a fingerprint of the generator, not of the problems chosen."""
        first = replace(selection, limit=FINGERPRINT, seed=0)
        return Source(self.name, content_hash(self.items(first)), content_hash(self.items(selection)))
