"""The command line: what a person sees, and what it leaves alone."""

import sys

import pytest

import ageclf
from ageclf import __main__, report, runs


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Return a function that runs `python -m ageclf` with tmp_path as the root: exit status and standard error."""
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    monkeypatch.delenv("AGECLF_DATA", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ageclf", *arguments])
        return __main__.main(), capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "--run", "smaple"], "error: there is no run file runs/smaple.yaml; the runs are: "),
        (["report", "--run", "utkface"], "error: run 'utkface' needs a data set"),
        (["report", "--data", "nowhere.csv"], "nowhere.csv"),
        (["pages", "nothing"], "error: there is no run.json in "),
    ],
)
def test_a_mistake_gives_one_line_and_no_traceback(command, arguments, message):
    status, said = command(*arguments)
    assert status == 2
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_relative_path_of_data_starts_at_the_working_directory(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"{tmp_path / 'nowhere.csv'}" in command("report", "--data", "nowhere.csv")[1]


def test_clean_reports_removes_only_what_runs_wrote(command, tmp_path):
    folder = tmp_path / "reports" / "sample"
    folder.mkdir(parents=True)
    runs.describe(folder, {"04_training": {}}, {"name": "sample", "sha256": "0", "synthetic": True, "rows": 1})
    report.write_index(folder.parent)
    for name in ("sample/04_training.ipynb", "sample/notes.txt", "lab/metrics.json", "paper.pdf", ".sample.lock"):
        (folder.parent / name).parent.mkdir(exist_ok=True)
        (folder.parent / name).touch()
    assert command("clean-reports") == (0, "")
    left = {str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*") if path.is_file()}
    assert left == {"sample/notes.txt", "lab/metrics.json", "paper.pdf"}


def test_clean_reports_leaves_a_run_alone_that_is_going_on(command, tmp_path):
    folder = tmp_path / "reports" / "sample"
    folder.mkdir(parents=True)
    runs.describe(folder, {}, {"name": "sample", "sha256": "0", "synthetic": True, "rows": 1})
    with runs.locked(folder):
        status, said = command("clean-reports")
    assert status == 2
    assert "is being made already" in said
    assert (folder / "run.json").exists()
