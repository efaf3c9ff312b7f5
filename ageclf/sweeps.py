"""What `make sweep` does around Snakemake: all points of a batch, then their comparison; and how long it may take."""

import contextlib
import json
import math
import re
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

import ageclf
from ageclf import pages, report, runs
from ageclf.batches import read_batch
from ageclf.run_files import COMPARISON, read_defaults


def make_sweep(
    name: str, data: str | None = None, profile: str | None = None, keep_networks: bool = False
) -> tuple[Path, list[dict[str, str]]]:
    """Execute all points of a batch, then its comparison; return its folder and `report.failures` of it.

    As many points run side by side as there are cores, each with its share of these, or as Snakemake's `profile` (a
    folder) says. A point that fails stops no other, and what is up to date is not executed again. A network is
    removed when nothing needs it any more, unless `keep_networks`. Raises errors as `runs.make_report` does.
    """
    if profile and not Path(profile).is_dir():
        raise FileNotFoundError(f"{profile}: no such folder; PROFILE is a Snakemake profile, such as profiles/slurm")
    batch, described = _prepare(name, data)
    folder = ageclf.ROOT / "reports" / name
    places = [folder / point for point in batch["points"]] + [folder]
    where = ["--profile", str(Path(profile).absolute())] if profile else ["--cores", "all"]
    with runs.locked(folder) as lock:
        runs.describe(folder, batch, described)
        for point, content in batch["points"].items():
            runs.describe(folder / point, {"run": f"{name}/{point}", **content, "threads": batch["threads"]}, described)
        points = [*where, *(["--notemp"] if keep_networks else [])]
        runs.execute(folder, lock, points, ["--cores", "all", f"{COMPARISON}.ipynb"])
        with contextlib.suppress(OSError):  # not there, or trainings that were stopped are in it
            (ageclf.ROOT / "checkpoint" / name).rmdir()
        for place in places:
            pages.write_pages(place)
        pages.write_index(folder.parent)
    return folder, report.failures(folder)


def _prepare(name: str, data: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    batch = read_batch(name)
    described = runs.find_data(name, [point["parameters"] for point in batch["points"].values()], data)
    return {"run": name, **batch, "threads": max(1, runs.CORES // len(batch["points"]))}, described


def plan_sweep(name: str, data: str | None = None) -> list[str]:
    """Return a line for each point of a batch, with the notebooks that would be executed now and the minutes that the
    training may take, by the time of earlier ones under reports/; and a line for all together. Nothing is changed.

    Raises errors as `runs.make_report` does.
    """
    batch, described = _prepare(name, data)
    earlier, waiting = _earlier_trainings(), _waiting(batch, described)
    lines, minutes = [], []
    for point, notebooks in waiting.items():
        kind, epochs = _kind(described, batch["points"][point]["parameters"]["04_training"])
        trained = epochs if "04_training" in notebooks else 0
        minutes.append(trained * earlier.get(kind, math.nan) / batch["threads"] if trained else 0.0)
        lines.append(f"{point}: {', '.join(notebooks) or 'up to date'}{_about(minutes[-1])}")
    side_by_side = min(len(waiting), runs.CORES // batch["threads"])
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
        done = subprocess.run([*runs.snakemake(place), *options], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"Snakemake cannot plan {batch['run']!r}: {' '.join(done.stderr.split())[-1000:]}")
    for point, notebook in re.findall(r"^ +output: ([^/\s]+)/(\w+)\.ipynb", done.stdout, re.MULTILINE):
        waiting.get(point, []).append(notebook)  # a point of an earlier grid is none of this
    return {point: sorted(notebooks) for point, notebooks in waiting.items()}


def _kind(data: dict[str, Any], given: dict[str, Any]) -> tuple[tuple, int]:
    """Return what the time of an epoch depends on, and the number of epochs."""
    values = read_defaults(runs.CHECKOUT / "notebooks" / "04_training.ipynb") | given
    return (data["sha256"], values["backbone"], values["image_size"]), values["head_epochs"] + values["epochs"]


def _earlier_trainings() -> dict[tuple, float]:
    """Return core-minutes an epoch of each kind of training under reports/: the median of those that were executed."""
    found: dict[tuple, list[float]] = {}
    for path in [*ageclf.ROOT.glob("reports/*/04_training.ipynb"), *ageclf.ROOT.glob("reports/*/*/04_training.ipynb")]:
        run, log = ageclf.read_json(path.with_name("run.json")), path.with_name("training.csv")
        if run and "threads" in run and log.exists():
            seconds = report.read_executed(path).metadata.papermill.duration * run["threads"]
            kind, _ = _kind(run["data"], run["parameters"]["04_training"])
            found.setdefault(kind, []).append(seconds / 60 / len(pd.read_csv(log)))
    return {kind: statistics.median(minutes) for kind, minutes in found.items()}
