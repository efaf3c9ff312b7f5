"""Merged groups are right where their parts are confused; each grouping, of each run, has its own baseline."""

import numpy as np
import pandas as pd
import pytest

from ageclf.metrics.bootstrap import interval, resample_clusters
from ageclf.metrics.groupings import measure_groupings, measure_runs


@pytest.mark.parametrize(("kept", "unknown"), [([6, 40], 40), ([3, 6, 19, 31], 3), ([32], 32)])
def test_a_group_cannot_be_split_from_predictions(kept, unknown):
    predictions = pd.DataFrame(np.eye(4), columns=["p_0", "p_1", "p_2", "p_3"]).assign(group=range(4))
    metrics, resamples = {"edges": [6, 19, 31], "training_counts": [1] * 4}, resample_clusters(np.arange(4), 10)
    with pytest.raises(ValueError, match=rf"cannot be split at \[{unknown}\]: the network's edges are \[6, 19, 31\]"):
        measure_groupings(predictions, metrics, [[6, 31], kept], resamples)


@pytest.mark.parametrize(("kept", "right"), [([6, 31], 3), ([31], 4), ([6, 19, 31], 2)])
def test_groups_of_coarser_edges_hold_their_neighbours(kept, right):
    # The first group is taken for the second, the second for the third.
    predictions = pd.DataFrame(np.eye(4)[[1, 2, 2, 3]], columns=["p_0", "p_1", "p_2", "p_3"]).assign(group=range(4))
    metrics, resamples = {"edges": [6, 19, 31], "training_counts": [1] * 4}, resample_clusters(np.arange(4), 10)
    (measured,) = measure_groupings(predictions, metrics, [kept], resamples).values()
    assert measured["accuracy"]["value"] == right / 4


def test_accuracy_counts_confusion_within_a_merged_group_as_right():
    probabilities = [[0.8, 0.1, 0.1], [0.1, 0.3, 0.6], [0.1, 0.6, 0.3], [0.4, 0.3, 0.3]]
    predictions = pd.DataFrame(probabilities, columns=["p_0", "p_1", "p_2"]).assign(group=[0, 1, 2, 2])
    metrics, resamples = {"edges": [6, 19], "training_counts": [1, 5, 4]}, resample_clusters(np.arange(4), 100, seed=0)
    measured = measure_groupings(predictions, metrics, [[6, 19], [6]], resamples)
    assert list(measured) == ["0-5 | 6-18 | 19+", "0-5 | 6+"]
    fine, coarse = measured.values()
    assert fine["accuracy"]["value"] == pytest.approx(1 / 4)
    # The last face has 0.4 for the first group, but 0.6 for the two that are merged.
    assert coarse["accuracy"]["value"] == pytest.approx(1)
    assert (fine["most_frequent"]["value"], coarse["most_frequent"]["value"]) == (
        pytest.approx(1 / 4),
        pytest.approx(3 / 4),
    )
    assert coarse["gain"]["value"] == pytest.approx(1 / 4)
    assert coarse["gain"]["low"] < coarse["gain"]["value"] < coarse["gain"]["high"]


def results(edges: list[int], counts: list[int], group: list[int], probabilities: list[list[float]], **different):
    """Predictions of four faces in three clusters, and what metrics.json holds of them."""
    predictions = pd.DataFrame(probabilities, columns=[f"p_{i}" for i in range(len(counts))])
    on = {"data": {"sha256": "a1"}, "part": "test", "split_seed": 0, "n": 4} | different
    return predictions.assign(group=group, cluster=[7, 7, 8, 9]), {"edges": edges, "training_counts": counts, **on}


FINE = results([6, 19], [1, 5, 4], [0, 1, 2, 2], np.eye(3)[[0, 1, 1, 2]])


def test_each_run_is_measured_on_its_own_groups_and_clusters():
    other = results([31], [9, 1], [0, 0, 0, 1], np.eye(2)[[0, 0, 1, 1]])
    measured = measure_runs({"mine": FINE, "other": other}, 200, seed=3)
    assert list(measured) == ["mine", "other"]
    mine, theirs = measured.values()
    # Mine: three of four are right, and one is of the second group, the most frequent one of training.
    assert (mine["accuracy"]["value"], mine["most_frequent"]["value"], mine["gain"]["value"]) == (0.75, 0.25, 0.5)
    # The other: three right too, but so is always predicting its first group.
    assert (theirs["accuracy"]["value"], theirs["most_frequent"]["value"], theirs["gain"]["value"]) == (0.75, 0.75, 0)
    # By cluster, of two, one and one faces: right less most frequent is 2 - 1, 0, 1 for mine, then 2 - 2, 0 - 1, 1 - 0.
    weights = resample_clusters(np.arange(3), 200, seed=3)[1]
    for row, differences in ((mine, [1, 0, 1]), (theirs, [0, -1, 1])):
        expected = interval(weights @ differences / (weights @ [2, 1, 1]))
        assert row["gain"] == {key: pytest.approx(value) for key, value in expected.items()}


@pytest.mark.parametrize(
    ("key", "different"), [("data", {"sha256": "b2"}), ("part", "val"), ("split_seed", 1), ("n", 3)]
)
def test_a_run_that_measured_other_faces_is_refused(key, different):
    other = FINE[0], FINE[1] | {key: different}
    with pytest.raises(ValueError, match=f"^other: {key} differs from that of mine; make both again on the same faces"):
        measure_runs({"mine": FINE, "same": FINE, "other": other})
