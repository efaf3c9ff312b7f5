"""What `make report` and `make sweep` do around Snakemake: check, describe, lock, execute; and what removes it all."""

import contextlib
import csv
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import joblib
from filelock import lock_descriptor
from tqdm import tqdm

# What takes long to import is imported where it is needed: pandas, SciPy and OpenCV with `faces`, papermill and
# nbconvert with `pages`. A run that is refused ends, and another one says what it does, before that.
import ageclf
from ageclf import run_folder
from ageclf.faces.groups import REFERENCE_EDGES, age_to_group, group_names
from ageclf.workflow.dependencies import COMPARISON, TRAINING
from ageclf.workflow.run_files import read_defaults, read_run

CHECKOUT = ageclf.CHECKOUT
CORES = joblib.cpu_count()  # those that this process may use, by its affinity and by the limits of its container
LOGGER = logging.getLogger(__name__)  # warnings go to standard error
tqdm.monitor_interval = 0  # no thread beside what starts other processes


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
    run, given = prepare(name, data, sweep)
    print(ageclf.printable(announcement(run, given["data"])), flush=True)
    source = read_data(given)
    for warning in source["warnings"]:
        LOGGER.warning(ageclf.printable(f"warning: {warning}"))
    from ageclf.workflow import pages

    folder, checkpoint = (ageclf.ROOT / place / run["run"] for place in ("reports", "checkpoint"))
    options = ["--profile", str(Path(profile).absolute())] if profile else ["--cores", str(CORES)]
    options += ["--notemp"] if keep_networks else []
    # The checkpoint of a run that is no sweep is no output of a rule: Snakemake cannot miss it.
    trains = TRAINING in run["notebooks"] and not sweep
    options += ["--forcerun", TRAINING] if trains and not Path(f"{checkpoint}{ageclf.NETWORK}").exists() else []
    with locked(folder) as lock:
        describe(folder, run, source)
        for configuration, content in run["configurations"].items():
            describe(folder / configuration, {"run": f"{run['run']}/{configuration}", **content}, source)
        execute(folder, lock, options, *([["--cores", str(CORES), f"{COMPARISON}.ipynb"]] if sweep else []))
        run_folder.remove_empty(checkpoint)  # of a sweep; not empty when trainings were stopped
        for place in (*run["configurations"], ""):
            pages.write_pages(folder / place)
        pages.write_index(folder.parent)
    return folder, run_folder.failures(folder)


def prepare(name: str | None, data: str | None, sweep: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what run.json holds of a run by its run file, with `data` for those that the file names; and the value of
    every parameter given to some notebook of it: those of the data are the same in all.

    Raises FileNotFoundError where there are no data, and the errors of `read_run` and `reading.find_source`.
    """
    run = read_run(name or "", sweep) if name or sweep else {}
    from ageclf.faces import reading

    name = name or ("sample" if reading.find_source(data or "auto") == "sample" else "best")
    run = run or read_run(name)
    every = [values for part in (run, *run["configurations"].values()) for values in part["parameters"].values()]
    given = {key: value for values in every for key, value in values.items()}
    source = reading.find_source(data or given["data"])
    if source == "sample" and given["data"] != "sample":
        raise FileNotFoundError(f"run {name!r} needs a data set: put age_gender.csv in data/, or give DATA=path")
    for values in (*every, given):
        values.update({"data": str(source)} if "data" in values else {})
    return {"run": name, **run, "threads": max(1, CORES // max(1, len(run["configurations"])))}, given


def announcement(run: dict[str, Any], data: str) -> str:
    """Return a line on a run that is about to start on `data`: how many notebooks, and how long they took last time.

    That is the sum of their times, known when all of them lie there with the same parameters; some may be up to date.
    """
    minutes = [_minutes(run, configuration) for configuration in run["configurations"] or [""]]
    last = "" if None in minutes else f"; last time they took {max(1, sum(minutes)):.0f} min"
    return f"run {run['run']}: {len(minutes) * len(run['notebooks'])} notebooks on {Path(data).name}{last}"


def read_data(given: dict[str, Any]) -> dict[str, Any]:
    """Return what run.json holds of the data that `given` parameters name.

    Its `warnings` are those of the faces and of their split: they are said before anything is trained. Raises the
    errors of `reading.load_faces`.
    """
    from ageclf.faces import clusters, reading

    faces = reading.load_faces(given["data"], on_bad_rows=given.get("on_bad_rows", "raise"))
    edges, alike = given.get("groups", REFERENCE_EDGES), clusters.cluster_near_duplicates(faces.images)
    parts = clusters.assign_parts(faces.table["face_id"], alike, given.get("split_seed", 0))
    groups = age_to_group(faces.table["age"], edges)
    faces.source["warnings"] += clusters.split_warnings(alike, parts, groups, group_names(edges))
    return {**faces.source, "rows": len(faces.table)}


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold the lock of a run's folder; the kernel frees it when the last process that has it open ends.

    Raises BlockingIOError when another process has it. Snakemake's own lock stays behind when it is killed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f".{folder.name}.lock"
    with open(path, "a", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW, 0o666)) as lock:
        if not lock_descriptor(lock.fileno(), blocking=False):  # a file that is ours to hand on: see `execute`
            raise BlockingIOError(f"the report of {folder.name!r} is being made already, wait for that")
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

    Standard output gets the line of `progress`: a terminal all the time, a file once a minute, beside each notebook's
    start and end. All else goes to snakemake.log. Snakemake gets the lock too, so that it stays locked when this
    process dies first. Raises ValueError when Snakemake stops and no notebook failed.
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
    bar = {"disable": None, "leave": False, "dynamic_ncols": True, "bar_format": "{desc}"}  # on a terminal alone
    with (folder / "snakemake.log").open("w") as log, tqdm(file=sys.stdout, **bar) as live:
        seen, output = {}, {"stdout": None if live.disable else log, "stderr": log, "pass_fds": [lock.fileno()]}
        for arguments in calls:
            command = [*snakemake, "--nolock", "--rerun-incomplete", "--keep-going", *arguments]
            process = subprocess.Popen(command, env=environment, **output, **own_group)
            try:
                while process.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(60 if live.disable else 1)
                        break
                    with contextlib.suppress(Exception):  # files come and go, and no line is worth a run
                        line = progress(folder, seen)
                        print(line, flush=True) if live.disable else live.set_description_str(line)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing is left, or zombies (macOS)
                    os.killpg(process.pid, signal.SIGINT)
                process.wait()
            run_folder.remove_empty(folder / "failed", *folder.glob("*/failed"))
            if process.returncode and not run_folder.failures(folder):
                why = run_folder.reason((folder / "snakemake.log").read_text(errors="replace"), process.returncode)
                raise ValueError(f"Snakemake stopped: {why}; see {folder / 'snakemake.log'}")


def progress(folder: Path, seen: dict[Path, tuple[int, float]]) -> str:
    """Return a line on what Snakemake does in a run's folder: notebooks done, of how many that were out of date; those
    that are executed; of a training among them the epochs done, the last one's accuracy, and the time left at most.

    `seen`, empty at first, gets how many epochs of a training were done when, for the next calls: time is known from
    the second epoch on, and a training that is resumed has epochs that took none. Raises whatever a file causes that is
    moved or edited meanwhile.
    """
    text = (folder / "snakemake.log").read_text(errors="replace").rpartition("\nJob stats:")[2]
    planned = sum(map(int, re.findall(r"^\d\d_\w+ +(\d+)$", text, re.MULTILINE)))
    done = len(re.findall(r"^Finished jobid: \d+ \(Rule: \d\d_", text, re.MULTILINE))
    logs = sorted([*folder.glob("failed/*.log"), *folder.glob("*/failed/*.log")])
    running = [path for path in logs if "exit status " not in path.read_text(errors="replace")]
    names = ", ".join(str(path.parents[1].relative_to(folder) / path.stem) for path in running)
    line = [f"{done} of {planned}", names or "Snakemake plans"]
    for place in [path.parents[1] for path in running if path.stem == TRAINING][:1]:
        written = max((path.stat().st_mtime for path in place.glob("training.csv")), default=0.0)
        if written >= (place / "run.json").stat().st_mtime:  # else it is an earlier attempt's
            *_, row = csv.DictReader((place / "training.csv").read_text().splitlines())
            given = json.loads((place / "run.json").read_bytes())["parameters"][TRAINING]
            given = {"head_epochs": 0, **read_defaults(CHECKOUT / "notebooks" / f"{TRAINING}.ipynb"), **given}
            epoch, epochs = int(row["epoch"]), given["head_epochs"] + given["epochs"]
            line += [f"epoch {epoch} of {epochs}", f"validation accuracy {100 * float(row['val_accuracy']):.0f} %"]
            first, since = seen.setdefault(place, (epoch, written))
            if epoch > first:
                line += [f"about {(written - since) / (epoch - first) * (epochs - epoch) / 60:.0f} min left"]
    return " · ".join(line)


def plan_sweep(name: str, data: str | None = None) -> list[str]:
    """Return a line for each configuration of a sweep: done, in how many minutes, or to do; how many run side by side;
    and the first comment of the run file, which says how long it took somewhere.

    A configuration is done when its notebooks were executed with the same parameters on the same data; that their code
    was edited since then is not seen. Nothing is executed or written. Raises errors as `make_report` does.
    """
    run, given = prepare(name, data, sweep=True)
    sha256 = read_data(given)["sha256"]
    minutes = {key: _minutes(run, key, sha256) for key in run["configurations"]}
    lines = [f"{key}: " + ("to do" if spent is None else f"done in {spent:.0f} min") for key, spent in minutes.items()]
    to_do, side_by_side = [*minutes.values()].count(None), min(len(minutes), CORES // run["threads"])
    lines += [f"{to_do} of {len(minutes)} configurations to do, {side_by_side} side by side"]
    return lines + [run["about"]] * bool(run["about"])


def _minutes(run: dict[str, Any], configuration: str, sha256: str | None = None) -> float | None:
    """Return how long the notebooks of a configuration took, or of a run that has none ("").

    None unless all were executed as `run` has them now, on the data with a SHA-256 where one is given.
    """
    folder, described = ageclf.ROOT / "reports" / run["run"] / configuration, run["configurations"].get(configuration)
    parameters = described["parameters"] if described else {name: run["parameters"][name] for name in run["notebooks"]}
    if sha256 and sha256 != (ageclf.read_json(folder / "run.json") or {"data": {"sha256": ""}})["data"]["sha256"]:
        return None
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # not there, or not as papermill wrote it
        # Without nbformat, which takes a second to import.
        ran = {one: json.loads((folder / f"{one}.ipynb").read_bytes())["metadata"]["papermill"] for one in parameters}
        if {one: ran[one]["parameters"] for one in ran} == parameters:
            return sum(ran[one]["duration"] for one in ran) / 60
    return None


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
