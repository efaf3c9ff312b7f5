"""What `make report` does around Snakemake: check, describe, lock, execute."""

import contextlib
import fcntl
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pandas as pd

import ageclf
from ageclf import run_folder
from ageclf.faces import reading
from ageclf.workflow import pages
from ageclf.workflow.dependencies import COMPARISON, TRAINING
from ageclf.workflow.run_files import read_batch, read_defaults, read_run

CHECKOUT = ageclf.CHECKOUT


CORES = len(os.sched_getaffinity(0))


def make_report(name: str | None = None, data: str | None = None) -> tuple[Path, list[dict[str, str]]]:
    """Execute the notebooks of a run, make its pages and the index; return its folder and `run_folder.failures` of it.

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
        execute(folder, lock, ["--cores", "all", *([] if trained else ["--forcerun", TRAINING])])
        pages.write_pages(folder)
        pages.write_index(folder.parent)
    return folder, run_folder.failures(folder)


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
        run_folder.remove_run_outputs(folder)
        previous = None
    run = {
        "schema": 1,
        **content,
        "data": data,
        **ageclf.code(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "earlier": pages.provenance(folder, previous) if previous else {},
    }
    ageclf.write_json(folder / "run.json", run)


def execute(folder: Path, lock: IO[str], *calls: list[str]) -> None:
    """Let Snakemake, called with each list of arguments in turn, execute what is out of date in a run's folder.

    Each notebook's start and end goes to standard output, all else to snakemake.log. Snakemake gets the lock too, so
    that it stays locked when this process dies first. Raises ValueError when Snakemake stops and no notebook failed.
    """
    for failure in run_folder.failures(folder):  # of an earlier attempt
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
            if status and not run_folder.failures(folder):
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
            run_folder.remove_run_outputs(folder)
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


def make_sweep(
    name: str, data: str | None = None, profile: str | None = None, keep_networks: bool = False
) -> tuple[Path, list[dict[str, str]]]:
    """Execute all points of a batch, then its comparison; return its folder and `run_folder.failures` of it.

    As many points run side by side as there are cores, each with its share of these, or as Snakemake's `profile` (a
    folder) says. A point that fails stops no other, and what is up to date is not executed again. A network is
    removed when nothing needs it any more, unless `keep_networks`. Raises errors as `execute.make_report` does.
    """
    if profile and not Path(profile).is_dir():
        raise FileNotFoundError(f"{profile}: no such folder; PROFILE is a Snakemake profile, such as profiles/slurm")
    batch, described = _prepare(name, data)
    folder = ageclf.ROOT / "reports" / name
    places = [folder / point for point in batch["points"]] + [folder]
    where = ["--profile", str(Path(profile).absolute())] if profile else ["--cores", "all"]
    with locked(folder) as lock:
        describe(folder, batch, described)
        for point, content in batch["points"].items():
            describe(folder / point, {"run": f"{name}/{point}", **content, "threads": batch["threads"]}, described)
        points = [*where, *(["--notemp"] if keep_networks else [])]
        execute(folder, lock, points, ["--cores", "all", f"{COMPARISON}.ipynb"])
        with contextlib.suppress(OSError):  # not there, or trainings that were stopped are in it
            (ageclf.ROOT / "checkpoint" / name).rmdir()
        for place in places:
            pages.write_pages(place)
        pages.write_index(folder.parent)
    return folder, run_folder.failures(folder)


def _prepare(name: str, data: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    batch = read_batch(name)
    described = find_data(name, [point["parameters"] for point in batch["points"].values()], data)
    return {"run": name, **batch, "threads": max(1, execute.CORES // len(batch["points"]))}, described


def plan_sweep(name: str, data: str | None = None) -> list[str]:
    """Return a line for each point of a batch, with the notebooks that would be executed now and the minutes that the
    training may take, by the time of earlier ones under reports/; and a line for all together. Nothing is changed.

    Raises errors as `execute.make_report` does.
    """
    batch, described = _prepare(name, data)
    earlier, waiting = _earlier_trainings(), _waiting(batch, described)
    lines, minutes = [], []
    for point, notebooks in waiting.items():
        kind, epochs = _kind(described, batch["points"][point]["parameters"][TRAINING])
        trained = epochs if TRAINING in notebooks else 0
        minutes.append(trained * earlier.get(kind, math.nan) / batch["threads"] if trained else 0.0)
        lines.append(f"{point}: {', '.join(notebooks) or 'up to date'}{_about(minutes[-1])}")
    side_by_side = min(len(waiting), execute.CORES // batch["threads"])
    total = max(sum(minutes) / side_by_side, max(minutes))
    unknown = "; how long, no earlier training of this kind on these data tells" if math.isnan(total) else ""
    to_do = sum(map(bool, waiting.values()))
    return [*lines, f"{to_do} of {len(waiting)} points to do, {side_by_side} side by side{_about(total)}{unknown}"]


def _about(minutes: float) -> str:
    return f", about {minutes:.0f} min" if minutes >= 1 else ", less than a minute" if minutes > 0 else ""


def _waiting(batch: dict[str, Any], data: dict[str, Any]) -> dict[str, list[str]]:
    """Return the notebooks that Snakemake would execute for each point."""
    folder = ageclf.ROOT / "reports" / batch["run"]
    waiting: dict[str, list[str]] = {point: [] for point in batch["points"]}
    with tempfile.TemporaryDirectory() as temporary:
        config = Path(temporary) / "run.json"
        config.write_text(json.dumps({**batch, "data": data}), encoding="utf-8")
        place = folder if (folder / "run.json").exists() else Path(temporary)
        options = ["--configfile", config, "--dry-run", "--cores", "all", "--rerun-incomplete"]
        done = subprocess.run([*snakemake(place), *options], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"Snakemake cannot plan {batch['run']!r}: {' '.join(done.stderr.split())[-1000:]}")
    for point, notebook in re.findall(r"^ +output: ([^/\s]+)/(\w+)\.ipynb", done.stdout, re.MULTILINE):
        waiting.get(point, []).append(notebook)  # a point of an earlier grid is none of this
    return {point: sorted(notebooks) for point, notebooks in waiting.items()}


def _kind(data: dict[str, Any], given: dict[str, Any]) -> tuple[tuple, int]:
    """Return what the time of an epoch depends on, and the number of epochs."""
    values = read_defaults(execute.CHECKOUT / "notebooks" / f"{TRAINING}.ipynb") | given
    return (data["sha256"], values["backbone"], values["image_size"]), values["head_epochs"] + values["epochs"]


def _earlier_trainings() -> dict[tuple, float]:
    """Return core-minutes an epoch of each kind of training under reports/: the median of those that were executed."""
    found: dict[tuple, list[float]] = {}
    for path in [path for depth in ("*", "*/*") for path in ageclf.ROOT.glob(f"reports/{depth}/{TRAINING}.ipynb")]:
        run, log = ageclf.read_json(path.with_name("run.json")), path.with_name("training.csv")
        if run and "threads" in run and log.exists():
            seconds = pages.read_executed(path).metadata.papermill.duration * run["threads"]
            kind, _ = _kind(run["data"], run["parameters"][TRAINING])
            found.setdefault(kind, []).append(seconds / 60 / len(pd.read_csv(log)))
    return {kind: statistics.median(minutes) for kind, minutes in found.items()}
