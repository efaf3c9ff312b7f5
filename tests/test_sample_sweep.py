"""A sweep of four real trainings on the sample, its comparison executed twice."""

import json
from pathlib import Path

import pytest
from sample_runs import run_ageclf, run_cells_again


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("root")
    run_ageclf("sweep", "--run", "sample-sweep", root=root)
    return root / "reports" / "sample-sweep"


def test_every_configuration_is_measured_and_compared(sweep):
    compared = json.loads((sweep / "comparison.json").read_text())
    assert [row["state"] for row in compared["configurations"]] == ["done"] * 4
    assert [setting["seeds"] for setting in compared["settings"]] == [["1", "2"]] * 2
    assert (compared["part"], compared["data"]["synthetic"]) == ("val", True)
    for row in compared["configurations"]:
        measured = json.loads((sweep / row["configuration"] / "metrics.json").read_text())["measures"]
        assert row["measures"]["accuracy"] == measured["accuracy"]
        assert row["epochs"] == 2


def test_configurations_differ_in_what_the_grid_says_and_in_nothing_else(sweep):
    runs = {path.parent.name: json.loads(path.read_text()) for path in sweep.glob("*/run.json")}
    given = {name: run["parameters"]["04_training"] for name, run in runs.items()}
    assert {(values["brightness"], values["seed"]) for values in given.values()} == {(0, 1), (0, 2), (0.2, 1), (0.2, 2)}
    rest = [{k: v for k, v in values.items() if k not in ("brightness", "seed", "run")} for values in given.values()]
    assert rest == [{"data": "sample", "epochs": 2}] * 4


def test_the_comparison_gives_the_same_output_a_second_time(sweep):
    done = run_cells_again(sweep / "11_comparison.ipynb", root=sweep.parents[1])
    assert done.returncode == 0, done.stdout[-5000:]
