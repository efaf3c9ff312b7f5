"""Batches: run files with a grid, expanded into points."""

import itertools
import json
import re
from typing import Any

from ageclf.run_files import COMPARISON, check_sections, hand_out, read_sections

POINT = ("04_training", "05_evaluation")  # what a point executes, unless the file lists other notebooks
# All points are measured on the same faces, and tell the same groups apart.
SAME = ("data", "groups", "on_bad_rows", "part", "split_seed")

Sections = dict[str, dict[str, Any]]


def read_batch(name: str) -> dict[str, Any]:
    """Return what run.json holds of a batch, `runs/<name>.yaml` with a `grid:`.

    `notebooks` are those that each point executes, `parameters` those of the comparison, `axes` the labels on each
    axis of the grid, and `points`, by name, `levels` (label by axis) and `parameters` (by notebook) of all
    combinations. An axis is `<section>.<parameter>: [value, …]`, or a name with, for each label, sections as in a
    run file. Raises errors as `run_files.read_run` does; ValueError, too, for a grid that is empty, or whose points
    have the same name or the same parameters, or could not be compared.
    """
    sections, notebooks, known = read_sections(name)
    file, notebooks = f"runs/{name}.yaml", notebooks or list(POINT)
    if "grid" not in sections:
        raise ValueError(f"{file} has no grid, so it is one run: make report RUN={name}")
    grid = sections.pop("grid")
    if any(values.get("part", "val") != "val" for values in sections.values()):
        raise ValueError(f"{file}: part must be 'val' in a batch; the test part is for a claim, once")
    executed = {notebook: known[notebook] for notebook in known if notebook in ("04_training", *notebooks)}
    axes = _read_axes(file, grid, executed)
    points: dict[str, dict[str, Any]] = {}
    seen: dict[str, str] = {}
    for labels in itertools.product(*axes.values()):
        levels = dict(zip(axes, labels, strict=True))
        point = re.sub(r"[^\w.+-]+", "-", "_".join(f"{axis}-{label}" for axis, label in levels.items()))
        merged = _merge(sections, *(axes[axis][label] for axis, label in levels.items()))
        if point in points:
            raise ValueError(f"{file}, grid: two points have the name {point!r}; change a label")
        # A grid over `common.seed` moves nothing in a notebook whose own section holds a seed.
        same = seen.setdefault(json.dumps(hand_out(merged, executed, name)), point)
        if same != point:
            raise ValueError(f"{file}, grid: points {same!r} and {point!r} have the same parameters; take one out")
        points[point] = {"levels": levels, "parameters": _point_parameters(merged, executed, f"{name}/{point}")}
    return {
        "notebooks": notebooks,
        "parameters": {COMPARISON: hand_out(sections, known, name)[COMPARISON]},
        "axes": {axis: list(levels) for axis, levels in axes.items()},
        "points": points,
    }


def _read_axes(file: str, grid: dict[str, Any], executed: Sections) -> dict[str, dict[str, Sections]]:
    """Return, for each axis of a grid, the sections of each label."""
    if not grid:
        raise ValueError(f"{file}: grid is empty; give it an axis, such as common.seed: [1, 2]")
    axes: dict[str, dict[str, Sections]] = {}
    for key, values in grid.items():
        where = f"{file}, grid, {key}"
        if not isinstance(values, list | dict) or not values:
            raise ValueError(f"{where}: expected a list of values, or labels with sections, got {values!r}")
        section, _, parameter = str(key).partition(".")
        if isinstance(values, list):
            named = [(v if isinstance(v, str) else json.dumps(v), {section: {parameter: v}}) for v in values]
        else:
            named = [(str(label), sections) for label, sections in values.items()]
        for label, sections in named:
            if not isinstance(sections, dict):
                raise ValueError(f"{where}: {label} must hold sections as a run file does, got {sections!r}")
            check_sections(where, sections, executed)
            for same in (name for values in sections.values() for name in values if name in SAME):
                raise ValueError(f"{where}: {same} must be the same in all points, or they cannot be compared")
        axis = parameter or section
        if axis in axes or len(dict(named)) < len(named):
            raise ValueError(f"{where}: two axes, or two values of this one, have the same name; take one out")
        axes[axis] = dict(named)
    return axes


def _merge(*parts: Sections) -> Sections:
    """Sections one over the other: what a later one says counts."""
    return {key: {k: v for part in parts for k, v in part.get(key, {}).items()} for part in parts for key in part}


def _point_parameters(sections: Sections, executed: Sections, run: str) -> Sections:
    """What each notebook of a point gets. Its network lies in its folder, for as long as something needs it."""
    network = {"checkpoint": f"reports/{run}/network.keras"}
    return {
        notebook: ({} if "checkpoint" not in executed[notebook] else network) | values
        for notebook, values in hand_out(sections, executed, run).items()
    }
