"""Pages of a run and the index, made from notebooks that are written here as papermill leaves them."""

import json
from base64 import b64encode

import nbformat
import pytest
from nbformat import v4

from ageclf import report

PIXEL = b64encode(b"\x89PNG\r\n\x1a\n").decode()
RUN = {
    "schema": 1,
    "run": "small",
    "data": {"name": "faces.csv.gz", "sha256": "0123456789abcdef" * 4, "synthetic": False, "rows": 20},
    "parameters": {"04_training": {}, "05_evaluation": {}},
    "commit": "abc1234-dirty",
    "versions": {"python": "3.12.1", "numpy": "2.4.6"},
    "started": "2026-01-02T10:00:00+00:00",
    "earlier": {},
}
MEASURE = {"value": 0.7051, "low": 0.6881, "high": 0.7219}
METRICS = {
    "schema": 1,
    "part": "test",
    "n": 3021,
    "measures": {"accuracy": MEASURE},
    "baselines": {"majority": {"group": "19-30", "accuracy": {"value": 0.3333, "low": 0.3, "high": 0.4}}},
}


def executed(path, cells, start="2026-01-02T10:00:05+00:00", **parameters):
    """Write a notebook with the metadata that papermill gives one that it executed."""
    times = {"start_time": start, "end_time": "2026-01-02T10:01:30+00:00", "duration": 85.2}
    notebook = v4.new_notebook(cells=cells, metadata={"papermill": {"parameters": parameters, **times}})
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def training_cells():
    settings = v4.new_code_cell("epochs: int = 2  # passes over the <training> part", metadata={"tags": ["parameters"]})
    bar = v4.new_code_cell("fit()", outputs=[v4.new_output("stream", text="epoch 1 10 %\repoch 1 55 %\repoch 1 done")])
    noise = v4.new_code_cell("noise()", outputs=[v4.new_output("stream", name="stderr", text="no GPU found")])
    figure = v4.new_code_cell("plot()", outputs=[v4.new_output("display_data", {"image/png": PIXEL})])
    return [v4.new_markdown_cell("# Training\n\nWhat it does."), settings, bar, noise,
            v4.new_markdown_cell("## Loss by epoch"), figure]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "reports" / "small"
    executed(folder / "04_training.ipynb", training_cells(), epochs=5)
    write_run(folder)
    return folder


def write_run(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({**RUN, "run": folder.name, **changes}))


def page(folder):
    report.write_pages(folder)
    return (folder / "04_training.html").read_text()


def test_a_page_holds_everything_and_loads_nothing(folder):
    html = page(folder)
    assert "data:image/png;base64," in html
    for loads in ("<script", '<link rel="stylesheet', "@import", 'src="http', "url("):
        assert loads not in html
    assert "<title>Training · small</title>" in html
    assert '<html lang="en">' in html
    assert 'name="viewport"' in html


def test_code_is_hidden(folder):
    assert "plot()" not in page(folder)


def test_a_figure_is_described_by_the_heading_above_it(folder):
    assert 'alt="Figure: Loss by epoch"' in page(folder)


def test_only_the_last_state_of_a_progress_bar_is_shown(folder):
    html = page(folder)
    assert "epoch 1 done" in html
    assert "55 %" not in html


def test_messages_of_the_kernel_are_folded_away(folder):
    html = page(folder)
    assert html.index('<details class="messages">') < html.index("no GPU found")


def test_the_top_names_run_data_code_and_duration(folder):
    html = page(folder)
    for fact in ("<strong>small</strong>", "faces.csv.gz", "0123456789ab<", "abc1234-dirty", "numpy 2.4.6", "85 s"):
        assert fact in html
    assert "SYNTHETIC" not in html


def test_parameters_show_the_value_that_ran_and_the_explanation_escaped(folder):
    assert '<td>5</td><td class="help">passes over the &lt;training&gt; part</td>' in page(folder)


def test_drawn_faces_are_marked_on_page_and_index(folder):
    write_run(folder, data={"name": "sample", "sha256": "0" * 64, "synthetic": True, "rows": 600})
    assert "<strong>SYNTHETIC</strong>" in page(folder)
    assert "SYNTHETIC" in report.write_index(folder.parent).read_text()


def test_headline_has_interval_part_and_baseline(folder):
    assert "No evaluation yet" in page(folder)
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    for html in (page(folder), report.write_index(folder.parent).read_text()):
        for fact in ("70.5 %", "68.8–72.2 %", "part test", "3,021 faces", "19-30", "33.3 %"):
            assert fact in html


def test_a_page_says_which_code_ran_it_not_which_code_is_newest(folder):
    earlier = {"04_training": {"commit": "0ld0ld0", "versions": {}}}
    write_run(folder, started="2026-01-03T00:00:00+00:00", earlier=earlier)
    html = page(folder)
    assert "0ld0ld0" in html
    assert "abc1234" not in html


def test_pages_link_to_each_other_and_only_to_what_is_there(folder):
    assert "05_evaluation.html" not in page(folder)
    executed(folder / "05_evaluation.ipynb", [v4.new_markdown_cell("# Evaluation")])
    assert 'href="05_evaluation.html"' in page(folder)
    (folder / "05_evaluation.ipynb").unlink()
    assert "05_evaluation.html" not in page(folder)
    assert not (folder / "05_evaluation.html").exists()


def test_a_failed_notebook_is_shown_with_cell_and_error(folder):
    error = v4.new_output("error", ename="ValueError", evalue="age <b>200</b>\nis not an age", traceback=[])
    broken = v4.new_code_cell("check()", id="evaluation-03", execution_count=3, outputs=[error])
    executed(folder / "failed" / "05_evaluation.ipynb", [broken])
    text = "in cell In [3], evaluation-03: ValueError: age &lt;b&gt;200&lt;/b&gt; is not an age"
    assert text in page(folder)
    index = report.write_index(folder.parent).read_text()
    assert text in index
    assert 'href="small/failed/05_evaluation.ipynb"' in index


def test_a_killed_notebook_names_the_cell_that_was_running(folder):
    done = v4.new_code_cell("a", id="first-01", metadata={"papermill": {"status": "completed"}})
    running = v4.new_code_cell("b", id="second-02", metadata={"papermill": {"status": "running"}})
    executed(folder / "failed" / "05_evaluation.ipynb", [done, running])
    (failure,) = report.failures(folder)
    assert (failure["notebook"], failure["cell"]) == ("05_evaluation", "second-02")


def test_a_notebook_cut_short_in_writing_still_counts_as_failed(folder):
    (folder / "failed").mkdir()
    (folder / "failed" / "05_evaluation.ipynb").write_text('{"cells": [')
    assert "05 evaluation failed" in report.write_index(folder.parent).read_text()


def test_a_headline_that_outlived_a_failed_attempt_says_so(folder):
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    write_run(folder, started="2125-01-01T00:00:00+00:00")
    assert "From an earlier attempt" not in page(folder)
    executed(folder / "failed" / "05_evaluation.ipynb", [])
    assert "From an earlier attempt" in page(folder)
    assert "From an earlier attempt" in report.write_index(folder.parent).read_text()


def test_the_index_lists_runs_newest_first_and_only_runs(folder):
    write_run(folder.parent / "newer", started="2026-02-01T10:00:00+00:00")
    (folder.parent / "lab").mkdir()
    (folder.parent / "lab" / "metrics.json").write_text("{}")
    index = report.write_index(folder.parent).read_text()
    assert index.index(">newer</th>") < index.index(">small</th>")
    assert ">lab</th>" not in index


def test_removal_keeps_what_runs_did_not_write(folder):
    page(folder)
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
    report.remove_run_outputs(folder)
    assert sorted(path.name for path in folder.rglob("*")) == ["my_own.ipynb", "notes.txt"]


def test_removal_takes_a_folder_that_holds_nothing_else(folder):
    page(folder)
    report.remove_run_outputs(folder)
    assert not folder.exists()
