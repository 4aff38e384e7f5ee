"""Details of lighteval (`--save-details`): `details/MODEL/DATE/details_TASK_DATE.parquet`; needs pyarrow.

A row holds one question: `doc` (the prompt, the choices, which of them are right), `model_response` (the texts) and
`metric`. The metrics are a question's, not a sample's: where there are several samples, or a metric that is no plain
hit or miss, these come without grades. Questions that were answered by comparing likelihoods have no texts and are left
out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import Candidate, Question, SamplingParams
from quorate.orchestrator.usage import Usage

from ..ingest import Found, Incoming, LeftOut
from ..values import BankedItem
from .exported import parquet_rows
from .source import ImportOptions, banked_agent, join_accepted

__all__ = ["is_details", "lighteval_samples"]


def is_details(path: Path) -> bool:
    """Whether a Parquet file is one of these, by its name."""
    return path.name.startswith("details_")


def lighteval_samples(path: Path, options: ImportOptions) -> Iterator[Found]:
    """Every sampled text of a file.

    Raises:
        DataError: it is broken, or no file of lighteval's.
        MissingExtra: pyarrow is not installed.
    """
    model = _model(path)
    agent, seed = banked_agent(model, "lighteval"), derive_seed(0, "lighteval", model, path.name)
    for number, row in parquet_rows(path):
        try:
            doc, response, metrics = row["doc"], row["model_response"], row["metric"]
            texts = [text or "" for text in response["text"] or ()]
            if not texts:
                yield LeftOut("were answered by comparing likelihoods, without a text")
                continue
            item = _item(doc, options.task_of(path))
            hit = _hit(metrics) if len(texts) == 1 else None
            sampling = SamplingParams(
                max_tokens=doc["generation_size"],
                stop=tuple(doc["stop_sequences"] or ()),
                # Several are drawn with a temperature that the file does not have.
                extra={"num_samples": len(texts)} if len(texts) > 1 else {},
            )
            for index, text in enumerate(texts):
                candidate = Candidate(index=index, model=model, agent=model, text=text, usage=_usage(response, index))
                yield Incoming(
                    agent, candidate, item, sampling=sampling, seed=seed, graded=hit is not None, correct=bool(hit)
                )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"is no row of lighteval's details: {error!r}", file=path, line=number) from error


def _model(path: Path) -> str:
    """The folders between `details` and the date."""
    above = [folder.name for folder in path.parents[1:]]
    return "/".join(reversed(above[: above.index("details")])) if "details" in above else path.parent.name


def _item(doc: Mapping[str, Any], task: str) -> BankedItem:
    right = doc["gold_index"] if isinstance(doc["gold_index"], list) else [doc["gold_index"]]
    name = str(doc.get("task_name") or task).split("|")[0]
    gold = join_accepted([doc["choices"][index].strip() for index in right])
    return BankedItem(task=name, item=str(doc["id"]), question=Question.of(doc["query"]), gold=gold)


def _usage(response: Mapping[str, Any], index: int) -> Usage:
    written = response.get("output_tokens") or ()
    tokens = len(written[index]) if index < len(written) else 0
    read = len(response.get("input_tokens") or ()) if index == 0 else 0
    return Usage(prompt_tokens=read, completion_tokens=tokens, requests=int(index == 0))


def _hit(metrics: Mapping[str, Any]) -> bool | None:
    """The first metric that is a plain hit or miss."""
    values = [value for value in metrics.values() if isinstance(value, bool | int | float)]
    return bool(values[0]) if values and values[0] in (0, 1) else None
