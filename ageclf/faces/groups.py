"""Age groups: named, and found for an age."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

REFERENCE_EDGES = (6, 19, 31, 46, 66)  # first age of every group but the first, which starts at 0


def group_names(edges: Sequence[int] = REFERENCE_EDGES) -> list[str]:
    """Names of the groups, youngest first: `0-5`, `6-18`, …, `66+`. Raises ValueError as `age_to_group` does."""
    _check_edges(edges)
    bounds = [(first, following - 1) for first, following in pairwise((0, *edges))]
    return [f"{first}-{last}" if first < last else f"{first}" for first, last in bounds] + [f"{edges[-1]}+"]


def age_to_group(ages: np.ndarray, edges: Sequence[int] = REFERENCE_EDGES) -> np.ndarray:
    """Group number, int64 (n,) in 0 … len(edges), of each age in whole years (n,).

    `edges` are the first ages of every group but the first. Raises ValueError unless they are strictly
    increasing whole numbers above 0.
    """
    _check_edges(edges)
    return np.searchsorted(np.asarray(edges), np.asarray(ages), side="right").astype(np.int64)


def group_statistics(ages: np.ndarray, edges: Sequence[int] = REFERENCE_EDGES) -> tuple[list[int], list[float]]:
    """Count the ages (n,) in each group, and take their mean: for an empty group the middle of its bounds."""
    groups, middles = age_to_group(ages, edges), np.convolve([0, *edges, edges[-1]], [0.5, 0.5], mode="valid")
    counts = np.bincount(groups, minlength=len(middles))
    sums = np.bincount(groups, weights=np.asarray(ages, dtype=float), minlength=len(middles))
    return counts.tolist(), np.divide(sums, counts, out=middles, where=counts > 0).tolist()


def _check_edges(edges: Sequence[int]) -> None:
    whole = all(isinstance(edge, int | np.integer) and not isinstance(edge, bool) for edge in edges)
    if not len(edges) or not whole or any(low >= high for low, high in pairwise((0, *edges))):
        raise ValueError(f"groups={list(edges)!r}: expected whole numbers above 0, each larger than the one before")
