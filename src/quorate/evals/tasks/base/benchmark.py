"""The base of published benchmarks: rows from the hub or a local file, put into the task's prompt."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from quorate.evals.task import Item, Selection, Source, Task, content_hash
from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import Question
from quorate.prompts import Prompt, PromptError

from .files import file_rows, path_hash, stamp
from .rows import DataRow, Hub, hub_rows


@dataclass(frozen=True)
class ParsedRow:
    """What a row says."""

    gold: str
    values: Mapping[str, Any] = field(default_factory=dict)
    """Variables of the prompt; `question` alone where the task has none."""
    id: str = ""
    """"" to be numbered: `gsm8k-test-17`."""
    cluster: str = ""


@dataclass(frozen=True)
class _LoadedSplit:
    items: list[Item]
    source: Source


class Benchmark(Task):
    """Give it a name, a `hub` and `read_row`; `template` if the questions need words around them.

    Questions are chosen by the seed among those of the split, if not all are wanted. The same row
    gives the same item from the hub and from a local file that keeps ids, so results stay comparable.
    """

    hub: Hub | None = None
    """None where only local files serve."""
    file_hint: str = ""
    """What the file must be, where there is no hub."""
    random: bool = False
    """The seed changes the questions themselves, such as the order of options, and not only which there are."""

    @abstractmethod
    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """What a row of the hub's data set or of a local file says.

        Args:
            seed: of the selection, for what the benchmark wants shuffled.

        Raises:
            DataError: the row cannot be used (`row.fault` names its place).
        """

    def configs(self, tier: str | None) -> tuple[str | None, ...]:
        """The data set's configurations that make up a tier."""
        del tier
        return (self.hub.config if self.hub else None,)

    def belongs(self, row: DataRow, tier: str | None) -> bool:
        """Whether a row is one of the tier's, for tiers that are no configurations."""
        del row, tier
        return True

    def items(self, selection: Selection) -> list[Item]:
        items = self._load_once(selection).items
        chosen = sorted(items, key=lambda item: (derive_seed(selection.seed, item.id), item.id))
        return chosen[: selection.limit]

    def source(self, selection: Selection) -> Source:
        """See `Task.source`; the hash is of the whole split, as the prompt puts it."""
        return self._load_once(selection).source

    @cached_property
    def _latest(self) -> dict[Any, _LoadedSplit]:
        return {}

    def _load_once(self, selection: Selection) -> _LoadedSplit:
        """The whole split; read once for the items and the source of one selection."""
        prompt, seed = self.prompt(selection), selection.seed if self.random else 0
        key = (
            *(selection.data, stamp(selection.data) if selection.data else None, selection.revision),
            *(self.split(selection.split), self.tier(selection.tier), prompt.version if prompt else "", seed),
        )
        if key not in self._latest:
            self._latest.clear()
            self._latest[key] = self._load(selection)
        return self._latest[key]

    def _load(self, selection: Selection) -> _LoadedSplit:
        rows, name, revision = self._rows(selection)
        tier, split, prompt = self.tier(selection.tier), self.split(selection.split), self.prompt(selection)
        places: dict[str, int] = {}
        items = []
        for number, row in enumerate(rows):
            if not self.belongs(row, tier):
                continue
            problem = self.read_row(row, selection.seed)
            item = self._item(problem, problem.id or f"{self.name}-{split}-{number}", row, prompt)
            if item.id in places:
                raise row.fault("id", f"{item.id!r} stands in line {places[item.id]} too: ids must be distinct")
            places[item.id] = row.line
            items.append(item)
        if not items:
            raise DataError(f"holds no questions of tier {tier!r}", file=name)
        return _LoadedSplit(items, Source(name, revision, content_hash(items)))

    def _rows(self, selection: Selection) -> tuple[list[DataRow], str, str]:
        """Rows, where they are from, and the revision."""
        split, configs = self.split(selection.split), self.configs(self.tier(selection.tier))
        if selection.data is not None:
            if selection.revision is not None:
                raise BadInput(f"--revision {selection.revision} is about the hub's data set: leave it out with --data")
            names = (self.hub.splits[split], split) if self.hub else (split,)
            rows = file_rows(selection.data, names, configs)
            return rows, str(selection.data), path_hash(Path(rows[0].place))
        if self.hub is None:
            raise BadInput(f"task {self.name!r} needs a file: --data FILE{self.file_hint}")
        rows, revision = hub_rows(self.hub, configs, split, selection.revision)
        return rows, self.hub.name, revision

    def _item(self, problem: ParsedRow, identity: str, row: DataRow, prompt: Prompt | None) -> Item:
        try:
            text = prompt.render(**problem.values) if prompt else str(problem.values["question"])
        except PromptError as error:
            raise BadInput(str(error)) from error
        if not text.strip():
            raise row.fault("question", "gives an empty question")
        return Item(identity, Question.of(text.strip()), problem.gold, problem.cluster)
