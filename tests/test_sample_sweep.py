"""A sweep of four real trainings on the sample, its comparison executed twice."""

import json

from sample_runs import run_cells_again


def test_every_configuration_is_measured_and_compared(sample_sweep):
    compared = json.loads((sample_sweep / "comparison.json").read_text())
    assert [row["state"] for row in compared["configurations"]] == ["done"] * 4
    assert [setting["seeds"] for setting in compared["settings"]] == [["1", "2"]] * 2
    assert (compared["part"], compared["data"]["synthetic"]) == ("val", True)
    for row in compared["configurations"]:
        measured = json.loads((sample_sweep / row["configuration"] / "metrics.json").read_text())["measures"]
        assert row["measures"]["accuracy"] == measured["accuracy"]
        assert row["epochs"] == 2


def test_configurations_differ_in_what_the_grid_says_and_in_nothing_else(sample_sweep):
    runs = {path.parent.name: json.loads(path.read_text()) for path in sample_sweep.glob("*/run.json")}
    given = {name: run["parameters"]["04_training"] for name, run in runs.items()}
    assert {(values["brightness"], values["seed"]) for values in given.values()} == {(0, 1), (0, 2), (0.2, 1), (0.2, 2)}
    rest = [{k: v for k, v in values.items() if k not in ("brightness", "seed", "run")} for values in given.values()]
    assert rest == [{"data": "sample", "epochs": 2}] * 4


def test_the_comparison_gives_the_same_output_a_second_time(sample_sweep):
    done = run_cells_again(sample_sweep / "11_comparison.ipynb", root=sample_sweep.parents[1])
    assert done.returncode == 0, done.stdout[-5000:]
