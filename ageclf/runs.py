"""What `make report` does around Snakemake: check, describe, lock, execute."""

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import ageclf
from ageclf import pages, reading, report
from ageclf.run_files import read_run

CHECKOUT = ageclf.CHECKOUT
CORES = len(os.sched_getaffinity(0))


def make_report(name: str | None = None, data: str | None = None) -> tuple[Path, list[dict[str, str]]]:
    """Execute the notebooks of a run, make its pages and the index; return its folder and `report.failures` of it.

    Without a name: `sample` when there is no data set, else `best`. `data` is a path (relative to the
    working directory), "sample" or "auto", and beats the run file's. Only notebooks that are out of date run.
    Raises FileNotFoundError, ValueError or, while another process makes this run's report, BlockingIOError.
    """
    name = name or ("sample" if reading.find_source(absolute(data) or "auto") == "sample" else "best")
    run = read_run(name)
    described = find_data(name, [run["parameters"]], data)
    folder = ageclf.ROOT / "reports" / name
    with locked(folder) as lock:
        describe(folder, {"run": name, **run, "threads": CORES}, described)
        # A checkpoint is no output of the rule: Snakemake cannot miss it.
        trained = (ageclf.ROOT / "checkpoint" / f"{name}.keras").exists()
        execute(folder, lock, ["--cores", "all", *([] if trained else ["--forcerun", "04_training"])])
        pages.write_pages(folder)
        pages.write_index(folder.parent)
    return folder, report.failures(folder)


def absolute(data: str | None) -> str | None:
    """Return a path, given relative to the working directory, as absolute, and all else as it is."""
    return data if data in (None, "auto", "sample") else str(Path(data).expanduser().absolute())


def find_data(name: str, points: list[dict[str, dict[str, Any]]], data: str | None) -> dict[str, Any]:
    """Put the data that is to be used into the parameters, in place, and return what run.json says of it.

    Raises FileNotFoundError where there is none, and ValueError, as `reading.load_faces` does, where it is no good.
    """
    every = [values for parameters in points for values in parameters.values()]
    wanted = next(values["data"] for values in every if "data" in values)
    source = reading.find_source(absolute(data) or wanted)
    if source == "sample" and wanted != "sample":
        raise FileNotFoundError(
            f"run {name!r} needs a data set: put age_gender.csv into data/ or give DATA=path (RUN=sample needs none)"
        )
    for values in every:
        values.update({"data": str(source)} if "data" in values else {})
    on_bad_rows = next((values["on_bad_rows"] for values in every if "on_bad_rows" in values), "raise")
    faces = reading.load_faces(source, on_bad_rows=on_bad_rows)
    return {**faces.source, "rows": len(faces.table)}


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold the lock of a run's folder; the kernel frees it when the last process that has it open ends.

    Raises BlockingIOError when another process has it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"the report of {folder.name!r} is being made already, wait for that") from None
        yield lock


def describe(folder: Path, content: dict[str, Any], data: dict[str, Any]) -> None:
    """Write run.json: what is about to run (`content`), on which data, with which code.

    A folder made from other data is emptied first. Notebooks that ran already keep under `earlier` the commit and
    versions that they ran with, since Snakemake may find them up to date.
    """
    previous = ageclf.read_json(folder / "run.json")
    if previous and previous["data"]["sha256"] != data["sha256"]:
        report.remove_run_outputs(folder)
        previous = None
    run = {
        "schema": 1,
        **content,
        "data": data,
        **ageclf.code(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "earlier": report.provenance(folder, previous) if previous else {},
    }
    ageclf.write_json(folder / "run.json", run)


def execute(folder: Path, lock: IO[str], *calls: list[str]) -> None:
    """Let Snakemake, called with each list of arguments in turn, execute what is out of date in a run's folder.

    Each notebook's start and end goes to standard output, all else to snakemake.log. Snakemake gets the lock too, so
    that it stays locked when this process dies first. Raises ValueError when Snakemake stops and no notebook failed.
    """
    for failure in report.failures(folder):  # of an earlier attempt
        (folder / failure["file"]).unlink()
    environment = {**os.environ, **surroundings()}
    with (folder / "snakemake.log").open("w") as log:
        for arguments in calls:
            command = [*snakemake(folder), "--rerun-incomplete", "--keep-going", *arguments]
            process = subprocess.Popen(command, stderr=log, env=environment, pass_fds=[lock.fileno()])
            try:
                status = process.wait()
            except KeyboardInterrupt:  # Snakemake got the signal too, and stops its jobs
                process.wait()
                raise
            for empty in (*folder.glob("failed"), *folder.glob("*/failed")):
                with contextlib.suppress(OSError):  # there, and not empty
                    empty.rmdir()
            if status and not report.failures(folder):
                end = (folder / "snakemake.log").read_text().splitlines()[-20:]
                raise ValueError("\n".join([f"Snakemake stopped, see {folder / 'snakemake.log'}; its end:", *end]))


def snakemake(folder: Path) -> list[str | Path]:
    """Return the command of Snakemake in a run's folder, up to its options."""
    snakefile = CHECKOUT / "Snakefile"
    return [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--directory", folder, "--nolock"]


def surroundings() -> dict[str, str]:
    """Return what the notebooks' processes need in their environment: this Python's programs, and the root."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": programs, "AGECLF_ROOT": str(ageclf.ROOT)}


def clean_reports() -> None:
    """Remove what runs wrote under reports/. Raises BlockingIOError when one of them is still running."""
    reports = ageclf.ROOT / "reports"
    for folder in sorted(path.parent for path in reports.glob("*/run.json")):
        with locked(folder):
            report.remove_run_outputs(folder)
    for path in [reports / "index.html", *reports.glob(".*.lock")]:
        path.unlink(missing_ok=True)


def clean_training(name: str) -> list[Path]:
    """Remove what the training of a run, of a batch or of a point (`batch/point`) wrote under checkpoint/, and return
    the files: the next one starts anew.

    Raises FileNotFoundError when there is nothing of that name, BlockingIOError when its report is being made.
    """
    folder, suffixes = ageclf.ROOT / "checkpoint", (".keras", ".json", ".training.npz")
    own, there = folder / name, sorted(path.stem for path in folder.glob("[!.]*.keras"))
    unknown = f"no training of a run {name!r} in {folder}; make clean-training RUN=name takes"
    unknown = FileNotFoundError(f"{unknown} {', '.join(there) or 'nothing yet'}")
    if {"", ".", ".."} & set(name.split("/")):  # the folder of all runs is not a run's
        raise unknown
    with locked(ageclf.ROOT / "reports" / name.split("/")[0]):
        found = [path for path in (own.with_name(own.name + suffix) for suffix in suffixes) if path.exists()]
        found += sorted(path for path in own.glob("*") if path.name.endswith(suffixes))
        if not found:
            raise unknown
        for path in found:
            ageclf.remove_asides(path)
            path.unlink()
        with contextlib.suppress(OSError):  # no folder, or not empty
            own.rmdir()
    return found
