"""Ship a trained aggregator: `python -m scripts.embedded.aggregator READER ... RUN ... --figures NAME=FILE.json ...`.

READER is a folder of `scripts.embedded.reader`, each RUN one of `quorate train aggregator`, each set out from the
folder before it, and each FILE is what `benchmarks/learned.py` printed of the last. Writes the weights with
`training.json`, `figures.json` and a card.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from .figures import WEIGHTS

NAME = "quorate-tiny-agg"
FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "aggregator.json",
)

_CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# {name}

A learned aggregator: it reads {m} candidate solutions of a `stories` problem, merged line by line, and writes the final
one (AggLM, arXiv 2509.06870). {parameters:,} parameters, trained on two CPU cores; `agglm@{m}/quorate-tiny-base` uses
it. It knows nothing but `stories` problems, and expects its prompt in the form of `agglm-steps`.

## Training
{readers}
{runs}

`training.json` has all settings.

## Figures
Test split, hard tier, unless said otherwise; 95 % intervals and p from template families; greedy. `alone` is a model
that answers the bare question greedily.

{tables}

Each row by `python benchmarks/learned.py --bank BANK`, on a bank of
`quorate eval run -p majority@16/PROPOSER --task stories --tier hard --limit N --seed SEED --out BANK`:

{commands}
"""


def ship(folders: list[Path], figures: dict[str, Path], commands: list[str], weights: Path) -> Path:
    """The folder of the shipped model; `folders` are those of readers, then those of runs."""
    runs = [folder for folder in folders if (folder / "model").is_dir()]
    out = weights / NAME
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (runs[-1] / "model" / name).exists():
            shutil.copyfile(runs[-1] / "model" / name, out / name)
    readers = [json.loads((folder / "training.json").read_text()) for folder in folders if folder not in runs]
    trained = [json.loads((run / "model" / "training.json").read_text()) for run in runs]
    for run in trained:
        run.pop("name")  # of a folder on the machine that trained
    for reader in readers[1:]:
        reader["start"] = "READER"
    (out / "training.json").write_text(json.dumps({"name": NAME, "readers": readers, "runs": trained}, indent=2) + "\n")
    found = {name: _named(json.loads(path.read_text())) for name, path in figures.items()}
    (out / "figures.json").write_text(json.dumps({"commands": commands, "figures": found}, indent=1) + "\n")
    (out / "README.md").write_text(_card(readers, trained, found, commands))
    return out


def _named(figures: dict[str, Any]) -> dict[str, Any]:
    """With the model called as it ships, not as its folder was."""
    alone = {NAME if name == Path(figures["model"]).name else name: row for name, row in figures["alone"].items()}
    return figures | {"model": NAME, "alone": alone}


def _card(
    readers: list[dict[str, Any]], trained: list[dict[str, Any]], figures: dict[str, Any], commands: list[str]
) -> str:
    return _CARD.format(
        name=NAME,
        m=trained[-1]["settings"]["cut"]["m"],
        parameters=readers[0]["parameters"],
        readers="\n".join(_reader(number, reader) for number, reader in enumerate(readers, start=1)),
        runs="\n".join(_run(number, run) for number, run in enumerate(trained, start=1 + len(readers))),
        tables="\n".join(_table(name, found) for name, found in figures.items()),
        commands="\n".join(f"    {command}" for command in commands),
    )


def _reader(number: int, reader: dict[str, Any]) -> str:
    settings, shares = reader["settings"], reader["shares"]
    command = f"--start {reader['start']} --steps {reader['steps']} --seed {settings['seed']}"
    if number > 1:
        mix = ",".join(f"{way}={share}" for way, share in shares.items())
        command += f" --rate {settings['rate']} --decay {settings['decay']} --shares {mix}"
        command += f" --attempts {reader['manner']}" if "manner" in reader else ""
    return (
        f"{number}. `python -m scripts.embedded.reader {command} --out READER`:\n"
        f"   {reader['steps']:,} steps of {settings['problems']} fresh problems of the training split with made-up "
        f"attempts,\n   {reader['minutes']} minutes."
    )


def _run(number: int, run: dict[str, Any]) -> str:
    sets, share = run["data"]["train"], run["data"]["settings"]["cut"]["easy_share"]
    kept = "all easy ones" if share is None else f"easy ones as {share:.0%} of the hard ones"
    stages = "; ".join(
        f"{stage['stage']} ({run['settings'][stage['stage'].replace('-', '_')]['max_steps']} steps, "
        f"{stage['minutes']} minutes)"
        for stage in run["stages"]
    )
    return (
        f"{number}. `quorate train aggregator`: {stages}, on {sets['sets']:,} sets\n   of real candidates "
        f"({sets['hard']:,} hard, {kept}) of {sets['questions']:,} questions of the\n   training split."
    )


def _table(name: str, found: dict[str, Any]) -> str:
    """One bank: systems, differences and plurality sizes."""
    m = found["m"]
    systems = {
        "one sample": found["pass@1"],
        f"majority@{m}": found["majority@m"],
        **({f"majority@{2 * m}": found["majority@2m"]} if "majority@2m" in found else {}),
        f"{NAME} over {m}": found["aggregator"],
        f"any of {m} right": found["pass@m"],
        **{f"{model} alone": row["accuracy"] for model, row in found["alone"].items()},
    }
    gaps = {
        f"majority@{m}": found["aggregator - majority@m"],
        **({f"majority@{2 * m}": found["aggregator - majority@2m"]} if "majority@2m" in found else {}),
        **{f"{model} alone": row["aggregator - this"] for model, row in found["alone"].items()},
    }
    lines = [
        f"**{name}**, {found['questions']} questions",
        "",
        "| | accuracy | aggregator less this |",
        "|---|---|---|",
    ]
    for label, value in systems.items():
        gap = gaps.get(label)
        shown = f"{gap['difference']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f}), p {gap['p']:.2g}" if gap else ""
        lines.append(f"| {label} | {_shown(value)} | {shown} |")
    lines += ["", "| votes of the leader | questions | vote | aggregator |", "|---|---|---|---|"]
    for size, part in found["by plurality"].items():
        lines.append(f"| {size} | {part['questions']} | {part['vote']:.3f} | {part['aggregator']:.3f} |")
    tokens = ", ".join(f"{what} {count:.0f}" for what, count in found["tokens"].items())
    flips = f" Shuffling changed the answer in {found['flips']['answer']:.1%} of the cases." if found["flips"] else ""
    return "\n".join([*lines, "", f"Generated tokens: {tokens}.{flips}", ""])


def _shown(value: dict[str, float]) -> str:
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def main() -> None:
    """Read the command line and ship."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--figures", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--command", action="append", default=[], help="that made a bank, for the card")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    figures = {name: Path(path) for name, path in (pair.split("=", 1) for pair in given.figures)}
    print(ship(given.folders, figures, given.command, given.weights))


if __name__ == "__main__":
    main()
