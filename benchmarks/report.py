"""How long it takes to import and report many samples, and in how much memory.

    python benchmarks/report.py [--samples 200000] [--out FOLDER]

Makes recorded answers of one model (16 a question, each with a text of some 500 characters, in 40
families of questions), then runs `quorate eval bank import` and `quorate eval report` as a user does.
Prints a JSON line a step: seconds of the wall clock and of the processor, peak memory of the process in
MB, and in the end the size of the page.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PER_QUESTION = 16
FAMILIES = 40
SLIPS = (-10, -1, 1, 2, 10)
MAIN = "from quorate.cli import main; main()"
WORDS = [
    "so",
    "then",
    "the",
    "total",
    "is",
    "now",
    "each",
    "of",
    "them",
    "has",
    "left",
    "which",
    "gives",
    "us",
    "half",
    "twice",
]


def main() -> None:
    arguments = argparse.ArgumentParser(description="Seconds and memory to import and report many samples.")
    arguments.add_argument("--samples", type=int, default=200_000)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--out", type=Path, help="keep bank and report here")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = asked.out or Path(scratch) / "bank"
        made = Path(scratch) / "recorded"
        write(made, asked.samples // PER_QUESTION, asked.seed)
        steps = {
            "import": ["bank", "import", str(made), "--bank", str(out), "--task", "made"],
            "report": ["report", str(out)],
        }
        for name, command in steps.items():
            print(json.dumps({"step": name, **measured(command)}), flush=True)
        size = (out / "report" / "index.html").stat().st_size
        print(json.dumps({"step": "page", "MB": round(size / 1e6, 1)}))


def write(folder: Path, questions: int, seed: int) -> None:
    """Recorded answers with texts, of questions that differ in difficulty."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    with (folder / "answers.jsonl").open("w", encoding="utf-8") as lines:
        for n in range(questions):
            gold, hard = rng.randrange(10, 1000), rng.betavariate(2, 1.5)
            answers = [gold if rng.random() < hard else gold + rng.choice(SLIPS) for _ in range(PER_QUESTION)]
            row = {
                "id": f"q{n:05d}",
                "model": "made",
                "question": f"{' '.join(rng.choices(WORDS, k=40))}. How many are there in the end?",
                "gold": str(gold),
                "cluster": f"family {n % FAMILIES:02d}",
                "answers": [str(answer) for answer in answers],
                "tokens": [rng.randrange(90, 160) for _ in answers],
                "samples": [f"{' '.join(rng.choices(WORDS, k=110))}. The answer is {answer}." for answer in answers],
            }
            lines.write(json.dumps(row) + "\n")


def measured(command: list[str]) -> dict[str, float]:
    """Runs one `quorate eval` command in a process of its own."""
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", MAIN, "eval", *command], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"quorate eval {' '.join(command)} failed")
    return {
        "seconds": round(time.monotonic() - start, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_MB": round(used.ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
