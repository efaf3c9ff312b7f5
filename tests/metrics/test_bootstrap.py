"""Measures against hand-worked cases and scikit-learn; a bootstrap against plain loops and SciPy."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from ageclf.metrics.bootstrap import confusion_matrices, from_confusion, interval, means, resample_clusters, totals


@pytest.fixture
def groups() -> tuple[np.ndarray, np.ndarray]:
    """True and predicted groups, of which six in ten agree by design and more by chance."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 6, 500)
    return true, np.where(rng.random(500) < 0.6, true, rng.integers(0, 6, 500))


def scikit_learn_measures(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": metrics.accuracy_score(true, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(true, predicted),
        "macro_f1": metrics.f1_score(true, predicted, average="macro"),
        "off_by_one": metrics.accuracy_score(np.abs(true - predicted) <= 1, np.full(len(true), True)),
        "quadratic_kappa": metrics.cohen_kappa_score(true, predicted, weights="quadratic"),
        "ordinal_mae": metrics.mean_absolute_error(true, predicted),
    }


def resampled_faces(resamples: tuple[np.ndarray, np.ndarray], row: int) -> np.ndarray:
    """Faces of one resample, each as often as its cluster was drawn, by a plain loop."""
    index, weights = resamples
    faces = []
    for face, cluster in enumerate(index):
        faces += [face] * int(weights[row, cluster])
    return np.array(faces)


def test_measures_equal_those_of_scikit_learn(groups):
    ours = from_confusion(metrics.confusion_matrix(*groups))
    for name, expected in scikit_learn_measures(*groups).items():
        assert ours[name] == pytest.approx(expected), name
    expected = metrics.precision_recall_fscore_support(*groups)
    np.testing.assert_allclose([ours["precision"], ours["recall"], ours["f1"]], expected[:3])


def test_measures_of_a_case_worked_by_hand():
    # Of four faces of group 0 one is taken for its neighbour and one for the group two away.
    ours = from_confusion(np.array([[2, 1, 1], [0, 2, 0], [0, 0, 0]]))
    assert ours["accuracy"] == pytest.approx(4 / 6)
    assert ours["off_by_one"] == pytest.approx(5 / 6)
    assert ours["ordinal_mae"] == pytest.approx((1 + 2) / 6)
    assert ours["balanced_accuracy"] == pytest.approx((2 / 4 + 1) / 2)  # group 2 has no faces
    assert ours["macro_f1"] == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)
    # Squared distances are 1 + 4. By chance, true groups being (4, 2, 0) and predicted ones (2, 3, 1), they would be
    # (4·3·1 + 4·1·4 + 2·2·1 + 2·1·1) / 6.
    assert ours["quadratic_kappa"] == pytest.approx(1 - 5 / (34 / 6))
    np.testing.assert_allclose(ours["recall"], [2 / 4, 1, np.nan])
    np.testing.assert_allclose(ours["precision"], [1, 2 / 3, 0])
    np.testing.assert_allclose(ours["f1"], [4 / 6, 4 / 5, 0])


def test_kappa_is_one_for_truth_none_for_chance_and_minus_one_for_the_reverse():
    assert from_confusion(np.diag([3, 2, 3]))["quadratic_kappa"] == 1
    assert from_confusion(np.full((3, 3), 2))["quadratic_kappa"] == 0
    assert from_confusion(np.diag([3, 2, 3])[::-1])["quadratic_kappa"] == -1


def test_a_measure_without_the_faces_it_needs_is_not_a_number():
    ours = from_confusion(np.array([[5, 0, 0], [0, 0, 0], [0, 0, 0]]))
    assert np.isnan(ours["quadratic_kappa"])
    for name in ("precision", "recall", "f1"):
        np.testing.assert_array_equal(ours[name], [1, np.nan, np.nan])
    assert ours["balanced_accuracy"] == ours["macro_f1"] == ours["accuracy"] == 1


def test_a_group_never_predicted_has_no_precision_but_an_f1_of_none():
    ours = from_confusion(np.array([[2, 0], [2, 0]]))
    np.testing.assert_array_equal(ours["precision"], [0.5, np.nan])
    np.testing.assert_array_equal(ours["recall"], [1, 0])
    np.testing.assert_allclose(ours["f1"], [2 / 3, 0])


def test_a_stack_of_confusion_matrices_is_measured_one_by_one(groups):
    single = metrics.confusion_matrix(*groups)
    stacked = from_confusion(np.stack([single, single.T, single + 1]))
    for i, confusion in enumerate((single, single.T, single + 1)):
        for name, expected in from_confusion(confusion).items():
            np.testing.assert_allclose(stacked[name][i], expected, err_msg=name)


def test_the_first_resample_holds_every_face_once(groups):
    resamples = resample_clusters(np.arange(500) // 3, n_resamples=5)
    confusions = confusion_matrices(*groups, 6, resamples)
    np.testing.assert_array_equal(confusions[0], metrics.confusion_matrix(*groups))
    measured = from_confusion(confusions)
    for name, expected in scikit_learn_measures(*groups).items():
        assert measured[name][0] == pytest.approx(expected), name


def test_every_resample_is_the_measure_of_the_resampled_faces(groups):
    clusters = np.random.default_rng(1).integers(0, 120, 500)  # of uneven size, in no order
    resamples = resample_clusters(clusters, n_resamples=20)
    confusions = confusion_matrices(*groups, 6, resamples)
    measured = from_confusion(confusions)
    for row in range(21):
        faces = resampled_faces(resamples, row)
        true, predicted = groups[0][faces], groups[1][faces]
        np.testing.assert_array_equal(confusions[row], metrics.confusion_matrix(true, predicted, labels=range(6)))
        for name, expected in scikit_learn_measures(true, predicted).items():
            assert measured[name][row] == pytest.approx(expected), name


@pytest.mark.parametrize("shape", [(40,), (40, 3), (40, 3, 2)])
def test_totals_add_up_the_values_of_the_resampled_faces_whatever_their_shape(shape):
    rng = np.random.default_rng(2)
    values, resamples = rng.normal(size=shape), resample_clusters(rng.integers(0, 12, 40), n_resamples=6)
    sums = totals(values, resamples)
    assert sums.shape == (7, *shape[1:])
    for row in range(7):
        np.testing.assert_allclose(sums[row], values[resampled_faces(resamples, row)].sum(axis=0), atol=1e-12)


def test_means_are_those_of_the_resampled_faces_that_count():
    rng = np.random.default_rng(3)
    values, where = rng.normal(size=(40, 1)), rng.random((40, 2)) < 0.2
    resamples = resample_clusters(rng.integers(0, 12, 40), n_resamples=50)
    measured = means(values, resamples, where)
    for row in range(51):
        faces = resampled_faces(resamples, row)
        counted = [values[faces[where[faces, column]], 0] for column in range(2)]
        expected = [kept.mean() if len(kept) else np.nan for kept in counted]
        np.testing.assert_allclose(measured[row], expected)
    np.testing.assert_allclose(means(values, resamples)[0], values.mean(axis=0))


def test_a_mean_without_a_face_is_not_a_number():
    assert np.isnan(means(np.ones(3), resample_clusters(np.arange(3), 5), where=np.zeros(3, dtype=bool))).all()


def test_faces_of_a_cluster_always_come_together():
    clusters = np.array(["b", "a", "b", "c", "a", "b", "d"])
    resamples = resample_clusters(clusters, n_resamples=200)
    times = totals(np.eye(7), resamples)  # how often each face was drawn
    for name in "abcd":
        members = times[:, clusters == name]
        np.testing.assert_array_equal(members, members[:, :1].repeat(members.shape[1], axis=1))
    assert (times[1:, 0] != times[1:, 1]).any()  # faces of two clusters do not


def test_every_resample_draws_as_many_clusters_as_there_are():
    index, weights = resample_clusters(np.array([7, 7, 3, 900, 3]), n_resamples=300)
    assert weights.shape == (301, 3)
    assert (weights.sum(axis=1) == 3).all()
    assert (weights[0] == 1).all()
    assert index.tolist() == [1, 1, 0, 2, 0]
    np.testing.assert_allclose(weights[1:].mean(axis=0), 1, atol=0.2)  # no cluster is preferred


def test_one_seed_gives_one_result_and_another_seed_another():
    clusters = np.arange(50)
    _, first = resample_clusters(clusters, seed=3)
    np.testing.assert_array_equal(first, resample_clusters(clusters, seed=3)[1])
    assert (first[1:] != resample_clusters(clusters, seed=4)[1][1:]).any()


def test_a_thousand_resamples_of_three_thousand_faces_each_hold_three_thousand_faces():
    rng = np.random.default_rng(5)
    true, predicted = rng.integers(0, 6, (2, 3000))
    confusions = confusion_matrices(true, predicted, 6, resample_clusters(np.arange(3000)))
    assert confusions.shape == (1001, 6, 6)
    assert (confusions.sum(axis=(1, 2)) == 3000).all()
    assert np.issubdtype(confusions.dtype, np.integer)


@pytest.mark.parametrize(
    ("name", "of_faces"),
    [
        ("accuracy", lambda true, predicted: true == predicted),
        ("ordinal_mae", lambda *both: np.abs(np.subtract(*both))),
    ],
)
def test_intervals_agree_with_those_of_scipy_where_every_face_stands_alone(groups, name, of_faces):
    ours = interval(from_confusion(confusion_matrices(*groups, 6, resample_clusters(np.arange(500))))[name])
    values = of_faces(*groups).astype(float)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(6)
    ).confidence_interval
    width = expected.high - expected.low
    assert ours["value"] == pytest.approx(values.mean())
    assert ours["low"] == pytest.approx(expected.low, abs=width / 10)
    assert ours["high"] == pytest.approx(expected.high, abs=width / 10)


def test_intervals_widen_when_faces_come_in_clusters(groups):
    true, predicted = (values[:50].repeat(10) for values in groups)
    widths = []
    for clusters in (np.arange(500), np.arange(500) // 10):
        accuracy = from_confusion(confusion_matrices(true, predicted, 6, resample_clusters(clusters)))["accuracy"]
        widths.append(interval(accuracy)["high"] - interval(accuracy)["low"])
    assert widths[1] > 2 * widths[0]


def test_an_interval_holds_the_middle_95_percent_of_the_resamples():
    resamples = np.concatenate([[7.0], np.random.default_rng(7).permutation(np.arange(1001.0))])
    assert interval(resamples) == {"value": 7, "low": 25, "high": 975}


def test_resamples_in_which_a_measure_is_undefined_are_left_out():
    resamples = np.concatenate([[7.0], np.arange(1001.0), np.full(500, np.nan)])
    assert interval(resamples) == {"value": 7, "low": 25, "high": 975}


def test_an_undefined_measure_is_none():
    assert interval(np.array([np.nan, 0.5, 0.6])) == {"value": None, "low": None, "high": None}


def test_measures_per_group_have_an_interval_for_each_group_in_valid_json():
    resamples = np.array([[0.5, np.nan], [0.4, np.nan], [0.4, 1.0]])
    intervals = json.loads(json.dumps(interval(resamples), allow_nan=False))
    assert intervals == [
        {"value": 0.5, "low": 0.4, "high": 0.4},
        {"value": None, "low": None, "high": None},
    ]
