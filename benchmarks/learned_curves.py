"""The shape of AggLM's results with small models, in figures: systems, easy share, plurality size, k, reinforcement.

    quorate eval run -p majority@16/quorate-tiny-base --task stories --tier hard --limit 1000 --seed 52001 --out TEST
    quorate eval run -p majority@16/quorate-tiny-base --task stories --tier hard --split train --limit 500 --seed 7001 \
        --out TRAIN
    python -m benchmarks.learned_curves --test TEST --train TRAIN --warm MODEL --out DIR

MODEL is the aggregator before reinforcement, from which every point of the easy-share curve sets out: a short run of
GRPO each, by `quorate train aggregator`. Run again with the same DIR, it goes on. `DIR/curves.json` has all numbers
with intervals, `docs/images/learned-*.png` the figures (--images DIR).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.learned import Question, outcomes, read_sets

from quorate.evals.statistics import compare_paired, mean_interval

SHARES: tuple[float | None, ...] = (0.0, 0.1, 0.5, 1.0, None)
"""Easy sets as a share of the hard ones; None: all."""
SIZES = (2, 4, 8, 16)
"""k, as far as the bank goes."""
MAIN = "from quorate.cli import main; main()"


def named(share: float | None) -> str:
    """How a point of the curve is called."""
    return "all" if share is None else f"{share:.0%}"


class Curves:
    """All measurements, each kept in a file of its own once it is there."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.out = given, given.out
        self.out.mkdir(parents=True, exist_ok=True)

    def asked(self, name: str, model: str, m: int, form: str | None = None) -> list[Question]:
        """A model's outcomes on the test bank."""
        kept = self.out / f"{name}.json"
        if not kept.is_file():
            sets = read_sets(self.given.test, m, agent=self.given.agent, limit=self.given.limit)
            found = asyncio.run(outcomes(model, sets, m, form=form))
            kept.write_text(json.dumps([asdict(q) for q in found]))
        return [Question(**q) for q in json.loads(kept.read_text())]

    def reinforced(self, share: float | None) -> str:
        """The folder of a short run of GRPO from the shared warm-up."""
        run = self.out / f"easy-{named(share).rstrip('%')}"
        changes = {
            "copying": "null",
            "warm_up": "null",
            "cut.easy_share": "null" if share is None else share,
            "reinforcement.max_steps": self.given.steps,
            "evaluate_steps": "null",
            "evaluate_sets": 1,
        }
        if not (run / "model").is_dir():
            sets = [f"--set={name}={value}" for name, value in changes.items()]
            banks = [f"--bank={bank}" for bank in self.given.train]
            command = ["train", "aggregator", *banks, f"--model={self.given.warm}", f"--out={run}", *sets]
            subprocess.run([sys.executable, "-c", MAIN, *command], check=True)
        return str(run / "model")

    def all(self) -> dict[str, Any]:
        """Every curve."""
        warm, m = self.asked("warm-up", str(self.given.warm), 8), 8
        prompted = self.asked("prompted", "quorate-tiny-base", m, "attempts")
        shares = SHARES if self.given.steps else ()
        points = {named(share): self.asked(f"easy {named(share)}", self.reinforced(share), m) for share in shares}
        best = self.asked("shipped", self.given.model, m)
        sizes = {k: self.asked(f"k {k}", self.given.model, k) for k in SIZES if k != m} | {m: best}
        return {
            "questions": len(warm),
            "steps": self.given.steps,
            "systems": {
                "one sample": _mean([q.single for q in warm], warm),
                "prompted": _right(prompted),
                "majority@8": _mean([q.vote for q in warm], warm),
                "majority@16": _mean([q.double or 0.0 for q in warm], warm),
                "warm-up alone": _right(warm),
                "shipped": _right(best),
            },
            "shipped less warm-up alone": _gap(best, warm),
            "easy share": {
                name: _right(found) | {"less the warm-up": _gap(found, warm)} for name, found in points.items()
            },
            "plurality": {
                str(size): _right(part) | {"vote": _mean([q.vote for q in part], part)}
                for size in range(1, m + 1)
                if (part := [q for q in best if q.plurality == size])
            },
            "k": {
                str(k): _right(sizes[k]) | {"vote": _mean([q.vote for q in sizes[k]], sizes[k])} for k in sorted(sizes)
            },
        }


def _mean(values: list[float], questions: list[Question]) -> dict[str, Any]:
    found = mean_interval(values, clusters=[q.family for q in questions])
    return {
        "accuracy": round(found.value, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "n": len(values),
    }


def _right(questions: list[Question]) -> dict[str, Any]:
    return _mean([float(q.right[0]) for q in questions], questions)


def _gap(one: list[Question], other: list[Question]) -> dict[str, Any]:
    a, b = ([float(q.right[0]) for q in part] for part in (one, other))
    found: dict[str, Any] = compare_paired(a, b, clusters=[q.family for q in one]).as_json()
    return found


def drawn(found: dict[str, Any], images: Path) -> None:
    """A row of figures."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    images.mkdir(parents=True, exist_ok=True)

    def bars(ax: Any, part: dict[str, Any], fmt: str = "o-", **more: Any) -> None:
        at = [p["accuracy"] for p in part.values()]
        spread = [[p["accuracy"] - p["low"] for p in part.values()], [p["high"] - p["accuracy"] for p in part.values()]]
        ax.errorbar(list(part), at, yerr=spread, fmt=fmt, capsize=3, **more)

    many = 4 if found["easy share"] else 3
    figure, axes = plt.subplots(1, many, figsize=(5 * many, 4), layout="constrained")
    systems, size, k, *rest = axes.flat
    bars(systems, found["systems"], "o")
    systems.set_title("systems")
    systems.tick_params(axis="x", rotation=25)
    for share in rest:
        # What every point gains, paired: the points' own intervals share most of what makes them wide.
        gaps = [point["less the warm-up"] for point in found["easy share"].values()]
        gained = {
            name: {"accuracy": gap["difference"], "low": gap["low"], "high": gap["high"]}
            for name, gap in zip(found["easy share"], gaps, strict=True)
        }
        bars(share, gained)
        share.axhline(0.0, linestyle=":", color="grey")
        share.set_title(f"easy sets to hard ones, {found['steps']} steps of GRPO")
    for ax, part, title in (
        (size, found["plurality"], "votes of the leading answer, of 8"),
        (k, found["k"], "candidates"),
    ):
        bars(ax, part, label="aggregator")
        bars(ax, {name: p["vote"] for name, p in part.items()}, label="vote")
        ax.set_title(title)
        ax.legend()
    for ax in figure.axes:
        ax.set_ylabel("accuracy less the warm-up's" if ax in rest else "accuracy")
    figure.savefig(images / "learned-curves.png", dpi=80)
    plt.close(figure)


def main() -> None:
    arguments = argparse.ArgumentParser(description="The curves of a learned aggregator.")
    arguments.add_argument("--test", type=Path, required=True)
    arguments.add_argument("--train", type=Path, required=True, action="append")
    arguments.add_argument("--warm", type=Path, required=True)
    arguments.add_argument("--model", default="quorate-tiny-agg")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--images", type=Path, default=Path("docs/images"))
    arguments.add_argument("--agent", default="quorate-tiny-base", help="whose samples of the test bank are aggregated")
    arguments.add_argument("--limit", type=int, help="test questions; all if not given")
    arguments.add_argument(
        "--steps", type=int, default=20, help="of GRPO, for each point of the easy-share curve; 0: without it"
    )
    given = arguments.parse_args()
    found = Curves(given).all()
    (given.out / "curves.json").write_text(json.dumps(found, indent=2) + "\n")
    drawn(found, given.images)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
