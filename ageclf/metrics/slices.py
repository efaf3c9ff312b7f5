"""How accurate the network is for whom: accuracy of slices of the faces, and of faces that were changed in steps."""

import numpy as np
import pandas as pd

from ageclf.metrics.bootstrap import Resamples, interval, means

ETHNICITIES = ("White", "Black", "Asian", "Indian", "other")  # UTKFace's words for 0–4
GENDERS = ("male", "female")  # 0, 1
FEWEST = 30  # faces that a slice must have to be ranked: with 30, an interval spans 36 points at an accuracy of 50 %
WAYS = ("group", "gender", "ethnicity", "group × gender × ethnicity", "black_edge", "brightness")


def labels(predictions: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return in words which slices each face of a predictions table is in: a column for each way to slice.

    Missing labels are `unknown`. Black edges (% of the border) and brightness are cut into fifths of the faces, named
    by their lowest and highest value. Equal values stay together, so that there may be fewer, and uneven ones.
    """
    table = pd.DataFrame({"group": np.take(names, predictions["group"])}, index=predictions.index)
    for column, words in (("gender", GENDERS), ("ethnicity", ETHNICITIES)):
        table[column] = predictions[column].map(dict(enumerate(words))).fillna("unknown").astype(str)
    for column, scale, unit in (("black_edge", 100, " %"), ("brightness", 1, "")):
        fifths = np.ceil(5 * predictions[column].rank() / len(predictions))
        ends = (scale * predictions[column].astype(float)).groupby(fifths).agg(["min", "max"]).map("{:.1f}".format)
        table[column] = fifths.map(ends.apply(lambda pair: "–".join(dict.fromkeys(pair)), axis=1)) + unit
    return table


def slice_frame(right: np.ndarray, slices: pd.Series, resamples: Resamples) -> pd.DataFrame:
    """Accuracy of each slice and its gap to all other faces: a row a slice, lowest gap first.

    `right`, bool (n,), marks the faces that the network predicts right, `slices` (n,) names the slice of each face.
    Columns: slice, n, value, low, high (accuracy with 95 % interval), gap_value, gap_low, gap_high (accuracy minus
    that of the others), ranked. Slices with fewer than FEWEST faces are not ranked, and come last.
    """
    names, index = np.unique(slices.to_numpy(dtype=str), return_inverse=True)
    inside = index[:, np.newaxis] == np.arange(len(names))
    accuracy, others = (means(right[:, np.newaxis], resamples, where) for where in (inside, ~inside))
    frame = pd.DataFrame({"slice": names, "n": inside.sum(axis=0)})
    frame = frame.join([pd.DataFrame(interval(accuracy)), pd.DataFrame(interval(accuracy - others)).add_prefix("gap_")])
    frame["ranked"] = frame["n"] >= FEWEST
    return frame.sort_values(["ranked", "gap_value"], ascending=[False, True], ignore_index=True)


def slice_frames(
    predictions: pd.DataFrame, right: np.ndarray, names: list[str], resamples: Resamples
) -> dict[str, pd.DataFrame]:
    """Return the `slice_frame` of each of `WAYS` to slice the faces of a predictions table.

    And of its column `leaked`, texts, where it has one: after a split by row, who has a near-duplicate in training.
    """
    table = labels(predictions, names)
    slices = {way: pd.Series(map(", ".join, table[way.split(" × ")].to_numpy())) for way in WAYS}
    slices |= {"leaked": predictions["leaked"]} if "leaked" in predictions else {}
    return {way: slice_frame(right, where, resamples) for way, where in slices.items()}


def accuracy_frame(right: dict[float, np.ndarray], resamples: Resamples) -> pd.DataFrame:
    """Accuracy at each step of a change, and what it lost: a row a step.

    `right`, bool (n,) by step, marks the faces that the network predicts right; the first step is the one that the
    others are compared with, on the same faces of each resample. Columns: step, value, low, high (accuracy),
    lost_value, lost_low, lost_high.
    """
    accuracy = means(np.stack(list(right.values()), axis=1), resamples)
    lost = pd.DataFrame(interval(accuracy[:, :1] - accuracy)).add_prefix("lost_")
    return pd.DataFrame({"step": list(right)}).join([pd.DataFrame(interval(accuracy)), lost])
