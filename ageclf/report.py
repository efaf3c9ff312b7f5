"""What a run left in its folder: the notebooks it executed, what failed, which code ran; and its removal."""

import contextlib
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

import ageclf

# What runs write beside the notebooks and their pages.
RUN_FILES = ("comparison.json", "leak.json", "metrics.json", "network.json", "network.keras", "predictions.parquet")
RUN_FILES += ("photos.csv", "snakemake.log", "suspects.csv", "training.csv")
RUN_FOLDERS = (".snakemake", "leak", "tensorboard")

STOPPED = "stopped without an error: killed, or out of memory; snakemake.log of the run may say more"


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


def failures(folder: Path) -> list[dict[str, str]]:
    """Return `notebook`, `cell`, `error` and `file` of each notebook that did not reach its end.

    Those of a batch's points come after its own, with the point's name and a slash before the notebook's.
    """
    paths = [*sorted(folder.glob("failed/*.ipynb")), *sorted(folder.glob("*/failed/*.ipynb"))]
    return [
        {
            "notebook": (path.relative_to(folder).parents[1] / path.stem).as_posix(),
            "file": path.relative_to(folder).as_posix(),
            **describe_failure(path),
        }
        for path in paths
    ]


def describe_failure(path: Path) -> dict[str, str]:
    """Return the `cell` that raised an error, or was running when the process ended, and the `error`."""
    try:
        cells = nbformat.read(path, as_version=4).cells
    except ValueError:  # killed while papermill wrote it
        cells = []
    for cell in (cell for cell in cells if cell.cell_type == "code"):
        for output in cell.outputs:
            if output.output_type == "error":
                error = f"{output.ename}: {' '.join(output.evalue.split())}"
                return {"cell": f"In [{cell.execution_count}], {cell.id}", "error": error}
        if cell.metadata.get("papermill", {}).get("status") != "completed":
            return {"cell": cell.id, "error": STOPPED}
    return {"cell": "unknown", "error": STOPPED}


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


def remove_run_outputs(folder: Path) -> None:
    """Remove what runs wrote in a run's folder and in those of its points, and each when nothing else is in it.

    run.json goes last, so that a removal that was cut short can be repeated.
    """
    for point in sorted(path.parent for path in folder.glob("*/run.json")):
        remove_run_outputs(point)
    for name in ageclf.read_json(folder / "run.json")["parameters"]:
        for path in (folder / f"{name}.ipynb", folder / f"{name}.html", folder / "failed" / f"{name}.ipynb"):
            path.unlink(missing_ok=True)
    for name in RUN_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (*RUN_FILES, "run.json"):
        (folder / name).unlink(missing_ok=True)
    for empty in (folder / "failed", folder):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()
