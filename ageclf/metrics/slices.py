"""How good the network is for whom: accuracy of slices of the faces, each beside all other faces."""

import numpy as np
import pandas as pd

from ageclf.metrics.bootstrap import interval, totals

ETHNICITIES = ("White", "Black", "Asian", "Indian", "other")  # UTKFace's words for 0–4


GENDERS = ("male", "female")  # 0, 1


FEWEST = 30  # faces that a slice must have to be ranked: with 30, an interval spans 36 points at an accuracy of 50 %


FIFTHS = ("lowest", "low", "middle", "high", "highest")


WAYS = ("group", "gender", "ethnicity", "group × gender × ethnicity", "black_edge", "brightness")


def labels(predictions: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Say in words which slices each face of a predictions table is in: a column for each way to slice.

    Missing labels are `unknown`. Black edges and brightness are cut into fifths of the faces; equal values stay
    together, so that fifths may be uneven, and some empty.
    """
    table = pd.DataFrame({"group": np.take(names, predictions["group"])}, index=predictions.index)
    for column, words in (("gender", GENDERS), ("ethnicity", ETHNICITIES)):
        table[column] = predictions[column].map(dict(enumerate(words))).fillna("unknown").astype(str)
    for column in ("black_edge", "brightness"):
        rank = predictions[column].rank(method="average", pct=True)
        table[column] = np.take(FIFTHS, np.clip(np.ceil(rank * 5).astype(int) - 1, 0, 4))
    return table


def slice_frame(right: np.ndarray, slices: pd.Series, draws: tuple[np.ndarray, np.ndarray]) -> pd.DataFrame:
    """Accuracy of each slice and its gap to all other faces: a row a slice, lowest gap first.

    `right`, bool (n,), says where the network is right, `slices` (n,) which slice each face is in. Columns: slice,
    n, value, low, high (accuracy with 95 % interval), gap, gap_low, gap_high (accuracy minus that of the others),
    ranked. Slices with fewer than FEWEST faces are not ranked, and come last.
    """
    names, index = np.unique(slices.to_numpy(dtype=str), return_inverse=True)
    inside = np.eye(len(names))[index]
    sums = totals(np.stack([inside, inside * right[:, np.newaxis]], axis=2), draws)
    n, hits = sums[..., 0], sums[..., 1]
    with np.errstate(invalid="ignore"):
        accuracy = hits / n
        gap = accuracy - (hits.sum(axis=1, keepdims=True) - hits) / (n.sum(axis=1, keepdims=True) - n)
    rows = []
    for i, name in enumerate(names):
        value, difference = interval(accuracy[:, i]), interval(gap[:, i])
        gaps = {"gap": difference["value"], "gap_low": difference["low"], "gap_high": difference["high"]}
        rows.append({"slice": name, "n": int(n[0, i]), **value, **gaps, "ranked": bool(n[0, i] >= FEWEST)})
    return pd.DataFrame(rows).sort_values(["ranked", "gap"], ascending=[False, True], ignore_index=True)


def slice_frames(
    predictions: pd.DataFrame, right: np.ndarray, names: list[str], draws: tuple[np.ndarray, np.ndarray]
) -> dict[str, pd.DataFrame]:
    """Return the `slice_frame` of each of `WAYS` to slice the faces of a predictions table."""
    table = labels(predictions, names)
    return {way: slice_frame(right, table[way.split(" × ")].agg(", ".join, axis=1), draws) for way in WAYS}


def boundary_distance(ages: np.ndarray, edges: list[int]) -> np.ndarray:
    """Years from each age (n,) to the nearest age of another group, int (n,), 1 or more."""
    ages, edges = np.asarray(ages)[:, np.newaxis], np.asarray(edges)
    return np.where(ages >= edges, ages - edges + 1, edges - ages).min(axis=1)


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
