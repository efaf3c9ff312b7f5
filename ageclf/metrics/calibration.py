"""Whether probabilities are calibrated, and what confidence is worth: temperature, threshold, risk–coverage."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import precision_recall_curve

from ageclf.metrics.bootstrap import Resamples, interval, means, totals

BINS = 15  # of confidence, as in the paper of temperature scaling
TARGET_ACCURACY = 0.8  # of the predictions above the threshold
TINY = 1e-12  # probabilities are clipped to this before a logarithm


def fit_temperature(probabilities: np.ndarray, true: np.ndarray) -> float:
    """Find the temperature, > 0, that minimises the log loss of probabilities (n, groups) for true groups, int (n,).

    Above 1 the network is overconfident. Guo et al., "On calibration of modern neural networks", 2017.
    """

    def loss(log_temperature: float) -> float:
        return log_loss(scale(probabilities, np.exp(log_temperature)), true).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def scale(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits of probabilities (n, groups) by a temperature: probabilities, float64, of the same shape."""
    # Logarithms of probabilities are logits but for a constant, which the softmax takes away.
    return softmax(np.log(np.clip(probabilities.astype(np.float64), TINY, 1)) / temperature, axis=1)


def fit_threshold(probabilities: np.ndarray, true: np.ndarray) -> float:
    """Find the lowest confidence from which on `TARGET_ACCURACY` of the predictions are right: 1.0 if there is none.

    `probabilities` (n, groups) are scaled, `true` are groups, int (n,). Selective prediction, from this confidence on
    only, trades coverage for accuracy: Chow, "On optimum recognition error and reject tradeoff", 1970.
    """
    right = probabilities.argmax(axis=1) == true
    # Precision, with right predictions as the positive ones, is the accuracy from each confidence on.
    accuracy, _, confidence = precision_recall_curve(right, probabilities.max(axis=1))
    return float(confidence[accuracy[:-1] >= TARGET_ACCURACY].min(initial=1.0))


def log_loss(probabilities: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Negative logarithm of the true group's probability, float (n,), ≥ 0."""
    return -np.log(np.clip(probabilities[np.arange(len(true)), true].astype(np.float64), TINY, 1))


def brier_score(probabilities: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Squared distance of the probabilities from the truth, float (n,) in 0–2 (Brier, 1950)."""
    return ((probabilities - np.eye(probabilities.shape[1])[true]) ** 2).sum(axis=1)


def bin_sums(probabilities: np.ndarray, true: np.ndarray, resamples: Resamples) -> np.ndarray:
    """Faces, sum of confidences, and right ones in each bin of confidence, float (1 + resamples, BINS, 3).

    The confidence is the highest probability; bin i holds confidences above i / BINS, up to (i + 1) / BINS.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    bins = np.eye(BINS)[np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)]
    columns = np.stack([np.ones(len(true)), confidence, right], axis=1)
    return totals(bins[:, :, np.newaxis] * columns[:, np.newaxis], resamples)


def calibration_error(sums: np.ndarray) -> np.ndarray:
    """Expected calibration error, (…) in 0–1, from `bin_sums` (…, BINS, 3): mean gap of confidence and accuracy."""
    return np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1) / sums[..., 0].sum(axis=-1)


def calibration(probabilities: np.ndarray, true: np.ndarray, resamples: Resamples) -> dict:
    """Measure probabilities (n, groups) for true groups, int (n,): calibration error, log loss and Brier score."""
    return {
        "calibration_error": interval(calibration_error(bin_sums(probabilities, true, resamples))),
        "log_loss": interval(means(log_loss(probabilities, true), resamples)),
        "brier_score": interval(means(brier_score(probabilities, true), resamples)),
    }


def coverage_frame(probabilities: np.ndarray, true: np.ndarray, resamples: Resamples) -> pd.DataFrame:
    """Accuracy, with its interval, of the most confident faces (one minus the risk): a row for each tenth covered.

    Columns: coverage (share of the faces), threshold (lowest confidence among them), value, low, high.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    coverage = np.arange(1.0, 0.05, -0.1).round(1)
    threshold = np.quantile(confidence, 1 - coverage)
    accuracy = means(right[:, np.newaxis], resamples, where=confidence[:, np.newaxis] >= threshold)
    return pd.DataFrame({"coverage": coverage, "threshold": threshold}).join(pd.DataFrame(interval(accuracy)))


def predictions_of_photos(table: pd.DataFrame, probabilities: np.ndarray, metadata: dict) -> pd.DataFrame:
    """Add to the table of `photos.read_faces` the predictions for its faces, from probabilities (n, groups).

    `metadata` is that of the checkpoint, whose temperature scales the probabilities. Adds `group` (its name), `second`
    (that of the second highest probability), `confidence`, `above_threshold` (whether the confidence reaches the
    checkpoint's threshold; None where it has none), and p_0, p_1… of all groups.
    """
    scaled, threshold = scale(probabilities, metadata.get("temperature") or 1.0), metadata.get("threshold")
    confidence, names = scaled.max(axis=1), np.asarray(metadata["groups"])[np.argsort(-scaled, kind="stable")]
    above = None if threshold is None else confidence >= threshold
    table = table.assign(group=names[:, 0], second=names[:, 1], confidence=confidence, above_threshold=above)
    return table.join(pd.DataFrame(scaled, index=table.index).add_prefix("p_"))
