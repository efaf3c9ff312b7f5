"""A batch is read whole, failures too, and its settings are compared on the same faces."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat import v4

import ageclf
from ageclf.display import tables
from ageclf.faces.groups import REFERENCE_EDGES
from ageclf.metrics import comparison, evaluation
from ageclf.run_folder import write_results

AGES = [3.0, 12.0, 25.0, 38.0, 55.0, 75.0]
DATA = {"name": "faces.csv", "sha256": "ab" * 32, "synthetic": False}
TRUE = np.arange(120) % 6


def answers(wrong: range) -> np.ndarray:
    """Return the true group of each face but the `wrong` ones."""
    return np.where(np.isin(np.arange(len(TRUE)), wrong), (TRUE + 1) % 6, TRUE)


def write_batch(root: Path, axes: dict[str, list[str]], points: dict[str, dict[str, str]]) -> Path:
    folder = root / "reports" / "small"
    described = {point: {"levels": levels} for point, levels in points.items()}
    batch = {"run": "small", "axes": axes, "points": described, "data": {**DATA, "rows": 120}}
    known = {"schema": 1} | dict.fromkeys(ageclf.RUN_KEYS) | batch
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(known))
    for point in points:
        (folder / point).mkdir(exist_ok=True)
    return folder


def write_point(folder: Path, predicted: np.ndarray, losses: tuple[float, ...] = (1.5, 1.2, 1.3), **changes) -> None:
    """Write what 05_evaluation and 04_training leave, of faces that come in clusters of two."""
    shares = np.full((len(TRUE), 6), 0.02)
    shares[np.arange(len(TRUE)), predicted] = 0.9
    known = {"face_id": [f"{i:03}" for i in range(len(TRUE))], "cluster": np.arange(len(TRUE)) // 2, "group": TRUE}
    known |= {"age": np.take(AGES, TRUE), "gender": 0, "ethnicity": 0, "black_edge": 0.0, "brightness": 0.5}
    predictions = pd.DataFrame(shares, columns=[f"p_{group}" for group in range(6)]).assign(**known)
    measured = evaluation.evaluate(predictions, REFERENCE_EDGES, {}, AGES, 1.0, n_resamples=20)
    provenance = {"schema": 1, "data": DATA, "part": "val", "split_seed": 0}
    write_results(folder, predictions, {**provenance, **measured, **changes})
    columns = {"accuracy": 0.5, "loss": 1.4, "val_accuracy": 0.5, "val_loss": losses, "learning_rate": 0.001}
    history = pd.DataFrame(columns, index=pd.Index(range(1, len(losses) + 1), name="epoch"))
    history.to_csv(folder / "training.csv")


def write_failure(folder: Path) -> None:
    error = v4.new_output("error", ename="ValueError", evalue="no such rate", traceback=[])
    notebook = v4.new_notebook(cells=[v4.new_code_cell("fit()", id="fit", execution_count=7, outputs=[error])])
    (folder / "failed").mkdir()
    nbformat.write(notebook, folder / "failed" / "04_training.ipynb")


@pytest.fixture
def batch(tmp_path, monkeypatch) -> Path:
    """Brightness 0 with 30 and 24 of 120 faces wrong, 0.2 with the first 12 of these wrong; nothing else is done."""
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    axes = {"brightness": ["0", "0.2", "0.4"], "seed": ["1", "2"]}
    points = {f"{level}_{seed}": {"brightness": level, "seed": seed} for level in axes["brightness"] for seed in "12"}
    folder = write_batch(tmp_path, axes, points)
    write_point(folder / "0_1", answers(range(30)))
    write_point(folder / "0_2", answers(range(24)))
    for seed in "12":
        write_point(folder / f"0.2_{seed}", answers(range(12)), losses=(1.5, 1.2))
    write_point(folder / "0.4_1", answers(range(0)))
    write_failure(folder / "0.4_1")
    return folder


def test_every_point_is_listed_and_one_that_failed_is_not_compared_by_what_it_left_before(batch):
    read = comparison.read_batch("small")
    states = {point: known["state"] for point, known in read.points.items()}
    done = dict.fromkeys(("0_1", "0_2", "0.2_1", "0.2_2"), "done")
    assert states == {**done, "0.4_1": "failed", "0.4_2": "not run yet"}
    (failure,) = read.failures
    assert (failure["point"], failure["notebook"], failure["cell"]) == ("0.4_1", "04_training", "In [7], fit")
    assert failure["error"] == "ValueError: no such rate"
    assert list(read.results) == list(read.histories) == list(done)
    assert comparison.describe(read) == (
        "points: 4 done, 1 failed, 1 not run yet; faces.csv, part 'val': 120 faces in 60 clusters"
    )
    assert tables.states_frame(read.points).loc["brightness 0.4"].to_dict() == {
        "seed 1": "failed",
        "seed 2": "not run yet",
    }


def test_points_come_best_first_and_those_without_results_last(batch):
    compared = comparison.compare(comparison.read_batch("small"))
    rows = compared["points"]
    assert [row["point"] for row in rows] == ["0.2_1", "0.2_2", "0_2", "0_1", "0.4_1", "0.4_2"]
    assert [row["epochs"] for row in rows] == [2, 2, 3, 3, None, None]
    assert {row["best_epoch"] for row in rows[:4]} == {2}
    assert rows[0]["measures"]["accuracy"]["value"] == pytest.approx(108 / 120)
    shown = tables.points_frame(compared)
    assert shown["epoch kept"].tolist() == ["2 of 2", "2 of 2", "2 of 3", "2 of 3"]
    assert shown.columns[1] == "accuracy"
    assert shown["accuracy"].str[:6].tolist() == ["90.0 %", "90.0 %", "80.0 %", "75.0 %"]
    assert shown["off by one (%)"].tolist() == ["98.3", "98.3", "96.7", "95.8"]  # 66+ for 0-5, a sixth


def test_a_measure_of_mistakes_is_best_where_it_is_lowest(batch):
    rows = comparison.compare(comparison.read_batch("small"), "groups_off")["points"]
    assert [row["point"] for row in rows] == ["0.2_1", "0.2_2", "0_2", "0_1", "0.4_1", "0.4_2"]


def test_settings_have_mean_and_deviation_over_seeds(batch):
    compared = comparison.compare(comparison.read_batch("small"))
    first, second = compared["settings"]
    assert (first["setting"], first["seeds"]) == ("brightness 0", ["1", "2"])
    assert first["mean"] == pytest.approx(0.775)
    assert first["sd"] == pytest.approx(0.05 / np.sqrt(2))  # 0.75 and 0.80
    assert second["sd"] == 0
    shown = tables.settings_frame(compared)
    assert shown.loc["brightness 0"].tolist() == ["77.5 ± 3.5", 2]
    assert shown.columns[0] == "accuracy (%), mean ± sd"


def test_differences_are_those_of_the_same_faces_and_seeds(batch):
    compared = comparison.compare(comparison.read_batch("small"), n_resamples=500)
    assert compared["baseline"] == "brightness 0"
    (row,) = compared["differences"]
    assert row["by_seed"] == pytest.approx([18 / 120, 12 / 120])
    assert row["value"] == pytest.approx(15 / 120)
    assert row["sd"] == pytest.approx(0.05 / np.sqrt(2))
    assert (row["gained"], row["lost"]) == ([18, 12], [0, 0])
    assert row["p_by_seed"] == pytest.approx([2 / 2**18, 2 / 2**12])
    assert row["p"] == row["p_holm"] == pytest.approx(2 / 2**12)
    # Of 60 clusters, the six of faces 12 to 23 gain 1, the three up to 29 a half: their mean is resampled.
    gains = np.repeat([0, 1, 0.5, 0], [6, 6, 3, 45])
    assert row["value"] == pytest.approx(gains.mean())
    half = 1.96 * gains.std() / np.sqrt(60)
    assert (row["low"], row["high"]) == pytest.approx((gains.mean() - half, gains.mean() + half), abs=0.02)


def test_the_interval_is_that_of_correctness_averaged_over_seeds(batch):
    """Accuracy is a mean over faces: the mean of the seeds' differences is the difference of the faces' means."""
    compared = comparison.compare(comparison.read_batch("small"), n_resamples=200, seed=3)
    draws = comparison.draw_clusters(np.arange(120) // 2, 200, seed=3)
    right = {wrong: (answers(range(wrong)) == TRUE).astype(float) for wrong in (30, 24, 12)}
    totals = draws[1] @ np.add.reduceat(right[12] - (right[30] + right[24]) / 2, np.arange(0, 120, 2))
    low, high = np.percentile((totals / draws[1].sum(axis=1) / 2)[1:], [2.5, 97.5])
    (row,) = compared["differences"]
    assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_the_same_answers_differ_by_exactly_nothing(batch):
    for seed in "12":
        write_point(batch / f"0.2_{seed}", answers(range(30 if seed == "1" else 24)))
    for measure in ("accuracy", "macro_f1"):
        (row,) = comparison.compare(comparison.read_batch("small"), measure)["differences"]
        assert (row["value"], row["low"], row["high"], row["p"], row["p_holm"]) == (0, 0, 0, 1, 1)


def test_effects_average_over_the_other_axes(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    axes = {"flip": ["no", "yes"], "rate": ["0.001", "0.002"], "patience": ["10"]}
    wrong = {("no", "0.001"): 12, ("no", "0.002"): 24, ("yes", "0.001"): 36}
    points = {
        f"{flip}_{rate}": {"flip": flip, "rate": rate, "patience": "10"}
        for flip in axes["flip"]
        for rate in axes["rate"]
    }
    folder = write_batch(tmp_path, axes, points)
    for (flip, rate), n in wrong.items():
        write_point(folder / f"{flip}_{rate}", answers(range(n)))
    compared = comparison.compare(comparison.read_batch("small"))
    effects = {(row["axis"], row["level"]): row["mean"] for row in compared["effects"]}
    expected = {("flip", "no"): 0.85, ("flip", "yes"): 0.7, ("rate", "0.001"): 0.8, ("rate", "0.002"): 0.8}
    assert effects == pytest.approx(expected)
    assert tables.effects_frame(compared)["points"].tolist() == [2, 1, 2, 1]
    # No axis of seeds: a point a setting, no deviation, and a column that says only the state.
    assert {(len(row["seeds"]), row["sd"]) for row in compared["settings"]} == {(1, None)}
    assert tables.settings_frame(compared).iloc[0, 0] == "90.0 ± –"
    assert tables.states_frame(comparison.read_batch("small").points)["state"].tolist()[-1] == "not run yet"
    assert tables.differences_frame(compared)["sd over seeds"].tolist() == ["–", "–"]


def test_settings_without_a_seed_in_common_are_not_compared(batch):
    write_failure(batch / "0_1")
    write_failure(batch / "0.2_2")
    compared = comparison.compare(comparison.read_batch("small"))
    (row,) = compared["differences"]
    assert (row["seeds"], row["value"], row["p"], row["p_holm"]) == ([], None, None, None)
    assert set(tables.differences_frame(compared).loc["brightness 0.2"]) == {"–", 0}


def test_a_batch_of_seeds_alone_and_one_without_results_have_nothing_to_compare(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    folder = write_batch(tmp_path, {"seed": ["1", "2"]}, {"seed-1": {"seed": "1"}, "seed-2": {"seed": "2"}})
    compared = comparison.compare(comparison.read_batch("small"))
    assert (compared["n"], compared["baseline"]) == (None, None)
    assert [compared[key] for key in ("settings", "differences", "effects")] == [[], [], []]
    for lay_out in (tables.points_frame, tables.settings_frame, tables.differences_frame, tables.effects_frame):
        assert lay_out(compared).empty
    assert "nothing to compare" in comparison.describe(comparison.read_batch("small"))
    write_point(folder / "seed-1", answers(range(12)))
    compared = comparison.compare(comparison.read_batch("small"))
    assert [row["setting"] for row in compared["settings"]] == ["the only setting"]
    assert compared["differences"] == []


def test_other_faces_are_refused_by_point_and_key(batch):
    for key, value in (("part", "test"), ("split_seed", 1), ("data", {**DATA, "sha256": "cd" * 32}), ("edges", [18])):
        write_point(batch / "0.2_2", answers(range(12)), **{key: value})
        with pytest.raises(ValueError, match=f"0.2_2: {key} differs from that of 0_1"):
            comparison.read_batch("small")
    write_point(batch / "0.2_2", answers(range(12)))
    predictions = pd.read_parquet(batch / "0.2_2" / "predictions.parquet")
    predictions.iloc[::-1].to_parquet(batch / "0.2_2" / "predictions.parquet")
    with pytest.raises(ValueError, match=r"0.2_2: face_id differs from that of 0_1"):
        comparison.read_batch("small")


def test_what_is_not_there_is_named(batch):
    with pytest.raises(FileNotFoundError, match="other: no batch was run there; make sweep RUN=other first"):
        comparison.read_batch("other")
    with pytest.raises(ValueError, match="measure='acuracy': expected one of accuracy, balanced_accuracy"):
        comparison.compare(comparison.read_batch("small"), "acuracy")


def test_the_file_holds_what_was_compared(batch):
    compared = comparison.compare(comparison.read_batch("small"))
    comparison.write_comparison(compared)
    assert json.loads((batch / "comparison.json").read_text(encoding="utf-8")) == compared
