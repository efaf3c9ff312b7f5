"""Pages from executed notebooks, and the index of all runs: HTML that loads nothing from anywhere."""

import contextlib
import itertools
import re
from collections.abc import Iterable
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbconvert import HTMLExporter
from nbformat import NotebookNode

import ageclf
from ageclf import run_folder
from ageclf.faces.groups import REFERENCE_EDGES
from ageclf.workflow.dependencies import EVALUATION, TRAINING

REFERENCE_ACCURACY = 0.705  # what the reference design reports for its six groups, on a split that is not known


def read_report(folder: Path) -> dict[str, Any]:
    """Return run.json with `metrics` (None before an evaluation) and `failures` of a run's folder.

    `stale` says that the metrics are those of an earlier attempt: the last one failed before it made them anew.
    `reference` is the accuracy to show beside the run's; None for other groups, and for synthetic faces: beside them
    it would look like something to compare with. Raises FileNotFoundError where there is no run.json, and ValueError
    for damaged files.
    """
    run = ageclf.read_json(folder / "run.json")
    if run is None:
        raise FileNotFoundError(f"there is no run.json in {folder}; make report RUN=name makes one")
    metrics, failed = ageclf.read_json(folder / "metrics.json"), run_folder.failures(folder)
    stale = bool(metrics) and any(failure["notebook"] in (TRAINING, EVALUATION) for failure in failed)
    alike = bool(metrics) and metrics["edges"] == list(REFERENCE_EDGES) and not run["data"]["synthetic"]
    reference = REFERENCE_ACCURACY if alike else None
    return run | {"metrics": metrics, "failures": failed, "stale": stale, "reference": reference}


def executed(folder: Path, names: Iterable[str]) -> dict[str, NotebookNode]:
    """Return those of the named notebooks in a run's folder that ran to their end, in order.

    Raises ValueError for one that is damaged, or was saved by another program than papermill.
    """
    return {name: _read_executed(path) for name in sorted(names) if (path := folder / f"{name}.ipynb").exists()}


def _read_executed(path: Path) -> NotebookNode:
    with contextlib.suppress(Exception):
        notebook = nbformat.read(path, as_version=4)
        times = itemgetter("start_time", "end_time")(notebook.metadata.papermill)
        if all(map(datetime.fromisoformat, times)) and notebook.cells[0].source:
            return notebook
    raise ValueError(f"{path} is not as papermill wrote it; remove it, and make report executes it again")


def write_pages(folder: Path) -> None:
    """Write <notebook>.html for every executed notebook of a run, each one file, and index.html, which says what they
    found.

    A page of a notebook that is no longer there is removed. Raises FileNotFoundError where there is no run.json.
    """
    run, exporter = read_report(folder), html_exporter()
    notebooks = executed(folder, run["parameters"])
    for name in run["parameters"].keys() - notebooks.keys():
        (folder / f"{name}.html").unlink(missing_ok=True)
    for name, notebook in notebooks.items():
        describe_figures(notebook)
        page = {"name": name, "parameters": papermill.inspect_notebook(notebook)}  # of a path, braces are a pattern
        html, _ = exporter.from_notebook_node(notebook, {"report": {"run": run, "page": page, "pages": [*notebooks]}})
        ageclf.write_text(folder / f"{name}.html", html)
    found = {name: tagged(notebook) for name, notebook in notebooks.items()}
    files = [file for file in run_folder.RUN_FILES if (folder / file).exists()]
    first = exporter.environment.get_template("run.html.j2")
    ageclf.write_text(folder / "index.html", first.render(run=run, notebooks=notebooks, found=found, files=files))


def tagged(notebook: NotebookNode) -> dict[str, Any]:
    """Return the outputs of an executed notebook's cells that have a tag, by tag: of `finding` a sentence, computed
    from the notebook's numbers, of `first-page` figures. Both are shown on the first page of the run."""
    cells = [(tag, cell) for cell in notebook.cells for tag in cell.metadata.get("tags", [])]
    return {tag: [output for output in cell.get("outputs", []) if "data" in output] for tag, cell in cells}


def html_exporter() -> HTMLExporter:
    """Return nbconvert's exporter with the template of this package: code and messages folded, no prompts."""
    parts = ("input_prompt", "output_prompt", "anchor_links")
    return HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(Path(__file__).parent / "templates")],
        **{f"exclude_{part}": True for part in parts},
        filters={"anchored": anchored},
    )


def anchored(html: str) -> tuple[str, list[tuple[str, str, str]]]:
    """Return a page's HTML with an anchor at each heading below its title; and of each level, anchor and text."""
    numbers = itertools.count(1)
    html = re.sub("<h([23])>", lambda heading: f'<h{heading[1]} id="section-{next(numbers)}">', html)
    return html, re.findall(r'<h([23]) id="(section-\d+)">(.+?)</h\1>', html, re.DOTALL)


def describe_figures(notebook: NotebookNode) -> None:
    """Give each figure, in the metadata of its output and in place, `caption` and `alt`.

    A cell's metadata hold `caption` and `alt`: a sentence, or a list of one for each of the cell's figures. Where
    they do not, the nearest heading above stands in.
    """
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE) or [heading])[-1]
        figures = [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
        for i, figure in enumerate(figures):
            for key in ("caption", "alt"):
                texts = [given] if isinstance(given := cell.metadata.get(key, heading), str) else given
                numbered = f"{heading} ({i + 1} of {len(figures)})"
                figure.metadata[key] = texts[i] if len(texts) == len(figures) else numbered


def write_index(reports: Path) -> None:
    """Write index.html, a table of all runs below `reports`, newest first; each leads to its first page. Runs whose
    files are damaged are named above it."""
    runs, damaged = [], []
    for folder in (path.parent for path in reports.glob("*/run.json")):
        pages = [page.stem for page in sorted(folder.glob("[0-9]*.html"))]
        try:
            found = map(tagged, executed(folder, [EVALUATION]).values())
            runs.append(read_report(folder) | {"folder": folder.name, "pages": pages, "found": list(found)})
        except Exception as error:  # whatever it is, the other runs are shown
            damaged.append(str(error))
    html = html_exporter().environment.get_template("runs.html.j2").render(runs=runs, damaged=damaged)
    ageclf.write_text(reports / "index.html", html)
