"""The sample bank: every sample drawn once, kept with everything that determines it.

    with Bank(Path("runs/first")) as bank:
        for labelled in bank.sets(task="gsm8k"):
            print(labelled.item, labelled.correct)

Pipelines over the same model share their samples through it, a run that was killed goes on with
exactly those that are missing, and whoever learns or measures afterwards reads them from it.
"""

from .alike import AlikeRuns, choose_alike, describe_draws
from .bank import Bank
from .ingest import grade
from .store import bank_file
from .values import BankedAgent, BankedItem, BankedSample, RunRecord, SampleRequest, content_key

__all__ = [
    "AlikeRuns",
    "Bank",
    "BankedAgent",
    "BankedItem",
    "BankedSample",
    "RunRecord",
    "SampleRequest",
    "bank_file",
    "choose_alike",
    "content_key",
    "describe_draws",
    "grade",
]
