"""Run files, and what `make report` does around Snakemake: check, describe, lock, execute."""

import ast
import contextlib
import difflib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import papermill
import yaml

import ageclf
from ageclf import reading, report

CHECKOUT = ageclf.CHECKOUT


def read_run(name: str) -> dict[str, dict[str, Any]]:
    """Return the parameters that the run file `runs/<name>.yaml` hands to each notebook, by notebook name.

    `common:` reaches the notebooks that have the parameter; `data` is "auto" unless it says otherwise. Raises
    FileNotFoundError for an unknown run, ValueError for what no notebook knows and for a value of another type.
    """
    names = sorted(file.stem for file in (CHECKOUT / "runs").glob("*.yaml"))
    if name not in names:
        raise FileNotFoundError(f"there is no run file runs/{name}.yaml; the runs are: {', '.join(names)}")
    file = f"runs/{name}.yaml"
    try:
        sections = yaml.safe_load((CHECKOUT / file).read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from None
    notebooks = {path.stem: read_defaults(path) for path in sorted((CHECKOUT / "notebooks").glob("*.ipynb"))}
    # A run has one name, its file's, and one data set: `run` can stand nowhere, `data` only under `common:`.
    allowed = {
        notebook: {key: default for key, default in known.items() if key not in ("run", "data")}
        for notebook, known in notebooks.items()
    }
    allowed["common"] = {"data": "auto", **{key: known[key] for known in allowed.values() for key in known}}
    check(file, sections, allowed)
    for section, values in sections.items():
        check(f"{file}, {section}", values, allowed[section])
    common = {"data": "auto", **sections.get("common", {}), "run": name}
    return {
        notebook: {key: common[key] for key in common if key in known} | sections.get(notebook, {})
        for notebook, known in notebooks.items()
    }


def read_defaults(notebook: Path) -> dict[str, Any]:
    """Return the default of each parameter in the notebook's `parameters` cell."""
    parameters = papermill.inspect_notebook(notebook)
    return {name: ast.literal_eval(parameter["default"]) for name, parameter in parameters.items()}


def check(where: str, given: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Raise ValueError unless each name has a default, and each value its default's type (an int is a float too)."""
    for key, value in given.items():
        if key not in defaults:
            nearest = difflib.get_close_matches(str(key), defaults, n=1, cutoff=0)
            raise ValueError(f"{where}: {key!r} is not known here; the nearest name that is: {nearest[0]!r}")
        expected = type(defaults[key])
        if type(value) is not expected and (expected, type(value)) != (float, int):
            hint = " (YAML reads 1e-3 as text: write 0.001)" if expected is float else ""
            raise ValueError(f"{where}: {key} must be of type {expected.__name__}, got {value!r}{hint}")


def make_report(name: str | None = None, data: str | None = None) -> tuple[Path, list[dict[str, str]]]:
    """Execute the notebooks of a run, make its pages and the index; return its folder and `report.failures` of it.

    Without a name: `sample` when there is no data set, else `utkface-cpu`. `data` is a path (relative to the
    working directory), "sample" or "auto", and beats the run file's. Only notebooks that are out of date run.
    Raises FileNotFoundError, ValueError or, while another process makes this run's report, BlockingIOError.
    """
    if data not in (None, "auto", "sample"):
        data = str(Path(data).expanduser().absolute())
    name = name or ("sample" if reading.find_source(data or "auto") == "sample" else "utkface-cpu")
    parameters = read_run(name)
    wanted = next(values["data"] for values in parameters.values() if "data" in values)
    source = reading.find_source(data or wanted)
    if source == "sample" and wanted != "sample":
        raise FileNotFoundError(
            f"run {name!r} needs a data set: put age_gender.csv into data/ or give DATA=path (RUN=sample needs none)"
        )
    for values in parameters.values():
        values.update({"data": str(source)} if "data" in values else {})
    on_bad_rows = next((values["on_bad_rows"] for values in parameters.values() if "on_bad_rows" in values), "raise")
    faces = reading.load_faces(source, on_bad_rows=on_bad_rows)
    folder = ageclf.ROOT / "reports" / name
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as lock:
        describe(folder, parameters, {**faces.source, "rows": len(faces.table)})
        status = execute(folder, lock)
        with contextlib.suppress(OSError):  # there, and not empty
            (folder / "failed").rmdir()
        failed = report.failures(folder)
        report.write_pages(folder)
        report.write_index(folder.parent)
    if status and not failed:
        log = folder / "snakemake.log"
        raise ValueError("\n".join([f"Snakemake stopped, see {log}; its end:", *log.read_text().splitlines()[-20:]]))
    return folder, failed


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold the lock of a run's folder; the kernel frees it when the last process that has it open ends.

    Raises BlockingIOError when another process has it.
    """
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"the report of {folder.name!r} is being made already, wait for that") from None
        yield lock


def describe(folder: Path, parameters: dict[str, dict[str, Any]], data: dict[str, Any]) -> None:
    """Write run.json: what is about to run, on which data, with which code.

    A folder made from other data is emptied first. Notebooks that ran already keep under `earlier` the commit and
    versions that they ran with, since Snakemake may find them up to date.
    """
    previous = report.read_json(folder / "run.json")
    if previous and previous["data"]["sha256"] != data["sha256"]:
        report.remove_run_outputs(folder)
        previous = None
    run = {
        "schema": 1,
        "run": folder.name,
        "data": data,
        "parameters": parameters,
        **ageclf.code(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "earlier": report.provenance(folder, previous) if previous else {},
    }
    text = json.dumps(run, indent=1, ensure_ascii=False)
    ageclf.write_aside(folder / "run.json", lambda aside: aside.write_text(text, encoding="utf-8"))


def execute(folder: Path, lock: IO[str]) -> int:
    """Let Snakemake execute what is out of date in a run's folder and return its exit status.

    Each notebook's start and end goes to standard output, all else to snakemake.log. Snakemake gets the lock too, so
    that it stays locked when this process dies first.
    """
    for failure in report.failures(folder):  # of an earlier attempt
        (folder / failure["file"]).unlink()
    command = [sys.executable, "-m", "snakemake", "--snakefile", CHECKOUT / "Snakefile", "--directory", folder]
    command += ["--cores", "all", "--nolock", "--rerun-incomplete", "--keep-going"]
    if not (ageclf.ROOT / "checkpoint" / f"{folder.name}.keras").exists():
        command += ["--forcerun", "04_training"]  # a checkpoint is no output of the rule: Snakemake cannot miss it
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "AGECLF_ROOT": str(ageclf.ROOT)}
    with (folder / "snakemake.log").open("w") as log:
        snakemake = subprocess.Popen(command, stderr=log, env=environment, pass_fds=[lock.fileno()])
        try:
            return snakemake.wait()
        except KeyboardInterrupt:  # Snakemake got the signal too, and stops its jobs
            snakemake.wait()
            raise


def clean_reports() -> None:
    """Remove what runs wrote under reports/. Raises BlockingIOError when one of them is still running."""
    reports = ageclf.ROOT / "reports"
    for folder in sorted(path.parent for path in reports.glob("*/run.json")):
        with locked(folder):
            report.remove_run_outputs(folder)
    for path in [reports / "index.html", *reports.glob(".*.lock")]:
        path.unlink(missing_ok=True)


def clean_training(name: str) -> list[Path]:
    """Remove what the training of a run wrote under checkpoint/, and return the files: the next one starts anew.

    Raises FileNotFoundError when there is nothing of that name, BlockingIOError when its report is being made.
    """
    checkpoint, reports = ageclf.ROOT / "checkpoint", ageclf.ROOT / "reports"
    wanted = {f"{name}{suffix}" for suffix in (".keras", ".json", ".training.npz")}
    reports.mkdir(exist_ok=True)
    with locked(reports / name):
        found = sorted(path for path in checkpoint.glob("*") if path.name in wanted)
        if not found:
            raise FileNotFoundError(f"no training of a run {name!r} in {checkpoint}; nothing to remove")
        for path in found:
            ageclf.remove_asides(path)
            path.unlink()
    return found
