"""What is wrong with the labels: near-duplicates that contradict each other, ages at round numbers."""

from itertools import combinations

import numpy as np
import pandas as pd

from ageclf.images import normalised


def near_duplicate_pairs(
    images: np.ndarray, clusters: np.ndarray, ages: np.ndarray, groups: np.ndarray
) -> pd.DataFrame:
    """List the pairs within clusters of near-duplicates, closest first.

    Takes images uint8 (n, 48, 48) and the cluster, age and group of each, (n,). Columns: first, second (positions),
    correlation (the higher one of as they are and one mirrored), years (difference of their ages), same_group.
    """
    members = pd.Series(np.arange(len(clusters))).groupby(np.asarray(clusters)).agg(list)
    pairs = [pair for cluster in members[members.str.len() > 1] for pair in combinations(cluster, 2)]
    first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
    one, other = normalised(images[first]), normalised(images[second])
    correlation = np.maximum((one * other).sum((1, 2)), (one * other[:, :, ::-1]).sum((1, 2)))
    ages, groups = np.asarray(ages, dtype=int), np.asarray(groups)
    labels = {"years": np.abs(ages[first] - ages[second]), "same_group": groups[first] == groups[second]}
    frame = pd.DataFrame({"first": first, "second": second, "correlation": correlation, **labels})
    return frame.sort_values("correlation", ascending=False, kind="stable", ignore_index=True)


def conflicting(clusters: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Tell the faces, bool (n,), whose cluster of near-duplicates holds more than one group: a label must be wrong."""
    return (pd.Series(groups).groupby(np.asarray(clusters)).transform("nunique") > 1).to_numpy()


def heaping(ages: np.ndarray, low: int = 23, high: int = 62) -> float:
    """Whipple's index of ages (n,), in per cent: 100 when no last digit is preferred, 500 when all end in 0 or 5.

    Ages from `low` to `high`, both included, count. United Nations, "Demographic Yearbook 1955".
    """
    ages = np.asarray(ages)
    counted = ages[(ages >= low) & (ages <= high)]
    return float(500 * np.mean(counted % 5 == 0)) if len(counted) else float("nan")
