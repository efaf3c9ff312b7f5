"""Batches from the first point to the comparison, with notebooks of one line each: real kernels, real Snakemake."""

import json
import re
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from tiny_checkout import ageclf_command, environment, make_checkout, wait_for, write_run

import ageclf
from ageclf import report

COMMON = {"common": {"data": "sample"}}
# Of two points, which one is trained first, or both at once, depends on the cores of the machine.
WAIT_UNLESS_FIRST = """
import contextlib, time
first, go = ageclf.resolve("first"), ageclf.resolve("go")
with contextlib.suppress(FileExistsError):
    first.symlink_to(str(seed))
while first.readlink().name != str(seed) and not go.exists():
    time.sleep(0.1)
"""
QUALITY = {"fine": {}, "bad": {"04_training": {"bad": True}}}


def started(process):
    """Return what was executed: `point/notebook`, and `11_comparison`."""
    return set(re.findall(r"^(\S+) started$", process.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A batch whose every second point fails: the finished process and the batch's folder."""
    checkout = make_checkout(tmp_path_factory.mktemp("made") / "a checkout")
    write_run(checkout, "mine", COMMON | {"grid": {"common.seed": [1, 2], "quality": QUALITY}})
    return ageclf_command(checkout, "sweep", "--run", "mine"), checkout / "reports" / "mine"


def test_points_that_fail_are_named_and_the_others_are_measured_and_compared(made):
    process, folder = made
    assert process.returncode == 1
    for seed in (1, 2):
        assert (folder / f"seed-{seed}_quality-fine" / "metrics.json").exists()
        assert f"error: seed-{seed}_quality-bad/04_training failed in cell In [3], work: AssertionErr" in process.stderr
        assert str(folder / f"seed-{seed}_quality-bad" / "failed" / "04_training.ipynb") in process.stderr
        assert not (folder / f"seed-{seed}_quality-bad" / "05_evaluation.ipynb").exists()
    assert (folder / "11_comparison.html").exists()
    assert "Traceback" not in process.stderr


def test_no_network_and_no_empty_folder_is_left(made):
    folder = made[1]
    assert not list(folder.parents[1].rglob("*.keras"))
    assert not (folder.parents[1] / "checkpoint" / "mine").exists()
    assert not [path for path in folder.rglob("failed") if not any(path.iterdir())]


def test_pages_lead_to_each_other_and_the_index_counts_points_and_failures(made):
    folder = made[1]
    point = folder / "seed-1_quality-fine"
    page = (point / "05_evaluation.html").read_text()
    for target in ("../../index.html", "../11_comparison.html"):
        assert f'href="{target}"' in page
        assert (point / target).exists()
    assert 'href="seed-1_quality-fine/05_evaluation.html"' in (folder / "11_comparison.html").read_text()
    index = (folder.parent / "index.html").read_text()
    assert "4 points, 2 notebooks failed" in index
    assert 'href="mine/11_comparison.html"' in index


def test_run_json_says_what_the_batch_and_each_point_are(made):
    batch = json.loads((made[1] / "run.json").read_text())
    assert (batch["run"], batch["axes"]) == ("mine", {"seed": ["1", "2"], "quality": ["fine", "bad"]})
    assert len(batch["points"]) == 4
    point = report.read_report(made[1] / "seed-2_quality-bad")
    assert (point["run"], point["levels"]) == ("mine/seed-2_quality-bad", {"seed": "2", "quality": "bad"})
    assert [failure["notebook"] for failure in point["failures"]] == ["04_training"]


def test_the_same_command_tries_only_the_failed_points_again(made):
    again = ageclf_command(made[1].parents[1], "sweep", "--run", "mine")
    tried = {f"seed-{seed}_quality-bad/04_training" for seed in (1, 2)}
    assert started(again) == tried | {"11_comparison"}
    assert again.returncode == 1


def test_new_points_are_executed_and_old_ones_are_not(made):
    checkout = made[1].parents[1]
    write_run(checkout, "mine", COMMON | {"grid": {"common.seed": [1, 2, 3], "quality": {"fine": {}}}})
    more = {"seed-3_quality-fine/04_training", "seed-3_quality-fine/05_evaluation"}
    plan = ageclf_command(checkout, "sweep-plan", "--run", "mine").stdout
    assert "seed-1_quality-fine: up to date\n" in plan
    assert "seed-3_quality-fine: 04_training, 05_evaluation" in plan
    process = ageclf_command(checkout, "sweep", "--run", "mine")
    assert process.returncode == 0, process.stderr
    assert started(process) == {*more, "11_comparison"}


@pytest.mark.parametrize(
    ("module", "executed"),
    [("training", "04_training, 05_evaluation"), ("measures", "04_training, 05_evaluation"), ("tables", "up to date")],
)
def test_an_edit_reruns_what_uses_the_module_but_a_nicer_table_costs_no_training(made, module, executed):
    """The plan of a batch that is done; nothing is executed."""
    path = made[1].parents[1] / "ageclf" / f"{module}.py"
    text = path.read_text()
    path.write_text(text + "# edited")
    plan = ageclf_command(made[1].parents[1], "sweep-plan", "--run", "mine").stdout
    assert f"seed-1_quality-fine: {executed}" in plan
    path.write_text(text)


def test_a_plan_changes_nothing_and_knows_the_time_of_earlier_trainings(tmp_path):
    checkout = make_checkout(tmp_path / "checkout")
    write_run(checkout, "mine", COMMON | {"grid": {"04_training.epochs": [6, 12]}})
    first = ageclf_command(checkout, "sweep-plan", "--run", "mine")
    assert "2 of 2 points to do" in first.stdout
    assert first.stdout.endswith("no earlier training of this kind on these data tells\n")
    assert not (checkout / "reports").exists()

    earlier = checkout / "reports" / "sample"  # three epochs in three minutes on two cores
    earlier.mkdir(parents=True)
    notebook = nbformat.read(checkout / "notebooks" / "04_training.ipynb", as_version=4)
    notebook.metadata["papermill"] = {"duration": 180}
    nbformat.write(notebook, earlier / "04_training.ipynb")
    (earlier / "training.csv").write_text("epoch\n1\n2\n3\n")
    data = {"sha256": json.loads(describe_sample(checkout))["sha256"]}
    run = dict.fromkeys(ageclf.RUN_KEYS) | {"schema": 1, "data": data, "threads": 2, "parameters": {"04_training": {}}}
    (earlier / "run.json").write_text(json.dumps(run))
    cores = 2  # whatever the machine has
    plan = planned(checkout, cores)
    assert "epochs-6: 04_training, 05_evaluation, about 12 min\n" in plan
    assert "epochs-12: 04_training, 05_evaluation, about 24 min\n" in plan
    assert "2 of 2 points to do, 2 side by side, about 24 min\n" in plan


def describe_sample(checkout):
    code = "import json; from ageclf.reading import load_faces; print(json.dumps(load_faces('sample').source))"
    return run_python(checkout, code)


def planned(checkout, cores):
    return run_python(
        checkout, f"from ageclf import runs, sweeps; runs.CORES = {cores}; print(*sweeps.plan_sweep('mine'), sep='\\n')"
    )


def run_python(checkout, code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=checkout, env=environment(), capture_output=True, text=True, check=True).stdout


def test_a_batch_that_was_killed_goes_on_with_what_was_not_finished(tmp_path):
    """`kill -9` of everything while the second point trains; the first is not executed again."""
    checkout = make_checkout(tmp_path / "checkout")
    write_run(checkout, "mine", COMMON | {"grid": {"common.seed": [1, 2]}})
    path = checkout / "notebooks" / "04_training.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source += WAIT_UNLESS_FIRST
    nbformat.write(notebook, path)
    folder = checkout / "reports" / "mine"
    command = [sys.executable, "-m", "ageclf", "sweep", "--run", "mine", "--keep-networks"]
    process = subprocess.Popen(command, cwd=checkout, env=environment(), stdout=subprocess.DEVNULL)
    networks, log = checkout / "checkpoint" / "mine", folder / "snakemake.log"
    # Snakemake notes that a notebook is done a moment after it lies there; killed before, it would execute it again.
    wait_for(lambda: log.exists() and log.read_text().count("Finished jobid") == 2 and [*networks.glob("*.json")])
    time.sleep(1)
    for one in [*psutil.Process(process.pid).children(recursive=True), process]:
        one.kill()
    process.wait()

    (second,) = (path.stem for path in networks.glob("*.json"))
    (checkout / "go").touch()
    again = ageclf_command(checkout, *command[3:])
    assert again.returncode == 0, again.stderr
    assert started(again) == {f"{second}/04_training", f"{second}/05_evaluation", "11_comparison"}
    kept = [folder / f"seed-{seed}" / "network.json" for seed in (1, 2)]
    threads = json.loads((folder / "run.json").read_text())["threads"]
    assert [path.read_text() for path in kept] == [str(threads)] * 2, "kept when asked, trained on its share of cores"


def test_a_run_is_no_batch_and_a_batch_is_no_run(tmp_path):
    checkout = make_checkout(tmp_path / "checkout")
    write_run(checkout, "mine", COMMON | {"grid": {"common.seed": [1, 2]}})
    report_of_batch = ageclf_command(checkout, "report", "--run", "mine")
    sweep_of_run = ageclf_command(checkout, "sweep", "--run", "sample")
    assert report_of_batch.stderr == "error: runs/mine.yaml has a grid, so it is a batch: make sweep RUN=mine\n"
    assert sweep_of_run.stderr == "error: runs/sample.yaml has no grid, so it is one run: make report RUN=sample\n"
    assert (report_of_batch.returncode, sweep_of_run.returncode) == (2, 2)
