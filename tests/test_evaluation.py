"""Measures against hand-worked cases and scikit-learn; intervals that respect clusters."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ageclf import evaluation
from ageclf.groups import REFERENCE_EDGES


@pytest.fixture
def labels() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 6, 500)
    return true, np.where(rng.random(500) < 0.6, true, rng.integers(0, 6, 500))


def table(true: np.ndarray, predicted: np.ndarray, clusters: np.ndarray) -> pd.DataFrame:
    probabilities = pd.DataFrame(np.eye(6)[predicted], columns=[f"p_{group}" for group in range(6)])
    return probabilities.assign(group=true, cluster=clusters)


def test_measures_equal_those_of_scikit_learn(labels):
    true, predicted = labels
    confusion = evaluation.confusion_matrix(true, predicted, 6)
    ours = evaluation.measures(confusion)
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(true, predicted))
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted))
    assert ours["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(true, predicted))
    assert ours["macro_f1"] == pytest.approx(metrics.f1_score(true, predicted, average="macro"))
    expected = metrics.precision_recall_fscore_support(true, predicted)
    np.testing.assert_allclose([ours["precision"], ours["recall"], ours["f1"]], expected[:3])


def test_measures_of_a_case_worked_by_hand():
    # Of four faces of group 0 one is taken for its neighbour and one for the group two away.
    ours = evaluation.measures(np.array([[2, 1, 1], [0, 2, 0], [0, 0, 0]]))
    assert ours["accuracy"] == pytest.approx(4 / 6)
    assert ours["off_by_one"] == pytest.approx(5 / 6)
    assert ours["balanced_accuracy"] == pytest.approx((2 / 4 + 1) / 2)  # group 2 has no faces
    assert ours["macro_f1"] == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)
    assert np.isnan(ours["recall"][2])


def test_a_stack_of_confusion_matrices_is_measured_one_by_one(labels):
    single = evaluation.confusion_matrix(*labels, 6)
    stacked = evaluation.measures(np.stack([single, single.T]))
    assert stacked["macro_f1"].shape == (2,)
    np.testing.assert_allclose(stacked["recall"][1], evaluation.measures(single.T)["recall"])


def test_resamples_draw_whole_clusters():
    true = np.repeat([0, 1], 50)
    confusions = evaluation.bootstrap_confusions(true, true, true, 2, n_resamples=200, seed=0)
    drawn = {tuple(np.diagonal(confusion)) for confusion in confusions}
    assert drawn == {(0, 100), (50, 50), (100, 0)}


def test_interval_agrees_with_the_binomial_one_where_every_face_stands_alone(labels):
    true, predicted = labels
    accuracy = evaluation.evaluate(table(true, predicted, np.arange(500)), REFERENCE_EDGES, 0)["measures"]["accuracy"]
    half = 1.96 * np.sqrt(accuracy["value"] * (1 - accuracy["value"]) / 500)
    assert accuracy["low"] == pytest.approx(accuracy["value"] - half, abs=0.01)
    assert accuracy["high"] == pytest.approx(accuracy["value"] + half, abs=0.01)


def test_interval_widens_when_faces_come_in_clusters(labels):
    true, predicted = (np.repeat(values[:50], 10) for values in labels)
    alone = evaluation.evaluate(table(true, predicted, np.arange(500)), REFERENCE_EDGES, 0)["measures"]["accuracy"]
    together = evaluation.evaluate(table(true, predicted, np.arange(500) // 10), REFERENCE_EDGES, 0)
    width = together["measures"]["accuracy"]["high"] - together["measures"]["accuracy"]["low"]
    assert width > 2 * (alone["high"] - alone["low"])


def test_majority_baseline_answers_the_training_majority(labels):
    true, predicted = labels
    results = evaluation.evaluate(table(true, predicted, np.arange(500)), REFERENCE_EDGES, majority=2)
    baseline = results["baselines"]["majority"]
    assert baseline["group"] == "19-30"
    assert baseline["accuracy"]["value"] == pytest.approx((true == 2).mean())
    assert baseline["balanced_accuracy"]["value"] == pytest.approx(1 / 6)


def test_a_group_without_faces_has_no_recall_and_valid_json(tmp_path):
    true = np.array([0, 0, 1, 1])
    results = evaluation.evaluate(table(true, true, true), REFERENCE_EDGES, 0)
    assert results["per_group"][5]["recall"] == {"value": None, "low": None, "high": None}
    evaluation.write_results(tmp_path / "run", table(true, true, true), results)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["n"] == 4
    assert len(pd.read_parquet(tmp_path / "run" / "predictions.parquet")) == 4
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["metrics.json", "predictions.parquet"]


def test_faces_seen_in_training_are_left_out_and_counted():
    face_ids, parts = pd.Series(["a", "b", "c", "d"]), np.array(["test", "test", "train", "train"])
    chosen, left_out = evaluation.choose_faces(face_ids, parts, "all", ["a", "c"])
    assert (chosen.tolist(), left_out) == ([False, True, False, True], 2)
    chosen, left_out = evaluation.choose_faces(face_ids, parts, "train", ["a", "c"])
    assert (chosen.tolist(), left_out) == ([False, False, True, True], 0)


def test_where_the_training_faces_are_not_known_none_is_left_out_and_none_is_counted():
    face_ids, parts = pd.Series(["a", "b", "c"]), np.array(["test", "test", "train"])
    chosen, left_out = evaluation.choose_faces(face_ids, parts, "test", None)
    assert (chosen.tolist(), left_out) == ([True, True, False], None)


def test_a_part_without_unseen_faces_is_refused():
    face_ids, parts = pd.Series(["a"]), np.array(["test"])
    with pytest.raises(ValueError, match="no face that the network was not trained on"):
        evaluation.choose_faces(face_ids, parts, "all", ["a"])
    with pytest.raises(ValueError, match="expected one of train, val, test, all"):
        evaluation.choose_faces(face_ids, parts, "tests", [])


def test_percentages_read_as_in_the_report():
    assert evaluation.percent({"value": 0.705, "low": 0.689, "high": 0.7214}) == "70.5 % (68.9–72.1)"
    assert evaluation.percent({"value": None, "low": None, "high": None}) == "–"
