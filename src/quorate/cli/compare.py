"""`quorate eval compare`: systems of one or several folders in pairs at equal tokens, money or seconds, and ranked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from quorate.orchestrator.errors import BadInput

from .console import print_json, wide_console
from .options import Json

if TYPE_CHECKING:
    from rich.console import Console

    from quorate.evals.measures import Comparisons, System, SystemPair
    from quorate.evals.ranking import Ranking
    from quorate.evals.records import Unit


Folders = Annotated[
    list[Path],
    typer.Argument(metavar="DIR...", help="Folders of `quorate eval run --out` or `eval bank import`, or answers."),
]
Runs = Annotated[
    list[int] | None,
    typer.Option(
        "--run", metavar="N", help="These runs of one bank; the newest and those sampled like it if not given."
    ),
]
Baseline = Annotated[str | None, typer.Option(metavar="NAME", help="Compare with this system only, not all pairs.")]
AsRun = Annotated[bool, typer.Option("--as-run", help="Compare at what each took instead of at equal tokens.")]
By = Annotated[
    str, typer.Option(metavar="tokens|money|seconds", help="What the systems are compared at equal amounts of.")
]
Systems = Annotated[
    list[str] | None, typer.Option("--system", metavar="NAME", help="Only these systems; may be repeated.")
]
Every = Annotated[
    bool, typer.Option("--all-pairs", help="Print every pair, not only the best system against the others.")
]


def compare(
    folders: Folders,
    runs: Runs = None,
    baseline: Baseline = None,
    as_run: AsRun = False,
    by: By = "tokens",
    systems: Systems = None,
    every: Every = False,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    seed: Annotated[int, typer.Option(help="Chooses subsets and resamples.")] = 0,
    as_json: Json = False,
) -> None:
    """Compare systems at equal tokens, the best one first: paired tests by family of questions, Holm-corrected.

    Models of different price are compared fairly by money; that needs prices, in quorate.yaml when they were asked.
    """
    from quorate.evals.contenders import read_contenders

    unit = _check_unit(by)
    found = asyncio.run(read_contenders(folders, task=task, runs=runs or (), seed=seed))
    chosen = {name: kept for name, some in found.items() if (kept := _choose(some.systems, systems))}
    if not chosen:
        there = _names({name: some.systems for name, some in found.items()})
        raise BadInput(f"no system is named {', '.join(systems or ())}; there are: {', '.join(there)}")
    if baseline is not None and baseline not in _names(chosen):
        raise BadInput(f"--baseline {baseline}: no system has this name; there are: {', '.join(_names(chosen))}")
    compared = {
        name: _compare(some, found[name].notes, unit, equal=not as_run, baseline=baseline, seed=seed)
        for name, some in chosen.items()
    }
    rankings = _rankings(chosen, seed)
    if as_json:
        tasks = [{"task": name, **one.as_json()} for name, one in compared.items()]
        print_json({"tasks": tasks, "rankings": [ranking.as_json() for ranking in rankings]})
        return
    console = wide_console()
    for name, one in compared.items():
        _print(console, name, one, unit, every=every or baseline is not None)
    if rankings:
        _print_rankings(console, rankings)


def _compare(
    some: Sequence[System], notes: Sequence[str], by: Unit, *, equal: bool, baseline: str | None, seed: int
) -> Comparisons:
    """One task's systems; all pairs where the baseline was not asked."""
    from quorate.evals.measures import best_first, compare_systems

    known = baseline if baseline in [system.name for system in some] else None
    found = compare_systems(best_first(some, by), by=by, equal=equal, baseline=known, seed=seed)
    return found.model_copy(update={"notes": (*notes, *found.notes)})


def _check_unit(by: str) -> Unit:
    from quorate.evals.records import UNITS

    found = next((unit for unit in UNITS if unit == by), None)
    if found is None:
        raise BadInput(f"--by {by}: there is: {', '.join(UNITS)}")
    return found


def _names(tasks: Mapping[str, Sequence[System]]) -> list[str]:
    return list(dict.fromkeys(system.name for some in tasks.values() for system in some))


def _choose(some: Sequence[System], wanted: Sequence[str] | None) -> list[System]:
    return [system for system in some if not wanted or system.name in wanted]


def _rankings(tasks: dict[str, list[System]], seed: int) -> list[Ranking]:
    """By every method, where there is something to rank over."""
    from quorate.evals.measures import resampled_scores, task_scores
    from quorate.evals.ranking import METHODS, rank

    if len(tasks) < 2 or len(_names(tasks)) < 2:
        return []
    again = resampled_scores(tasks, seed=seed)
    return [rank(task_scores(tasks), method, replicates=again, seed=seed) for method in METHODS]


def _print(console: Console, name: str, found: Comparisons, by: Unit, *, every: bool) -> None:
    from quorate.evals.report.formatting import format_money, format_number

    console.print(f"{name}: {found.questions:,} questions", markup=False, style="bold")
    cut = ("cut",) if any(s.cut for s in found.systems) else ()
    table = _table("system", "accuracy", "95 % interval", *cut, "tokens", "cost", "seconds", "questions", "")
    for s in found.systems:
        interval = f"{s.accuracy.low:.3f} to {s.accuracy.high:.3f}"
        spent = format_number(s.tokens), format_money(s.cost), format_number(s.seconds, 2)
        front = "on the front" if by in s.fronts else ""
        share = (f"{100 * s.cut:.0f} %",) if cut else ()
        table.add_row(escape(s.name), f"{s.accuracy.value:.3f}", interval, *share, *spent, f"{s.questions:,}", front)
    console.print(table)
    pairs = found.pairs if every else [pair for pair in found.pairs if pair.a == found.systems[0].name]
    if pairs:
        table = _table("difference", f"at {by}", "accuracy", "95 % interval", "p", "p Holm", "detectable", "as run")
        for pair in pairs:
            table.add_row(*map(escape, _row(pair)))
        console.print(table)
        _explain(console, pairs, by)
    if left := len(found.pairs) - len(pairs):
        line = f"the best system against the others; p Holm counts {left} more pairs, which --all-pairs prints"
        console.print(line, markup=False, style="dim")
    for note in found.notes:
        console.print(f"! {note}", markup=False, style="yellow")


def _row(pair: SystemPair) -> list[str]:
    from quorate.evals.measures.systems import format_spent

    paired = pair.paired
    return [
        f"{pair.a} - {pair.b}",
        "as run" if pair.budget is None else format_spent(pair.budget, pair.by).split(" ")[0],
        f"{paired.difference:+.3f}",
        f"{paired.low:+.3f} to {paired.high:+.3f}",
        f"{paired.p:.2g}",
        f"{pair.p_holm:.2g}",
        "none" if pair.detectable.gain is None else f"{pair.detectable.gain:.3f}",
        f"{pair.as_run:+.3f}",
    ]


def _explain(console: Console, pairs: Sequence[SystemPair], by: Unit) -> None:
    """How the pairs were brought to equal amounts, and why some were not: each reason once."""
    scaled: dict[str, list[str]] = {}
    reasons: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.scaled is not None:
            other = pair.b if pair.scaled == pair.a else pair.a
            scaled.setdefault(pair.scaled, []).append(f"{pair.samples:.1f} against {other}")
        elif pair.note and pair.note != "as they ran":
            reasons.setdefault(pair.note.removeprefix("as they ran: "), []).append(f"{pair.a} - {pair.b}")
    for name, counts in scaled.items():
        line = f"{name}, from its scaling curve, has the samples: {', '.join(counts)}"
        console.print(line, markup=False, style="dim")
    for reason, of in reasons.items():
        console.print(f"as run, not at equal {by}: {', '.join(of)}: {reason}", markup=False, style="yellow")
    units = {pair.paired.families for pair in pairs}
    console.print(
        f"p: {' and '.join(sorted({_TESTS[p.paired.test] for p in pairs}))}; over {max(units)} independent "
        "families or questions; detectable: the gain that this evaluation shows with a power of 0.8",
        markup=False,
        style="dim",
    )


_TESTS = {"mcnemar": "McNemar's exact test", "exchange": "exchange of the two in whole families"}


def _print_rankings(console: Console, rankings: Sequence[Ranking]) -> None:
    console.print(f"Ranks over {rankings[0].tasks} tasks, with 95 % intervals over questions", style="bold")
    table = _table("system", *(ranking.method for ranking in rankings))
    for system in [row.system for row in rankings[-1].systems]:
        cells = []
        for ranking in rankings:
            row = next(r for r in ranking.systems if r.system == system)
            cells.append(f"{row.rank:g} ({row.low:g} to {row.high:g})")
        table.add_row(escape(system), *cells)
    console.print(table)


def _table(*head: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for position, name in enumerate(head):
        table.add_column(name, justify="left" if position == 0 else "right", no_wrap=position > 0)
    return table
