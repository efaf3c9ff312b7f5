"""What a notebook depends on, by what it imports: small sources written here, and what the Snakefile makes of it."""

import json
import re

import nbformat
import pytest
from nbformat import v4
from tiny_checkout import dry_run

import ageclf
from ageclf.workflow import dependencies

SOURCES = {
    "ageclf/__init__.py": "",
    "ageclf/run_folder.py": "def read_results(run): ...",
    "ageclf/faces/reading.py": "import ageclf",
    "ageclf/faces/unused.py": "",
    "ageclf/network/model.py": "from ageclf.faces.reading import load_faces",
    "ageclf/network/deep.py": "def f():\n    from ageclf.network import model",
    "ageclf/display/plots.py": "from ageclf.display.colours import BLUE",
    "ageclf/display/colours.py": "from ageclf import run_folder",
}


@pytest.fixture
def project(tmp_path):
    """A function that writes a project with one notebook of some code, and returns its folder."""

    def write(*cells, name="01_some"):
        for path, source in SOURCES.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(source)
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        prose = v4.new_markdown_cell("from ageclf.faces import unused")
        notebook = v4.new_notebook(cells=[prose, *map(v4.new_code_cell, cells)])
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import numpy\nfrom pathlib import Path", []),
        ("from ageclf.faces.reading import load_faces", ["faces/reading"]),
        ("from ageclf.faces import reading", ["faces/reading"]),
        ("from ageclf import run_folder", ["run_folder"]),
        ("from ageclf.network import deep", ["faces/reading", "network/deep", "network/model"]),
        ("from ageclf.display import plots", ["display/colours", "display/plots", "run_folder"]),
    ],
)
def test_a_notebook_depends_on_the_modules_that_it_imports_directly_or_through_others(project, code, expected):
    folder = project("1 + 1", code)
    found = dependencies.modules(folder, "01_some")
    assert found == [folder / "ageclf" / f"{name}.py" for name in expected]


def test_a_folder_that_is_left_out_counts_for_nothing_nor_does_what_only_it_imports(project):
    folder = project("from ageclf.display import plots\nfrom ageclf.faces import reading")
    found = dependencies.modules(folder, "01_some", leave_out="display")
    assert found == [folder / "ageclf" / "faces" / "reading.py"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from ageclf.run_folder import write_results", []),
        ("from ageclf.run_folder import read_results", ["05_evaluation"]),
        ("from ageclf.network.checkpoints import find_checkpoint, load_checkpoint", ["04_training"]),
        (
            "from ageclf.network.checkpoints import find_checkpoint\nfrom ageclf.run_folder import read_results",
            ["05_evaluation"],
        ),
    ],
)
def test_a_notebook_comes_after_the_one_whose_results_it_reads(project, code, expected):
    assert dependencies.after(project(code), "01_some") == expected


@pytest.mark.parametrize("name", ["Untitled", "Untitled1", "01_some-Copy1", "Mine"])
def test_what_jupyterlab_leaves_among_the_notebooks_is_none(project, name):
    project("")
    assert list(dependencies.notebooks(project("", name=name))) == ["01_some"]


def inputs(folder, parameters, configurations):
    """Return the modules that each rule lists in a plan of the real notebooks, by rule, as `folder/name`."""
    described = {"run": "x", "notebooks": ["04_training", "07_calibration"], "data": {"sha256": ""}, "threads": 1}
    described |= {"parameters": parameters, "configurations": configurations}
    (folder / "run.json").write_text(json.dumps(described))
    rules = re.findall(r"rule (\w+):\n +input: (.+)", dry_run(ageclf.CHECKOUT, folder))
    return {rule: set(re.findall(r"/ageclf/(\S+)\.py", listed)) for rule, listed in rules}


@pytest.mark.parametrize("sweep", [False, True])
def test_the_snakefile_lists_what_each_notebook_imports_but_no_display_where_a_network_is_at_stake(tmp_path, sweep):
    names = ("04_training", "05_evaluation", "07_calibration")
    given = {"04_training": {}, "05_evaluation": {"checkpoint": "x"} if sweep else {}, "07_calibration": {}}
    run = ({}, {"one": {"parameters": given}}) if sweep else (given, {})
    listed = inputs(tmp_path, *run)
    for name in names:
        without = "display" if name == "04_training" or (sweep and name == "05_evaluation") else ""
        expected = dependencies.modules(ageclf.CHECKOUT, name, leave_out=without)
        assert listed[name] == {
            path.relative_to(ageclf.CHECKOUT / "ageclf").with_suffix("").as_posix() for path in expected
        }
    assert "network/training" in listed["04_training"]
    assert "display/tables" in listed["07_calibration"]
