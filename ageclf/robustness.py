"""What pictures lose when they are moved or lit differently, and what the network then loses."""

import cv2
import numpy as np
import pandas as pd

from ageclf.measures import interval, totals


def shifted(images: np.ndarray, pixels: float, seed: int = 0) -> np.ndarray:
    """Shift each of images uint8 (n, 48, 48) by `pixels`, in directions drawn by `seed`; what they uncover is black."""
    directions = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(images))
    return _warped(images, [np.float64([[1, 0, pixels * np.cos(a)], [0, 1, pixels * np.sin(a)]]) for a in directions])


def rotated(images: np.ndarray, degrees: float, seed: int = 0) -> np.ndarray:
    """Turn each of images uint8 (n, 48, 48) by `degrees`, left or right drawn by `seed`; what they uncover is black."""
    signs = np.random.default_rng(seed).choice([-1, 1], len(images))
    centre = ((images.shape[2] - 1) / 2, (images.shape[1] - 1) / 2)
    return _warped(images, [cv2.getRotationMatrix2D(centre, float(sign * degrees), 1.0) for sign in signs])


def _warped(images: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    size = images.shape[:0:-1]  # OpenCV takes width, then height
    pairs = zip(images, matrices, strict=True)
    return np.stack([cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR) for image, matrix in pairs])


def brightened(images: np.ndarray, levels: int) -> np.ndarray:
    """Add `levels`, which may be negative, to the grey values of images uint8 (n, 48, 48), within 0–255."""
    return np.clip(images.astype(np.int16) + levels, 0, 255).astype(np.uint8)


def accuracy_frame(right: dict[float, np.ndarray], draws: tuple[np.ndarray, np.ndarray]) -> pd.DataFrame:
    """Accuracy at each step of a change, and what it lost: a row a step.

    `right`, bool (n,) by step, says where the network is right; the first step is the one that the others are
    compared with, on the same faces of each resample. Columns: step, value, low, high, lost, lost_low, lost_high.
    """
    accuracy = totals(np.stack(list(right.values()), axis=1), draws) / totals(np.ones(len(draws[0])), draws)[:, None]
    rows = []
    for i, step in enumerate(right):
        lost = interval(accuracy[:, 0] - accuracy[:, i])
        lost = {"lost": lost["value"], "lost_low": lost["low"], "lost_high": lost["high"]}
        rows.append({"step": step, **interval(accuracy[:, i]), **lost})
    return pd.DataFrame(rows)
