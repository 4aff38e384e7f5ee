"""Logistic regressions of a model's chance to be right, on words and task features or on embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean
from typing import Any

from quorate.orchestrator.errors import MissingExtra

from .router import TaskFeature
from .words import weigh_words

FEATURE_SCALE = 0.3
"""Of a standardized feature beside the words, whose vector has length 1: the regularization is common to both."""
REGULARIZATION = 0.3
"""scikit-learn's C; from .1 to 1 the accuracies were the same (docs/routing.md)."""
VECTOR_SCALE = 2.0
"""Of an embedding of length 1, whose many numbers are small."""


def scale_feature(values: Sequence[float]) -> TaskFeature:
    mean = fmean(values)
    spread = sqrt(fmean((value - mean) ** 2 for value in values))
    return TaskFeature(mean=mean, scale=spread if spread > 1e-9 else 1.0)


def table_words(
    texts: Sequence[str], told: Sequence[Mapping[str, float]], words: Sequence[str], features: Mapping[str, TaskFeature]
) -> Any:
    """Words and features of every question, a row each, sparse."""
    _, sparse = import_sklearn()
    places = {word: place for place, word in enumerate(words)}
    rows, columns, values = [], [], []
    for row, (text, own) in enumerate(zip(texts, told, strict=True)):
        found = weigh_words(text, places)
        found |= {
            len(words) + i: FEATURE_SCALE * min(max((own[name] - f.mean) / f.scale, -4.0), 4.0)
            for i, (name, f) in enumerate(features.items())
        }
        rows += [row] * len(found)
        columns += list(found)
        values += list(found.values())
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(texts), len(words) + len(features)))


def regress(x: Any, right: Sequence[float], strength: float) -> tuple[list[float], float]:
    """Weights and intercept of the odds of being right; marks between 0 and 1 count as parts of both."""
    (linear, sparse), np = import_sklearn(), import_numpy()
    marks = np.asarray(right, dtype=float)
    mean = float(min(max(marks.mean(), 0.5 / len(marks)), 1 - 0.5 / len(marks)))
    if marks.max() - marks.min() < 1e-9:
        return [0.0] * x.shape[1], float(np.log(mean / (1 - mean)))
    weights = np.concatenate([marks, 1 - marks])
    kept = np.flatnonzero(weights > 0)
    labels = np.concatenate([np.ones(len(marks)), np.zeros(len(marks))])[kept]
    model = linear.LogisticRegression(C=strength, max_iter=500)
    model.fit(sparse.vstack([x, x]).tocsr()[kept], labels, sample_weight=weights[kept])
    return model.coef_[0].tolist(), float(model.intercept_[0])


def table_vectors(vectors: Sequence[Sequence[float]]) -> Any:
    """Embeddings of every question, a row each, brought to one length."""
    np = import_numpy()
    _, sparse = import_sklearn()
    rows = np.asarray(vectors, dtype=float)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return sparse.csr_matrix(VECTOR_SCALE * rows / np.where(lengths > 0, lengths, 1.0))


def import_numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise MissingExtra("train", "training a router") from error
    return numpy


def import_sklearn() -> tuple[Any, Any]:
    try:
        from scipy import sparse
        from sklearn import linear_model
    except ImportError as error:
        raise MissingExtra("train", "training a router") from error
    return linear_model, sparse
