"""Run files: read, checked against the notebooks' parameters, and expanded to the configurations of their grid."""

import ast
import difflib
import functools
import itertools
import json
import math
import re
from pathlib import Path
from reprlib import repr as cut
from typing import Any

import yaml

import ageclf
from ageclf.faces.groups import group_names
from ageclf.workflow import dependencies
from ageclf.workflow.dependencies import COMPARISON, EVALUATION, TRAINING

CHECKOUT = ageclf.CHECKOUT
# All configurations of a sweep are measured on the same faces in the same groups.
SAME = ("data", "groups", "on_bad_rows", "part", "split", "split_seed")

_read = functools.cache(yaml.safe_load)  # a grid has up to a thousand labels to check

Sections = dict[str, dict[str, Any]]  # parameters by the name of a notebook, or `common`
Axes = dict[str, dict[str, Sections]]  # by the name of an axis and a label on it


def read_run(name: str, sweep: bool = False) -> dict[str, Any]:
    """Return what run.json holds of the run file `runs/<name>.yaml`, which has a `grid:` if it is a sweep.

    `about` is its first comment, in a line: what the run is, and how long it took somewhere. `notebooks` are those to
    execute, `parameters` what each gets that is executed in the run's own folder. Of a sweep that is the comparison
    alone: the others are executed for each of the `configurations`, by name, with their `levels` (label by axis) and
    `parameters`; `axes` are the labels on each axis of the grid. An axis is `<section>.<parameter>: [value, …]`, or a
    name with, for each label, sections as in a run file.

    Raises FileNotFoundError for an unknown run and an empty name; ValueError, naming file and key, for a parameter that
    no notebook has, for a value of another type or out of range, for a run where a sweep is wanted or the other way
    round, and for configurations that have the same name or parameters, or could not be compared.
    """
    file, sections = f"runs/{name}.yaml", _load(name)
    defaults = {notebook: read_defaults(path) for notebook, path in dependencies.notebooks(CHECKOUT).items()}
    reported = {notebook: defaults[notebook] for notebook in defaults if notebook != COMPARISON}
    check(file, sections, {"common": {}, **defaults, "notebooks": [], "grid": {}})
    listed = {key: sections.pop(key) for key in ("notebooks", "grid") if key in sections}
    check(f"{file}, notebooks", {str(notebook): {} for notebook in listed.get("notebooks", [])}, reported)
    check_sections(file, sections, defaults)
    if sweep != ("grid" in listed):
        found = "no grid, so it is one run: make report" if sweep else "a grid, so it is a sweep: make sweep"
        raise ValueError(f"{file} has {found} RUN={name}")
    if sweep and any(values.get("part", "val") != "val" for values in sections.values()):
        raise ValueError(f"{file}: part must be 'val' in a sweep; the test part is for a claim, once")
    notebooks = listed.get("notebooks") or ([TRAINING, EVALUATION] if sweep else list(reported))
    parameters = resolve_parameters(sections, {COMPARISON: defaults[COMPARISON]} if sweep else reported, name)
    executed = {notebook: reported[notebook] for notebook in reported if notebook in (TRAINING, *notebooks)}
    axes = _read_axes(file, listed["grid"], executed) if sweep else {}
    lines = (CHECKOUT / file).read_text(encoding="utf-8").splitlines()
    return {
        "about": " ".join(line[1:].strip() for line in itertools.takewhile(lambda line: line[:1] == "#", lines)),
        "notebooks": notebooks,
        "parameters": parameters,
        "axes": {axis: list(levels) for axis, levels in axes.items()},
        "configurations": _configurations(name, sections, axes, executed) if sweep else {},
    }


def _load(name: str) -> dict[str, Any]:
    files = {file.stem: file.read_bytes() for file in (CHECKOUT / "runs").glob("*.yaml")}
    if name not in files:
        what = f"there is no run file runs/{name}.yaml" if name else "no sweep is named"
        fitting = sorted(one for one in files if name or re.search(rb"^grid:", files[one], re.MULTILINE))
        raise FileNotFoundError(f"{what}; RUN=name takes one of {', '.join(fitting)}")
    check_name("the run file", name)
    try:
        sections = yaml.load(files[name], _Loader) or {}
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"runs/{name}.yaml is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(sections, dict):
        raise ValueError(f"runs/{name}.yaml: expected sections (common, grid, names of notebooks), got {cut(sections)}")
    return sections


def check_name(what: str, name: str) -> None:
    """Raise ValueError unless `name`, of `what`, can be that of a folder and stand in a command as it is."""
    if not re.fullmatch(r"[\w+][\w.+-]{0,99}", name):  # as run.schema.json has it
        rule = "at most 100 letters, digits, _, ., + and -, and starts with neither . nor -"
        raise ValueError(f"{what} {cut(name)}: a name has {rule}")


class _Loader(yaml.SafeLoader):
    """YAML in which no key stands twice: of two sections with one name, the first would be lost."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [str(key.value) for key, _ in node.value]
        if twice := sorted(key for key in keys if keys.count(key) > 1):
            raise yaml.MarkedYAMLError(problem=f"{twice[0]!r} stands twice", problem_mark=node.start_mark)
        return node


def read_defaults(notebook: Path) -> dict[str, Any]:
    """Return the default of each parameter in the notebook's `parameters` cell. Raises ValueError for a damaged one."""
    try:  # by the standard library: papermill and nbformat take seconds to import, and a mistake is to be said at once
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
        given = [node for node in ast.parse("\n".join(tagged)).body if isinstance(node, ast.AnnAssign)]
        return {node.target.id: ast.literal_eval(node.value) for node in given}
    except (ValueError, SyntaxError, LookupError, AttributeError, TypeError) as error:
        what = f"its parameters cannot be read ({' '.join(str(error).split())[:100]})"
        raise ValueError(f"{notebook}: {what}; give each a plain value, or get the notebook back from git") from error


def check(where: str, given: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Raise ValueError unless each name has a default, and each value the default's type and an allowed value.

    An int is a float too. Allowed values stand in notebooks/parameters.yaml.
    """
    limits, choices = _read((CHECKOUT / "notebooks" / "parameters.yaml").read_bytes()).values()
    for key, value in given.items():
        if key not in defaults:
            nearest = difflib.get_close_matches(str(key)[:100], defaults, n=1, cutoff=0)
            raise ValueError(f"{where}: {cut(key)} is not known here; the nearest name that is: {nearest[0]!r}")
        expected = type(defaults[key])
        if type(value) is not expected and (expected, type(value)) != (float, int):
            hint = " (YAML reads 1e-3 as text: write 0.001)" if expected is float else ""
            raise ValueError(f"{where}: {key} must be of type {expected.__name__}, got {cut(value)}{hint}")
        if key in limits and not limits[key][0] <= value <= limits[key][1]:
            raise ValueError(f"{where}: {key} must be from {limits[key][0]:g} to {limits[key][1]:g}, got {cut(value)}")
        if value not in choices.get(key, [value]):
            raise ValueError(f"{where}: {key} must be one of {', '.join(choices[key])}, got {cut(value)}")


def check_sections(where: str, sections: Sections, defaults: Sections) -> None:
    """Raise ValueError unless all sections and the parameters in them are known, as `check` says.

    A run has one name, its file's, and one data set: `run` can stand nowhere, `data` only under `common`.
    """
    allowed = {name: {k: v for k, v in values.items() if k not in ("run", "data")} for name, values in defaults.items()}
    allowed["common"] = {"data": "auto", **{key: values[key] for values in allowed.values() for key in values}}
    check(where, sections, allowed)
    for section, values in sections.items():
        check(f"{where}, {section}", values, allowed[section])
        if "groups" in values:
            try:
                group_names(values["groups"])
            except ValueError as error:
                raise ValueError(f"{where}, {section}: {error}") from None


def resolve_parameters(sections: Sections, defaults: Sections, run: str) -> Sections:
    """Return the parameters that sections give to each notebook: its own section's beat those of `common`.

    `data` is "auto" unless `common` says otherwise. Nobody is there to move a slider, so panels are left out.
    """
    common = {"data": "auto", "interactive": False, **sections.get("common", {}), "run": run}
    return {
        notebook: {key: common[key] for key in common if key in values} | sections.get(notebook, {})
        for notebook, values in defaults.items()
    }


def _read_axes(file: str, grid: dict[str, Any], executed: Sections) -> Axes:
    """Return, for each axis of a grid, the sections of each label."""
    if not grid:
        raise ValueError(f"{file}: grid is empty; give it an axis, such as common.seed: [1, 2]")
    configurations = math.prod(len(values) for values in grid.values() if isinstance(values, list | dict))
    if configurations > 1000:
        raise ValueError(f"{file}: grid has {configurations:,} configurations, at most 1,000 can be run; take some out")
    axes: Axes = {}
    for key, values in grid.items():
        where = f"{file}, grid, {key}"
        if not isinstance(values, list | dict) or not values:
            raise ValueError(f"{where}: expected a list of values, or labels with sections, got {cut(values)}")
        section, _, parameter = str(key).partition(".")
        if isinstance(values, list):
            levels = {v if isinstance(v, str) else json.dumps(v): {section: {parameter: v}} for v in values}
        else:
            levels = {str(label): sections for label, sections in values.items()}
        for label, sections in levels.items():
            check(f"{where}, {label}", {"sections": sections}, {"sections": {}})
            check_sections(where, sections, executed)
            for same in (name for values in sections.values() for name in values if name in SAME):
                raise ValueError(f"{where}: {same} must be the same in all configurations, or they cannot be compared")
        axis = parameter or section
        if axis in axes or len({label.lower() for label in levels}) < len(values):  # a folder of macOS may be both
            raise ValueError(f"{where}: two axes, or two values of this one, have the same name; take one out")
        axes[axis] = levels
    return axes


def _configurations(run: str, sections: Sections, axes: Axes, executed: Sections) -> dict[str, dict[str, Any]]:
    """Return every combination of the axes' labels, by name. A section of a later axis beats that of an earlier one.

    The network of a configuration lies in its folder, for as long as something needs it.
    """
    configurations, seen, where = {}, {}, f"runs/{run}.yaml, grid"
    for labels in itertools.product(*axes.values()):
        levels = dict(zip(axes, labels, strict=True))
        name = "_".join(f"{axis}-{label}" for axis, label in levels.items())
        check_name(f"{where}: the configuration", name)
        parts = [sections, *(axes[axis][label] for axis, label in levels.items())]
        merged = {key: {k: v for part in parts for k, v in part.get(key, {}).items()} for part in parts for key in part}
        # A grid over `common.seed` moves nothing in a notebook whose own section holds a seed.
        same = seen.setdefault(json.dumps(resolve_parameters(merged, executed, run)), name)
        if same != name or name in configurations:
            raise ValueError(f"{where}: {same!r} and {name!r} have the same name or parameters; take one out")
        own = {"checkpoint": f"reports/{run}/{name}/network{ageclf.NETWORK}", **merged.get("common", {})}
        parameters = resolve_parameters(merged | {"common": own}, executed, f"{run}/{name}")
        configurations[name] = {"levels": levels, "parameters": parameters}
    return configurations
