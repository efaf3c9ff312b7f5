"""What `make report` and `make sweep` execute: tiny notebooks in a checkout of their own, in real kernels."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from face_files import write_csv
from nbformat import v4
from run_folders import executed
from tiny_checkout import (
    ageclf_command,
    dry_run,
    environment,
    make_checkout,
    on_terminal,
    out_of_date,
    started,
    wait_for,
    write_run,
)

import ageclf
from ageclf.faces import reading
from ageclf.workflow import execute, pages, run_files

SAMPLE = {"data": "sample"}
# 06 reads the checkpoint of 04, 07 the predictions of 05; the other two read no result.
REPORTED = ["01_black_edges", "02_brightness", "04_training", "05_evaluation", "06_prediction", "07_calibration"]
AFTER_EVALUATION = {"05_evaluation", "07_calibration"}
AFTER_TRAINING = {"04_training", "06_prediction", *AFTER_EVALUATION}


@pytest.fixture
def own_checkout(checkout, monkeypatch, tmp_path):
    """The shared checkout for functions that are called in this process, with results below a root of its own."""
    monkeypatch.setattr(execute, "CHECKOUT", checkout)
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    monkeypatch.delenv("AGECLF_DATA", raising=False)
    return checkout


# Data, lock, description

# Which of two configurations is trained first, or both at once, depends on the cores of the machine.
WAIT_UNLESS_FIRST = """
import contextlib, time
first, go = ageclf.resolve("first"), ageclf.resolve("go")
with contextlib.suppress(FileExistsError):
    first.symlink_to(str(seed))
while first.readlink().name != str(seed) and not go.exists():
    time.sleep(0.1)
"""


def test_a_run_on_faces_never_takes_the_sample_instead(own_checkout, tmp_path):
    write_run(own_checkout, "mine", {"common": {"data": "auto"}})
    for data in (None, "auto", "sample"):
        with pytest.raises(FileNotFoundError, match="'mine' needs a data set"):
            execute.make_report("mine", data)
    assert not (tmp_path / "reports").exists()


def test_bad_rows_stop_a_report_unless_the_run_file_drops_them(own_checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(execute, "execute", lambda *arguments: None)
    data = str(write_csv(tmp_path / "faces.csv", {(1, "age"): "old"}))
    write_run(own_checkout, "mine", {"common": {"data": data}})
    with pytest.raises(ValueError, match=r"faces\.csv: data row 1 .*column age: found 'old'"):
        execute.make_report("mine")
    write_run(own_checkout, "mine", {"common": {"data": data, "on_bad_rows": "drop"}})
    folder, _ = execute.make_report("mine")
    assert json.loads((folder / "run.json").read_text())["data"]["rows"] == 2


def test_warnings_about_the_data_are_said_once_and_kept_for_the_pages(own_checkout, monkeypatch, caplog):
    faces = reading.load_faces("sample")
    warned = faces._replace(source=faces.source | {"warnings": ["ages below 10 in \x1b[2Jx.csv"]})
    monkeypatch.setattr(reading, "load_faces", lambda *arguments, **options: warned)
    monkeypatch.setattr(execute, "execute", lambda *arguments: None)
    write_run(own_checkout, "mine", {"common": SAMPLE})
    folder, _ = execute.make_report("mine")
    assert caplog.messages == [r"warning: ages below 10 in \x1b[2Jx.csv"]
    assert json.loads((folder / "run.json").read_text())["data"]["warnings"] == warned.source["warnings"]


def test_what_a_split_can_hardly_mean_is_said_before_anything_is_executed(own_checkout, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(execute, "execute", lambda *arguments: None)
    write_run(own_checkout, "mine", {"common": {"data": str(write_csv(tmp_path / "faces.csv")), "groups": [6, 19]}})
    folder, _ = execute.make_report("mine")
    assert "warning: no face is in the group 6-18" in caplog.messages
    warnings = json.loads((folder / "run.json").read_text())["data"]["warnings"]
    assert [f"warning: {warning}" for warning in warnings] == caplog.messages


def test_one_report_of_a_run_at_a_time(tmp_path):
    with execute.locked(tmp_path / "a"):
        with pytest.raises(BlockingIOError, match="'a' is being made already"), execute.locked(tmp_path / "a"):
            pass
        with execute.locked(tmp_path / "b"):
            pass
    with execute.locked(tmp_path / "a"):
        pass


def test_a_report_on_other_data_starts_clean_but_keeps_a_persons_files(tmp_path):
    content = {"run": "mine", "notebooks": [], "parameters": {"01_black_edges": {}}}
    data = {"name": "a.csv", "sha256": "a" * 64, "synthetic": False, "rows": 1}
    execute.describe(tmp_path, content, data)
    for name in ("01_black_edges.html", "metrics.json", "notes.txt"):
        (tmp_path / name).touch()
    execute.describe(tmp_path, content, data)
    assert (tmp_path / "metrics.json").exists()
    run = json.loads((tmp_path / "run.json").read_text())
    assert len(run["attempts"]) == 2
    execute.describe(tmp_path, content, {**data, "sha256": "b" * 64})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "run.json"]


def test_a_run_that_starts_says_how_many_notebooks_and_how_long_they_took(own_checkout, tmp_path):
    """Last time's duration is known when all of them are there, as papermill wrote them, with the same parameters."""
    notebooks, folder = ["01_black_edges", "02_brightness"], tmp_path / "reports" / "mine"
    write_run(own_checkout, "mine", {"notebooks": notebooks, "common": SAMPLE})
    run, given = execute.prepare("mine", None, sweep=False)
    for name in notebooks:  # each takes 85 s
        assert execute.announcement(run, given["data"]) == "run mine: 2 notebooks on sample"
        executed(folder / f"{name}.ipynb", [v4.new_markdown_cell("# title")], **run["parameters"][name])
    assert execute.announcement(run, given["data"]) == "run mine: 2 notebooks on sample; last time they took 3 min"
    run["parameters"][notebooks[0]]["seed"] = 5
    assert execute.announcement(run, "/some where/faces.csv") == "run mine: 2 notebooks on faces.csv"
    (folder / "01_black_edges.ipynb").write_text("{")
    assert execute.announcement(run, given["data"]) == "run mine: 2 notebooks on sample"


def test_a_sweep_that_starts_counts_the_notebooks_of_all_configurations(own_checkout, tmp_path):
    write_run(own_checkout, "mine", {"common": SAMPLE, "grid": {"common.seed": [1, 2]}})
    run, given = execute.prepare("mine", None, sweep=True)
    assert execute.announcement(run, given["data"]) == "run mine: 4 notebooks on sample"
    for configuration, content in run["configurations"].items():
        for name, parameters in content["parameters"].items():
            executed(tmp_path / "reports" / "mine" / configuration / f"{name}.ipynb", [], **parameters)
    assert execute.announcement(run, given["data"]) == "run mine: 4 notebooks on sample; last time they took 6 min"


SNAKEMAKE = """Building DAG of jobs...
Job stats:
job               count
--------------  -------
01_black_edges        1
02_brightness         1
04_training           2
all                   1
total                 5

[Fri Nov 27 18:36:17 2026]
Finished jobid: 3 (Rule: 01_black_edges)
1 of 5 steps (20%) done
"""


def test_the_line_of_progress_is_that_of_the_files_in_a_runs_folder(tmp_path):
    log, training, seen = tmp_path / "failed" / "04_training.log", tmp_path / "training.csv", {}
    (tmp_path / "snakemake.log").write_text("")
    training.write_text("epoch,accuracy,val_accuracy\n1,0.9,0.9\n")
    os.utime(training, (0, 0))  # an earlier attempt's
    (tmp_path / "run.json").write_text(json.dumps({"parameters": {"04_training": {"head_epochs": 2, "epochs": 8}}}))
    assert execute.progress(tmp_path, seen) == "0 of 0 · Snakemake plans"
    (tmp_path / "snakemake.log").write_text(SNAKEMAKE)
    log.parent.mkdir()
    log.with_stem("02_brightness").write_text("Input Notebook: …\nexit status 1\n")
    log.touch()
    assert execute.progress(tmp_path, seen) == "1 of 4 · 04_training"

    started, lines = (tmp_path / "run.json").stat().st_mtime, ["epoch,accuracy,val_accuracy"]
    said = []
    for epoch, accuracy in ((1, 0.3), (2, 0.4), (3, 0.5), (4, 0.614)):
        lines.append(f"{epoch},0.9,{accuracy}")
        training.write_text("\n".join(lines))
        os.utime(training, (0, started + 600 * epoch))  # an epoch takes ten minutes
        if epoch > 1:  # 1 is what it was resumed from
            said.append(execute.progress(tmp_path, seen))
    now = "1 of 4 · 04_training · epoch {} of 10 · validation accuracy {} %"
    left = " · about {} min left"
    assert said == [now.format(2, 40), (now + left).format(3, 50, 70), (now + left).format(4, 61, 60)]


def test_the_line_of_progress_names_configurations_and_describes_one_training(tmp_path):
    (tmp_path / "snakemake.log").write_text(SNAKEMAKE)
    for seed in (1, 2):
        folder = tmp_path / f"seed-{seed}"
        (folder / "failed").mkdir(parents=True)
        (folder / "failed" / "04_training.log").touch()
        (folder / "run.json").write_text(json.dumps({"parameters": {"04_training": {"epochs": 10 * seed}}}))
        (folder / "training.csv").write_text(f"epoch,val_accuracy\n{seed},0.5")
    line = "1 of 4 · seed-1/04_training, seed-2/04_training · epoch 1 of 10 · validation accuracy 50 %"
    assert execute.progress(tmp_path, {}) == line


# A report


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkout with the report of a run: the finished process and the run's folder."""
    checkout = make_checkout(tmp_path_factory.mktemp("made") / "a checkout")
    write_run(checkout, "sample", {"notebooks": REPORTED, "common": SAMPLE})
    return ageclf_command(checkout, "report"), checkout / "reports" / "sample"


def test_a_report_has_every_notebook_and_page_and_says_where_it_is(made):
    process, folder = made
    assert process.returncode == 0, process.stderr
    for name in REPORTED:
        assert (folder / f"{name}.ipynb").exists()
        assert (folder / f"{name}.html").exists()
        assert f"{name} done in" in process.stdout
    assert process.stdout.startswith("run sample: 6 notebooks on sample\n")
    assert process.stdout.splitlines()[-1].endswith(f"start at {folder.parent / 'index.html'}")
    assert process.stderr == ""
    assert not (folder / "failed").exists()


def test_run_json_says_what_ran(made):
    run = json.loads((made[1] / "run.json").read_text())
    assert (run["schema"], run["run"], run["data"]["name"], run["data"]["synthetic"]) == (2, "sample", "sample", True)
    assert run["data"]["rows"] > 0
    assert run["parameters"]["05_evaluation"] == {"data": "sample", "run": "sample"}
    assert run["configurations"] == run["axes"] == {}
    assert {"python", "jax", "keras", "tensorflow", "numpy", "pandas", "scikit-learn"} == set(run["versions"])


@pytest.fixture
def edit(made):
    """Return a function that edits a module of the checkout; it gets its text back in the end."""
    texts = {}

    def edit(module):
        path = made[1].parents[1] / "ageclf" / module
        texts[path] = path.read_text()
        path.write_text(texts[path] + "# edited")

    yield edit
    for path, text in texts.items():
        path.write_text(text)


@pytest.mark.parametrize(
    ("module", "stale"),
    [
        ("workflow/pages.py", set()),
        ("display/plots.py", {"01_black_edges", "02_brightness", *AFTER_TRAINING} - {"04_training"}),
        ("network/training.py", AFTER_TRAINING),
    ],
)
def test_an_edit_of_a_module_executes_what_uses_it_but_a_nicer_figure_trains_nothing(made, edit, module, stale):
    edit(module)
    assert out_of_date(made[1]) == stale


@pytest.mark.parametrize(
    ("notebook", "changed", "stale"),
    [("05_evaluation", {"part": "test"}, AFTER_EVALUATION), ("04_training", {"epochs": 3}, AFTER_TRAINING)],
)
def test_a_changed_parameter_executes_what_it_touches(made, notebook, changed, stale):
    path = made[1] / "run.json"
    text = path.read_text()
    run = json.loads(text)
    run["parameters"][notebook].update(changed)
    path.write_text(json.dumps(run))
    assert out_of_date(made[1]) == stale
    path.write_text(text)


def test_a_failed_notebook_keeps_its_copy_and_names_its_cell_and_the_others_are_executed(made):
    folder = made[1]
    changes = {"02_brightness": {"share": 0.7}, "04_training": {"bad": True}}
    write_run(folder.parents[1], "sample", {"notebooks": REPORTED, "common": SAMPLE, **changes})
    process = ageclf_command(folder.parents[1], "report")
    assert process.returncode == 1
    assert "02_brightness done in" in process.stdout
    assert "error: 04_training failed in cell In [3], work: AssertionError" in process.stderr
    assert str(folder / "failed" / "04_training.ipynb") in process.stderr
    assert "Traceback" not in process.stderr
    assert not (folder / "04_training.ipynb").exists()
    assert not (folder / "04_training.html").exists()
    assert "This page is from an earlier attempt" in (folder / "05_evaluation.html").read_text()
    assert "04 training failed" in (folder.parent / "index.html").read_text()


ODD = 'O\'Brien "a" $HOME; (&) {x} {{y}} ü'


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A report in a checkout and on data whose paths mean something to shells, Snakemake and papermill, by somebody
    whose home cannot be written."""
    checkout = make_checkout(tmp_path_factory.mktemp("odd") / ODD / "check {z} out")
    write_run(checkout, "mine", {"notebooks": ["04_training", "05_evaluation"], "common": {"data": "auto"}})
    data = write_csv(checkout.parent / f"{ODD}.csv")
    command = [sys.executable, "-m", "ageclf", "report", "--run", "mine", "--data", data]
    nowhere = environment() | {"HOME": "/dev/null/home"}
    process = subprocess.run(command, cwd=checkout, env=nowhere, capture_output=True, text=True)
    return process, checkout / "reports" / "mine"


def test_a_path_means_nothing_to_the_programs_that_it_passes_through(odd):
    process, folder = odd
    assert process.returncode == 0, process.stderr
    assert started(process) == {"04_training", "05_evaluation"}
    assert (folder / "05_evaluation.html").exists()
    assert json.loads((folder / "run.json").read_text())["data"]["name"] == f"{ODD}.csv"


def test_a_report_needs_no_home_and_says_where_its_caches_are(odd):
    process, folder = odd
    cache = folder.parent / ".cache"
    said = [line for line in process.stderr.splitlines() if not line.startswith("warning: ")]  # of three faces
    assert said == [f"note: HOME cannot be written, so caches go to {cache}"]
    assert cache.is_dir()


def test_a_terminal_shows_one_line_of_progress_instead_of_each_start_and_end(tmp_path):
    checkout = make_checkout(tmp_path / "checkout")
    write_run(checkout, "sample", {"notebooks": ["02_brightness"], "common": SAMPLE})
    add_to_work(checkout, "02_brightness", "import time\ntime.sleep(2)")  # longer than the line takes to change
    command = [sys.executable, "-m", "ageclf", "report"]
    status, shown = on_terminal(command, "stdout", cwd=checkout, env=environment())
    assert status == 0
    assert "\r0 of 1 · 02_brightness " in shown
    assert "02_brightness started" not in shown
    assert "02_brightness done in" in (checkout / "reports" / "sample" / "snakemake.log").read_text()
    announced, *live, report, rest = shown.split("\r\n")
    assert (announced, len(live), rest) == ("run sample: 1 notebooks on sample", 0, "")
    assert report.rpartition("\r")[2].startswith("The report of sample is in ")


def test_what_fails_around_a_notebook_is_named_as_its_programs_name_it(tmp_path):
    checkout = make_checkout(tmp_path / "checkout")
    write_run(checkout, "sample", {"notebooks": ["01_black_edges", "02_brightness"], "common": SAMPLE})
    add_to_work(checkout, "01_black_edges", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    path = checkout / "notebooks" / "02_brightness.ipynb"
    path.write_text(path.read_text().replace('"name": "python3"', '"name": "renamed"'))
    process = ageclf_command(checkout, "report")
    assert process.returncode == 1
    assert (
        "02_brightness failed in cell none: jupyter_client.kernelspec.NoSuchKernel: No such kernel named renamed\n"
        in (process.stderr)
    )
    assert "01_black_edges failed in cell work: ended without a word, perhaps for want of memory" in process.stderr


def test_a_snakemake_that_cannot_start_says_why_in_one_line(own_checkout, tmp_path):
    snakefile = own_checkout / "Snakefile"
    text = snakefile.read_text()
    snakefile.write_text(text.replace("import yaml", "import yaml_of_nobody"))
    folder = tmp_path / "mine"
    folder.mkdir()
    try:
        with (
            execute.locked(folder) as lock,
            pytest.raises(ValueError, match=r"^Snakemake stopped: .*yaml_of_nobody") as error,
        ):
            execute.execute(folder, lock, ["--cores", "1"])
    finally:
        snakefile.write_text(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_command_alone_ends_all_that_it_started_and_the_same_command_goes_on(tmp_path, number):
    """As a script has it that was started in the background: with Ctrl-C ignored."""

    def as_in_the_background():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(number, signal.SIG_DFL)  # the tests themselves may run under nohup

    checkout = make_checkout(tmp_path / "checkout")
    write_run(checkout, "sample", {"notebooks": ["02_brightness"], "common": SAMPLE})
    waits = (
        "from pathlib import Path\nimport time\nPath('up').touch()\nwhile not Path('go').exists():\n    time.sleep(99)"
    )
    add_to_work(checkout, "02_brightness", waits)
    command, folder = [sys.executable, "-m", "ageclf", "report"], checkout / "reports" / "sample"
    process = subprocess.Popen(
        command,
        cwd=checkout,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_in_the_background,
    )
    wait_for((folder / "up").exists)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 3, "Snakemake, papermill and a kernel"
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    assert process.stderr.read() == "stopped; what is done is kept, and the same command resumes from there\n"
    assert psutil.wait_procs(below, timeout=30)[1] == []
    (folder / "go").touch()
    again = ageclf_command(checkout, "report")
    assert (again.returncode, started(again)) == (0, {"02_brightness"}), again.stderr


def add_to_work(checkout, notebook, code):
    path = checkout / "notebooks" / f"{notebook}.ipynb"
    content = nbformat.read(path, as_version=4)
    content.cells[-1].source += f"\n{code}"
    nbformat.write(content, path)


def kill_when(condition, checkout, *arguments):
    """Start `python -m ageclf`, and `kill -9` it with all that it has started, when a condition is met."""
    command = [sys.executable, "-m", "ageclf", *arguments]
    process = subprocess.Popen(command, cwd=checkout, env=environment(), stdout=subprocess.DEVNULL)
    try:
        wait_for(condition)
    finally:
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.kill()
        process.wait()


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """A report that was killed while 05 had written one of its files and not the other, then the same command again."""
    checkout = make_checkout(tmp_path_factory.mktemp("resumed") / "checkout")
    notebooks = ["01_black_edges", "04_training", "07_calibration"]
    write_run(checkout, "sample", {"notebooks": notebooks, "common": SAMPLE})
    add_to_work(checkout, "05_evaluation", "import time\nwhile not (folder / 'go').exists():\n    time.sleep(0.1)")
    folder = checkout / "reports" / "sample"
    kill_when((folder / "metrics.json").exists, checkout, "report")
    assert not (folder / "05_evaluation.ipynb").exists()
    (folder / "go").touch()
    return ageclf_command(checkout, "report"), folder


def test_a_report_that_was_killed_resumes_with_what_was_not_finished(resumed):
    process, folder = resumed
    assert process.returncode == 0, process.stderr
    assert started(process) - {"01_black_edges"} == AFTER_EVALUATION, "01 may have been before or not"
    assert (folder / "05_evaluation.html").exists()


def test_a_deleted_checkpoint_is_trained_again(resumed):
    checkout = resumed[1].parents[1]
    path = checkout / "checkpoint" / "sample.keras"
    path.unlink()
    assert started(ageclf_command(checkout, "report")) == {"04_training", *AFTER_EVALUATION}
    assert path.exists()


@pytest.mark.parametrize("trains", [True, False])
def test_a_run_trains_only_if_it_does_not_leave_the_training_out(tmp_path, trains):
    """A plan alone: nothing is executed. Without it, what is evaluated is the network that is there."""
    parameters = {"04_training": {}, "05_evaluation": {}, "07_calibration": {}}
    described = {"notebooks": list(parameters)[1 - trains :], "data": {"sha256": ""}, "threads": 1}
    described |= {"run": "mine", "parameters": parameters, "configurations": {}}
    (tmp_path / "run.json").write_text(json.dumps(described))
    planned = re.findall(r"rule (\d\w+):\n", dry_run(execute.CHECKOUT, tmp_path))
    assert planned == list(parameters)[1 - trains :]


def test_a_notebook_is_out_of_date_when_another_run_that_it_shows_is_evaluated_again(tmp_path):
    """A plan alone: nothing is executed."""
    folder, other = tmp_path / "mine", tmp_path / "other" / "metrics.json"
    parameters = {"04_training": {}, "05_evaluation": {}, "10_groups": {"other_runs": ["other", "absent"]}}
    described = {"notebooks": list(parameters), "data": {"sha256": ""}, "threads": 1, "configurations": {}}
    folder.mkdir()
    other.parent.mkdir()
    other.touch()
    (folder / "run.json").write_text(json.dumps({"run": "mine", "parameters": parameters, **described}))
    (listed,) = re.findall(r"rule (\w+):\n +input: .*\.\./other/metrics\.json", dry_run(execute.CHECKOUT, folder))
    assert listed == "10_groups"


# A sweep

QUALITY = {"fine": {}, "bad": {"04_training": {"bad": True}}}


@pytest.fixture(scope="module")
def swept(made):
    """A sweep, in the same checkout, of which one of two configurations fails: the finished process, its folder."""
    checkout = made[1].parents[1]
    write_run(checkout, "mine", {"common": SAMPLE, "grid": {"common.seed": [1], "quality": QUALITY}})
    return ageclf_command(checkout, "sweep", "--run", "mine"), checkout / "reports" / "mine"


def test_configurations_that_fail_are_named_and_the_others_are_measured_and_compared(swept):
    process, folder = swept
    assert process.returncode == 1
    assert (folder / "seed-1_quality-fine" / "metrics.json").exists()
    assert "error: seed-1_quality-bad/04_training failed in cell In [3], work: AssertionError" in process.stderr
    assert str(folder / "seed-1_quality-bad" / "failed" / "04_training.ipynb") in process.stderr
    assert not (folder / "seed-1_quality-bad" / "05_evaluation.ipynb").exists()
    assert (folder / "11_comparison.html").exists()
    assert "Traceback" not in process.stderr


def test_no_network_and_no_empty_folder_is_left(swept):
    folder = swept[1]
    assert not list(folder.rglob("*.keras"))
    assert not (folder.parents[1] / "checkpoint" / "mine").exists()
    assert not [path for path in folder.rglob("failed") if not any(path.iterdir())]


def test_pages_lead_to_each_other_and_the_index_counts_configurations_and_failures(swept):
    folder = swept[1]
    configuration = folder / "seed-1_quality-fine"
    page = (configuration / "05_evaluation.html").read_text()
    for target in ("../../index.html", "../index.html"):
        assert f'href="{target}"' in page
        assert (configuration / target).exists()
    assert 'href="seed-1_quality-fine/index.html"' in (folder / "index.html").read_text()
    index = (folder.parent / "index.html").read_text()
    assert "2 configurations, 1 notebooks failed" in index
    assert 'href="mine/index.html"' in index


def test_run_json_says_what_the_sweep_and_each_configuration_are(swept):
    sweep = json.loads((swept[1] / "run.json").read_text())
    assert (sweep["run"], sweep["axes"]) == ("mine", {"seed": ["1"], "quality": ["fine", "bad"]})
    assert len(sweep["configurations"]) == 2
    one = pages.read_report(swept[1] / "seed-1_quality-bad")
    assert (one["run"], one["levels"]) == ("mine/seed-1_quality-bad", {"seed": "1", "quality": "bad"})
    assert [failure["notebook"] for failure in one["failures"]] == ["04_training"]


def test_the_next_sweep_executes_failed_and_new_configurations_and_no_others(swept, monkeypatch):
    checkout = swept[1].parents[1]
    longer = {"04_training": {"epochs": 3}}
    write_run(checkout, "mine", {"common": SAMPLE, "grid": {"common.seed": [1], "quality": QUALITY | {"long": longer}}})
    for module in (execute, run_files):
        monkeypatch.setattr(module, "CHECKOUT", checkout)
    monkeypatch.setattr(ageclf, "ROOT", checkout)
    fine, bad, long = (f"seed-1_quality-{label}" for label in ("fine", "bad", "long"))
    assert execute.plan_sweep("mine")[:3] == [f"{fine}: done in 0 min", f"{bad}: to do", f"{long}: to do"]
    process = ageclf_command(checkout, "sweep", "--run", "mine")
    executed = {f"{bad}/04_training", f"{long}/04_training", f"{long}/05_evaluation", "11_comparison"}
    assert started(process) == executed
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("module", "stale"),
    [
        ("display/tables.py", set()),
        ("metrics/evaluation.py", {"04_training", "05_evaluation"}),
        ("network/training.py", {"04_training", "05_evaluation"}),
    ],
)
def test_an_edit_executes_what_uses_the_module_but_no_nicer_table_trains_a_network_again(swept, edit, module, stale):
    """The plan of a sweep that is done; nothing is executed."""
    edit(module)
    one = "seed-1_quality-fine/"
    assert {name for name in out_of_date(swept[1]) if name.startswith(one)} == {one + name for name in stale}


def test_a_sweep_that_was_killed_resumes_with_what_was_not_finished(tmp_path):
    """Killed while the second configuration trains; the first is not executed again."""
    checkout = make_checkout(tmp_path / "checkout")
    write_run(checkout, "mine", {"common": SAMPLE, "grid": {"common.seed": [1, 2]}})
    add_to_work(checkout, "04_training", WAIT_UNLESS_FIRST)
    folder = checkout / "reports" / "mine"
    networks, log = checkout / "checkpoint" / "mine", folder / "snakemake.log"
    command = ["sweep", "--run", "mine", "--keep-networks"]

    def second_trains():
        # Snakemake records a notebook as done a moment after it lies there; killed before, it executes it again.
        if log.exists() and log.read_text().count("Finished jobid") == 2 and [*networks.glob("*.json")]:
            time.sleep(1)
            return True

    kill_when(second_trains, checkout, *command)
    (second,) = (path.stem for path in networks.glob("*.json"))
    (checkout / "go").touch()
    again = ageclf_command(checkout, *command)
    assert again.returncode == 0, again.stderr
    assert started(again) == {f"{second}/04_training", f"{second}/05_evaluation", "11_comparison"}
    kept = [folder / f"seed-{seed}" / "network.json" for seed in (1, 2)]
    threads = json.loads((folder / "run.json").read_text())["threads"]
    assert [path.read_text() for path in kept] == [str(threads)] * 2, "kept when asked, trained on its share of cores"


def test_a_plan_says_what_is_done_quotes_the_run_file_and_changes_nothing(own_checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "CORES", 2)
    write_run(own_checkout, "mine", {"common": SAMPLE, "grid": {"04_training.epochs": [6, 12, 18]}})
    path = own_checkout / "runs" / "mine.yaml"
    path.write_text(f"# How long to train?\n# Half an hour on two cores.\n{path.read_text()}# No answer.\n")
    to_do = [f"epochs-{epochs}: to do" for epochs in (6, 12, 18)]
    comment = ["How long to train? Half an hour on two cores."]
    assert execute.plan_sweep("mine") == [*to_do, "3 of 3 configurations to do, 2 side by side", *comment]
    assert not (tmp_path / "reports").exists()

    run, given = execute.prepare("mine", None, sweep=True)
    source = execute.read_data(given)
    folder, content = tmp_path / "reports" / "mine" / "epochs-6", run["configurations"]["epochs-6"]
    execute.describe(folder, content | {"run": "mine/epochs-6"}, source)
    for name, parameters in content["parameters"].items():  # each takes 85 s
        assert execute.plan_sweep("mine")[0] == "epochs-6: to do"
        executed(folder / f"{name}.ipynb", [v4.new_markdown_cell(f"# {name}")], **parameters)
    done = ["epochs-6: done in 3 min", *to_do[1:], "2 of 3 configurations to do, 2 side by side", *comment]
    assert execute.plan_sweep("mine") == done
    write_run(own_checkout, "mine", {"common": SAMPLE | {"seed": 5}, "grid": {"04_training.epochs": [6, 12, 18]}})
    to_do_again = [*to_do, "3 of 3 configurations to do, 2 side by side"]
    assert execute.plan_sweep("mine") == to_do_again, "this file has no comment"
