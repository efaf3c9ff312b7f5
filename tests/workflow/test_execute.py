"""What Snakemake makes of a run: in a checkout of its own with notebooks of one line each."""

import ast
import json
import re
import subprocess
import sys

import nbformat
import psutil
import pytest
from face_files import write_csv
from tiny_checkout import NOTEBOOKS, dry_run, environment, make_checkout, make_report, out_of_date, wait_for, write_run

import ageclf
from ageclf.workflow import execute, run_files

REPORTED = [name for name in NOTEBOOKS if name != "11_comparison"]


def calling(function):
    """Return the real notebooks of a report that call a function."""
    sources = {name: (execute.CHECKOUT / "notebooks" / f"{name}.ipynb").read_text() for name in REPORTED}
    return {name for name, source in sources.items() if f"{function}(" in source}


AFTER_EVALUATION = {"05_evaluation", *calling("read_results")}
AFTER_TRAINING = AFTER_EVALUATION | calling("find_checkpoint")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout for functions that are called in this process; nothing is executed in it."""
    folder = make_checkout(tmp_path / "checkout")
    monkeypatch.setattr(execute, "CHECKOUT", folder)
    monkeypatch.setattr(run_files, "CHECKOUT", folder)
    monkeypatch.setattr(ageclf, "ROOT", folder)
    monkeypatch.delenv("AGECLF_DATA", raising=False)
    return folder


# Data, lock, description


def test_a_run_on_faces_never_takes_the_sample_instead(checkout):
    write_run(checkout, "utkface", {"common": {"data": "auto"}})
    for data in (None, "auto", "sample"):
        with pytest.raises(FileNotFoundError, match="'utkface' needs a data set"):
            execute.make_report("utkface", data)
    assert not (checkout / "reports").exists()


def test_bad_rows_stop_a_report_unless_the_run_file_drops_them(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(execute, "execute", lambda *arguments: None)
    data = str(write_csv(tmp_path / "faces.csv", {(1, "age"): "old"}))
    write_run(checkout, "mine", {"common": {"data": data}})
    with pytest.raises(ValueError, match=r"faces\.csv: data row 1 .*column age: found 'old'"):
        execute.make_report("mine")
    write_run(checkout, "mine", {"common": {"data": data, "on_bad_rows": "drop"}})
    folder, _ = execute.make_report("mine")
    assert json.loads((folder / "run.json").read_text())["data"]["rows"] == 2


def test_one_report_of_a_run_at_a_time(tmp_path):
    with execute.locked(tmp_path / "a"):
        with pytest.raises(BlockingIOError, match="'a' is being made already"), execute.locked(tmp_path / "a"):
            pass
        with execute.locked(tmp_path / "b"):
            pass
    with execute.locked(tmp_path / "a"):
        pass


CONTENT = {"run": "mine", "notebooks": [], "parameters": {"01_black_edges": {}}}


def test_a_report_on_other_data_starts_clean_but_keeps_a_persons_files(tmp_path):
    data = {"name": "a.csv", "sha256": "a" * 64, "synthetic": False, "rows": 1}
    execute.describe(tmp_path, CONTENT, data)
    for name in ("01_black_edges.html", "metrics.json", "notes.txt"):
        (tmp_path / name).touch()
    execute.describe(tmp_path, CONTENT, data)
    assert (tmp_path / "metrics.json").exists()
    execute.describe(tmp_path, CONTENT, {**data, "sha256": "b" * 64})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "run.json"]


# Snakemake


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report of the tiny notebooks: the finished process and the run's folder."""
    checkout = make_checkout(tmp_path_factory.mktemp("made") / "a checkout")
    return make_report(checkout), checkout / "reports" / "sample"


def test_a_report_has_every_notebook_and_page_and_says_where_it_is(made):
    process, folder = made
    assert process.returncode == 0, process.stderr
    for name in REPORTED:
        assert (folder / f"{name}.ipynb").exists()
        assert (folder / f"{name}.html").exists()
        assert f"{name} done in" in process.stdout
    assert process.stdout.splitlines()[-1].endswith(f"start at {folder.parent / 'index.html'}")
    assert process.stderr == ""
    assert not (folder / "failed").exists()


def test_run_json_says_what_ran(made):
    run = json.loads((made[1] / "run.json").read_text())
    assert (run["schema"], run["run"], run["data"]["name"], run["data"]["synthetic"]) == (1, "sample", "sample", True)
    assert run["data"]["rows"] > 0
    assert run["parameters"]["05_evaluation"] == {"data": "sample", "run": "sample"}
    assert {"python", "jax", "keras", "tensorflow", "numpy", "pandas", "scikit-learn"} == set(run["versions"])


def test_nothing_runs_twice(made):
    assert out_of_date(made[1]) == set()


@pytest.mark.parametrize(
    ("module", "stale", "current"),
    [
        ("plots", {"01_black_edges", "05_evaluation"}, {"04_training"}),
        ("training", {"04_training", *AFTER_TRAINING}, {"01_black_edges", "02_brightness"}),
        ("tables", AFTER_EVALUATION, {"01_black_edges", "04_training", "06_prediction"}),
        ("report", set(), set(REPORTED)),
    ],
)
def test_an_edit_of_a_module_reruns_what_uses_it(made, module, stale, current):
    path = made[1].parents[1] / "ageclf" / f"{module}.py"
    text = path.read_text()
    path.write_text(text + "# edited")
    executed = out_of_date(made[1])
    assert stale <= executed
    assert not current & executed
    path.write_text(text)


@pytest.mark.parametrize(
    ("notebook", "changed", "stale"),
    [
        ("05_evaluation", {"part": "test"}, AFTER_EVALUATION),
        ("04_training", {"epochs": 3}, {"04_training", *AFTER_TRAINING}),
    ],
)
def test_a_changed_parameter_reruns_what_it_touches(made, notebook, changed, stale):
    path = made[1] / "run.json"
    text = path.read_text()
    run = json.loads(text)
    run["parameters"][notebook].update(changed)
    path.write_text(json.dumps(run))
    assert out_of_date(made[1]) == stale
    path.write_text(text)


def test_a_deleted_checkpoint_is_trained_again(made):
    checkpoint = made[1].parents[1] / "checkpoint" / "sample.keras"
    checkpoint.unlink()
    process = make_report(made[1].parents[1])
    assert checkpoint.exists()
    assert "04_training done" in process.stdout
    assert "01_black_edges started" not in process.stdout


def test_a_failed_notebook_keeps_its_copy_and_names_its_cell_and_the_others_go_on(made):
    folder = made[1]
    changes = {"02_brightness": {"share": 0.7}, "04_training": {"bad": True}}
    write_run(folder.parents[1], "sample", {"common": {"data": "sample"}, **changes})
    process = make_report(folder.parents[1])
    assert process.returncode == 1
    assert "02_brightness done in" in process.stdout
    assert "error: 04_training failed in cell In [3], work: AssertionError" in process.stderr
    assert str(folder / "failed" / "04_training.ipynb") in process.stderr
    assert "Traceback" not in process.stderr
    assert not (folder / "04_training.ipynb").exists()
    assert not (folder / "04_training.html").exists()
    assert "This page is from an earlier attempt" in (folder / "05_evaluation.html").read_text()
    assert "04 training failed" in (folder.parent / "index.html").read_text()


def test_a_report_that_was_killed_goes_on_with_what_was_not_finished(tmp_path):
    """`kill -9` of everything, while 05 has written one of its files and not the other."""
    checkout = make_checkout(tmp_path / "checkout")
    folder = checkout / "reports" / "sample"
    path = checkout / "notebooks" / "05_evaluation.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source += "\nimport time\nwhile not (folder / 'go').exists():\n    time.sleep(0.1)"
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "ageclf", "report"]
    process = subprocess.Popen(command, cwd=checkout, env=environment(), stdout=subprocess.DEVNULL)
    wait_for(lambda: (folder / "metrics.json").exists())
    for one in [*psutil.Process(process.pid).children(recursive=True), process]:
        one.kill()
    process.wait()
    assert not (folder / "05_evaluation.ipynb").exists()

    (folder / "go").touch()
    again = make_report(checkout)
    assert again.returncode == 0, again.stderr
    assert set(re.findall(r"(\w+) started", again.stdout)) == AFTER_TRAINING
    assert (folder / "05_evaluation.html").exists()


def imports(source):
    """Return the modules of the package that a source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "ageclf":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ageclf."):
            found.add(node.module.split(".")[1])
    return {name for name in found if (execute.CHECKOUT / "ageclf" / f"{name}.py").exists()}


def test_a_notebook_is_out_of_date_when_another_run_that_it_shows_is_evaluated_again(tmp_path):
    folder, other = tmp_path / "mine", tmp_path / "other" / "metrics.json"
    folder.mkdir()
    names = [path.stem for path in (execute.CHECKOUT / "notebooks").glob("*.ipynb")]
    parameters = {name: {"other_runs": ["other", "absent"]} if name == "10_groups" else {} for name in names}
    run = {"run": "mine", "parameters": parameters, "notebooks": names, "data": {"sha256": ""}, "threads": 1}
    (folder / "run.json").write_text(json.dumps(run))
    assert "../" not in dry_run(execute.CHECKOUT, folder)
    other.parent.mkdir()
    other.touch()
    (listed,) = re.findall(r"rule (\w+):\n +input: .*\.\./other/metrics\.json", dry_run(execute.CHECKOUT, folder))
    assert listed == "10_groups"


def test_a_notebook_that_the_snakefile_does_not_know_is_named_with_what_to_do(tmp_path):
    checkout = make_checkout(tmp_path / "checkout")
    (checkout / "notebooks" / "01_black_edges.ipynb").rename(checkout / "notebooks" / "99_mine.ipynb")
    process = make_report(checkout)
    assert process.returncode == 2
    assert "99_mine has no line in MODULES of the Snakefile" in process.stderr
    assert "Traceback" not in process.stderr


def test_the_snakefile_names_the_modules_that_each_notebook_uses(tmp_path):
    names = [path.stem for path in sorted((execute.CHECKOUT / "notebooks").glob("*.ipynb"))]
    parameters = {name: {} for name in names}
    run = {"run": "all", "parameters": parameters, "notebooks": names, "data": {"sha256": ""}, "threads": 1}
    (tmp_path / "run.json").write_text(json.dumps(run))
    plan = dry_run(execute.CHECKOUT, tmp_path)
    for name in names:
        notebook = nbformat.read(execute.CHECKOUT / "notebooks" / f"{name}.ipynb", as_version=4)
        used, new = set(), imports("\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code"))
        while new:
            used |= new
            new = {
                more for one in new for more in imports((execute.CHECKOUT / "ageclf" / f"{one}.py").read_text())
            } - used
        used -= {"plots"} if name == "04_training" else set()
        listed = set(re.findall(r"/ageclf/(\w+)\.py", re.search(rf"rule {name}:\n +input: (.+)", plan)[1]))
        assert listed == used, name
