"""The measures of metrics.json: of the chosen faces, with intervals, baselines, calibration and slices."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

import ageclf
from ageclf.faces.groups import REFERENCE_EDGES
from ageclf.faces.reading import Faces, load_faces
from ageclf.metrics import evaluation
from ageclf.metrics.bootstrap import resample_clusters
from ageclf.run_folder import read_results, write_results

AGES = [3.0, 12.0, 25.0, 38.0, 55.0, 75.0]


@pytest.fixture
def labels() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 6, 500)
    return true, np.where(rng.random(500) < 0.6, true, rng.integers(0, 6, 500))


def table(true: np.ndarray, predicted: np.ndarray, clusters: np.ndarray | None = None, confidence: float = 0.9):
    """A predictions table where the predicted group has one probability, and the others share the rest."""
    probabilities = np.full((len(true), 6), (1 - confidence) / 5)
    probabilities[np.arange(len(true)), predicted] = confidence
    columns = {
        "group": true,
        "age": np.take(AGES, true),
        "cluster": np.arange(len(true)) if clusters is None else clusters,
    }
    columns |= {"gender": true % 2, "ethnicity": true % 5, "black_edge": 0.0, "brightness": np.arange(len(true))}
    return pd.DataFrame(probabilities, columns=[f"p_{group}" for group in range(6)]).assign(**columns)


def evaluate(
    predictions: pd.DataFrame, most_frequent: int = 0, temperature: float = 1.0, n_resamples: int = 50
) -> dict:
    baselines = {"most_frequent": np.full(len(predictions), most_frequent)}
    metadata = {"edges": REFERENCE_EDGES, "group_ages": AGES, "temperature": temperature}
    resamples = resample_clusters(predictions["cluster"].to_numpy(), n_resamples)
    return evaluation.evaluate(predictions, metadata, baselines, resamples)


def test_the_measures_are_those_of_the_most_probable_group(labels):
    results = evaluate(table(*labels))
    assert results["measures"]["accuracy"]["value"] == pytest.approx(metrics.accuracy_score(*labels))
    kappa = metrics.cohen_kappa_score(*labels, weights="quadratic")
    assert results["measures"]["quadratic_kappa"]["value"] == pytest.approx(kappa)
    np.testing.assert_array_equal(results["confusion"], metrics.confusion_matrix(*labels))
    recall = metrics.recall_score(*labels, average=None)
    assert [row["recall"]["value"] for row in results["per_group"]] == pytest.approx(recall.tolist())


def test_the_mae_in_years_is_the_distance_from_the_expected_age():
    true, predicted = np.array([0, 5]), np.array([0, 4])
    results = evaluate(table(true, predicted, confidence=1.0))
    assert results["measures"]["mae_years"]["value"] == pytest.approx((0 + 20) / 2)


def test_calibration_is_measured_before_and_after_the_temperature(labels):
    measured = evaluate(table(*labels, confidence=0.99), temperature=3.0)["calibration"]
    right = np.mean(labels[0] == labels[1])
    assert measured["temperature"] == 3.0
    assert measured["before"]["calibration_error"]["value"] == pytest.approx(0.99 - right)
    assert measured["after"]["log_loss"]["value"] < measured["before"]["log_loss"]["value"]


def test_slices_are_measured_and_hold_no_nan(labels):
    slices = evaluate(table(*labels))["slices"]
    assert {row["slice"] for row in slices["gender"]} == {"male", "female"}
    assert sum(row["n"] for row in slices["group × gender × ethnicity"]) == 500
    (only,) = slices["black_edge"]  # all faces are alike: there are no others
    assert (only["n"], only["gap_value"]) == (500, None)


def test_interval_agrees_with_the_binomial_one_where_every_face_stands_alone(labels):
    accuracy = evaluate(table(*labels), n_resamples=1000)["measures"]["accuracy"]
    half = 1.96 * np.sqrt(accuracy["value"] * (1 - accuracy["value"]) / 500)
    assert accuracy["low"] == pytest.approx(accuracy["value"] - half, abs=0.01)
    assert accuracy["high"] == pytest.approx(accuracy["value"] + half, abs=0.01)


def test_interval_widens_when_faces_come_in_clusters(labels):
    true, predicted = (np.repeat(values[:50], 10) for values in labels)
    alone, together = (
        evaluate(table(true, predicted, clusters), n_resamples=200)["measures"]["accuracy"]
        for clusters in (np.arange(500), np.arange(500) // 10)
    )
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])


def test_baselines_are_measured_on_the_same_faces(labels):
    baseline = evaluate(table(*labels), most_frequent=2)["baselines"]["most_frequent"]
    assert baseline["group"] == "19-30"
    assert baseline["accuracy"]["value"] == pytest.approx((labels[0] == 2).mean())
    assert baseline["balanced_accuracy"]["value"] == pytest.approx(1 / 6)


def test_results_come_back_as_they_were_written(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    true = np.array([0, 0, 1, 1])
    results = evaluate(table(true, true, true)) | {"part": "test"}
    assert results["per_group"][5]["recall"] == {"value": None, "low": None, "high": None}
    folder = tmp_path / "reports" / "run"
    write_results(folder, table(true, true, true), results)
    predictions, read = read_results("run")
    assert read == {"schema": 2, **results}
    pd.testing.assert_frame_equal(predictions, table(true, true, true))
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "predictions.parquet"]


def test_another_network_than_the_one_measured_is_refused(tmp_path):
    path = tmp_path / "sample.keras"
    path.write_bytes(b"weights")
    measured = {"checkpoint": "sample.keras", "checkpoint_sha256": ageclf.sha256(path)}
    evaluation.check_network(measured, str(path))
    path.write_bytes(b"trained again")
    with pytest.raises(ValueError, match=r"sample\.keras: .* another network .*; run 05_evaluation again"):
        evaluation.check_network(measured, path)


def test_pictures_are_found_by_row_and_other_faces_are_refused():
    faces = load_faces("sample")
    rows = [7, 3]
    predictions = faces.table.iloc[rows][["row", "face_id"]]
    np.testing.assert_array_equal(evaluation.images_of(predictions, faces), faces.images[rows])
    for other in (faces.select(np.arange(5)), faces._replace(table=faces.table.assign(face_id="0"))):
        with pytest.raises(ValueError, match="sample: not the faces that 05_evaluation predicted"):
            evaluation.images_of(predictions, other)


def test_without_results_the_notebook_to_run_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="run 05_evaluation, or make report RUN=lab first"):
        read_results("lab")


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


@pytest.fixture
def faces() -> Faces:
    """Dark pictures of children, bright ones of adults."""
    adult = np.arange(80) % 2
    images = np.random.default_rng(0).integers(0, 56, (80, 48, 48)) + 200 * adult[:, None, None]
    return Faces(images, pd.DataFrame({"age": 10 + 30 * adult}), pd.DataFrame(), {})


TRAIN = np.arange(80) < 40
TWO_GROUPS = {"edges": [18], "training_counts": [1, 3]}


def test_two_baselines_follow_the_counts_of_training_and_no_face(faces):
    predicted = evaluation.baselines(faces, TRAIN, ~TRAIN, TWO_GROUPS, seed=0)
    assert predicted["most_frequent"].tolist() == [1] * 40
    assert 0.5 < predicted["stratified"].mean() < 0.95
    exchanged = Faces(255 - faces.images, 50 - faces.table, faces.bad, faces.source)
    again = evaluation.baselines(exchanged, TRAIN, ~TRAIN, TWO_GROUPS, seed=0)
    assert predicted["stratified"].tolist() == again["stratified"].tolist()
    other = evaluation.baselines(faces, TRAIN, ~TRAIN, TWO_GROUPS, seed=1)
    assert predicted["stratified"].tolist() != other["stratified"].tolist()


def test_logistic_regression_learns_from_thumbnails(faces):
    predicted = evaluation.baselines(faces, TRAIN, ~TRAIN, TWO_GROUPS, seed=0)
    assert predicted["logistic"].tolist() == [0, 1] * 20


def test_logistic_regression_is_never_trained_on_the_faces_that_it_predicts(faces):
    everything = np.full(80, True)
    predicted = evaluation.baselines(faces, everything, everything, TWO_GROUPS, seed=0)
    assert set(predicted) == {"most_frequent", "stratified"}
