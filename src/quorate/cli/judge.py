"""`quorate eval judge` and `quorate eval rubric`: how good a judge is, and what it says of open answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from quorate.orchestrator.errors import BadInput, UnknownName

from .console import print_json, wide_console
from .options import ConfigFile, Json, Upstream, open_catalog

if TYPE_CHECKING:
    from quorate.evals.bank import Bank
    from quorate.evals.judging import JudgeQuality, OpenPair, RubricComparison
    from quorate.evals.statistics import Estimate
    from quorate.orchestrator.protocols import Model

JudgeName = Annotated[str, typer.Argument(metavar="JUDGE", help="A model or pipeline; see `quorate models`.")]
Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A folder of `quorate eval run --out` or `eval bank import`.")
]
TaskName = Annotated[str | None, typer.Option(metavar="NAME", help="Of a bank of several tasks.")]
Rubric = Annotated[Path | None, typer.Option(metavar="FILE", help="What makes an answer good, in words.")]
Temperature = Annotated[float, typer.Option(min=0, help="Of the judge.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Of a reply of the judge, its thinking included.")]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests to the judge at a time.")]


def judge(
    name: JudgeName,
    folder: Folder,
    task: TaskName = None,
    rubric: Rubric = None,
    limit: Annotated[int, typer.Option(min=1, help="How many questions; five verdicts each.")] = 50,
    temperature: Temperature = 0.0,
    max_tokens: MaxTokens = 512,
    concurrency: Concurrency = 8,
    seed: Annotated[int, typer.Option(help="Draws questions and answers, and seeds the judge.")] = 0,
    upstream: Upstream = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say how good a judge is, on a bank's graded answers: is it right, does place or length sway it, is it steady."""
    from quorate.evals.judging import measure_judge
    from quorate.orchestrator.types import SamplingParams

    async def measure() -> JudgeQuality:
        async with _open_judge(name, folder, task, upstream, config) as (model, bank):
            return await measure_judge(
                model,
                bank.sets(task),
                rubric=_read_rubric(rubric) or "",
                limit=limit,
                seed=seed,
                sampling=SamplingParams(temperature=temperature, max_tokens=max_tokens),
                concurrency=concurrency,
            )

    found = asyncio.run(measure())
    if as_json:
        print_json(found.as_json())
        return
    head = (
        f"{found.judge}: {found.questions} questions, each with a right and a wrong answer, {found.left_out} left out"
    )
    rows: list[tuple[str, Estimate | None, str]] = [
        ("accuracy", found.accuracy, "answers seen alone, called right or wrong; a coin has .500"),
        ("MCC", found.mcc, "of these calls; 0 for a coin"),
        ("AUC", found.auc, "a right answer's score above a wrong one's, of any question"),
        ("pair accuracy", found.pair_accuracy, "right before wrong, both orders; a coin has .500"),
        ("same in both orders", found.consistent, "share of pairs"),
        ("same when asked again", found.repeated, "share of pairs, same order, another seed"),
        ("for the first", found.first, ".500 without bias of position"),
        ("for the longer", found.longer, ".500 without bias of length, right and wrong in balance"),
    ]
    _print(
        head,
        rows,
        (
            f"{found.ties:.0%} of the verdicts on pairs are ties; {found.tokens:.0f} tokens a verdict",
            *_warned(found.notes),
        ),
    )


def rubric(
    name: JudgeName,
    folder: Folder,
    a: Annotated[str, typer.Argument(metavar="A", help="A pipeline of the run.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    task: TaskName = None,
    rubric: Rubric = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many questions; all if not given.")] = None,
    same_family: Annotated[
        bool, typer.Option("--same-family", help="Let a judge read answers of its own family, which it favours.")
    ] = False,
    temperature: Temperature = 0.0,
    max_tokens: MaxTokens = 512,
    concurrency: Concurrency = 8,
    seed: Annotated[int, typer.Option(help="Draws questions, and seeds the judge.")] = 0,
    upstream: Upstream = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say whose answers are better by a rubric: a judge of another family, both orders, length audited."""
    from quorate.evals.judging import compare_by_rubric
    from quorate.evals.judging.rubric import RUBRIC
    from quorate.orchestrator.types import SamplingParams

    async def compare() -> RubricComparison:
        async with _open_judge(name, folder, task, upstream, config) as (model, bank):
            pairs = _read_pairs(bank, task, a, b)
            if not same_family:
                _check_family(model, bank, (a, b))
            return await compare_by_rubric(
                model,
                pairs,
                a=a,
                b=b,
                rubric=_read_rubric(rubric) or RUBRIC,
                limit=limit,
                seed=seed,
                sampling=SamplingParams(temperature=temperature, max_tokens=max_tokens),
                concurrency=concurrency,
            )

    found = asyncio.run(compare())
    if as_json:
        print_json(found.as_json())
        return
    head = f"{found.judge} on {found.questions} questions: {a} against {b}, both orders"
    rows = [
        (f"for {a}", found.preferred, "ties half; .500 where neither is better"),
        ("at equal length", found.at_equal_length, f"{a}: {found.words_a:.0f} words, {b}: {found.words_b:.0f}"),
        ("same in both orders", _plain(found.consistent), "share of pairs"),
        ("for the first", _plain(found.first), ".500 without bias of position"),
        ("for the longer", _plain(found.longer), "share of points"),
    ]
    lines = [f"{found.same} answers are alike and tie; {found.tokens:.0f} tokens a verdict", *_warned(found.notes)]
    if (mean := found.at_equal_length) is not None and (mean.value - 0.5) * (found.preferred.value - 0.5) < 0:
        lines.append("! at equal length the other one is better: what is preferred here is length")
    _print(head, rows, lines)


@asynccontextmanager
async def _open_judge(
    name: str, folder: Path, task: str | None, upstream: str | None, config: Path | None
) -> AsyncIterator[tuple[Model, Bank]]:
    """The judge and the bank.

    Raises:
        UnknownName: the bank has no such task.
        BadInput: there is no bank in the folder.
    """
    from quorate.evals.bank import Bank

    with Bank(folder, create=False) as bank:
        if task is not None and task not in bank.tasks():
            raise UnknownName("task", task, bank.tasks())
        async with aclosing(await open_catalog(upstream, config)) as catalog:
            yield catalog.resolve(name), bank


def _read_rubric(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        words = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(f"--rubric {file}: cannot be read: {reason}") from error
    if not words:
        raise BadInput(f"--rubric {file}: is empty: say what makes an answer good")
    return words


def _read_pairs(bank: Bank, task: str | None, a: str, b: str) -> list[OpenPair]:
    """The answers of two pipelines in the latest run that has both; those without any answer are empty.

    Raises:
        BadInput: A and B are one.
        UnknownName: no run has both.
    """
    from quorate.aggregators.judges.model import conversation_text
    from quorate.evals.judging import OpenPair

    if a == b:
        raise BadInput(f"{a} against itself: name two pipelines")
    run = next((r for r in reversed(bank.runs()) if {a, b} <= set(r.pipelines) and task in (None, r.task)), None)
    if run is None:
        known = {name for r in bank.runs() for name in r.pipelines if task in (None, r.task)}
        missing = next((name for name in (a, b) if name not in known), None)
        if missing is not None:
            raise UnknownName("pipeline", missing, known)
        raise BadInput(f"no run has both {a} and {b}: run them together, in the same folder")
    texts: dict[str, dict[str, str]] = {a: {}, b: {}}
    for outcome in bank.outcomes(run.id):
        if outcome.pipeline in texts:
            texts[outcome.pipeline][outcome.item] = outcome.text
    items = (item for item in bank.items(run.task) if item.item in texts[a] and item.item in texts[b])
    return [
        OpenPair(i.item, conversation_text(i.question), texts[a][i.item], texts[b][i.item], i.cluster) for i in items
    ]


def _check_family(judge: Model, bank: Bank, pipelines: tuple[str, str]) -> None:
    """Models of the bank that a pipeline's name has are its writers, all of them where it has none.

    Raises:
        BadInput: a writer is of the judge's family.
    """
    from quorate.evals.judging import family_of

    own = {family_of(single) for single in judge.identity.singles}
    agents = bank.agents()
    for pipeline in pipelines:
        writers = [agent for agent in agents if agent.name in pipeline] or agents
        for agent in writers:
            if {family_of(agent.name), family_of(agent.model or agent.name)} & own:
                raise BadInput(
                    f"judge {judge.name} is of the family of {agent.name}, which wrote for {pipeline}: judges favour "
                    "their own; take another judge, or --same-family"
                )


def _plain(share: float | None) -> Estimate | None:
    """A share without an interval."""
    from quorate.evals.statistics import Estimate

    return None if share is None else Estimate(value=share, low=share, high=share)


def _warned(notes: tuple[str, ...]) -> list[str]:
    return [f"! {note}" for note in notes]


def _print(head: str, rows: list[tuple[str, Estimate | None, str]], lines: tuple[str, ...] | list[str]) -> None:
    console = wide_console()
    console.print(head, markup=False, style="bold")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for column in ("value", "95 % interval"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for label, found, words in rows:
        if found is None:
            shown = ("", "")
        else:
            whole = found.low < found.high
            shown = (f"{found.value:.3f}", f"{found.low:.3f} to {found.high:.3f}" if whole else "")
        table.add_row(label, *shown, words)
    console.print(table)
    for line in lines:
        console.print(line, markup=False, style="yellow" if line.startswith("!") else None)
