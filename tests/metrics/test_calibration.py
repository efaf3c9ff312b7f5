"""Calibration against hand-worked cases, plain loops and scikit-learn."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from ageclf.metrics.bootstrap import resample_clusters
from ageclf.metrics.calibration import (
    BINS,
    bin_sums,
    brier_score,
    calibration,
    calibration_error,
    coverage_frame,
    fit_temperature,
    fit_threshold,
    log_loss,
    predictions_of_photos,
    scale,
)


@pytest.fixture
def overconfident() -> tuple[np.ndarray, np.ndarray]:
    """Overconfident probabilities of 600 faces, and true groups sampled from less sharp ones."""
    rng = np.random.default_rng(0)
    flat = rng.dirichlet(np.full(6, 0.5), 600)
    return scale(flat, 0.5), (flat.cumsum(axis=1) < rng.random((600, 1))).sum(axis=1).clip(max=5)


def calibrated(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and true groups sampled from them."""
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(6), n)
    return probabilities, (probabilities.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=5)


def each_alone(true: np.ndarray, n_resamples: int = 10) -> tuple[np.ndarray, np.ndarray]:
    return resample_clusters(np.arange(len(true)), n_resamples)


def looped_calibration_error(probabilities: np.ndarray, true: np.ndarray) -> float:
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    error = 0
    for i in range(BINS):
        inside = (confidence > i / BINS) & (confidence <= (i + 1) / BINS)
        if inside.any():
            error += inside.sum() / len(true) * abs(confidence[inside].mean() - right[inside].mean())
    return error


def test_log_loss_and_brier_score_of_faces_worked_by_hand():
    probabilities, true = np.array([[0.5, 0.25, 0.25], [0.2, 0.8, 0.0], [0.0, 1.0, 0.0]]), np.array([0, 0, 1])
    np.testing.assert_allclose(log_loss(probabilities, true), [np.log(2), np.log(5), 0], atol=1e-12)
    np.testing.assert_allclose(brier_score(probabilities, true), [0.25 + 2 / 16, 2 * 0.64, 0], atol=1e-12)


def test_mean_log_loss_and_brier_score_equal_those_of_scikit_learn(overconfident):
    probabilities, true = overconfident
    expected = metrics.log_loss(true, probabilities, labels=range(6))
    assert log_loss(probabilities, true).mean() == pytest.approx(expected)
    expected = metrics.brier_score_loss(true, probabilities, labels=range(6), scale_by_half=False)
    assert brier_score(probabilities, true).mean() == pytest.approx(expected)


def test_a_true_group_of_probability_zero_costs_much_but_not_infinitely():
    loss = log_loss(np.array([[0.0, 1.0]], dtype=np.float32), np.array([0]))
    assert 20 < loss[0] < 50
    assert brier_score(np.array([[0.0, 1.0]]), np.array([0])) == 2


def test_a_temperature_of_one_changes_nothing(overconfident):
    np.testing.assert_allclose(scale(overconfident[0], 1), overconfident[0], atol=1e-9)


def test_scaling_equals_the_softmax_of_divided_logits():
    logits = np.random.default_rng(2).normal(size=(20, 6))
    powers, divided = np.exp(logits), np.exp(logits / 1.7)
    expected = divided / divided.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scale(powers / powers.sum(axis=1, keepdims=True), 1.7), expected)
    np.testing.assert_allclose(scale(np.array([[0.8, 0.2]]), 2), [[2 / 3, 1 / 3]])  # √4 : 1


@pytest.mark.parametrize("temperature", [0.05, 0.5, 3, 50])
def test_scaled_probabilities_add_up_to_one_and_keep_the_order_of_the_groups(overconfident, temperature):
    scaled = scale(overconfident[0].astype(np.float32), temperature)
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    np.testing.assert_array_equal(scaled.argmax(axis=1), overconfident[0].argmax(axis=1))


def test_a_higher_temperature_lowers_the_confidence(overconfident):
    cold, warm = scale(overconfident[0], 0.8), scale(overconfident[0], 1.5)
    assert (warm.max(axis=1) <= overconfident[0].max(axis=1) + 1e-12).all()
    assert (cold.max(axis=1) >= overconfident[0].max(axis=1) - 1e-12).all()


def test_probabilities_of_one_and_zero_can_be_scaled():
    scaled = scale(np.array([[1.0, 0.0, 0.0]]), 0.01)
    np.testing.assert_allclose(scaled, [[1, 0, 0]], atol=1e-12)


def test_a_probability_that_was_rounded_to_zero_rises_with_the_temperature():
    scaled = scale(np.array([[1.0, 0.0]]), 10)
    assert 0.01 < scaled[0, 1] < 0.1


def test_the_fitted_temperature_has_the_lowest_log_loss_of_a_grid(overconfident):
    probabilities, true = overconfident

    def expected_loss(temperature: float) -> float:
        return metrics.log_loss(true, scale(probabilities, temperature), labels=range(6))

    fitted = fit_temperature(probabilities, true)
    grid = np.geomspace(0.1, 10, 201)
    losses = [expected_loss(temperature) for temperature in grid]
    assert expected_loss(fitted) <= min(losses) + 1e-9
    assert fitted == pytest.approx(grid[np.argmin(losses)], rel=grid[1] / grid[0] - 1)


@pytest.mark.parametrize("temperature", [0.4, 1, 2.5])
def test_the_temperature_by_which_calibrated_probabilities_were_sharpened_is_found_again(temperature):
    probabilities, true = calibrated(20_000)
    assert fit_temperature(scale(probabilities, 1 / temperature), true) == pytest.approx(temperature, rel=0.05)


def test_an_overconfident_network_is_calibrated_by_a_temperature_above_one(overconfident):
    probabilities, true = overconfident
    temperature = fit_temperature(probabilities, true)
    assert temperature > 1.5
    after = calibration(scale(probabilities, temperature), true, each_alone(true))
    before = calibration(probabilities, true, each_alone(true))
    for name in ("calibration_error", "log_loss", "brier_score"):
        assert after[name]["value"] < before[name]["value"], name


def test_calibration_error_of_a_case_worked_by_hand():
    # Two faces of confidence 0.9, one of them right: a gap of 0.4. Two of confidence 0.6, both right: again 0.4.
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.6, 0.4]])
    true = np.array([0, 0, 0, 0])
    sums = bin_sums(probabilities, true, each_alone(true))
    np.testing.assert_allclose(sums[0, 13], [2, 1.8, 1])  # above 13 / 15, up to 14 / 15
    np.testing.assert_allclose(sums[0, 8], [2, 1.2, 2])  # above 8 / 15, up to 9 / 15
    assert sums[0, :, 0].sum() == 4
    assert calibration_error(sums)[0] == pytest.approx(0.4)


def test_calibration_error_equals_a_plain_loop_over_the_bins(overconfident):
    sums = bin_sums(*overconfident, each_alone(overconfident[1]))
    assert calibration_error(sums)[0] == pytest.approx(looped_calibration_error(*overconfident))


def test_bins_equal_those_of_the_calibration_curve_of_scikit_learn(overconfident):
    probabilities, true = overconfident
    faces, confidence, right = bin_sums(probabilities, true, each_alone(true))[0].T
    filled = faces > 0
    expected_right, expected_confidence = calibration_curve(
        probabilities.argmax(axis=1) == true, probabilities.max(axis=1), n_bins=BINS
    )
    assert 5 < filled.sum() < BINS  # no highest of six probabilities is below 1 / 6
    np.testing.assert_allclose(right[filled] / faces[filled], expected_right)
    np.testing.assert_allclose(confidence[filled] / faces[filled], expected_confidence)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_confidence_on_the_edge_of_two_bins_is_in_the_lower(dtype):
    confidence = np.arange(8, 16) / 15
    probabilities = np.stack([confidence, 1 - confidence], axis=1).astype(dtype)
    true = np.zeros(8, dtype=int)
    assert bin_sums(probabilities, true, each_alone(true))[0, :, 0].tolist() == [0] * 7 + [1] * 8


def test_calibration_of_every_resample_is_that_of_its_faces(overconfident):
    probabilities, true = overconfident
    index, weights = resamples = resample_clusters(np.random.default_rng(3).integers(0, 90, 600), n_resamples=10)
    errors = calibration_error(bin_sums(probabilities, true, resamples))
    assert errors.shape == (11,)
    for row in range(11):
        faces = np.arange(600).repeat(weights[row][index])
        assert errors[row] == pytest.approx(looped_calibration_error(probabilities[faces], true[faces])), row


def test_calibration_gives_each_measure_its_value_and_interval(overconfident):
    probabilities, true = overconfident
    clusters = np.random.default_rng(4).integers(0, 90, 600)  # uneven: resamples differ in how many faces they hold
    index, weights = resamples = resample_clusters(clusters, n_resamples=50)
    measured = json.loads(json.dumps(calibration(probabilities, true, resamples)))
    resampled = {"calibration_error": [], "log_loss": [], "brier_score": []}
    for row in range(51):
        faces = np.arange(600).repeat(weights[row][index])
        scores, groups = probabilities[faces], true[faces]
        resampled["calibration_error"].append(looped_calibration_error(scores, groups))
        resampled["log_loss"].append(metrics.log_loss(groups, scores, labels=range(6)))
        resampled["brier_score"].append(metrics.brier_score_loss(groups, scores, labels=range(6), scale_by_half=False))
    assert list(measured) == list(resampled)
    for name, values in resampled.items():
        low, high = np.percentile(values[1:], [2.5, 97.5])
        assert measured[name] == pytest.approx({"value": values[0], "low": low, "high": high}), name


def test_probabilities_that_come_true_have_no_calibration_error_and_certain_wrong_ones_the_largest():
    probabilities, true = calibrated(20_000)
    assert calibration_error(bin_sums(probabilities, true, each_alone(true, 1)))[0] < 0.02
    wrong = np.eye(6)[(true + 1) % 6]
    assert calibration_error(bin_sums(wrong, true, each_alone(true, 1)))[0] == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_at_full_coverage_the_accuracy_is_that_of_all_faces(overconfident, dtype):
    probabilities, true = overconfident[0].astype(dtype), overconfident[1]
    first = coverage_frame(probabilities, true, each_alone(true)).iloc[0]
    assert first["coverage"] == 1
    assert first["threshold"] == probabilities.max(axis=1).min()
    assert first["value"] == pytest.approx(metrics.accuracy_score(true, probabilities.argmax(axis=1)))


def test_thresholds_rise_as_coverage_falls(overconfident):
    frame = coverage_frame(*overconfident, each_alone(overconfident[1]))
    assert frame.columns.tolist() == ["coverage", "threshold", "value", "low", "high"]
    assert frame["coverage"].tolist() == [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert (frame["threshold"].diff().dropna() > 0).all()


def test_accuracy_at_a_coverage_is_that_of_the_most_confident_faces(overconfident):
    probabilities, true = overconfident
    index, weights = resamples = resample_clusters(np.arange(600) // 4, n_resamples=50)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    for row in coverage_frame(probabilities, true, resamples).itertuples():
        covered = np.isin(np.arange(600), np.argsort(-confidence)[: round(600 * row.coverage)])
        resampled = [np.arange(600).repeat(times[index]) for times in weights]
        values = [right[faces][covered[faces]].mean() for faces in resampled]
        assert row.value == pytest.approx(values[0])
        assert (row.low, row.high) == pytest.approx(tuple(np.percentile(values[1:], [2.5, 97.5])))


def test_a_resample_without_a_covered_face_does_not_spoil_the_interval():
    # At the lowest coverage only the last of ten faces is covered; about a third of the resamples lack it.
    confidence = np.linspace(0.6, 0.99, 10)
    probabilities, true = np.stack([confidence, 1 - confidence], axis=1), np.zeros(10, dtype=int)
    last = coverage_frame(probabilities, true, each_alone(true, 100)).iloc[-1]
    assert (last["value"], last["low"], last["high"]) == (1, 1, 1)


@pytest.mark.filterwarnings("ignore:No positive class found")  # of the last case, without a right prediction
def test_the_threshold_is_the_lowest_from_which_four_of_five_predictions_are_right():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.5])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    right = np.array([True, True, False, True, True, False])
    assert fit_threshold(probabilities, np.where(right, 0, 1)) == 0.55  # 4 of 5; with the last one 4 of 6
    assert fit_threshold(probabilities, np.zeros(6, int)) == 0.5
    assert fit_threshold(probabilities, np.ones(6, int)) == 1.0


def test_a_threshold_takes_all_predictions_of_the_same_confidence():
    probabilities = np.tile([0.7, 0.3], (4, 1))
    assert fit_threshold(probabilities, np.array([0, 0, 1, 1])) == 1.0  # the first two alone would be right
    assert fit_threshold(probabilities, np.array([0, 0, 0, 0])) == 0.7


@pytest.mark.parametrize(
    ("temperature", "threshold", "above"),
    [(None, 0.9, True), (1.0, 0.91, False), (3.0, 0.9, False), (1.0, None, None)],
)
def test_predictions_of_photos_are_scaled_and_compared_with_the_threshold(temperature, threshold, above):
    probabilities = np.full((1, 6), 0.02)
    probabilities[0, 3] = 0.9
    metadata = {"groups": list("abcdef"), "temperature": temperature, "threshold": threshold}
    table = predictions_of_photos(pd.DataFrame({"photo": ["a.jpg"], "face": [1]}), probabilities, metadata)
    expected = scale(probabilities, temperature or 1.0)
    assert table[["photo", "face", "group", "second"]].iloc[0].tolist() == ["a.jpg", 1, "d", "a"]
    assert table[[f"p_{group}" for group in range(6)]].to_numpy() == pytest.approx(expected)
    assert table["confidence"].tolist() == pytest.approx([expected.max()])
    assert table["above_threshold"].tolist() == [above]


def test_without_faces_the_predictions_of_photos_have_their_columns():
    metadata = {"groups": ["young", "old"], "threshold": 0.5}
    table = predictions_of_photos(pd.DataFrame(columns=["photo", "face"]), np.zeros((0, 2)), metadata)
    assert list(table) == ["photo", "face", "group", "second", "confidence", "above_threshold", "p_0", "p_1"]
    assert table.empty
