"""MMLU: 57 subjects, four options. Hendrycks et al. 2020, arXiv 2009.03300; hub: cais/mmlu (MIT)."""

from __future__ import annotations

from .base import DataRow, Hub, MultipleChoice

__all__ = ["MMLU"]

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
