"""What picks one of several models' answers to open questions better than chance, by stored preferences of a judge.

    python benchmarks/open_questions.py DIR [--limit N] [--resamples 2000]

DIR holds `preferences.jsonl.gz` and `outputs_top.jsonl.gz` of the AlpacaEval 2 matrix. Prints a JSON line a way of
picking: mean preference of what was picked, its difference to a random pick, and the 95 % bootstrap interval over
questions of that difference. Ways that use labels are fitted on the other nine of ten folds.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import log
from pathlib import Path

import numpy as np

from quorate.aggregators.meaning.lexical import Profile, lexical_classes, similarities
from quorate.aggregators.meaning.texts import FUNCTION_WORDS, Statement, words_of

Texts = Mapping[str, str]
Pick = Callable[[Texts], "str | Sequence[str]"]
"""From the texts by model to the model picked, or to several among which a coin decides."""


def read(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def tfidf_medoid(texts: Texts) -> str:
    return _tfidf_medoid({model: words_of(text[:8000]) for model, text in texts.items()})


def tfidf_medoid_of_content(texts: Texts) -> str:
    """Without function words, each word once."""
    return _tfidf_medoid({model: sorted(set(words_of(text[:8000])) - FUNCTION_WORDS) for model, text in texts.items()})


def _tfidf_medoid(texts: Mapping[str, Sequence[str]]) -> str:
    counts = {model: Counter(words) for model, words in texts.items()}
    seen = Counter(word for words in counts.values() for word in words)
    weight = {word: log((1 + len(texts)) / (1 + n)) + 1 for word, n in seen.items()}
    vectors = {m: {w: n * weight[w] for w, n in words.items()} for m, words in counts.items()}
    size = {m: sum(x * x for x in v.values()) ** 0.5 or 1.0 for m, v in vectors.items()}

    def cosine(a: str, b: str) -> float:
        return sum(x * vectors[b].get(w, 0.0) for w, x in vectors[a].items()) / size[a] / size[b]

    return max(texts, key=lambda m: (sum(cosine(m, other) for other in texts if other != m), m))


def lexical_medoid(texts: Texts) -> str:
    models = sorted(texts)
    matrix = similarities([Profile(Statement.of(texts[m])) for m in models])
    return models[max(range(len(models)), key=lambda i: (sum(max(0.0, x) for x in matrix[i]), -i))]


def largest_class(texts: Texts) -> list[str]:
    """All members of the largest class by shared words, among which a coin decides."""
    models = sorted(texts)
    classes = lexical_classes("", [texts[m] for m in models])
    sizes = Counter(classes)
    return [m for m, c in zip(models, classes, strict=True) if sizes[c] == max(sizes.values())]


def longest(texts: Texts) -> str:
    return max(texts, key=lambda m: (len(texts[m]), m))


def median_length(texts: Texts) -> str:
    return sorted(texts, key=lambda m: (len(texts[m]), m))[len(texts) // 2]


def most_lines(texts: Texts) -> str:
    """Lists, headings and emphasis."""
    return max(texts, key=lambda m: (texts[m].count("\n") + texts[m].count("**"), m))


WAYS: dict[str, Pick] = {
    "TF-IDF medoid": tfidf_medoid,
    "TF-IDF medoid of content words": tfidf_medoid_of_content,
    "medoid by shared words": lexical_medoid,
    "largest class by shared words": largest_class,
    "longest": longest,
    "median length": median_length,
    "most lines and emphasis": most_lines,
}


def best_model_out_of_fold(rows: Sequence[tuple[str, Texts, Mapping[str, float]]], folds: int = 10) -> list[str]:
    """The model that was preferred most on the other folds."""
    picked = []
    for i, (_, texts, _) in enumerate(rows):
        total: dict[str, float] = defaultdict(float)
        for j, (_, _, preference) in enumerate(rows):
            if j % folds != i % folds:
                for m in texts:
                    total[m] += preference[m]
        picked.append(max(sorted(texts), key=lambda m: total[m]))
    return picked


def agreement_ability(
    rows: Sequence[tuple[str, Texts, Mapping[str, float]]], matrices: Sequence[np.ndarray], sign: int
) -> list[str]:
    """Without labels: the model that agrees most (or least) with all others over all questions."""
    models = sorted(rows[0][1])
    mean = np.mean([m.sum(1) for m in matrices], axis=0)
    return [models[int(np.argmax(sign * mean))]] * len(rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--limit", type=int, default=None)
    args = parser.parse_args()
    outputs = {row["id"]: row["outputs"] for row in read(args.folder / "outputs_top.jsonl.gz")}
    rows = [
        (row["instruction"], {m: t for m, t in outputs[row["id"]].items() if m in row["preference"]}, row["preference"])
        for row in read(args.folder / "preferences.jsonl.gz")
        if row["id"] in outputs
    ][: args.limit]
    random_pick = np.array([np.mean([p[m] for m in t]) for _, t, p in rows])
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(rows), (args.resamples, len(rows)))

    def report(name: str, values: np.ndarray, labels: str) -> None:
        difference = values - random_pick
        low, high = np.quantile(difference[draws].mean(1), (0.025, 0.975))
        figures = {"mean": values.mean(), "difference": difference.mean(), "low": low, "high": high}
        rounded = {key: round(float(value), 4) for key, value in figures.items()}
        print(json.dumps({"way": name, "labels": labels, "n": len(rows)} | rounded), flush=True)

    report("random pick", random_pick, "none")
    report("oracle", np.array([max(p[m] for m in t) for _, t, p in rows]), "all")
    for name, pick in WAYS.items():
        values = []
        for _, texts, preference in rows:
            chosen = pick(texts)
            chosen = [chosen] if isinstance(chosen, str) else chosen
            values.append(np.mean([preference[m] for m in chosen]))
        report(name, np.array(values), "none")
    matrices = [_matrix(texts) for _, texts, _ in rows]
    for name, sign in (
        ("model that agrees most over all questions", 1),
        ("model that agrees least over all questions", -1),
    ):
        picked = agreement_ability(rows, matrices, sign)
        report(name, np.array([p[m] for (_, _, p), m in zip(rows, picked, strict=True)]), "none")
    picked = best_model_out_of_fold(rows)
    report(
        "best model of the other folds",
        np.array([p[m] for (_, _, p), m in zip(rows, picked, strict=True)]),
        "out of fold",
    )


def _matrix(texts: Texts) -> np.ndarray:
    matrix = np.array(similarities([Profile(Statement.of(texts[m])) for m in sorted(texts)]))
    np.fill_diagonal(matrix, 0.0)
    return np.maximum(matrix, 0.0)


if __name__ == "__main__":
    main()
