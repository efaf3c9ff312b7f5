"""Run files: what is read from them, what a grid expands to, and what is refused before anything starts."""

import ast

import papermill
import pytest
import yaml
from tiny_checkout import NOTEBOOKS, make_checkout, write_run

from ageclf.workflow import run_files

RUN_FILES = sorted((run_files.CHECKOUT / "runs").glob("*.yaml"))
RUNS = pytest.mark.parametrize("name", [path.stem for path in RUN_FILES if "\ngrid:" not in path.read_text()])
SWEEPS = pytest.mark.parametrize("name", [path.stem for path in RUN_FILES if "\ngrid:" in path.read_text()])
ALLOWED = yaml.safe_load((run_files.CHECKOUT / "notebooks" / "parameters.yaml").read_bytes())
DEFAULTS = [run_files.read_defaults(path) for path in (run_files.CHECKOUT / "notebooks").glob("*.ipynb")]


COLLIDING = {
    "a": {"x_b-y": {}, "x": {"04_training": {"epochs": 1}}},
    "b": {"z": {}, "y_b-z": {"common": {"seed": 1}}},
}


def read_sweep(name):
    return run_files.read_run(name, sweep=True)


@pytest.fixture
def own_checkout(tmp_path, monkeypatch):
    """A checkout to make changes in."""
    monkeypatch.setattr(run_files, "CHECKOUT", make_checkout(tmp_path / "checkout"))
    return run_files.CHECKOUT


@RUNS
def test_shipped_run_files_agree_with_the_notebooks(name):
    run = run_files.read_run(name)
    assert run["parameters"]["04_training"]["run"] == name
    assert run["parameters"]["05_evaluation"].get("part") == "test" or "05_evaluation" not in run["notebooks"]
    assert "11_comparison" not in run["notebooks"]


@RUNS
def test_the_random_changes_that_a_run_shows_are_those_that_it_trains_with(name):
    parameters = run_files.read_run(name)["parameters"]
    for shown in ("01_black_edges", "03_augmentation"):
        defaults = run_files.read_defaults(run_files.CHECKOUT / "notebooks" / f"{shown}.ipynb")
        for change in defaults.keys() & {"flip", "brightness", "translation", "rotation", "whole_pixels"}:
            assert parameters[shown].get(change) == parameters["04_training"].get(change), (shown, change)


def test_every_number_that_a_notebook_takes_has_limits_that_its_default_keeps():
    numbers = {key: value for defaults in DEFAULTS for key, value in defaults.items() if type(value) in (int, float)}
    assert numbers.keys() == ALLOWED["limits"].keys()
    for key, value in numbers.items():
        low, high = ALLOWED["limits"][key]
        assert low <= value <= high, key


def test_the_defaults_of_a_notebook_are_those_that_papermill_finds():
    for path in (run_files.CHECKOUT / "notebooks").glob("*.ipynb"):
        found = {name: ast.literal_eval(one["default"]) for name, one in papermill.inspect_notebook(path).items()}
        assert run_files.read_defaults(path) == found, path


def test_without_a_name_the_sweeps_are_named_and_no_other_run(checkout):
    write_run(checkout, "mine", {"common": {"seed": 1}, "grid": {"04_training.epochs": [1, 2]}})
    write_run(checkout, "first", {"grid": {"common.seed": [1, 2]}})
    with pytest.raises(FileNotFoundError, match=r"^no sweep is named; RUN=name takes one of first, mine$") as error:
        read_sweep("")
    assert "\n" not in str(error.value)


def test_the_backbones_and_image_sizes_that_a_run_file_may_give_are_those_of_the_network():
    from ageclf.network.backbones import BACKBONES
    from ageclf.network.model import IMAGE_SIZES

    assert tuple(ALLOWED["choices"]["backbone"]) == tuple(BACKBONES)
    assert ALLOWED["limits"]["image_size"] == [IMAGE_SIZES[0], IMAGE_SIZES[-1]]


def test_common_values_reach_the_notebooks_that_know_them(checkout):
    write_run(checkout, "mine", {"common": {"seed": 3, "epochs": 5}, "05_evaluation": {"part": "test", "seed": 4}})
    parameters = run_files.read_run("mine")["parameters"]
    assert parameters["01_black_edges"] == {"data": "auto", "run": "mine", "seed": 3}
    assert parameters["04_training"] == {"data": "auto", "run": "mine", "seed": 3, "epochs": 5}
    assert parameters["05_evaluation"] == {"data": "auto", "run": "mine", "seed": 4, "part": "test"}


def test_sliders_are_left_out_where_nobody_moves_them_unless_a_run_file_wants_them(checkout):
    for wanted, handed in (({}, False), ({"common": {"interactive": True}}, True)):
        write_run(checkout, "mine", wanted)
        parameters = run_files.read_run("mine")["parameters"]
        assert parameters["06_prediction"] == {"data": "auto", "run": "mine", "interactive": handed}
        assert "interactive" not in parameters["04_training"]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"04_trainig": {"epochs": 1}}, r"runs/mine.yaml: '04_trainig'.* '04_training'"),
        ({"04_training": {"epoch": 1}}, r"runs/mine.yaml, 04_training: 'epoch'.* 'epochs'"),
        ({"common": {"sead": 1}}, r"runs/mine.yaml, common: 'sead'.* 'seed'"),
        ({"05_evaluation": {"data": "x.csv"}}, r"05_evaluation: 'data' is not known here"),
        ({"common": {"run": "x"}}, r"common: 'run' is not known here"),
        ({"04_training": ["epochs"]}, r"runs/mine.yaml: 04_training must be of type dict"),
        ({"04_training": {"epochs": 2.5}}, r"epochs must be of type int, got 2.5"),
        ({"04_training": {"epochs": True}}, r"epochs must be of type int, got True"),
        ({"02_brightness": {"share": "1e-3"}}, r"share must be of type float, got '1e-3'.*0.001"),
        ({"04_training": {"epochs": -1}}, r"runs/mine.yaml, 04_training: epochs must be from 0 to 10000, got -1"),
        ({"05_evaluation": {"part": "tset"}}, r"part must be one of train, val, test, all, got 'tset'"),
        ({"02_brightness": {"groups": [6, 6]}}, r"runs/mine.yaml, 02_brightness: groups=\[6, 6\]: expected"),
        ({"notebooks": ["04_trainig"]}, r"runs/mine.yaml, notebooks: '04_trainig'.* '04_training'"),
        ({"notebooks": ["11_comparison"]}, r"'11_comparison' is not known here"),
        ({"grid": {"common.seed": [1]}}, r"runs/mine.yaml has a grid, so it is a sweep: make sweep RUN=mine"),
        (["04_training"], r"runs/mine.yaml: expected sections"),
    ],
)
def test_what_no_notebook_knows_is_refused_with_the_nearest_name(checkout, sections, message):
    write_run(checkout, "mine", sections)
    with pytest.raises(ValueError, match=message):
        run_files.read_run("mine")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("common: {seed: 1}\n04_training: {epochs: 1}\ncommon: {data: sample}", "common"),
        ("04_training:\n  epochs: 1\n  seed: 2\n  epochs: 3", "epochs"),
        ("grid:\n  quality:\n    good: {}\n    bad: {common: {seed: 1}}\n    'good': {}", "good"),
        ("common: &a {seed: 1}\n04_training: {<<: *a, <<: *a}", "<<"),
    ],
)
def test_a_key_that_stands_twice_is_refused_and_not_lost(checkout, text, key):
    (checkout / "runs" / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"^runs/mine\.yaml is not valid YAML: '{key}' stands twice .*line \d"):
        run_files.read_run("mine")


def test_a_key_that_beats_that_of_a_merged_section_is_no_second_one(checkout):
    text = "common: {data: sample}\n05_evaluation: &a {seed: 1}\n04_training: {<<: *a, seed: 2}\n"
    (checkout / "runs" / "mine.yaml").write_text(text)
    parameters = run_files.read_run("mine")["parameters"]
    assert (parameters["05_evaluation"]["seed"], parameters["04_training"]["seed"]) == (1, 2)


@pytest.mark.parametrize("text", ["{a: " * 10_000, "- " * 10_000, "a: " + "[" * 999 + "]" * 999])
def test_yaml_nested_without_end_is_refused_in_one_sentence(checkout, text):
    (checkout / "runs" / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"^runs/mine\.yaml is not valid YAML: ") as error:
        run_files.read_run("mine")
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "name", ["b$(touch INJ)", "-x", "a" * 101, "a b", "a#1?b%41", "{x}", ".hidden", "O'Brien", "x\x1b[31m", "a\nb"]
)
def test_a_run_file_whose_name_no_folder_or_command_should_have_is_refused_by_name(own_checkout, name):
    write_run(own_checkout, name, {})
    with pytest.raises(ValueError, match=r"^the run file .+: a name has at most 100 letters, digits") as error:
        run_files.read_run(name)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("label", ["x" * 300, "x;y", "{x}", "a/b", "x\ny", "ü" * 101])
@pytest.mark.parametrize("grid", [lambda label: {"a": {label: {}}}, lambda label: {label: {"x/": {}}}])
def test_a_label_or_axis_that_no_folder_should_be_called_is_refused_by_name(checkout, label, grid):
    write_run(checkout, "mine", {"grid": grid(label)})
    with pytest.raises(ValueError, match=r"^runs/mine\.yaml, grid: the configuration '.+: a name has") as error:
        read_sweep("mine")
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(("axes", "labels"), [(6, 10), (4, 10), (1, 1001)])
def test_a_grid_too_big_to_be_run_is_refused_before_it_is_expanded(checkout, axes, labels):
    axis = {f"l{i}": {} for i in range(labels)}
    write_run(checkout, "mine", {"grid": {f"a{i}": axis for i in range(axes)}})
    with pytest.raises(ValueError, match=rf"^runs/mine\.yaml: grid has {labels**axes:,} configurations, at most 1,000"):
        read_sweep("mine")


@pytest.mark.parametrize(
    "sections",
    [
        {"04_training": {"epochs": "9" * 10**5}},
        {"04_training": {"epochs": list(range(10**4))}},
        {"04_training": {"e" * 10**5: 1}},
        {"common": ["a" * 10**5]},
        ["a" * 100] * 10**4,
    ],
)
def test_an_error_quotes_no_more_than_the_beginning_of_a_huge_value(checkout, sections):
    write_run(checkout, "mine", sections)
    with pytest.raises(ValueError, match=r"runs/mine\.yaml") as error:
        run_files.read_run("mine")
    assert len(str(error.value)) < 400


def test_an_int_will_do_for_a_float(checkout):
    write_run(checkout, "mine", {"02_brightness": {"share": 1}})
    assert run_files.read_run("mine")["parameters"]["02_brightness"]["share"] == 1


def test_an_unknown_run_and_broken_yaml_give_one_sentence(checkout):
    with pytest.raises(FileNotFoundError, match=r"runs/smaple.yaml.*sample"):
        run_files.read_run("smaple")
    (checkout / "runs" / "mine.yaml").write_text("common: {seed: 1")
    with pytest.raises(ValueError, match=r"^runs/mine.yaml is not valid YAML: [^\n]*line 1[^\n]*$"):
        run_files.read_run("mine")
    (checkout / "runs" / "mine.yaml").write_bytes(b"common: {data: caf\xe9.csv}")
    with pytest.raises(ValueError, match=r"^runs/mine.yaml is not valid YAML: [^\n]*invalid continuation byte[^\n]*$"):
        run_files.read_run("mine")


@pytest.mark.parametrize("name", ["Untitled", "Untitled1", "01_black_edges-Copy1", "Mine"])
def test_what_jupyterlab_leaves_among_the_notebooks_is_no_part_of_a_run(own_checkout, name):
    before = run_files.read_run("sample")
    (own_checkout / "notebooks" / f"{name}.ipynb").write_text("")
    assert run_files.read_run("sample") == before


@pytest.mark.parametrize("change", [("seed: int = 0", "seed: int = now()"), ('"cells"', '<<<<<<< HEAD\n "cells"')])
def test_a_notebook_whose_parameters_cannot_be_read_is_named(own_checkout, change):
    path = own_checkout / "notebooks" / "01_black_edges.ipynb"
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ValueError, match=r"^\S+/01_black_edges.ipynb: its parameters cannot be read \(.*; give each"):
        run_files.read_run("sample")


def test_a_run_executes_all_notebooks_or_those_that_it_lists(checkout):
    write_run(checkout, "mine", {})
    assert run_files.read_run("mine")["notebooks"] == [name for name in NOTEBOOKS if name != "11_comparison"]
    write_run(checkout, "mine", {"notebooks": ["00_data_quality"]})
    assert run_files.read_run("mine")["notebooks"] == ["00_data_quality"]


@SWEEPS
def test_shipped_sweeps_agree_with_the_notebooks(name):
    configurations = read_sweep(name)["configurations"]
    assert len(configurations) >= 2
    for configuration, content in configurations.items():
        assert content["parameters"]["04_training"]["run"] == f"{name}/{configuration}"
        assert content["parameters"]["05_evaluation"].get("part", "val") == "val"


def test_every_combination_of_a_grid_is_a_configuration(checkout):
    sections = {"common": {"seed": 7}, "04_training": {"epochs": 5}}
    write_run(checkout, "mine", sections | {"grid": {"04_training.epochs": [1, 2], "common.seed": [3, 4]}})
    sweep = read_sweep("mine")
    assert sweep["axes"] == {"epochs": ["1", "2"], "seed": ["3", "4"]}
    names = ["epochs-1_seed-3", "epochs-1_seed-4", "epochs-2_seed-3", "epochs-2_seed-4"]
    assert list(sweep["configurations"]) == names
    assert sweep["configurations"]["epochs-2_seed-3"] == {
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
    assert sweep["notebooks"] == ["04_training", "05_evaluation"]
    assert sweep["parameters"] == {"11_comparison": {"data": "auto", "seed": 7, "run": "mine"}}


def test_a_named_axis_sets_several_parameters_at_once(checkout):
    recipe = {"short": {"04_training": {"epochs": 1}}, "long+bad": {"04_training": {"epochs": 9, "bad": True}}}
    write_run(checkout, "mine", {"grid": {"recipe": recipe}})
    sweep = read_sweep("mine")
    assert sweep["axes"] == {"recipe": ["short", "long+bad"]}
    assert list(sweep["configurations"]) == ["recipe-short", "recipe-long+bad"]
    long = sweep["configurations"]["recipe-long+bad"]["parameters"]["04_training"]
    assert (long["epochs"], long["bad"]) == (9, True)


def test_a_label_may_be_called_like_a_parameter(checkout):
    write_run(checkout, "mine", {"grid": {"recipe": {"epochs": {"04_training": {"epochs": 1}}, "seed": {}}}})
    assert list(read_sweep("mine")["configurations"]) == ["recipe-epochs", "recipe-seed"]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, r"runs/mine.yaml has no grid, so it is one run: make report RUN=mine"),
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
        ({"grid": {"a": {"x": {}, "X": {"common": {"seed": 1}}}}}, r"grid, a: .* have the same name"),
        ({"grid": {"common.seed": [1], "04_training.seed": [2]}}, r"grid, 04_training.seed: .* the same name"),
        ({"grid": COLLIDING}, r"grid: 'a-x_b-y_b-z' and 'a-x_b-y_b-z' have the same name"),
        ({"grid": {"a": {"x": {}, "y": {}}}}, r"grid: 'a-x' and 'a-y' have the same name or parameters"),
        ({"grid": {"a": {"x": ["epochs"]}}}, r"grid, a, x: sections must be of type dict, got \['epochs'\]"),
        ({"grid": {"a": {"x": {"grid": {}}}}}, r"grid, a: 'grid' is not known here"),
        ({"grid": {"common.split_seed": [0, 1]}}, r"split_seed must be the same in all configurations"),
        ({"grid": {"05_evaluation.part": ["train", "val"]}}, r"part must be the same in all configurations"),
        ({"grid": {"common.data": ["a", "b"]}}, r"data must be the same in all configurations"),
        ({"05_evaluation": {"part": "test"}, "grid": {"common.seed": [1]}}, r"runs/mine.yaml: part must be 'val'"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_with_file_and_key(checkout, sections, message):
    write_run(checkout, "mine", sections)
    with pytest.raises(ValueError, match=message):
        read_sweep("mine")


def test_a_seed_in_a_section_of_its_own_makes_no_configurations(checkout):
    sections = {"04_training": {"seed": 5}, "05_evaluation": {"seed": 5}}
    write_run(checkout, "mine", sections | {"grid": {"common.seed": [1, 2]}})
    with pytest.raises(ValueError, match="'seed-1' and 'seed-2' have the same name or parameters"):
        read_sweep("mine")


def test_the_recipe_whose_seeds_are_compared_is_the_recommended_one():
    recommended = run_files.read_run("small")["parameters"]["04_training"]
    for configuration in read_sweep("small-seeds")["configurations"].values():
        assert configuration["parameters"]["04_training"] | {"run": "small", "seed": 1} == recommended
