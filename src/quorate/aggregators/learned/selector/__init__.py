"""A selector: learns from labelled candidate sets which answer to trust, with no GPU and no model called.

    selector = fit([await build_example(labelled) for labelled in sets])     # needs scikit-learn
    selector.save("selector.json")
    pipeline = sample(models, n=8) | SelectorVote("selector.json")        # needs nothing

| module | holds |
|---|---|
| `view` | one question's candidates, their classes, and how each compares with the others |
| `features` | what is known of a class, a function each, in one table |
| `examples` | labelled sets as views, and cutting them |
| `fitting` | training, cross-validated by question, and picks out of fold |
| `model` | the trained selector and its file, and when it abstains |
| `vote` | the aggregator |
"""

from __future__ import annotations

from .examples import Example, Spelled, build_example, cut_sets
from .features import FAMILIES, Family
from .fitting import DEFAULT_FAMILIES, Pick, SelectorSettings, fit, predict_out_of_fold
from .model import ConformalThreshold, TrainedSelector
from .vote import SelectorVote

__all__ = [
    "DEFAULT_FAMILIES",
    "FAMILIES",
    "ConformalThreshold",
    "Example",
    "Family",
    "Pick",
    "SelectorSettings",
    "SelectorVote",
    "Spelled",
    "TrainedSelector",
    "build_example",
    "cut_sets",
    "fit",
    "predict_out_of_fold",
]
