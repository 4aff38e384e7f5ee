"""Data sets of questions with options, whose answers are letters.

ARC: grade-school science questions. Clark et al. 2018, arXiv 1803.05457; hub: allenai/ai2_arc (CC BY-SA 4.0).

AQuA-RAT: algebraic word problems with five options. Ling et al. 2017, arXiv 1705.04146;
hub: deepmind/aqua_rat (Apache-2.0).

MMLU: 57 subjects, four options. Hendrycks et al. 2020, arXiv 2009.03300; hub: cais/mmlu (MIT).

MMLU-Pro: 12,032 questions with up to ten options, harder than MMLU. Wang et al. 2024, arXiv 2406.01574;
hub: TIGER-Lab/MMLU-Pro (MIT).

GPQA-Diamond: 198 graduate-level science questions that a search does not answer. Rein et al. 2023,
arXiv 2311.12022; hub: Idavidrein/gpqa (CC BY 4.0, gated: please do not publish its questions).
"""

from __future__ import annotations

from .base import DataRow, Hub, MultipleChoice, ParsedRow


class ARC(MultipleChoice):
    """Tier `challenge` (1,172 test questions) or `easy` (2,376)."""

    name = "arc"
    cite = "Clark et al. 2018, arXiv 1803.05457"
    letters = "ABCDE"
    tiers = ("challenge", "easy")
    splits = ("test", "validation", "train")
    hub = Hub("allenai/ai2_arc", None, {"test": "test", "validation": "validation", "train": "train"})

    def configs(self, tier: str | None) -> tuple[str | None, ...]:
        return ("ARC-Easy" if tier == "easy" else "ARC-Challenge",)


class AQuA(MultipleChoice):
    """254 test questions."""

    name = "aqua"
    cite = "Ling et al. 2017, arXiv 1705.04146"
    letters = "ABCDE"
    splits = ("test", "validation", "train")
    hub = Hub("deepmind/aqua_rat", "raw", {"test": "test", "validation": "validation", "train": "train"})


_STEM = (
    "abstract_algebra astronomy college_biology college_chemistry college_computer_science "
    "college_mathematics college_physics computer_security conceptual_physics electrical_engineering "
    "elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science "
    "high_school_mathematics high_school_physics high_school_statistics machine_learning"
)
_HUMANITIES = (
    "formal_logic high_school_european_history high_school_us_history high_school_world_history international_law "
    "jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory professional_law "
    "world_religions"
)
_SOCIAL = (
    "econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics "
    "high_school_microeconomics high_school_psychology human_sexuality professional_psychology public_relations "
    "security_studies sociology us_foreign_policy"
)
_LISTED = {"stem": _STEM, "humanities": _HUMANITIES, "social-sciences": _SOCIAL}
_GROUPS = {name: frozenset(subjects.split()) for name, subjects in _LISTED.items()}


class MMLU(MultipleChoice):
    """14,042 test questions; tiers are the authors' groups of subjects, `all` by default."""

    name = "mmlu"
    cite = "Hendrycks et al. 2020, arXiv 2009.03300"
    tiers = ("all", *_GROUPS, "other")
    splits = ("test", "validation", "dev")
    hub = Hub("cais/mmlu", "all", {"test": "test", "validation": "validation", "dev": "dev"})

    def belongs(self, row: DataRow, tier: str | None) -> bool:
        """Whether its subject is of the tier's group."""
        if tier == "all":
            return True
        subject = row.text("subject")
        return subject in _GROUPS[tier] if tier in _GROUPS else not any(subject in group for group in _GROUPS.values())


class MMLUPro(MultipleChoice):
    """Tiers are the categories, `all` by default."""

    name = "mmlu-pro"
    cite = "Wang et al. 2024, arXiv 2406.01574"
    letters = "ABCDEFGHIJ"
    tiers = (
        *("all", "biology", "business", "chemistry", "computer-science", "economics", "engineering", "health"),
        *("history", "law", "math", "other", "philosophy", "physics", "psychology"),
    )
    splits = ("test", "validation")
    hub = Hub("TIGER-Lab/MMLU-Pro", None, {"test": "test", "validation": "validation"})

    def identity(self, row: DataRow) -> str:
        """The data set's number of the question."""
        return row.text("id", "question_id")

    def belongs(self, row: DataRow, tier: str | None) -> bool:
        """Whether it is of the tier's category."""
        return tier == "all" or row.text("category").replace(" ", "-") == tier


class GPQADiamond(MultipleChoice):
    """The right answer comes first in the data, so the options are shuffled by the seed."""

    name = "gpqa-diamond"
    cite = "Rein et al. 2023, arXiv 2311.12022"
    random = True
    hub = Hub("Idavidrein/gpqa", "gpqa_diamond", {"test": "train"}, gated=True)

    def identity(self, row: DataRow) -> str:
        return row.text("id", "Record ID") if row.has("id") or row.has("Record ID") else ""

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        if row.has("options"):
            return super().read_row(row, seed)
        wrong = [row.text(f"Incorrect Answer {n}") for n in (1, 2, 3)]
        return self.make_problem(row, row.text("Question"), [row.text("Correct Answer"), *wrong], 0, seed)
