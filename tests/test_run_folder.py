"""What a run left in its folder: which notebook failed and where, and the removal of it all."""

import pytest
from nbformat import v4
from run_folders import executed, write_run

from ageclf import run_folder
from ageclf.workflow import pages


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "reports" / "small"
    executed(folder / "04_training.ipynb", [v4.new_markdown_cell("# Training")])
    write_run(folder)
    pages.write_pages(folder)
    return folder


def test_a_killed_notebook_names_the_cell_that_was_running(folder):
    done = v4.new_code_cell("a", id="first-01", metadata={"papermill": {"status": "completed"}})
    running = v4.new_code_cell("b", id="second-02", metadata={"papermill": {"status": "running"}})
    executed(folder / "failed" / "05_evaluation.ipynb", [done, running])
    (failure,) = run_folder.failures(folder)
    assert (failure["notebook"], failure["cell"]) == ("05_evaluation", "second-02")


def test_removal_keeps_what_runs_did_not_write(folder):
    for name in (
        "metrics.json",
        "predictions.parquet",
        "notes.txt",
        "my_own.ipynb",
        "failed/05_evaluation.ipynb",
        "tensorboard/events",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    run_folder.remove_run_outputs(folder)
    assert sorted(path.name for path in folder.rglob("*")) == ["my_own.ipynb", "notes.txt"]


def test_removal_takes_a_folder_that_holds_nothing_else(folder):
    run_folder.remove_run_outputs(folder)
    assert not folder.exists()
