"""The notebooks as they lie in version control, and all of them executed on the sample, twice."""

import ast
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import nbformat
import numpy as np
import papermill
import psutil
import pytest
from sample_runs import environment, run, run_cells_again

from ageclf.network.checkpoints import load_checkpoint

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_clean_and_short(path):
    cells = code_cells(path)
    assert not any(cell.outputs or cell.execution_count for cell in cells), "stored without outputs"
    lines = [len(cell.source.splitlines()) for cell in cells if "parameters" not in cell.metadata.get("tags", [])]
    assert nbformat.read(path, as_version=4).metadata["language_info"]["version"] == "3", "as the kernels of .venv say"
    assert len(cells) <= 25
    assert statistics.median(lines) <= 5
    assert nbformat.read(path, as_version=4).cells[0].source.startswith("# ")
    for cell in cells:
        defined = [
            node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.FunctionDef | ast.ClassDef)
        ]
        assert not defined, f"{cell.id} defines {defined[0].name}; that belongs to ageclf/"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_opens_with_what_it_gives_and_how_long_it_takes(path):
    opening = nbformat.read(path, as_version=4).cells[0].source
    assert re.search(r"\*\*What you get\.\*\*.+\b(seconds|minute)\b", opening)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_parameter_has_a_type_and_an_explanation(path):
    parameters = papermill.inspect_notebook(path)
    assert parameters
    for name, parameter in parameters.items():
        assert parameter["inferred_type_name"] != "None", f"{name} has no type"
        assert parameter["help"], f"{name} has no explanation"


def test_a_parameter_means_the_same_in_every_notebook():
    known: dict[str, tuple[str, str]] = {}
    for path in NOTEBOOKS:
        for name, parameter in papermill.inspect_notebook(path).items():
            if name not in ("part", "run", "checkpoint", "seed"):  # what they are for differs
                meaning = (parameter["inferred_type_name"], parameter["default"])
                assert known.setdefault(name, meaning) == meaning, f"{name} in {path.name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_whose_output_is_not_compared_say_why(path):
    for cell in code_cells(path):
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            assert "not compared" in cell.source.splitlines()[0]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_captions_in_a_notebook_are_told_apart(path):
    given = [cell.metadata.get("caption", []) for cell in code_cells(path)]
    captions = [caption for words in given for caption in ([words] if isinstance(words, str) else words)]
    assert len(set(captions)) == len(captions)


def test_every_notebook_runs_on_the_sample(sample_report):
    names = [path.stem for path in NOTEBOOKS if path.stem != "11_comparison"]  # that one is of a batch
    assert [path.stem for path in sorted(sample_report.glob("*.ipynb"))] == names
    assert [path.stem for path in sorted(sample_report.glob("*.html"))] == [*names, "index"]
    assert not (sample_report / "failed").exists()


def test_every_figure_has_a_caption_and_an_alternative_text_of_its_own(sample_report):
    for path in sorted(sample_report.glob("*.ipynb")):
        for cell in code_cells(path):
            drawn = sum("image/png" in output.get("data", {}) for output in cell.outputs)
            for key in ("caption", "alt") if drawn else ():
                words = cell.metadata.get(key, [])
                assert drawn == len([words] if isinstance(words, str) else words), f"{path.stem}, {cell.id}: {key}"


def test_every_table_has_a_caption_and_names_its_rows_in_its_header(sample_report):
    for path in sorted(sample_report.glob("*.ipynb")):
        for cell in code_cells(path):
            for html in (output.data["text/html"] for output in cell.outputs if "text/html" in output.get("data", {})):
                assert html.count("<table") == html.count("<caption>"), f"{path.stem}, {cell.id}"
                for row in html.partition("<tbody>")[0].split("<tr")[1:]:
                    names = re.findall(r"<th[^>]*>(.*?)</th>", row)
                    assert any(names[1:] or names), f"{path.stem}, {cell.id}: an empty row below the header"


def test_the_measures_are_laid_out_as_documented(sample_report):
    schema = json.loads((NOTEBOOKS[0].parents[1] / "docs" / "metrics.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads((sample_report / "metrics.json").read_text(encoding="utf-8")), schema)


def test_the_default_network_learns_the_sample(sample_report):
    """Predicting the same group for every face gives a balanced accuracy of one in six, whatever the shares."""
    metrics = json.loads((sample_report / "metrics.json").read_text())
    assert metrics["data"]["synthetic"]
    measured = metrics["measures"], metrics["baselines"]["most_frequent"]
    network, baseline = (measures["balanced_accuracy"]["value"] for measures in measured)
    assert baseline == pytest.approx(1 / 6)
    assert network >= baseline + 0.15


def test_what_a_split_by_row_leaks_is_measured_on_all_faces_of_the_part(sample_report, tmp_path):
    shutil.copytree(sample_report.parents[1] / "checkpoint", tmp_path / "checkpoint")
    out, common = tmp_path / "out.ipynb", ("-p", "data", "sample", "-p", "run", "sample")
    by_row = ("-p", "split", "row", "-p", "part", "test")
    for name, options in (("05_evaluation", by_row), ("08_slices", ())):
        done = run("papermill", NOTEBOOKS[0].with_name(f"{name}.ipynb"), out, *common, *options, root=tmp_path)
        assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "reports" / "sample" / "metrics.json").read_text())
    leaked = {row["slice"]: row["n"] for row in metrics["slices"]["leaked"]}
    assert leaked["near-duplicate in training"] > 0
    assert sum(leaked.values()) == metrics["n"]
    assert metrics["left_out"] == 0, "exact copies of training faces are what leaks"
    assert "near-duplicate in training" in out.read_text()


def test_every_cell_gives_the_same_output_a_second_time(sample_report, tmp_path):
    """nbval on the executed copies, in order, in a root without any state of the first time."""
    copies = [shutil.copy(path, tmp_path) for path in sorted(sample_report.glob("*.ipynb"))]
    done = run_cells_again(*copies, root=tmp_path)
    assert done.returncode == 0, done.stdout[-5000:]
    compared = sum(len(code_cells(Path(path))) for path in copies)
    assert re.search(rf"\b{compared} passed", done.stdout), "every cell is executed and compared"


def test_a_training_notebook_that_was_killed_goes_on_to_the_same_end(sample_report, tmp_path):
    """`kill -9` of papermill and its kernel after the second epoch, then the same command again."""
    source = next(path for path in NOTEBOOKS if path.stem == "04_training")
    command = ("papermill", source, tmp_path / "out.ipynb", "-p", "data", "sample", "-p", "run", "sample")
    state = tmp_path / "checkpoint" / "sample.training.npz"
    first = subprocess.Popen(
        [sys.executable, "-m", *map(str, command)], env=environment(tmp_path), stderr=subprocess.DEVNULL
    )
    while epochs_done(state) < 2:
        assert first.poll() is None
        time.sleep(0.05)
    for process in [*psutil.Process(first.pid).children(recursive=True), psutil.Process(first.pid)]:
        process.kill()
    first.wait()
    done = epochs_done(state)
    assert 2 <= done < 8

    again = run(*command, root=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"{done} of 8 epochs were done before" in (tmp_path / "out.ipynb").read_text()
    assert not state.exists(), "a training that has ended starts anew"
    undisturbed = sample_report.parents[1]
    log, checkpoint = Path("reports", "sample", "training.csv"), Path("checkpoint", "sample.keras")
    assert (tmp_path / log).read_text() == (undisturbed / log).read_text()
    kept, expected = (load_checkpoint(root / checkpoint)[0] for root in (tmp_path, undisturbed))
    for array, other in zip(kept.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(array, other)


def epochs_done(state: Path) -> int:
    """Return after how many epochs a training would go on; its log may be one ahead."""
    if not state.exists():
        return 0
    with np.load(state, allow_pickle=False) as stored:
        return len(json.loads(str(stored["metadata"]))["history"])
