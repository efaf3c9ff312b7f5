"""Whether probabilities mean what they say: calibration error, log loss, Brier score, temperature, coverage."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from ageclf.metrics.bootstrap import interval, totals

BINS = 15  # of confidence, as in the paper of temperature scaling


SURE = 0.8  # accuracy that answers must have to be called sure


TINY = 1e-12  # probabilities are clipped to this before a logarithm


def fit_temperature(probabilities: np.ndarray, true: np.ndarray) -> float:
    """Find the temperature, > 0, that minimises the log loss of probabilities (n, groups) for true groups, int (n,).

    Above 1 the network is too sure of itself. Guo et al., "On calibration of modern neural networks", 2017.
    """

    def loss(log_temperature: float) -> float:
        return log_loss(scale(probabilities, np.exp(log_temperature)), true).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def scale(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits of probabilities (n, groups) by a temperature: probabilities of the same shape."""
    # Logarithms of probabilities are logits but for a constant, which the division by the sum takes away.
    logits = np.log(np.clip(probabilities.astype(np.float64), TINY, 1)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_threshold(probabilities: np.ndarray, true: np.ndarray) -> float:
    """Find the lowest confidence from which on answers are right for `SURE` of the faces: 1.0 where there is none.

    `probabilities` (n, groups) are scaled, `true` are groups, int (n,). Who answers only from there on trades coverage
    for accuracy: Chow, "On optimum recognition error and reject tradeoff", 1970.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (probabilities.argmax(axis=1) == true)[order]
    accuracy = right.cumsum() / np.arange(1, len(right) + 1)
    last = np.append(np.diff(confidence[order]) != 0, True)  # of faces with the same confidence, all are answered
    enough = confidence[order][last & (accuracy >= SURE)]
    return float(enough.min(initial=1.0))


def log_loss(probabilities: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Negative logarithm of the true group's probability, float (n,), ≥ 0."""
    return -np.log(np.clip(probabilities[np.arange(len(true)), true].astype(np.float64), TINY, 1))


def brier_score(probabilities: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Squared distance of the probabilities from the truth, float (n,) in 0–2 (Brier, 1950)."""
    return ((probabilities - np.eye(probabilities.shape[1])[true]) ** 2).sum(axis=1)


def bin_sums(probabilities: np.ndarray, true: np.ndarray, draws: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Faces, sum of confidences, and right ones in each bin of confidence, float (1 + resamples, BINS, 3).

    The confidence is the highest probability; bin i holds confidences above i / BINS, up to (i + 1) / BINS.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == true
    bins = np.eye(BINS)[np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)]
    columns = bins[:, :, np.newaxis] * np.stack([np.ones(len(true)), confidence, right], axis=1)[:, np.newaxis]
    return totals(columns, draws)


def calibration_error(sums: np.ndarray) -> np.ndarray:
    """Expected calibration error, (…) in 0–1, from `bin_sums` (…, BINS, 3): mean gap of confidence and accuracy."""
    return np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1) / sums[..., 0].sum(axis=-1)


def calibration(probabilities: np.ndarray, true: np.ndarray, draws: tuple[np.ndarray, np.ndarray]) -> dict:
    """Measure probabilities (n, groups) for true groups, int (n,): calibration error, log loss and Brier score."""
    n = totals(np.ones(len(true)), draws)
    return {
        "calibration_error": interval(calibration_error(bin_sums(probabilities, true, draws))),
        "log_loss": interval(totals(log_loss(probabilities, true), draws) / n),
        "brier_score": interval(totals(brier_score(probabilities, true), draws) / n),
    }


def coverage_frame(probabilities: np.ndarray, true: np.ndarray, draws: tuple[np.ndarray, np.ndarray]) -> pd.DataFrame:
    """Accuracy, with its interval, when only the surest share of faces is answered: a row for each tenth answered."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == true
    rows = []
    for coverage in np.arange(1.0, 0.05, -0.1).round(1):
        threshold = np.quantile(confidence, 1 - coverage)
        answered = confidence >= threshold
        accuracy = totals(np.stack([right & answered, answered], axis=1), draws)
        with np.errstate(invalid="ignore"):
            rows.append({"coverage": coverage, "threshold": threshold, **interval(accuracy[:, 0] / accuracy[:, 1])})
    return pd.DataFrame(rows)
