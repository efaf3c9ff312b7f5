"""Merged groups are right where their parts are confused with each other; each has a baseline of its own."""

import numpy as np
import pandas as pd
import pytest

from ageclf.groupings import coarser, measure_groupings
from ageclf.measures import draw_clusters


def test_groups_of_coarser_edges_hold_their_neighbours():
    assert coarser([6, 19, 31], [6, 31]).tolist() == [0, 1, 1, 2]
    assert coarser([6, 19, 31], [19]).tolist() == [0, 0, 1, 1]
    assert coarser([6, 19, 31], [6, 19, 31]).tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"cannot be split at \[40\]: the network knows the edges \[6, 19, 31\]"):
        coarser([6, 19, 31], [6, 40])


def test_accuracy_counts_confusion_within_a_merged_group_as_right():
    shares = [[0.8, 0.1, 0.1], [0.1, 0.3, 0.6], [0.1, 0.6, 0.3], [0.4, 0.3, 0.3]]
    predictions = pd.DataFrame(shares, columns=["p_0", "p_1", "p_2"]).assign(group=[0, 1, 2, 2])
    draws = draw_clusters(np.arange(4), 100, seed=0)
    measured = measure_groupings(predictions, [6, 19], [1, 5, 4], [[6, 19], [6]], draws)
    assert list(measured) == ["0-5 | 6-18 | 19+", "0-5 | 6+"]
    fine, coarse = measured.values()
    assert fine["accuracy"]["value"] == pytest.approx(1 / 4)
    # The last face has 0.4 for the first group, but 0.6 for the two that are merged.
    assert coarse["accuracy"]["value"] == pytest.approx(1)
    assert (fine["majority"]["value"], coarse["majority"]["value"]) == (pytest.approx(1 / 4), pytest.approx(3 / 4))
    assert coarse["gain"]["value"] == pytest.approx(1 / 4)
    assert coarse["gain"]["low"] < coarse["gain"]["value"] < coarse["gain"]["high"]
