"""Writes transcripts; see the package."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from . import FOLDER, SCENARIOS, can_run, transcript, written


async def _write(names: Sequence[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in names or SCENARIOS:
        chosen = SCENARIOS[name]
        if await can_run(chosen.needs):
            chosen.path.write_text(written(await transcript(chosen)), encoding="utf-8")
        else:
            print(f"{name} needs {chosen.needs}, which is not here; its file stays as it is")
    if not names:
        for path in FOLDER.glob("*.json"):
            if path.stem not in SCENARIOS:
                path.unlink()
    print(f"{len(names or SCENARIOS)} transcripts in {FOLDER}")


if __name__ == "__main__":
    flag, *chosen_names = sys.argv[1:] or [""]
    if flag != "--write" or not set(chosen_names) <= set(SCENARIOS):
        sys.exit(f"usage: python -m tests.golden.scenarios --write [NAME ...]; names: {', '.join(SCENARIOS)}")
    asyncio.run(_write(chosen_names))
