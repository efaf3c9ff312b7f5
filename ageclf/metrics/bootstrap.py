"""Measures with intervals, as functions of sums over faces.

Whatever is measured here follows from sums: counts of a confusion matrix, errors, counts in bins. So a bootstrap
over clusters is one matrix product, how often each cluster was drawn times the sums of each cluster, and its first
row, in which every cluster counts once, is the measurement itself.
"""

import numpy as np


def draw_clusters(clusters: np.ndarray, n_resamples: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw clusters with replacement: the cluster of each face, int (n,), and weights, int (1 + resamples, clusters).

    The first row of weights is all ones. Near-duplicates are not independent: drawn as single faces they would
    make intervals too narrow (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).
    """
    labels, index = np.unique(clusters, return_inverse=True)
    even = np.full(len(labels), 1 / len(labels))
    drawn = np.random.default_rng(seed).multinomial(len(labels), even, n_resamples)
    return index, np.vstack([np.ones(len(labels), dtype=int), drawn])


def totals(values: np.ndarray, draws: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Sum values of faces, (n, …), over the faces of each draw: float (1 + resamples, …)."""
    index, weights = draws
    sums = np.zeros((weights.shape[1], *np.shape(values)[1:]))
    np.add.at(sums, index, values)
    return np.tensordot(weights, sums, axes=1)


def confusion_matrices(
    true: np.ndarray, predicted: np.ndarray, n_groups: int, draws: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Count true group (rows) against predicted group (columns), int (1 + resamples, n_groups, n_groups)."""
    one_hot = np.eye(n_groups**2)[true * n_groups + predicted]
    return totals(one_hot, draws).round().astype(int).reshape(-1, n_groups, n_groups)


def from_confusion(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Compute measures from confusion matrices (…, k, k): single numbers (…), and per group (…, k).

    All but `groups_off`, the mean absolute error in groups, lie in 0–1, quadratic-weighted kappa (Cohen, "Weighted
    kappa", 1968) in -1–1. Balanced accuracy is the mean recall, macro F1 the mean F1, each over the groups where it
    is defined; off-by-one accuracy counts a neighbouring group as right. A recall without faces, a precision
    without predictions, an F1 without either, a kappa of a single group is NaN.
    """
    confusion = np.asarray(confusion, dtype=float)
    total = confusion.sum(axis=(-2, -1))
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    distance = np.abs(np.subtract.outer(*[np.arange(confusion.shape[-1])] * 2))
    by_chance = true[..., :, np.newaxis] * predicted[..., np.newaxis, :] / total[..., np.newaxis, np.newaxis]
    with np.errstate(invalid="ignore"):
        recall, precision, f1 = hits / true, hits / predicted, 2 * hits / (true + predicted)
        kappa = 1 - (confusion * distance**2).sum(axis=(-2, -1)) / (by_chance * distance**2).sum(axis=(-2, -1))
    return {
        "accuracy": hits.sum(axis=-1) / total,
        "balanced_accuracy": np.nanmean(recall, axis=-1),
        "macro_f1": np.nanmean(f1, axis=-1),
        "off_by_one": (confusion * (distance <= 1)).sum(axis=(-2, -1)) / total,
        "quadratic_kappa": kappa,
        "groups_off": (confusion * distance).sum(axis=(-2, -1)) / total,
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def interval(draws: np.ndarray) -> dict | list:
    """Turn a measure of each draw, (1 + resamples[, k]), into its value and 95 % percentile interval; a list for k.

    A measure that is undefined is None; resamples in which it is are left out.
    """
    if np.ndim(draws) > 1:
        return [interval(column) for column in draws.T]
    if np.isnan(draws[0]):
        return {"value": None, "low": None, "high": None}
    low, high = np.nanpercentile(draws[1:], [2.5, 97.5])
    return {"value": float(draws[0]), "low": float(low), "high": float(high)}
