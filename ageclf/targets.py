"""What the network is to answer for each face."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr

N_AGES = 117  # years 0 to 115, and all above


def soft_targets(ages: np.ndarray, edges: Sequence[int], width: float = 0.0) -> np.ndarray:
    """Spread ages in whole years (n,) over the groups that begin at 0 and at `edges`: float32 (n, 1 + edges).

    An age is taken as uncertain, normally distributed about the middle of its year with a standard deviation of
    `width` years; each row adds up to 1. With 0, or less than a tenth of a year, targets are one-hot. Geng, "Label
    distribution learning", 2016, with the shares of single years summed over groups.
    """
    distances = np.asarray(edges) - np.asarray(ages, dtype=float)[:, np.newaxis] - 0.5
    younger = ndtr(distances / max(width, 1e-3))
    return np.diff(younger, axis=1, prepend=0.0, append=1.0).astype(np.float32)


def targets(
    table: pd.DataFrame, edges: Sequence[int], width: float = 0.0, auxiliary: bool = False
) -> np.ndarray | dict[str, np.ndarray]:
    """Return the targets of the faces of `Faces.table`, as `training.fit` takes them.

    They are `soft_targets` of the groups, and with `auxiliary` those of all outputs of `model.with_auxiliary_outputs`,
    by name: the groups, the ages softened alike, and one-hot the gender.
    """
    groups = soft_targets(table["age"], edges, width)
    if not auxiliary:
        return groups
    genders = np.eye(2, dtype=np.float32)[table["gender"]]
    return {"probabilities": groups, "ages": soft_targets(table["age"], range(1, N_AGES), width), "gender": genders}
