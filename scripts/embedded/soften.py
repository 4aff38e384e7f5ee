"""Divide a model's logits by a number: its temperature 1.0 becomes what that temperature was before.

`python -m scripts.embedded.soften DIR --by 1.35`. A model trained on exact working grows surer than it is right,
and repeats its slips; softened, it slips at random, so that a vote over its samples has something to do. The
final norm carries the factor, so that nothing that loads the weights has to know.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

_NORM = "model.norm.weight"


def soften(folder: Path, by: float) -> None:
    """Rewrite the weights in place and note it in `training.json`."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors[_NORM] = (tensors[_NORM].to(torch.float32) / by).to(tensors[_NORM].dtype)
    save_file(tensors, path, metadata={"format": "pt"})
    record = json.loads((folder / "training.json").read_text())
    record["softened"] = by * record.get("softened", 1.0)
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    """Read the command line and soften."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--by", type=float, required=True)
    given = parser.parse_args()
    soften(given.folder, given.by)


if __name__ == "__main__":
    main()
