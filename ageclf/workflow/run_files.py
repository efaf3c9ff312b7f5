"""Run files: read, and checked against the notebooks' parameters."""

import ast
import difflib
import itertools
import json
import re
from pathlib import Path
from typing import Any

import papermill
import yaml

import ageclf
from ageclf.faces.groups import group_names
from ageclf.workflow import dependencies
from ageclf.workflow.dependencies import COMPARISON, EVALUATION, TRAINING

CHECKOUT = ageclf.CHECKOUT


LIMITS = {  # of numbers, both ends included
    "age_width": (0, 50),
    "auxiliary": (0, 10),
    "averaging": (0, 0.99999),
    "batch_size": (1, 4096),
    "brightness": (0, 1),
    "drawn": (1, 100_000),
    "epochs": (0, 10_000),
    "head_epochs": (0, 10_000),
    "head_learning_rate": (1e-6, 1),
    "image_size": (8, 512),
    "leak_epochs": (0, 10_000),
    "learning_rate": (1e-6, 1),
    "listed": (0, 1000),
    "norm_faces": (0, 1_000_000),
    "pairs_shown": (1, 100),
    "patience": (1, 10_000),
    "resamples": (1, 100_000),
    "rotation": (0, 1),
    "seed": (0, 2**31),
    "shown": (1, 100),
    "split_seed": (0, 2**31),
    "translation": (0, 1),
    "weight_decay": (0, 1),
}


CHOICES = {
    "backbone": ("small", *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L"))),
    "on_bad_rows": ("raise", "drop"),
    "part": ("train", "val", "test", "all"),
    "precision": ("float32", "mixed_bfloat16"),
}


def read_run(name: str) -> dict[str, Any]:
    """Return what run.json holds of the run file `runs/<name>.yaml`: `notebooks`, the names of those to execute
    (all, unless the file lists them), and `parameters`, those that the file hands to each notebook, by its name.

    `common:` reaches the notebooks that have the parameter; `data` is "auto" unless it says otherwise. Raises
    FileNotFoundError for an unknown run; ValueError, naming file and key, for a batch, for what no notebook knows, and
    for a value of another type or out of range.
    """
    sections, notebooks, known = read_sections(name)
    if "grid" in sections:
        raise ValueError(f"runs/{name}.yaml has a grid, so it is a batch: make sweep RUN={name}")
    parameters = hand_out(sections, known, name)
    return {
        "notebooks": notebooks or [notebook for notebook in known if notebook != COMPARISON],
        "parameters": {notebook: values for notebook, values in parameters.items() if notebook != COMPARISON},
    }


def read_sections(name: str) -> tuple[dict[str, Any], list[str], dict[str, dict[str, Any]]]:
    """Return the checked sections of a run file, `grid` as it stands among them; the notebooks that it lists; and,
    of every notebook that there is, the defaults of the parameters by its name. Raises errors as `read_run` does.
    """
    file, sections = f"runs/{name}.yaml", _load(name)
    known = {notebook: read_defaults(path) for notebook, path in dependencies.notebooks(CHECKOUT).items()}
    grid = {"grid": sections.pop("grid")} if "grid" in sections else {}
    notebooks = sections.pop("notebooks", [])
    check(file, {"notebooks": notebooks, **grid}, {"notebooks": [], "grid": {}})
    for notebook in notebooks:
        check(f"{file}, notebooks", {str(notebook): {}}, {key: {} for key in known if key != COMPARISON})
    check_sections(file, sections, known)
    return sections | grid, notebooks, known


def _load(name: str) -> dict[str, Any]:
    names = sorted(file.stem for file in (CHECKOUT / "runs").glob("*.yaml"))
    if name not in names:
        raise FileNotFoundError(f"there is no run file runs/{name}.yaml; RUN=name takes one of {', '.join(names)}")
    try:
        sections = yaml.safe_load((CHECKOUT / "runs" / f"{name}.yaml").read_bytes()) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"runs/{name}.yaml is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(sections, dict):
        raise ValueError(f"runs/{name}.yaml: expected sections (common, grid, names of notebooks), got {sections!r}")
    return sections


def read_defaults(notebook: Path) -> dict[str, Any]:
    """Return the default of each parameter in the notebook's `parameters` cell. Raises ValueError for a damaged one."""
    try:
        parameters = papermill.inspect_notebook(notebook)
        return {name: ast.literal_eval(parameter["default"]) for name, parameter in parameters.items()}
    except (ValueError, SyntaxError) as error:
        what = f"its parameters cannot be read ({' '.join(str(error).split())[:100]})"
        raise ValueError(f"{notebook}: {what}; give each a plain value, or get the notebook back from git") from error


def check(where: str, given: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Raise ValueError unless each name has a default, and each value its default's type and one of its values.

    An int is a float too.
    """
    for key, value in given.items():
        if key not in defaults:
            nearest = difflib.get_close_matches(str(key), defaults, n=1, cutoff=0)
            raise ValueError(f"{where}: {key!r} is not known here; the nearest name that is: {nearest[0]!r}")
        expected = type(defaults[key])
        if type(value) is not expected and (expected, type(value)) != (float, int):
            hint = " (YAML reads 1e-3 as text: write 0.001)" if expected is float else ""
            raise ValueError(f"{where}: {key} must be of type {expected.__name__}, got {value!r}{hint}")
        low, high = LIMITS.get(key, (None, None))
        if low is not None and not low <= value <= high:
            raise ValueError(f"{where}: {key} must be from {low:g} to {high:g}, got {value!r}")
        if value not in CHOICES.get(key, [value]):
            raise ValueError(f"{where}: {key} must be one of {', '.join(CHOICES[key])}, got {value!r}")


def check_sections(where: str, sections: dict[str, Any], known: dict[str, dict[str, Any]]) -> None:
    """Raise ValueError unless all sections and the parameters in them are known, as `check` says.

    A run has one name, its file's, and one data set: `run` can stand nowhere, `data` only under `common`.
    """
    allowed = {notebook: {k: v for k, v in known[notebook].items() if k not in ("run", "data")} for notebook in known}
    allowed["common"] = {"data": "auto", **{key: values[key] for values in allowed.values() for key in values}}
    check(where, sections, {name: {} for name in (*allowed, "notebooks", "grid")})
    for section, values in sections.items():
        check(f"{where}, {section}", values, allowed[section])
        if "groups" in values:
            try:
                group_names(values["groups"])
            except ValueError as error:
                raise ValueError(f"{where}, {section}: {error}") from None


def hand_out(sections: dict[str, Any], known: dict[str, dict[str, Any]], run: str) -> dict[str, dict[str, Any]]:
    """Return the parameters that sections hand to each notebook: its own section's beat those of `common`.

    Nobody is there to move a slider, so panels are left out.
    """
    common = {"data": "auto", "interactive": False, **sections.get("common", {}), "run": run}
    return {
        notebook: {key: common[key] for key in common if key in defaults} | sections.get(notebook, {})
        for notebook, defaults in known.items()
    }


POINT = (TRAINING, EVALUATION)  # what a point executes, unless the file lists other notebooks


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
    executed = {notebook: known[notebook] for notebook in known if notebook in (TRAINING, *notebooks)}
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
