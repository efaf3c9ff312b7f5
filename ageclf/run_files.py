"""Run files: read, and checked against the notebooks' parameters."""

import ast
import difflib
import re
from pathlib import Path
from typing import Any

import papermill
import yaml

import ageclf
from ageclf.groups import group_names

CHECKOUT = ageclf.CHECKOUT
COMPARISON = "11_comparison"  # of a batch; no run has it
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
    paths = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))
    # JupyterLab's own names, Untitled.ipynb and 01_black_edges-Copy1.ipynb, are not of the project.
    known = {path.stem: read_defaults(path) for path in paths if re.fullmatch(r"\d\d_\w+", path.stem)}
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
