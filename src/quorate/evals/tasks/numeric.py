"""Data sets whose answers are numbers or terms.

GSM8K: grade-school word problems. Cobbe et al. 2021, arXiv 2110.14168; hub: openai/gsm8k (MIT).

SVAMP: simple word problems, varied so that surface patterns mislead. Patel et al. 2021, arXiv 2103.07191;
hub: ChilleD/SVAMP (MIT).

MATH-500: competition problems with answers in TeX. Hendrycks et al. 2021, arXiv 2103.03874; the 500 of
Lightman et al. 2023, arXiv 2305.20050; hub: HuggingFaceH4/MATH-500 (MIT).

AMC 12: 83 problems of 2022 and 2023 with whole answers, as the AI Mathematical Olympiad's first winners used
them for validation; hub: AI-MO/aimo-validation-amc (Apache-2.0).

AIME 2024 and 2025: the American Invitational Mathematics Examination, 30 problems a year, answers 0 to 999.

Hub: HuggingFaceH4/aime_2024 (from AI-MO/aimo-validation-aime) and math-ai/aime25. So few problems leave wide
intervals: draw many samples of each.
"""

from __future__ import annotations

from .base import DataRow, Hub, Maths, Numeric


class GSM8K(Numeric):
    """1,319 test problems; the gold answer is the number after `####`."""

    name = "gsm8k"
    cite = "Cobbe et al. 2021, arXiv 2110.14168"
    splits = ("test", "train")
    hub = Hub("openai/gsm8k", "main", {"test": "test", "train": "train"})


class SVAMP(Numeric):
    """300 test problems on the hub; the original file has 1,000."""

    name = "svamp"
    cite = "Patel et al. 2021, arXiv 2103.07191"
    splits = ("test", "train")
    hub = Hub("ChilleD/SVAMP", None, {"test": "test", "train": "train"})

    def identity(self, row: DataRow) -> str:
        return row.text("id", "ID")

    def question(self, row: DataRow) -> str:
        """The story and what is asked about it."""
        return row.text("question") if row.has("question") else f"{row.text('Body')} {row.text('Question')}"

    def gold(self, row: DataRow) -> str:
        return super().gold(row.rename_fields({"Answer": "answer"}))


class MATH500(Maths):
    """Tiers are the levels 1 to 5 of the original, `all` by default."""

    name = "math-500"
    cite = "Hendrycks et al. 2021, arXiv 2103.03874; Lightman et al. 2023, arXiv 2305.20050"
    tiers = ("all", "level-1", "level-2", "level-3", "level-4", "level-5")
    hub = Hub("HuggingFaceH4/MATH-500")

    def identity(self, row: DataRow) -> str:
        return row.text("id", "unique_id")

    def belongs(self, row: DataRow, tier: str | None) -> bool:
        """Whether it is of the tier's level."""
        return tier == "all" or tier == f"level-{row.text('level').removeprefix('Level ')}"


class AMC(Numeric):
    """Answers are numbers, not the letters of the original."""

    name = "amc"
    cite = "MAA, AMC 12 2022-2023; AI-MO 2024"
    hub = Hub("AI-MO/aimo-validation-amc", None, {"test": "train"})


class AIME2024(Numeric):
    """AIME I and II of 2024."""

    name = "aime-2024"
    cite = "MAA, AIME 2024"
    hub = Hub("HuggingFaceH4/aime_2024", None, {"test": "train"})


class AIME2025(Numeric):
    """AIME I and II of 2025."""

    name = "aime-2025"
    cite = "MAA, AIME 2025"
    hub = Hub("math-ai/aime25")
