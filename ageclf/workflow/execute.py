"""What `make report` and `make sweep` do around Snakemake: check, describe, lock, execute; and what removes it all."""

import contextlib
import fcntl
import itertools
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import ageclf
from ageclf import run_folder
from ageclf.faces import reading
from ageclf.faces.clusters import assign_parts, cluster_near_duplicates, split_warnings
from ageclf.faces.groups import REFERENCE_EDGES, age_to_group, group_names
from ageclf.workflow import pages
from ageclf.workflow.dependencies import COMPARISON, TRAINING
from ageclf.workflow.run_files import read_run

CHECKOUT = ageclf.CHECKOUT
CORES = len(os.sched_getaffinity(0))
LOGGER = logging.getLogger(__name__)  # warnings go to standard error


def make_report(
    name: str | None = None, data: str | None = None, sweep=False, profile: str | None = None, keep_networks=False
) -> tuple[Path, list[dict[str, str]]]:
    """Execute the notebooks of a run, make its pages and the index; return its folder and `run_folder.failures` of it.

    Without a name: `sample` when there is no data set, else `best`. `data`, as `reading.find_source` takes it, beats
    the run file's. Only notebooks that are out of date run.

    Of a `sweep`, as many configurations run side by side as there are cores, each with its share of these, or as
    Snakemake's `profile` (a folder) says; then they are compared. One that fails stops no other. A network is removed
    when nothing needs it any more, unless `keep_networks`.

    Raises FileNotFoundError, ValueError or, while another process makes this run's report, BlockingIOError.
    """
    if profile and not Path(profile).is_dir():
        raise FileNotFoundError(f"{profile}: no such folder; PROFILE is a Snakemake profile, such as profiles/slurm")
    run, source = prepare(name, data, sweep)
    for warning in source.get("warnings", []):
        LOGGER.warning(ageclf.printable(f"warning: {warning}"))
    folder, checkpoint = (ageclf.ROOT / place / run["run"] for place in ("reports", "checkpoint"))
    options = ["--profile", str(Path(profile).absolute())] if profile else ["--cores", "all"]
    options += ["--notemp"] if keep_networks else []
    # The checkpoint of a run that is no sweep is no output of a rule: Snakemake cannot miss it.
    options += [] if sweep or Path(f"{checkpoint}{ageclf.NETWORK}").exists() else ["--forcerun", TRAINING]
    with locked(folder) as lock:
        describe(folder, run, source)
        for configuration, content in run["configurations"].items():
            describe(folder / configuration, {"run": f"{run['run']}/{configuration}", **content}, source)
        execute(folder, lock, options, *([["--cores", "all", f"{COMPARISON}.ipynb"]] if sweep else []))
        run_folder.remove_empty(checkpoint)  # of a sweep; not empty when trainings were stopped
        for place in (*run["configurations"], ""):
            pages.write_pages(folder / place)
        pages.write_index(folder.parent)
    return folder, run_folder.failures(folder)


def prepare(name: str | None, data: str | None, sweep: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what run.json holds of a run by its run file, with `data` for those that the file names; and of the data.

    The data's `warnings` are those of the faces and of their split: they are said before anything is trained. Raises
    FileNotFoundError where there are none, and the errors of `read_run` and `reading.load_faces`.
    """
    name = name or ("sample" if reading.find_source(data or "auto") == "sample" else "best")
    run = read_run(name, sweep)
    every = [values for part in (run, *run["configurations"].values()) for values in part["parameters"].values()]
    given = {key: value for values in every for key, value in values.items()}
    source = reading.find_source(data or given["data"])
    if source == "sample" and given["data"] != "sample":
        remedy = "put age_gender.csv into data/ or give DATA=path (RUN=sample needs none)"
        raise FileNotFoundError(f"run {name!r} needs a data set: {remedy}")
    for values in every:
        values.update({"data": str(source)} if "data" in values else {})
    faces = reading.load_faces(source, on_bad_rows=given.get("on_bad_rows", "raise"))
    edges, clusters = given.get("groups", REFERENCE_EDGES), cluster_near_duplicates(faces.images)
    parts = assign_parts(faces.table["face_id"], clusters, given.get("split_seed", 0))
    groups = age_to_group(faces.table["age"], edges)
    faces.source["warnings"] += split_warnings(clusters, parts, groups, group_names(edges))
    threads = max(1, CORES // max(1, len(run["configurations"])))
    return {"run": name, **run, "threads": threads}, {**faces.source, "rows": len(faces.table)}


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold the lock of a run's folder; the kernel frees it when the last process that has it open ends.

    Raises BlockingIOError when another process has it. Snakemake's own lock stays behind when it is killed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f".{folder.name}.lock"
    with open(path, "a", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW, 0o666)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"the report of {folder.name!r} is being made already, wait for that") from None
        yield lock


def describe(folder: Path, content: dict[str, Any], data: dict[str, Any]) -> None:
    """Write run.json: what is about to run (`content`), on which data, with which code.

    A folder made from other data is emptied first. `attempts` are this and the earlier ones, newest first, with the
    code of each, since Snakemake may find notebooks up to date that ran in one of them.
    """
    previous = ageclf.read_json(folder / "run.json")
    if previous and previous["data"]["sha256"] != data["sha256"]:
        run_folder.remove_run_outputs(folder)
    this = {"started": datetime.now(UTC).isoformat(timespec="seconds"), **ageclf.code()}
    attempts = [this, *previous.get("attempts", [])] if previous else [this]
    run = {"configurations": {}, **content, "data": data, **this, "attempts": attempts}
    ageclf.write_json(folder / "run.json", run)


def execute(folder: Path, lock: IO[str], *calls: list[str]) -> None:
    """Let Snakemake, called with each list of arguments in turn, execute what is out of date in a run's folder.

    Each notebook's start and end goes to standard output, all else to snakemake.log. Snakemake gets the lock too, so
    that it stays locked when this process dies first. Raises ValueError when Snakemake stops and no notebook failed.
    """
    for path in (*folder.glob("failed/[0-9]*.*"), *folder.glob("*/failed/[0-9]*.*")):  # of an earlier attempt
        path.unlink()
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", CHECKOUT / "Snakefile", "--directory", folder]
    environment = {**os.environ, "AGECLF_ROOT": str(ageclf.ROOT)}
    if not os.access(os.environ.get("HOME", "/"), os.W_OK):
        environment["HOME"] = f"{ageclf.ROOT}/reports/.cache"
        LOGGER.warning(ageclf.printable(f"note: HOME cannot be written, so caches go to {environment['HOME']}"))
    # Ctrl-C's signal comes from here alone. What a script starts in the background has it ignored, as its children do.
    own_group = {"process_group": 0, "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with (folder / "snakemake.log").open("w") as log:
        for arguments in calls:
            command = [*snakemake, "--nolock", "--rerun-incomplete", "--keep-going", *arguments]
            process = subprocess.Popen(command, stderr=log, env=environment, pass_fds=[lock.fileno()], **own_group)
            try:
                status = process.wait()
            finally:
                with contextlib.suppress(ProcessLookupError):  # nothing is left of the group
                    os.killpg(process.pid, signal.SIGINT)
                process.wait()
            run_folder.remove_empty(folder / "failed", *folder.glob("*/failed"))
            if status and not run_folder.failures(folder):
                why = run_folder.reason((folder / "snakemake.log").read_text(errors="replace"), status)
                raise ValueError(f"Snakemake stopped: {why}; see {folder / 'snakemake.log'}")


def plan_sweep(name: str, data: str | None = None) -> list[str]:
    """Return a line for each configuration of a sweep: done, in how many minutes, or to do; how many run side by side;
    and the first comment of the run file, which says how long it took somewhere.

    A configuration is done when its notebooks were executed with the same parameters on the same data; that their code
    was edited since then is not seen. Nothing is executed or written. Raises errors as `make_report` does.
    """
    run, source = prepare(name, data, sweep=True)
    minutes = {key: _minutes(run, key, source["sha256"]) for key in run["configurations"]}
    lines = [f"{key}: " + ("to do" if spent is None else f"done in {spent:.0f} min") for key, spent in minutes.items()]
    to_do, side_by_side = list(minutes.values()).count(None), min(len(minutes), CORES // run["threads"])
    text = (CHECKOUT / "runs" / f"{name}.yaml").read_text(encoding="utf-8")
    comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return [*lines, f"{to_do} of {len(minutes)} configurations to do, {side_by_side} side by side", *comment]


def _minutes(run: dict[str, Any], configuration: str, sha256: str) -> float | None:
    """Return how long the notebooks of a configuration took; None unless all were executed as `run` has them now."""
    folder = ageclf.ROOT / "reports" / run["run"] / configuration
    parameters, recorded = run["configurations"][configuration]["parameters"], ageclf.read_json(folder / "run.json")
    if recorded is None or recorded["data"]["sha256"] != sha256:
        return None
    ran = {notebook: content.metadata.papermill for notebook, content in pages.executed(folder, parameters).items()}
    same = {notebook: one.parameters for notebook, one in ran.items()} == parameters
    return sum(one.duration for one in ran.values()) / 60 if same else None


def clean_reports() -> None:
    """Remove what runs wrote under reports/. Raises BlockingIOError when one of them is still running."""
    reports = ageclf.ROOT / "reports"
    for folder in sorted(path.parent for path in reports.glob("*/run.json")):
        with locked(folder):
            run_folder.remove_run_outputs(folder)
    for path in [reports / "index.html", *reports.glob(".*.lock")]:
        path.unlink(missing_ok=True)
    shutil.rmtree(reports / ".cache", ignore_errors=True)


def clean_training(name: str) -> list[Path]:
    """Remove what the training of a run, of a sweep or of a configuration (`sweep/configuration`) wrote under
    checkpoint/, and return the files: the next one starts anew.

    Raises FileNotFoundError when there is nothing of that name, BlockingIOError when its report is being made.
    """
    folder, trained = ageclf.ROOT / "checkpoint", {}
    for ending in (ageclf.NETWORK, ageclf.PROVENANCE, ageclf.STATE):
        for path in sorted([*folder.glob(f"[!.]*{ending}"), *folder.glob(f"*/[!.]*{ending}")]):
            trained[path] = path.relative_to(folder).as_posix().removesuffix(ending)
    found = [path for path, run in trained.items() if name in (run, run.split("/")[0])]
    if not found:
        names = ", ".join(dict.fromkeys(trained.values())) or "nothing yet"
        raise FileNotFoundError(f"no training of run {name!r} in {folder}; make clean-training RUN=name takes {names}")
    with locked(ageclf.ROOT / "reports" / name.split("/")[0]):
        for path in found:
            ageclf.remove_partial(path)
            path.unlink(missing_ok=True)
        run_folder.remove_empty(folder / name)  # of a sweep
    return found
