"""Which runs of a bank were sampled alike, so that what their pipelines answered can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from quorate.orchestrator.types import SamplingParams

from .values import RunRecord


def describe_draws(agent: str, sampling: SamplingParams | str) -> str:
    """The id of an agent and its settings in one text, as a run keeps it of each of its models."""
    return f"{agent} {sampling if isinstance(sampling, str) else dump_sampling(sampling)}"


def dump_sampling(sampling: SamplingParams) -> str:
    """Settings as a request keeps them: as JSON, without what is at its default and without the seed."""
    return sampling.model_dump_json(exclude_defaults=True, exclude={"seed"})


def list_differences(run: RunRecord, other: RunRecord) -> Iterator[tuple[str, str, str]]:
    """What was sampled otherwise: its name, and how the one and the other have it; models of one alone are nothing."""
    ours, theirs = (each.settings.get("prompt") or "none" for each in (run, other))
    if ours != theirs:
        yield "prompt", ours, theirs
    for model, draws in run.models.items():
        if (there := other.models.get(model, draws)) != draws:
            yield model, draws, there


@dataclass(frozen=True)
class AlikeRuns:
    """Runs of one task that can be compared with each other."""

    runs: tuple[RunRecord, ...]
    """Of two that answered for one pipeline the later one here counts."""
    notes: tuple[str, ...]
    """Which others there are."""

    @property
    def models(self) -> Mapping[str, str]:
        """How each of their models was sampled."""
        return {name: draws for run in self.runs for name, draws in run.models.items()}


def choose_alike(runs: Sequence[RunRecord]) -> AlikeRuns:
    """The newest complete run, or else the newest, and all that were sampled like it.

    Args:
        runs: of one task, by number; at least one.
    """
    # A run that did not end has answers of few questions: it counts where no other has the pipeline.
    order = sorted(runs, key=lambda run: (run.finished is not None, run.id))
    alike, notes = [order[-1]], []
    for run in reversed(order[:-1]):
        found = ((other, difference) for other in alike for difference in list_differences(run, other))
        if (first := next(found, None)) is None:
            alike.append(run)
            continue
        other, (what, ours, theirs) = first
        notes.append(
            f"run {run.id} is left out, as its {what} is another than in run {other.id}: {ours}, not {theirs}; "
            f"--run {run.id} compares it alone, --run {run.id} --run {other.id} both"
        )
    names = {name for run in alike if run.finished for name in run.pipelines}
    cut = [run.id for run in alike if not run.finished and run.id > order[-1].id and names & {*run.pipelines}]
    notes += [f"run {number} is newer and has not ended: --run {number} compares it" for number in cut]
    return AlikeRuns(tuple(reversed(alike)), tuple(notes))
