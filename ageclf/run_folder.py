"""What lies in a run's folder, reports/<run>/: results, executed notebooks, what failed; and its removal."""

import contextlib
import re
import shutil
from pathlib import Path

import ageclf

# What runs write beside the notebooks and their pages. Listed, since a person's own files in the folder must stay.
RUN_FILES = ("comparison.json", "index.html", "metrics.json", "photos.csv", "predictions.parquet", "snakemake.log")
RUN_FILES += ("suspects.csv", "training.csv", f"network{ageclf.NETWORK}", f"network{ageclf.PROVENANCE}")
RUN_FOLDERS = (".snakemake", "tensorboard")


def write_results(folder: str | Path, predictions, metrics: dict) -> None:
    """Write a DataFrame to `predictions.parquet` and measures to `metrics.json` in a run's folder, each by
    `ageclf.atomic_write`."""
    ageclf.atomic_write(f"{folder}/predictions.parquet", lambda partial: predictions.to_parquet(partial, index=False))
    ageclf.write_json(f"{folder}/metrics.json", metrics)


def read_results(run: str) -> tuple:
    """Read the predictions table, a DataFrame, and the measures, a dictionary, that `05_evaluation` wrote for a run.

    Raises FileNotFoundError when there are none, ValueError for damaged ones.
    """
    import pandas as pd  # as nbformat below, too slow for a command that refuses a mistyped run

    folder = ageclf.resolve(f"reports/{run}")
    metrics = ageclf.read_json(folder / "metrics.json")  # written last
    if metrics is None:
        raise FileNotFoundError(f"{folder} has no metrics.json; run 05_evaluation, or make report RUN={run} first")
    return pd.read_parquet(folder / "predictions.parquet"), metrics


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
    """Return the `cell` that raised an error, or was the last to start, and the `error`: the cell's, or
    what the log beside the notebook says."""
    import nbformat

    cells = []
    with contextlib.suppress(Exception):  # no notebook, or papermill was killed while it wrote one: it may be anything
        cells = nbformat.read(path, as_version=4).cells
    log = path.with_suffix(".log")
    messages, _, status = (log.read_text(errors="replace") if log.exists() else "").rpartition("exit status ")
    started = "none"
    for cell in (cell for cell in cells if cell.cell_type == "code"):
        for output in cell.outputs:
            if output.output_type == "error":
                error = f"{output.ename}: {' '.join(output.evalue.split())}"
                return {"cell": f"In [{cell.execution_count}], {cell.id}", "error": error}
        started = cell.id if cell.metadata.get("papermill", {}).get("start_time") else started
    return {"cell": started, "error": reason(messages, int(status) if status.strip().isdigit() else 137)}


def reason(messages: str, status: int) -> str:
    """Return why a program ended: the first true line of its `messages`, or the signal that its exit status names."""
    found = re.findall(r"^Traceback .*\n(?:\s.*\n|\n)+(\S.*)", messages, re.MULTILINE)[-1:]
    found += [": ".join(one) for one in re.findall(r"^(\w+(?:Error|Exception)\b.*?):?\n(.+)", messages, re.MULTILINE)]
    if status in (-9, 137) or (found and found[0].endswith("Kernel died")):
        return "ended without a word, perhaps for want of memory; snakemake.log of the run may have more"
    if status < 0 or status > 128:
        return f"stopped by signal {abs(status) % 128}"
    return " ".join((found + messages.splitlines()[-1:] + [f"exit status {status}"])[0].split())


def remove_run_outputs(folder: Path) -> None:
    """Remove what runs wrote in a run's folder and in its configurations', and each when nothing else is in it.

    No file in it says what goes: only `RUN_FILES`, and notebooks with names of the checkout's. run.json goes last, so
    that a removal that was interrupted can be repeated.
    """
    for configuration in sorted(path.parent for path in folder.glob("*/run.json")):
        remove_run_outputs(configuration)
    for name in (notebook.stem for notebook in (ageclf.CHECKOUT / "notebooks").glob("*.ipynb")):
        for path in [folder / f"{name}.ipynb", folder / f"{name}.html", *folder.glob(f"failed/{name}.*")]:
            path.unlink(missing_ok=True)
    for name in RUN_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (*RUN_FILES, "run.json"):
        (folder / name).unlink(missing_ok=True)
    remove_empty(folder / "failed", folder)


def remove_empty(*folders: Path) -> None:
    """Remove those of some folders that are there, and hold nothing."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
