"""Slices, and steps of a change, against hand-worked cases and plain loops."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ageclf.metrics.bootstrap import resample_clusters
from ageclf.metrics.slices import FEWEST, accuracy_frame, labels, slice_frame

NAMES = ["0-2", "3-18", "19-30", "31-45", "46-60", "61+"]


def predictions(n: int, **columns) -> pd.DataFrame:
    """A predictions table of n faces, of which a test sets the columns that it is about."""
    table = pd.DataFrame({"group": np.arange(n) % 6, "black_edge": 0.0, "brightness": np.linspace(0, 1, n)})
    unknown = pd.array([pd.NA] * n, dtype="Int8")
    return table.assign(**{"gender": unknown, "ethnicity": unknown, **columns})


def framed(right, slices, clusters=None, n_resamples: int = 50) -> pd.DataFrame:
    resamples = resample_clusters(np.arange(len(right)) if clusters is None else clusters, n_resamples)
    return slice_frame(np.array(right), pd.Series(slices), resamples)


def test_accuracy_and_gaps_of_a_case_worked_by_hand():
    # 60 faces: of 30 men 24 right (0.8), of 30 women 15 right (0.5).
    frame = framed([True] * 24 + [False] * 6 + [True] * 15 + [False] * 15, ["male"] * 30 + ["female"] * 30)
    assert frame["slice"].tolist() == ["female", "male"]  # lowest gap first
    assert frame["n"].tolist() == [30, 30]
    assert frame["value"].tolist() == pytest.approx([0.5, 0.8])
    assert frame["gap_value"].tolist() == pytest.approx([-0.3, 0.3])


def test_a_gap_is_to_all_other_faces_not_to_the_mean_of_the_other_slices():
    # a: 40 faces, all right; b: 30, none right; c: 90, two thirds right.
    frame = framed(
        [True] * 40 + [False] * 30 + [True] * 60 + [False] * 30, ["a"] * 40 + ["b"] * 30 + ["c"] * 90
    ).set_index("slice")
    assert frame.index.tolist() == ["b", "c", "a"]
    expected = {"a": 1 - 60 / 120, "b": 0 - 100 / 130, "c": 60 / 90 - 40 / 70}
    assert frame["gap_value"].to_dict() == pytest.approx(expected)


def test_slices_are_in_the_order_of_their_gaps_not_of_their_accuracies():
    # The large slice is right in 50 of 100, the small one in 13 of 30, but beside the large one others are far better.
    right = [True] * 50 + [False] * 50 + [True] * 13 + [False] * 17 + [True] * 40
    frame = framed(right, ["large"] * 100 + ["small"] * 30 + ["best"] * 40)
    assert frame["slice"].tolist() == ["large", "small", "best"]
    assert frame["gap_value"].tolist() == pytest.approx([50 / 100 - 53 / 70, 13 / 30 - 90 / 140, 1 - 63 / 130])


def test_columns_are_those_described():
    expected = ["slice", "n", "value", "low", "high", "gap_value", "gap_low", "gap_high", "ranked"]
    assert framed([True, False], ["a", "b"]).columns.tolist() == expected


def test_accuracy_of_a_slice_equals_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    true, predicted, slices = rng.integers(0, 3, 200), rng.integers(0, 3, 200), rng.choice(["a", "b", "c"], 200)
    for row in framed(true == predicted, slices).itertuples():
        inside = slices == row.slice
        assert row.value == pytest.approx(metrics.accuracy_score(true[inside], predicted[inside]))
        others = metrics.accuracy_score(true[~inside], predicted[~inside])
        assert row.gap_value == pytest.approx(row.value - others)


def test_intervals_are_those_of_the_resampled_faces():
    rng = np.random.default_rng(1)
    right, slices, clusters = rng.random(200) < 0.7, rng.choice(["a", "b", "c"], 200), rng.integers(0, 60, 200)
    index, weights = resample_clusters(clusters, 50)
    for row in framed(right, slices, clusters).itertuples():
        accuracies, gaps = [], []
        for times in weights[1:]:
            faces = np.arange(200).repeat(times[index])
            inside = slices[faces] == row.slice
            accuracies.append(right[faces][inside].mean())
            gaps.append(right[faces][inside].mean() - right[faces][~inside].mean())
        assert (row.low, row.high) == pytest.approx(tuple(np.percentile(accuracies, [2.5, 97.5])))
        assert (row.gap_low, row.gap_high) == pytest.approx(tuple(np.percentile(gaps, [2.5, 97.5])))


def test_small_slices_are_marked_and_come_last_though_their_gap_be_lowest():
    slices = ["small"] * (FEWEST - 1) + ["enough"] * FEWEST + ["many"] * 100 + ["tiny"] * 2
    right = [False] * (FEWEST - 1) + [False] * 10 + [True] * (FEWEST - 10) + [True] * 100 + [True] * 2
    frame = framed(right, slices)
    assert frame["slice"].tolist() == ["enough", "many", "small", "tiny"]
    assert frame["ranked"].tolist() == [True, True, False, False]
    assert frame["gap_value"].iloc[2] == frame["gap_value"].min()


def test_a_slice_of_all_faces_has_an_accuracy_but_no_gap():
    frame = framed([True, True, False, True], ["unknown"] * 4)
    assert frame.loc[0, "value"] == 0.75
    assert frame.loc[0, ["gap_value", "gap_low", "gap_high"]].isna().all()


def test_resamples_without_a_face_of_a_slice_do_not_spoil_its_interval():
    row = framed([True, False, False], ["one", "others", "others"], n_resamples=200).set_index("slice").loc["one"]
    assert (row["value"], row["low"], row["high"]) == (1, 1, 1)
    assert (row["gap_value"], row["gap_low"], row["gap_high"]) == (1, 1, 1)


def test_slices_are_matched_to_faces_by_position_whatever_the_index_of_the_table():
    right, slices = np.array([True, True, False]), pd.Series(["a", "a", "b"], index=[2, 1, 0])
    frame = slice_frame(right, slices, resample_clusters(np.arange(3), 10)).set_index("slice")
    assert frame["value"].to_dict() == {"a": 1, "b": 0}


def test_labels_are_words():
    table = labels(
        predictions(
            6,
            gender=pd.array([0, 1, 0, 1, 0, 1], dtype="Int8"),
            ethnicity=pd.array([0, 1, 2, 3, 4, 0], dtype="Int8"),
        ),
        NAMES,
    )
    assert table.columns.tolist() == ["group", "gender", "ethnicity", "black_edge", "brightness"]
    assert table["group"].tolist() == NAMES
    assert table["gender"].tolist() == ["male", "female"] * 3
    assert table["ethnicity"].tolist() == ["White", "Black", "Asian", "Indian", "other", "White"]


@pytest.mark.parametrize(
    "gender",
    [pd.array([0, pd.NA, 1], dtype="Int8"), np.array([0, np.nan, 1]), np.array([0, None, 1], dtype=object)],
    ids=["Int8", "float", "object"],
)
def test_missing_labels_are_unknown_in_every_type_a_table_may_have(gender):
    table = labels(predictions(3, gender=gender), NAMES)
    assert table["gender"].tolist() == ["male", "unknown", "female"]


def test_labels_missing_from_all_faces_are_unknown():
    table = labels(predictions(3, gender=np.full(3, np.nan)), NAMES)
    assert table["gender"].tolist() == table["ethnicity"].tolist() == ["unknown"] * 3


def test_brightness_and_black_edges_are_cut_into_fifths_by_rank_not_by_value():
    rng = np.random.default_rng(2)
    order = rng.permutation(50)
    table = labels(predictions(50, brightness=order**2.0, black_edge=(49 - order) ** 2 / 1e4), NAMES)
    fifths = ["0.0–81.0", "100.0–361.0", "400.0–841.0", "900.0–1521.0", "1600.0–2401.0"]
    assert table["brightness"].tolist() == [fifths[rank // 10] for rank in order]
    fifths = ["0.0–0.8 %", "1.0–3.6 %", "4.0–8.4 %", "9.0–15.2 %", "16.0–24.0 %"]
    assert table["black_edge"].tolist() == [fifths[(49 - rank) // 10] for rank in order]


@pytest.mark.parametrize("n", [5, 7, 33, 1005])
def test_fifths_of_distinct_values_differ_by_one_face_at_most(n):
    sizes = labels(predictions(n), NAMES)["brightness"].value_counts()
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 1


def test_faces_of_equal_value_stay_in_one_fifth():
    # Seven of ten have no black edge: their mean rank, 4, is in the second fifth, and the lowest stays empty.
    table = labels(predictions(10, black_edge=[0.0] * 7 + [0.1, 0.2, 0.3]), NAMES)
    assert table["black_edge"].tolist() == ["0.0 %"] * 7 + ["10.0 %", "20.0–30.0 %", "20.0–30.0 %"]


def test_labels_keep_the_index_of_the_predictions():
    chosen = predictions(6, gender=pd.array([0, 1, 0, 1, 0, 1], dtype="Int8")).iloc[[4, 1]]
    table = labels(chosen, NAMES)
    assert table.index.tolist() == [4, 1]
    assert table["group"].tolist() == ["46-60", "3-18"]
    assert table["gender"].tolist() == ["male", "female"]


def test_what_is_lost_is_measured_on_the_same_faces():
    before = np.arange(100) < 80
    after = np.arange(100) < 60
    frame = accuracy_frame({0: before, 5: after}, resample_clusters(np.arange(100), 500, seed=0))
    assert frame["step"].tolist() == [0, 5]
    assert frame["value"].tolist() == pytest.approx([0.8, 0.6])
    assert frame["lost_value"].tolist() == pytest.approx([0.0, 0.2])
    assert frame["lost_low"][0] == frame["lost_high"][0] == 0
    # Twenty of a hundred faces are lost: the interval is that of a share of 20 %, not of two independent accuracies.
    assert frame["lost_high"][1] - frame["lost_low"][1] == pytest.approx(2 * 1.96 * 0.04, abs=0.02)
