"""Two settings on the same faces: how far apart, over faces drawn again and over training again; and tests of it."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from ageclf.measures import interval


def spread(values: list[float | None]) -> dict[str, float | None]:
    """Return `mean` and `sd` of values, the deviation with n - 1; None where there are too few."""
    series = pd.Series(values, dtype=float).dropna()
    return {
        "mean": float(series.mean()) if len(series) else None,
        "sd": float(series.std(ddof=1)) if len(series) > 1 else None,
    }


def difference(runs: dict, baseline: dict) -> dict:
    """Compare a setting with another on the same faces, over the seeds that both have.

    Both hold, by seed, whether each face is right, bool (n,), and the measure of each draw, float (1 + resamples,).
    Returns the mean difference `value` with its interval `low`, `high` (faces drawn again, both settings on the same
    draws), `by_seed` and `sd` (training again), and McNemar's test of each seed: faces that only the setting
    (`gained`) or only the other has right (`lost`), and `p_by_seed`. Seeds share their faces, so that counts are not
    added up: `p` is the largest of the seeds where all point the same way, else 1, the test of "better with every
    seed" or "worse with every seed" (Berger, "Multiparameter hypothesis testing and acceptance sampling", 1982).
    """
    seeds = [seed for seed in runs if seed in baseline]
    apart = [runs[seed][1] - baseline[seed][1] for seed in seeds]
    tests = [mcnemar(runs[seed][0], baseline[seed][0]) for seed in seeds]
    one_way = len({np.sign(gained - lost) for gained, lost, _ in tests}) == 1
    by_seed = [interval(draws)["value"] for draws in apart]
    return {
        "seeds": seeds,
        **interval(np.mean(apart, axis=0) if seeds else np.array([np.nan])),
        "by_seed": by_seed,
        "sd": spread(by_seed)["sd"],
        **{key: [test[i] for test in tests] for i, key in enumerate(("gained", "lost", "p_by_seed"))},
        "p": (max(p for *_, p in tests) if one_way else 1.0) if seeds else None,
    }


def mcnemar(right: np.ndarray, other: np.ndarray) -> tuple[int, int, float]:
    """Count the faces that only the first, and only the other has right, bool (n,); and the exact two-sided p.

    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947, as
    a binomial test: without a difference, each face that only one has right is a toss of a coin.
    """
    gained, lost = int((right & ~other).sum()), int((other & ~right).sum())
    return gained, lost, float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def holm(p: list[float | None]) -> list[float | None]:
    """Adjust p-values so that the chance of any false find among them stays below the level; None is no test.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    tests = sorted((value, i) for i, value in enumerate(p) if value is not None)
    adjusted, highest = [None] * len(p), 0.0
    for done, (value, i) in enumerate(tests):
        adjusted[i] = highest = max(highest, min(1.0, value * (len(tests) - done)))
    return adjusted
