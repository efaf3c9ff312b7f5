"""Where the seconds of a report on the sample go.

First its notebooks with papermill, one after the other: what papermill takes to start and to end, the kernel, the
imports, and all other cells, the work. Tracing graphs is part of the work, since no notebook does the same twice to
tell them apart; `training_step.py` times a first step. The unit is what no notebook can avoid: a kernel that starts and
imports TensorFlow. Then `python -m ageclf report`, which executes as many notebooks at a time as there are cores.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import nbformat
from _measure import print_table

from ageclf.workflow.run_files import CHECKOUT, read_run

COLUMNS = ("papermill", "kernel", "imports", "work")


def execute(source: Path, output: Path, root: Path, *parameters: str) -> float:
    """Execute a notebook in a root of its own and return the seconds that it took."""
    command = [sys.executable, "-m", "papermill", source, output, *parameters, "--no-progress-bar"]
    started = time.perf_counter()
    subprocess.run(command, env={**os.environ, "AGECLF_ROOT": str(root)}, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def break_down(executed: Path, taken: float) -> tuple[list[float], str]:
    """Share out the seconds that an executed notebook has taken over COLUMNS; and name the slowest cell of the work."""
    notebook = nbformat.read(executed, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    durations = {cell.id: cell.metadata.papermill.duration for cell in cells}
    imports = durations.pop(next(cell.id for cell in cells if cell.source.startswith(("import ", "from "))))
    begun, first = (
        datetime.fromisoformat(part.metadata.papermill.start_time) for part in (notebook, notebook.cells[0])
    )
    kernel, work = (first - begun).total_seconds(), sum(durations.values())
    slowest = max(durations, key=durations.get)
    return [taken - kernel - imports - work, kernel, imports, work], f"{slowest}: {durations[slowest]:.1f}"


def unit(root: Path) -> float:
    """Return the seconds of a notebook that imports TensorFlow and does nothing else."""
    source = root / "unit.ipynb"
    cell = nbformat.v4.new_code_cell("import tensorflow")
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), source)
    return execute(source, root / "unit-out.ipynb", root)


def time_report(root: Path, run: str) -> dict[str, float]:
    """Make the report of a run in an empty root and return the seconds of its stages, one after the other."""
    moments = [time.time()]
    command = [sys.executable, "-m", "ageclf", "report", "--run", run]
    environment = {**os.environ, "AGECLF_ROOT": str(root)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, env=environment) as report:
        printed = [(time.time(), line) for line in report.stdout]
    if report.returncode:
        raise subprocess.CalledProcessError(report.returncode, command)
    folder = root / "reports" / run
    moments.append((folder / "run.json").stat().st_mtime)
    moments.append(next(moment for moment, line in printed if line.endswith(" started\n")))
    moments.append(max(moment for moment, line in printed if " done in " in line))
    moments += [(folder / "snakemake.log").stat().st_mtime, time.time()]
    stages = ("imports and checks", "Snakemake starts", "notebooks, some at a time", "Snakemake ends", "pages")
    return {stage: end - start for stage, (start, end) in zip(stages, pairwise(moments), strict=True)}


def main(run: str = "sample") -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plain = unit(root)
        print(f"A kernel that imports TensorFlow: {plain:.1f} s")
        measured = {}
        for name in read_run(run)["notebooks"]:
            output = root / f"{name}.ipynb"
            taken = execute(CHECKOUT / "notebooks" / output.name, output, root, "-p", "data", "sample")
            measured[name] = break_down(output, taken)
        columns = zip(*(shares for shares, _ in measured.values()), strict=True)
        measured["all"] = [sum(column) for column in columns], ""
        rows = []
        for name, (shares, slowest) in measured.items():
            seconds = [f"{share:.1f}" for share in (sum(shares), *shares)]
            rows.append([name, *seconds, f"{sum(shares) / plain:.1f}", slowest])
        print_table(["notebook", "seconds", *COLUMNS, "of that unit", "slowest cell of the work"], rows)

        stages = time_report(root / "report", run)
        whole = sum(stages.values())
        print(f"`python -m ageclf report --run {run}`: {whole:.1f} s")
        rows = [[stage, f"{taken:.1f}", f"{taken / whole:.0%}"] for stage, taken in stages.items()]
        print_table(["stage", "seconds", "share"], rows)


if __name__ == "__main__":
    main()
