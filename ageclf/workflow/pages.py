"""Pages from executed notebooks, and the index of all runs: HTML that loads nothing from anywhere."""

import contextlib
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbconvert import HTMLExporter
from nbformat import NotebookNode

import ageclf
from ageclf.faces.groups import REFERENCE_EDGES
from ageclf.run_folder import failures


def read_report(folder: Path) -> dict[str, Any]:
    """Return run.json with `metrics` (None before an evaluation) and `failures` of a run's folder.

    `stale` says that the metrics are those of an earlier attempt: the last one failed, and did not make them anew.
    Raises FileNotFoundError where there is no run.json.
    """
    run = ageclf.read_json(folder / "run.json")
    if run is None:
        raise FileNotFoundError(f"there is no run.json in {folder}; make report RUN=name makes one")
    metrics, failed = ageclf.read_json(folder / "metrics.json"), failures(folder)
    started = datetime.fromisoformat(run["started"]).timestamp()
    stale = bool(metrics and failed) and (folder / "metrics.json").stat().st_mtime < started
    return run | {"metrics": metrics, "failures": failed, "stale": stale}


def executed(folder: Path, run: dict[str, Any]) -> dict[str, NotebookNode]:
    """Return the run's notebooks that ran to their end, by name, in order. Raises ValueError for a damaged one."""
    paths = {name: folder / f"{name}.ipynb" for name in sorted(run["parameters"])}
    return {name: read_executed(path) for name, path in paths.items() if path.exists()}


def read_executed(path: Path) -> NotebookNode:
    """Read a notebook that papermill has executed. Raises ValueError when it is damaged, or was saved by others."""
    with contextlib.suppress(ValueError):
        notebook = nbformat.read(path, as_version=4)
        if "papermill" in notebook.metadata:
            return notebook
    raise ValueError(f"{path} is not as papermill wrote it; remove it, and make report executes it again")


def is_new(notebook: NotebookNode, run: dict[str, Any]) -> bool:
    """Return whether the last `make report` of the run executed the notebook, and not an earlier one."""
    start, started = notebook.metadata.papermill.start_time, run["started"]
    return datetime.fromisoformat(start) >= datetime.fromisoformat(started)


def provenance(folder: Path, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return, by notebook, the `commit` and `versions` that it ran with: the run's, or those of an earlier one."""
    now = {"commit": run["commit"], "versions": run["versions"]}
    unknown = {"commit": None, "versions": {}}
    notebooks = executed(folder, run)
    return {name: now if is_new(nb, run) else run["earlier"].get(name, unknown) for name, nb in notebooks.items()}


REFERENCE_ACCURACY = 0.705  # what the reference design reports for its six groups, on a split that is not known


def write_pages(folder: Path) -> list[Path]:
    """Write <notebook>.html for every executed notebook of a run, each one file, and return their paths.

    A page of a notebook that is no longer there is removed. Raises FileNotFoundError where there is no run.json.
    """
    run = summary(folder)
    notebooks, code, exporter = executed(folder, run), provenance(folder, run), html_exporter()
    points = [point for point in run.get("points", {}) if (folder / point / "05_evaluation.html").exists()]
    for name in run["parameters"].keys() - notebooks.keys():
        (folder / f"{name}.html").unlink(missing_ok=True)
    for name, notebook in notebooks.items():
        describe_figures(notebook)
        page = {
            "name": name,
            "title": title(notebook),
            "parameters": parameters(folder / f"{name}.ipynb", notebook, run),
            "duration": notebook.metadata.papermill.duration,
            "ended": notebook.metadata.papermill.end_time,
            "earlier": not is_new(notebook, run),
            **code[name],
        }
        resources = {"report": {"run": run, "page": page, "pages": list(notebooks), "points": points}}
        html, _ = exporter.from_notebook_node(notebook, resources)
        ageclf.write_text(folder / f"{name}.html", html)
    return [folder / f"{name}.html" for name in notebooks]


def summary(folder: Path) -> dict[str, Any]:
    """Return `report.read_report` with `reference`, the accuracy that stands beside the run's, or None.

    None for other groups, and for drawn faces: beside them it would look like something to compare with.
    """
    run = read_report(folder)
    beside = bool(run["metrics"]) and run["metrics"]["edges"] == list(REFERENCE_EDGES) and not run["data"]["synthetic"]
    return run | {"reference": REFERENCE_ACCURACY if beside else None}


def html_exporter() -> HTMLExporter:
    """Return nbconvert's exporter with the template of this package: no code, no prompts, progress bars folded."""
    return HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(Path(__file__).parent / "templates")],
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        filters={"anchored": anchored},
        preprocessors=["nbconvert.preprocessors.CoalesceStreamsPreprocessor"],
    )


def anchored(html: str) -> tuple[str, list[tuple[str, str, str]]]:
    """Return a page's HTML with an anchor at each heading below its title; and of each level, anchor and text."""
    found = []

    def with_anchor(heading: re.Match) -> str:
        level, text = heading.groups()
        words = re.findall(r"\w+", re.sub(r"<.*?>|&.*?;", " ", text.lower()))
        anchor = "-".join([str(len(found) + 1), *words])
        found.append((level, anchor, text))
        return f'<h{level} id="{anchor}">{text}</h{level}>'

    return re.sub(r"<h([23])>(.+?)</h\1>", with_anchor, html, flags=re.DOTALL), found


def title(notebook: NotebookNode) -> str:
    """Return the notebook's first heading."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.search(r"^# (.+)$", text, re.MULTILINE)[1]


def describe_figures(notebook: NotebookNode) -> None:
    """Give each figure, in the metadata of its output and in place, `number` on the page, `caption` and `alt`.

    A cell's metadata hold `caption` and `alt`: a sentence, or a list of one for each of the cell's figures. Where
    they do not, the nearest heading above stands in.
    """
    heading, number = "", 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE) or [heading])[-1]
        drawn = [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
        for i, figure in enumerate(drawn):
            number += 1
            figure.metadata["number"] = number
            for key in ("caption", "alt"):
                given = cell.metadata.get(key, heading)
                texts = [given] if isinstance(given, str) else given
                beside = f"{heading} ({i + 1} of {len(drawn)})"
                figure.metadata[key] = texts[i] if len(texts) == len(drawn) else beside


def parameters(path: Path, notebook: NotebookNode, run: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """Return name, value and explanation of each parameter that the notebook ran with."""
    given = {**notebook.metadata.papermill.parameters, "data": run["data"]["name"]}
    known = papermill.inspect_notebook(path)
    return [(name, given.get(name, known[name]["default"].strip("\"'")), known[name]["help"]) for name in known]


def write_index(reports: Path) -> Path:
    """Write index.html, a table of all runs below `reports`, newest first, and return its path."""
    runs = []
    for folder in (path.parent for path in reports.glob("*/run.json")):
        pages = [page.stem for page in sorted(folder.glob("*.html"))]
        runs.append(summary(folder) | {"folder": folder.name, "pages": pages})
    runs.sort(key=lambda run: run["started"], reverse=True)
    html = html_exporter().environment.get_template("runs.html.j2").render(runs=runs)
    ageclf.write_text(reports / "index.html", html)
    return reports / "index.html"
