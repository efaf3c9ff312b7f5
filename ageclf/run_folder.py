"""What lies in a run's folder, reports/<run>/: results, executed notebooks, what failed; and its removal."""

import shutil
from pathlib import Path

import nbformat
import pandas as pd

import ageclf

# What runs write beside the notebooks and their pages. Listed, since a person's own files in the folder must stay.
RUN_FILES = ("comparison.json", "metrics.json", "photos.csv", "predictions.parquet", "snakemake.log")
RUN_FILES += ("suspects.csv", "training.csv", f"network{ageclf.NETWORK}", f"network{ageclf.PROVENANCE}")
RUN_FOLDERS = (".snakemake", "tensorboard")

STOPPED = "stopped without an error: killed, or out of memory; snakemake.log of the run may have more"


def write_results(folder: str | Path, predictions: pd.DataFrame, metrics: dict) -> None:
    """Write `predictions.parquet` and `metrics.json` into a run's folder, each by `ageclf.atomic_write`."""
    ageclf.atomic_write(f"{folder}/predictions.parquet", lambda partial: predictions.to_parquet(partial, index=False))
    ageclf.write_json(f"{folder}/metrics.json", metrics)


def read_results(run: str) -> tuple[pd.DataFrame, dict]:
    """Read the predictions table and the measures that `05_evaluation` wrote for a run.

    Raises FileNotFoundError when there are none, ValueError for damaged ones.
    """
    folder = ageclf.resolve(f"reports/{run}")
    for file in (folder / "predictions.parquet", folder / "metrics.json"):
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such file; run 05_evaluation, or make report RUN={run} first")
    return pd.read_parquet(folder / "predictions.parquet"), ageclf.read_json(folder / "metrics.json")


def failures(folder: Path) -> list[dict[str, str]]:
    """Return `notebook`, `cell`, `error` and `file` of each notebook that did not reach its end.

    Those of a sweep's configurations come after its own, with the configuration's name and a slash before the
    notebook's.
    """
    found = []
    for path in [*sorted(folder.glob("failed/*.ipynb")), *sorted(folder.glob("*/failed/*.ipynb"))]:
        file = path.relative_to(folder)
        found.append({"notebook": str(file.parents[1] / file.stem), "file": str(file), **describe_failure(path)})
    return found


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


def remove_run_outputs(folder: Path) -> None:
    """Remove what runs wrote in a run's folder and in its configurations', and each when nothing else is in it.

    run.json goes last, so that a removal that was interrupted can be repeated.
    """
    for configuration in sorted(path.parent for path in folder.glob("*/run.json")):
        remove_run_outputs(configuration)
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
