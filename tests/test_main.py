"""The command line: what a person sees, and what it leaves alone."""

import subprocess
import sys

import pytest

import ageclf
from ageclf import __main__, pages, runs


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
        (["export", "--run", ""], "error: no checkpoint of a run ''; make export RUN=name takes nothing yet: run 04_"),
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
    runs.describe(
        folder,
        {"run": "sample", "parameters": {"04_training": {}}},
        {"name": "sample", "sha256": "0", "synthetic": True, "rows": 1},
    )
    pages.write_index(folder.parent)
    for name in ("sample/04_training.ipynb", "sample/notes.txt", "lab/metrics.json", "paper.pdf", ".sample.lock"):
        (folder.parent / name).parent.mkdir(exist_ok=True)
        (folder.parent / name).touch()
    assert command("clean-reports") == (0, "")
    left = {str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*") if path.is_file()}
    assert left == {"sample/notes.txt", "lab/metrics.json", "paper.pdf"}


def test_clean_reports_leaves_a_run_alone_that_is_going_on(command, tmp_path):
    folder = tmp_path / "reports" / "sample"
    folder.mkdir(parents=True)
    runs.describe(
        folder, {"run": "sample", "parameters": {}}, {"name": "sample", "sha256": "0", "synthetic": True, "rows": 1}
    )
    with runs.locked(folder):
        status, said = command("clean-reports")
    assert status == 2
    assert "is being made already" in said
    assert (folder / "run.json").exists()


def test_clean_training_removes_what_a_run_trained_and_nothing_else(command, tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    mine = ["a.b.keras", "a.b.json", "a.b.training.npz", ".1-a.b.keras"]
    others = ["a.keras", "a.b.c.keras", "ckpt-700.keras", "README.md", ".1-c.a.b.keras"]
    for name in mine + others:
        (folder / name).touch()
    assert command("clean-training", "--run", "a.b") == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == sorted(others)
    status, said = command("clean-training", "--run", "a.b")
    assert status == 2
    assert said.startswith("error: no training of a run 'a.b' in ")


def test_clean_training_takes_a_batch_or_one_of_its_points_and_never_all_runs(command, tmp_path):
    folder = tmp_path / "checkpoint" / "batch"
    folder.mkdir(parents=True)
    points = [folder / f"seed-{seed}{suffix}" for seed in (1, 2) for suffix in (".keras", ".json", ".training.npz")]
    for path in (*points, folder.parent / "other.keras"):
        path.touch()
    assert command("clean-training", "--run", "batch/seed-1") == (0, "")
    assert sorted(folder.iterdir()) == sorted(points[3:])
    assert command("clean-training", "--run", "batch") == (0, "")
    assert [path.name for path in folder.parent.iterdir()] == ["other.keras"]
    for name in ("", ".", "batch/..", "../checkpoint"):
        assert command("clean-training", "--run", name)[0] == 2
    assert (folder.parent / "other.keras").exists()


def test_clean_training_leaves_a_run_alone_that_is_going_on(command, tmp_path):
    for folder in ("reports", "checkpoint"):
        (tmp_path / folder).mkdir()
    (tmp_path / "checkpoint" / "a.training.npz").touch()
    with runs.locked(tmp_path / "reports" / "a"):
        status, said = command("clean-training", "--run", "a")
    assert (status, (tmp_path / "checkpoint" / "a.training.npz").exists()) == (2, True)
    assert "is being made already" in said


def test_export_of_an_unknown_run_names_the_known_ones(command, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    for name in ("b.keras", "ckpt-1.h5", "b.json", ".1-c.keras"):
        (tmp_path / "checkpoint" / name).touch()
    said = "error: no checkpoint of a run 'c'; make export RUN=name takes b, ckpt-1\n"
    assert command("export", "--run", "c") == (2, said)
    status, said = command("export", "--run", "b")
    assert (status, said.count("\n")) == (2, 1)
    assert "b.keras: not a checkpoint: it is empty" in said


def test_export_writes_a_saved_model_beside_the_checkpoint(command, tmp_path):
    from ageclf.backend import keras
    from ageclf.weights import save_checkpoint

    steps = [keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(6, "softmax")]
    save_checkpoint(keras.Sequential(steps), tmp_path / "checkpoint" / "a.b.keras", {"run": "a.b"})
    assert command("export", "--run", "a.b") == (0, "")
    folder = tmp_path / "checkpoint" / "a.b-savedmodel"
    assert {"saved_model.pb", "provenance.json"} <= {path.name for path in folder.iterdir()}


def test_the_command_line_answers_without_importing_keras():
    code = "import sys, ageclf.__main__; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow"} & set(done.stdout.split())
