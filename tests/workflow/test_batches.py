"""Batches: what a grid expands to, and what is refused before anything starts."""

import pytest
from tiny_checkout import write_run

from ageclf.workflow import run_files

RUN_FILES = sorted((run_files.CHECKOUT / "runs").glob("*.yaml"))


@pytest.mark.parametrize("name", [path.stem for path in RUN_FILES if "\ngrid:" in path.read_text()])
def test_shipped_batches_agree_with_the_notebooks(name):
    batch = run_files.read_batch(name)
    assert len(batch["points"]) >= 2
    for point, content in batch["points"].items():
        assert content["parameters"]["04_training"]["run"] == f"{name}/{point}"
        assert content["parameters"]["05_evaluation"].get("part", "val") == "val"


def test_every_combination_of_a_grid_is_a_point(checkout):
    sections = {"common": {"seed": 7}, "04_training": {"epochs": 5}}
    write_run(checkout, "mine", sections | {"grid": {"04_training.epochs": [1, 2], "common.seed": [3, 4]}})
    batch = run_files.read_batch("mine")
    assert batch["axes"] == {"epochs": ["1", "2"], "seed": ["3", "4"]}
    assert list(batch["points"]) == ["epochs-1_seed-3", "epochs-1_seed-4", "epochs-2_seed-3", "epochs-2_seed-4"]
    assert batch["points"]["epochs-2_seed-3"] == {
        "levels": {"epochs": "2", "seed": "3"},
        "parameters": {
            "04_training": {"data": "auto", "seed": 3, "run": "mine/epochs-2_seed-3", "epochs": 2},
            "05_evaluation": {
                "checkpoint": "reports/mine/epochs-2_seed-3/network.keras",
                "data": "auto",
                "seed": 3,
                "run": "mine/epochs-2_seed-3",
            },
        },
    }
    assert batch["notebooks"] == ["04_training", "05_evaluation"]
    assert batch["parameters"] == {"11_comparison": {"data": "auto", "seed": 7, "run": "mine"}}


def test_a_named_axis_sets_several_parameters_at_once(checkout):
    recipe = {"short": {"04_training": {"epochs": 1}}, "long, bad": {"04_training": {"epochs": 9, "bad": True}}}
    write_run(checkout, "mine", {"grid": {"recipe": recipe}})
    batch = run_files.read_batch("mine")
    assert batch["axes"] == {"recipe": ["short", "long, bad"]}
    assert list(batch["points"]) == ["recipe-short", "recipe-long-bad"]
    long = batch["points"]["recipe-long-bad"]["parameters"]["04_training"]
    assert (long["epochs"], long["bad"]) == (9, True)


def test_a_label_may_be_called_like_a_parameter(checkout):
    write_run(checkout, "mine", {"grid": {"recipe": {"epochs": {"04_training": {"epochs": 1}}, "seed": {}}}})
    assert list(run_files.read_batch("mine")["points"]) == ["recipe-epochs", "recipe-seed"]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, r"runs/mine.yaml has no grid.*make report RUN=mine"),
        ({"grid": {}}, r"runs/mine.yaml: grid is empty"),
        ({"grid": ["seed"]}, r"runs/mine.yaml: grid must be of type dict"),
        ({"grid": {"common.seed": []}}, r"runs/mine.yaml, grid, common.seed: expected a list of values"),
        ({"grid": {"common.seed": 1}}, r"grid, common.seed: expected a list of values, .* got 1"),
        ({"grid": {"seed": [1]}}, r"grid, seed: 'seed' is not known here"),
        ({"grid": {"common.sead": [1]}}, r"grid, common.sead, common: 'sead'.* 'seed'"),
        ({"grid": {"04_trainig.epochs": [1]}}, r"grid, 04_trainig.epochs: '04_trainig'.* '04_training'"),
        ({"grid": {"02_brightness.share": [0.1]}}, r"grid, 02_brightness.share: '02_brightness' is not known"),
        ({"grid": {"04_training.epochs": [1, 2.5]}}, r"epochs must be of type int, got 2.5"),
        ({"grid": {"04_training.epochs": [1, -2]}}, r"epochs must be from 0 to 10000, got -2"),
        ({"grid": {"04_training.epochs": [1, 1]}}, r"grid, 04_training.epochs: .* have the same name"),
        ({"grid": {"common.seed": [1], "04_training.seed": [2]}}, r"grid, 04_training.seed: .* the same name"),
        ({"grid": {"a": {"x y": {}, "x,y": {"common": {"seed": 1}}}}}, r"grid: two points have the name 'a-x-y'"),
        ({"grid": {"a": {"x": {}, "y": {}}}}, r"grid: points 'a-x' and 'a-y' have the same parameters"),
        ({"grid": {"a": {"x": ["epochs"]}}}, r"grid, a: x must hold sections .*, got \['epochs'\]"),
        ({"grid": {"common.split_seed": [0, 1]}}, r"split_seed must be the same in all points"),
        ({"grid": {"05_evaluation.part": ["train", "val"]}}, r"part must be the same in all points"),
        ({"grid": {"common.data": ["a", "b"]}}, r"data must be the same in all points"),
        ({"05_evaluation": {"part": "test"}, "grid": {"common.seed": [1]}}, r"runs/mine.yaml: part must be 'val'"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_with_file_and_key(checkout, sections, message):
    write_run(checkout, "mine", sections)
    with pytest.raises(ValueError, match=message):
        run_files.read_batch("mine")


def test_a_seed_that_a_section_holds_fast_makes_no_points(checkout):
    sections = {"04_training": {"seed": 5}, "05_evaluation": {"seed": 5}}
    write_run(checkout, "mine", sections | {"grid": {"common.seed": [1, 2]}})
    with pytest.raises(ValueError, match="'seed-1' and 'seed-2' have the same parameters"):
        run_files.read_batch("mine")


def test_the_recipe_whose_seeds_are_compared_is_the_recommended_one():
    best, batch = run_files.read_run("best"), run_files.read_batch("best-seeds")
    told = best["parameters"]["04_training"]
    for point in batch["points"].values():
        assert point["parameters"]["04_training"] | {"run": "best", "seed": 1} == told
