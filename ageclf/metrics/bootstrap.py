"""Measures with intervals, as functions of sums over faces.

Whatever is measured here follows from sums: counts of a confusion matrix, errors, counts in bins. So a bootstrap
over clusters is one matrix product, how often each cluster was sampled times the sums of each cluster, and its first
row, in which every cluster counts once, is the measurement itself. SciPy's bootstrap draws single observations, not
clusters of uneven size, and draws anew for every measure.
"""

import numpy as np

Resamples = tuple[np.ndarray, np.ndarray]  # what `resample_clusters` returns


def resample_clusters(clusters: np.ndarray, n_resamples: int = 1000, seed: int = 0) -> Resamples:
    """Draw clusters with replacement: the cluster of each face, int (n,), and weights, int (1 + resamples, clusters).

    The first row of weights is all ones. Near-duplicates are not independent: sampled as single faces they would
    make intervals too narrow (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).
    """
    labels, index = np.unique(clusters, return_inverse=True)
    even = np.full(len(labels), 1 / len(labels))
    weights = np.random.default_rng(seed).multinomial(len(labels), even, n_resamples)
    return index, np.vstack([np.ones(len(labels), dtype=int), weights])


def totals(values: np.ndarray, resamples: Resamples) -> np.ndarray:
    """Sum values of faces, (n, …), over the faces of each resample: float (1 + resamples, …)."""
    index, weights = resamples
    sums = np.zeros((weights.shape[1], *np.shape(values)[1:]))
    np.add.at(sums, index, values)
    return np.tensordot(weights, sums, axes=1)


def means(values: np.ndarray, resamples: Resamples, where: np.ndarray | bool = True) -> np.ndarray:
    """Average values of faces, (n, …), over the faces of each resample: float (1 + resamples, …).

    Only faces `where`, bool (n, …), count; a mean without a face is NaN. The two are broadcast against each other.
    """
    values, where = np.broadcast_arrays(values, where)
    with np.errstate(invalid="ignore"):
        return totals(values * where, resamples) / totals(where, resamples)


def confusion_matrices(true: np.ndarray, predicted: np.ndarray, n_groups: int, resamples: Resamples) -> np.ndarray:
    """Count true group (rows) against predicted group (columns), int (1 + resamples, n_groups, n_groups)."""
    one_hot = np.eye(n_groups**2)[true * n_groups + predicted]
    return totals(one_hot, resamples).round().astype(int).reshape(-1, n_groups, n_groups)


def from_confusion(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Compute measures from confusion matrices (…, k, k): single numbers (…), and per group (…, k).

    All but `ordinal_mae`, the mean absolute error in groups, lie in 0–1, quadratic-weighted kappa (Cohen, "Weighted
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
        "ordinal_mae": (confusion * distance).sum(axis=(-2, -1)) / total,
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def interval(resampled: np.ndarray) -> dict | list:
    """Turn a measure of each resample, (1 + resamples[, k]), into its value and 95 % percentile interval; a list for k.

    The keys are `value`, `low` and `high`. A measure that is undefined is None; resamples in which it is are left out.
    """
    if np.ndim(resampled) > 1:
        return [interval(column) for column in resampled.T]
    numbers = [None] * 3
    if not np.isnan(resampled[0]):
        numbers = [float(x) for x in (resampled[0], *np.nanpercentile(resampled[1:], [2.5, 97.5]))]
    return dict(zip(("value", "low", "high"), numbers, strict=True))
