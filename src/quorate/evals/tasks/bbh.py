"""BIG-Bench Hard: 27 kinds of puzzle with short answers. Suzgun et al. 2022, arXiv 2210.09261; hub:
SaylorTwift/bbh (MIT), the data of github.com/suzgunmirac/BIG-Bench-Hard as Parquet. Never train on it."""

from __future__ import annotations

from functools import cached_property

from quorate.aggregators.extraction import Boxed, FirstOf, LoneLetter, Phrase
from quorate.orchestrator.reading import Equivalence, Extractor

from .base import Benchmark, DataRow, Hub, ParsedRow, SameWords

_LISTED = (
    "boolean_expressions causal_judgement date_understanding disambiguation_qa dyck_languages formal_fallacies "
    "geometric_shapes hyperbaton logical_deduction_five_objects logical_deduction_seven_objects "
    "logical_deduction_three_objects movie_recommendation multistep_arithmetic_two navigate object_counting "
    "penguins_in_a_table reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks "
    "sports_understanding temporal_sequences tracking_shuffled_objects_five_objects "
    "tracking_shuffled_objects_seven_objects tracking_shuffled_objects_three_objects web_of_lies word_sorting"
)
SUBTASKS = tuple(_LISTED.split())


class BBH(Benchmark):
    """6,511 questions; tiers are the subtasks, `all` by default. Zero-shot, where the paper gives three examples."""

    name = "bbh"
    cite = "Suzgun et al. 2022, arXiv 2210.09261"
    template = "task-short"
    tiers = ("all", *SUBTASKS)
    hub = Hub("SaylorTwift/bbh")

    def configs(self, tier: str | None) -> tuple[str | None, ...]:
        return SUBTASKS if tier == "all" else (tier,)

    def belongs(self, row: DataRow, tier: str | None) -> bool:
        """Whether it is of the subtask; a file of one subtask need not name it."""
        return tier in ("all", row.part) or not row.has("task") or row.text("task") == tier

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """See `Benchmark.read_row`; questions cluster by subtask, since most were made from templates."""
        del seed
        subtask = row.part or (row.text("task") if row.has("task") else "")
        identity = row.text("id") if row.has("id") else f"{subtask or self.name}-{row.line - 1}"
        return ParsedRow(row.text("gold", "target"), {"question": row.text("question", "input")}, identity, subtask)

    @cached_property
    def extractor(self) -> Extractor:
        """Lists of words and brackets end in no number, so the last number is no answer here."""
        return FirstOf(Boxed(), Phrase(), LoneLetter())

    @cached_property
    def equivalence(self) -> Equivalence:
        """By words: `(A)`, `A` and `(A) 05/01/2021` are one answer."""
        return SameWords()
