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
    started = {"papermill": {"start_time": "2026-01-02T10:00:05+00:00"}}
    done = v4.new_code_cell("a", id="first-01", metadata=started)
    running = v4.new_code_cell("b", id="second-02", metadata=started)
    pending = v4.new_code_cell("c", id="third-03", metadata={"papermill": {"start_time": None}})
    executed(folder / "failed" / "05_evaluation.ipynb", [done, running, pending])
    (failure,) = run_folder.failures(folder)
    assert (failure["notebook"], failure["cell"]) == ("05_evaluation", "second-02")


TRACEBACK = """Executing notebook with kernel: gone
Traceback (most recent call last):
  File "cli.py", line 1, in papermill
    execute()
    ^^^^^^^
{}
"""
WITHOUT_A_WORD = "ended without a word, perhaps for want of memory; snakemake.log of the run may have more"


@pytest.mark.parametrize(
    ("log", "error"),
    [
        (
            TRACEBACK.format("jupyter.NoSuchKernel: No such kernel named gone") + "exit status 1\n",
            "jupyter.NoSuchKernel: No such kernel named gone",
        ),
        (
            TRACEBACK.format("OSError: [Errno 28] No space") + "[IPKernelApp] bye\nexit status 1\n",
            "OSError: [Errno 28] No space",
        ),
        ("python: No module named papermill\nexit status 1\n", "python: No module named papermill"),
        (
            "mv: cannot move 'a' to 'b': Permission denied\nexit status 1\n",
            "mv: cannot move 'a' to 'b': Permission denied",
        ),
        ("exit status 3\n", "exit status 3"),
        ("Executing notebook\nexit status 143\n", "stopped by signal 15"),
        ("Executing notebook\nbash: line 9: 77 Killed python\nexit status 137\n", WITHOUT_A_WORD),
        (TRACEBACK.format("nbclient.exceptions.DeadKernelError: Kernel died") + "exit status 138\n", WITHOUT_A_WORD),
        ("Executing notebook\n", WITHOUT_A_WORD),
        (None, WITHOUT_A_WORD),
    ],
)
@pytest.mark.parametrize("content", ["{}", '{"cells": [', '{"cells": 3, "nbformat": 4}', "[]"])
def test_what_no_cell_says_is_what_the_programs_said_and_a_guess_only_where_they_were_killed(
    folder, log, error, content
):
    (folder / "failed").mkdir()
    (folder / "failed" / "05_evaluation.ipynb").write_text(content)
    if log:
        (folder / "failed" / "05_evaluation.log").write_text(log)
    (failure,) = run_folder.failures(folder)
    assert failure == {
        "notebook": "05_evaluation",
        "file": "failed/05_evaluation.ipynb",
        "cell": "none",
        "error": error,
    }


def test_removal_keeps_what_runs_did_not_write(folder):
    for name in (
        "metrics.json",
        "predictions.parquet",
        "notes.txt",
        "my_own.ipynb",
        "failed/05_evaluation.ipynb",
        "failed/05_evaluation.log",
        "tensorboard/events",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    run_folder.remove_run_outputs(folder)
    assert sorted(path.name for path in folder.rglob("*")) == ["my_own.ipynb", "notes.txt"]


def test_removal_takes_a_folder_that_holds_nothing_else(folder):
    run_folder.remove_run_outputs(folder)
    assert not folder.exists()
