"""A sweep is read whole, failures too, and its settings are compared on the same faces, by tests from textbooks."""

import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat import v4
from run_folders import RUN
from scipy.stats import binomtest

import ageclf
from ageclf.display import tables
from ageclf.faces.groups import REFERENCE_EDGES
from ageclf.metrics import comparison, evaluation
from ageclf.metrics.bootstrap import resample_clusters
from ageclf.metrics.comparison import difference, holm, mcnemar, spread
from ageclf.run_folder import write_results

AGES = [3.0, 12.0, 25.0, 38.0, 55.0, 75.0]
DATA = {"name": "faces.csv", "sha256": "ab" * 32, "synthetic": False}
TRUE = np.arange(120) % 6


def predicted(wrong: range) -> np.ndarray:
    """Return the true group of each face but the `wrong` ones."""
    return np.where(np.isin(np.arange(len(TRUE)), wrong), (TRUE + 1) % 6, TRUE)


def write_sweep(root: Path, axes: dict[str, list[str]], configurations: dict[str, dict[str, str]]) -> Path:
    folder = root / "reports" / "small"
    described = {name: {"levels": levels} for name, levels in configurations.items()}
    run = {"run": "small", "axes": axes, "configurations": described, "data": {**DATA, "rows": 120}}
    ageclf.write_json(folder / "run.json", RUN | run)
    for name in configurations:
        (folder / name).mkdir(exist_ok=True)
    return folder


def write_measured(folder: Path, groups: np.ndarray, losses: tuple[float, ...] = (1.5, 1.2, 1.3), **changes) -> None:
    """Write what 05_evaluation and 04_training leave, of faces that come in clusters of two."""
    probabilities = np.full((len(TRUE), 6), 0.02)
    probabilities[np.arange(len(TRUE)), groups] = 0.9
    columns = {"face_id": [f"{i:03}" for i in range(len(TRUE))], "cluster": np.arange(len(TRUE)) // 2, "group": TRUE}
    columns |= {"age": np.take(AGES, TRUE), "gender": 0, "ethnicity": 0, "black_edge": 0.0, "brightness": 0.5}
    table = pd.DataFrame(probabilities, columns=[f"p_{group}" for group in range(6)]).assign(**columns)
    resamples = resample_clusters(table["cluster"].to_numpy(), n_resamples=20)
    baselines = {"most_frequent": np.zeros(len(TRUE), dtype=int)}
    metadata = {"edges": REFERENCE_EDGES, "group_ages": AGES, "temperature": 1.0}
    measured = evaluation.evaluate(table, metadata, baselines, resamples)
    write_results(folder, table, {"data": DATA, "part": "val", "split_seed": 0, **measured, **changes})
    columns = {"accuracy": 0.5, "loss": 1.4, "val_accuracy": 0.5, "val_loss": losses, "learning_rate": 0.001}
    history = pd.DataFrame(columns, index=pd.Index(range(1, len(losses) + 1), name="epoch"))
    history.to_csv(folder / "training.csv")


def write_failure(folder: Path) -> None:
    error = v4.new_output("error", ename="ValueError", evalue="no such rate", traceback=[])
    notebook = v4.new_notebook(cells=[v4.new_code_cell("fit()", id="fit", execution_count=7, outputs=[error])])
    (folder / "failed").mkdir()
    nbformat.write(notebook, folder / "failed" / "04_training.ipynb")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """Brightness 0 with 30 and 24 of 120 faces wrong, 0.2 with the first 12 of these wrong; nothing else is done."""
    root = tmp_path_factory.mktemp("sweep")
    axes = {"brightness": ["0", "0.2", "0.4"], "seed": ["1", "2"]}
    levels = [{"brightness": level, "seed": seed} for level in axes["brightness"] for seed in "12"]
    folder = write_sweep(root, axes, {"_".join(one.values()): one for one in levels})
    write_measured(folder / "0_1", predicted(range(30)))
    write_measured(folder / "0_2", predicted(range(24)))
    for seed in "12":
        write_measured(folder / f"0.2_{seed}", predicted(range(12)), losses=(1.5, 1.2))
    write_measured(folder / "0.4_1", predicted(range(0)))
    write_failure(folder / "0.4_1")
    return root


@pytest.fixture
def sweep(written, tmp_path, monkeypatch) -> Path:
    """A copy of the sweep, for a test to change."""
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    return shutil.copytree(written / "reports" / "small", tmp_path / "reports" / "small")


def test_every_configuration_is_listed_and_one_that_failed_is_not_compared_by_what_it_left_before(sweep):
    read = comparison.read_sweep("small")
    states = {row["configuration"]: row["state"] for row in read.configurations}
    done = dict.fromkeys(("0_1", "0_2", "0.2_1", "0.2_2"), "done")
    assert states == {**done, "0.4_1": "failed", "0.4_2": "not run yet"}
    (failure,) = read.failures
    assert (failure["configuration"], failure["notebook"], failure["cell"]) == ("0.4_1", "04_training", "In [7], fit")
    assert failure["error"] == "ValueError: no such rate"
    assert list(read.results) == list(read.histories) == list(done)
    assert tables.states_frame(read.configurations).loc["brightness 0.4"].to_dict() == {
        "seed 1": "failed",
        "seed 2": "not run yet",
    }


def test_configurations_come_best_first_and_those_without_results_last(sweep):
    compared = comparison.compare(comparison.read_sweep("small"))
    rows = compared["configurations"]
    assert [row["configuration"] for row in rows] == ["0.2_1", "0.2_2", "0_2", "0_1", "0.4_1", "0.4_2"]
    assert [row["epochs"] for row in rows] == [2, 2, 3, 3, None, None]
    assert {row["best_epoch"] for row in rows[:4]} == {2}
    assert rows[0]["measures"]["accuracy"]["value"] == pytest.approx(108 / 120)
    shown = tables.configurations_frame(compared)
    assert shown["epoch kept"].tolist() == ["2 of 2", "2 of 2", "2 of 3", "2 of 3"]
    assert shown.columns[1] == "accuracy"
    assert shown["accuracy"].str[:6].tolist() == ["90.0 %", "90.0 %", "80.0 %", "75.0 %"]
    assert shown["off by one (%)"].tolist() == ["98.3", "98.3", "96.7", "95.8"]  # 66+ for 0-5, a sixth


def test_a_measure_of_errors_is_best_where_it_is_lowest(sweep):
    rows = comparison.compare(comparison.read_sweep("small"), "ordinal_mae")["configurations"]
    assert [row["configuration"] for row in rows] == ["0.2_1", "0.2_2", "0_2", "0_1", "0.4_1", "0.4_2"]


def test_settings_have_mean_and_deviation_over_seeds(sweep):
    compared = comparison.compare(comparison.read_sweep("small"))
    first, second = compared["settings"]
    assert (first["setting"], first["seeds"]) == ("brightness 0", ["1", "2"])
    assert first["mean"] == pytest.approx(0.775)
    assert first["sd"] == pytest.approx(0.05 / np.sqrt(2))  # 0.75 and 0.80
    assert second["sd"] == 0
    shown = tables.settings_frame(compared)
    assert shown.loc["brightness 0"].tolist() == ["77.5 ± 3.5", 2]
    assert shown.columns[0] == "accuracy (%), mean ± sd"


def test_differences_are_those_of_the_same_faces_and_seeds(sweep):
    compared = comparison.compare(comparison.read_sweep("small"), n_resamples=500)
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


def test_the_interval_is_that_of_correctness_averaged_over_seeds(sweep):
    """Accuracy is a mean over faces: the mean of the seeds' differences is the difference of the faces' means."""
    compared = comparison.compare(comparison.read_sweep("small"), n_resamples=200, seed=3)
    resamples = resample_clusters(np.arange(120) // 2, 200, seed=3)
    right = {wrong: (predicted(range(wrong)) == TRUE).astype(float) for wrong in (30, 24, 12)}
    totals = resamples[1] @ np.add.reduceat(right[12] - (right[30] + right[24]) / 2, np.arange(0, 120, 2))
    low, high = np.percentile((totals / resamples[1].sum(axis=1) / 2)[1:], [2.5, 97.5])
    (row,) = compared["differences"]
    assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_the_same_predictions_differ_by_exactly_nothing(sweep):
    for seed in "12":
        write_measured(sweep / f"0.2_{seed}", predicted(range(30 if seed == "1" else 24)))
    for measure in ("accuracy", "macro_f1"):
        (row,) = comparison.compare(comparison.read_sweep("small"), measure)["differences"]
        assert (row["value"], row["low"], row["high"], row["p"], row["p_holm"]) == (0, 0, 0, 1, 1)


def test_without_an_axis_of_seeds_a_setting_is_a_configuration_without_deviation(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    axes = {"flip": ["no", "yes"], "rate": ["0.001", "0.002"]}
    wrong = {("no", "0.001"): 12, ("no", "0.002"): 24, ("yes", "0.001"): 36}
    levels = [{"flip": flip, "rate": rate} for flip in axes["flip"] for rate in axes["rate"]]
    folder = write_sweep(tmp_path, axes, {f"{one['flip']}_{one['rate']}": one for one in levels})
    for (flip, rate), n in wrong.items():
        write_measured(folder / f"{flip}_{rate}", predicted(range(n)))
    compared = comparison.compare(comparison.read_sweep("small"))
    assert {(len(row["seeds"]), row["sd"]) for row in compared["settings"]} == {(1, None)}
    assert tables.settings_frame(compared).iloc[0, 0] == "90.0 ± –"
    assert tables.states_frame(comparison.read_sweep("small").configurations)["state"].tolist()[-1] == "not run yet"
    assert tables.differences_frame(compared)["sd over seeds"].tolist() == ["–", "–"]


def test_settings_without_a_seed_in_common_are_not_compared(sweep):
    write_failure(sweep / "0_1")
    write_failure(sweep / "0.2_2")
    compared = comparison.compare(comparison.read_sweep("small"))
    (row,) = compared["differences"]
    assert (row["seeds"], row["value"], row["p"], row["p_holm"]) == ([], None, None, None)
    assert set(tables.differences_frame(compared).loc["brightness 0.2"]) == {"–", 0}


def test_a_sweep_of_seeds_alone_and_one_without_results_have_nothing_to_compare(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    folder = write_sweep(tmp_path, {"seed": ["1", "2"]}, {"seed-1": {"seed": "1"}, "seed-2": {"seed": "2"}})
    compared = comparison.compare(comparison.read_sweep("small"))
    assert (compared["n"], compared["baseline"]) == (None, None)
    assert [compared[key] for key in ("settings", "differences")] == [[], []]
    for lay_out in (tables.configurations_frame, tables.settings_frame, tables.differences_frame):
        assert lay_out(compared).empty
    write_measured(folder / "seed-1", predicted(range(12)))
    compared = comparison.compare(comparison.read_sweep("small"))
    assert [row["setting"] for row in compared["settings"]] == ["the only setting"]
    assert compared["differences"] == []


def test_other_faces_are_refused_by_configuration_and_key(sweep):
    for key, value in (("part", "test"), ("split_seed", 1), ("data", {**DATA, "sha256": "cd" * 32}), ("edges", [18])):
        write_measured(sweep / "0.2_2", predicted(range(12)), **{key: value})
        with pytest.raises(ValueError, match=f"0.2_2: {key} differs from that of 0_1"):
            comparison.read_sweep("small")
    write_measured(sweep / "0.2_2", predicted(range(12)))
    predictions = pd.read_parquet(sweep / "0.2_2" / "predictions.parquet")
    predictions.iloc[::-1].to_parquet(sweep / "0.2_2" / "predictions.parquet")
    with pytest.raises(ValueError, match=r"0.2_2: face_id differs from that of 0_1"):
        comparison.read_sweep("small")


def test_what_is_missing_is_named(sweep):
    with pytest.raises(FileNotFoundError, match="other: no sweep was run there; make sweep RUN=other first"):
        comparison.read_sweep("other")
    with pytest.raises(ValueError, match="measure='acuracy': expected one of accuracy, balanced_accuracy"):
        comparison.compare(comparison.read_sweep("small"), "acuracy")


def test_the_file_holds_what_was_compared(sweep):
    compared = comparison.compare(comparison.read_sweep("small"))
    ageclf.write_json(sweep / "comparison.json", compared)
    assert json.loads((sweep / "comparison.json").read_text(encoding="utf-8")) == {"schema": 2, **compared}


def pairs(both: int, gained: int, lost: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Return who is right of two, bool (n,) each, where the four counts are those of McNemar's table."""
    counts = (both, gained, lost, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def runs(*tables: tuple[int, int, int, int]) -> tuple[dict, dict]:
    """Return a setting and a baseline as `difference` takes them, with a seed for every table of counts."""
    right = {str(seed): pairs(*table) for seed, table in enumerate(tables)}
    setting, baseline = (
        {seed: (pair[which], pair[which].mean(keepdims=True).repeat(5)) for seed, pair in right.items()}
        for which in (0, 1)
    )
    return setting, baseline


def test_mcnemar_counts_faces_that_only_one_has_right():
    gained, lost, p = mcnemar(*pairs(10, 1, 5, 4))
    assert (gained, lost) == (1, 5)
    assert p == pytest.approx(2 * (1 + 6) / 2**6)


def test_mcnemar_agrees_with_a_textbook():
    """Agresti, "Categorical Data Analysis", 2002, section 10.1.1: approval of the prime minister, z² = 17.36."""
    gained, lost, p = mcnemar(*pairs(794, 86, 150, 570))
    assert p == pytest.approx(binomtest(86, 236).pvalue)
    assert (gained - lost) ** 2 / (gained + lost) == pytest.approx(17.36, abs=0.01)
    assert 2e-5 < p < 5e-5  # chi-squared gives 3.1e-5


def test_without_a_face_that_only_one_has_right_there_is_no_difference():
    assert mcnemar(*pairs(10, 0, 0, 3)) == (0, 0, 1.0)


def test_holm_agrees_with_worked_cases():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_leaves_out_what_was_not_tested():
    assert holm([None, 0.01, 0.03]) == [None, pytest.approx(0.02), pytest.approx(0.03)]


def test_seeds_are_tested_one_by_one_and_the_weakest_counts():
    row = difference(*runs((50, 20, 5, 25), (50, 12, 8, 30)))
    assert row["p_by_seed"] == pytest.approx([binomtest(5, 25).pvalue, binomtest(8, 20).pvalue])
    assert row["p"] == row["p_by_seed"][1]
    assert row["by_seed"] == pytest.approx([0.15, 0.04])
    assert row["value"] == pytest.approx(0.095)
    assert row["sd"] == pytest.approx(0.11 / np.sqrt(2))


def test_seeds_that_contradict_each_other_show_no_difference():
    row = difference(*runs((50, 30, 5, 15), (50, 5, 30, 15)))
    assert max(row["p_by_seed"]) < 0.001
    assert (row["p"], row["value"]) == (1.0, pytest.approx(0))


def test_only_seeds_that_both_have_are_compared():
    setting, baseline = runs((50, 20, 5, 25), (50, 12, 8, 30))
    del baseline["0"], setting["1"]
    assert difference(setting, baseline)["seeds"] == []
    assert difference(setting, setting)["seeds"] == ["0"]


def test_spread_is_the_deviation_with_one_fewer():
    assert spread([0.6, 0.7, 0.8]) == pytest.approx({"mean": 0.7, "sd": 0.1})
    assert spread([0.6]) == {"mean": 0.6, "sd": None}
    assert spread([0.6, None]) == {"mean": 0.6, "sd": None}
    assert spread([]) == {"mean": None, "sd": None}
