"""Six age groups from 48×48 grey faces: the package behind the notebooks. Data flows one way, through five folders:

`faces` reads a file, folder, photo or the synthetic sample into checked images and labels, and splits them by cluster;
`network` trains a model on them, writes its checkpoint, and reads it again to predict;
`metrics` turns the table of predictions into numbers with intervals, and compares the configurations of a sweep;
`display` makes figures, tables and panels of all these for the notebooks;
`workflow` checks a run file, lets Snakemake execute the notebooks that it asks for, and makes HTML pages of them.

For other programs there is one call, `ageclf.predict`: see `help(ageclf.predict)`.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

__version__ = "0.1.0"

CHECKOUT = Path(__file__).parents[1].resolve()
# data/, checkpoint/ and reports/ lie under ROOT: the checkout, unless a test or a cluster job says otherwise.
ROOT = Path(os.environ.get("AGECLF_ROOT") or CHECKOUT).resolve()
SCHEMA = 2  # of every JSON file that `write_json` writes; *.schema.json name it too
# Files of a checkpoint: the network, its provenance, the state of a stopped training. Networks of Keras 2 are HDF5.
NETWORK, PROVENANCE, STATE = ".keras", ".json", ".training.npz"
NETWORKS = (NETWORK, ".h5")
EXPORTS = {"savedmodel": ["-savedmodel"], "onnx": [".onnx"], "openvino": [".xml", ".bin"], "litert": [".tflite"]}


def __getattr__(name: str) -> object:
    if name != "predict":
        raise AttributeError(f"module 'ageclf' has no attribute {name!r}")
    return importlib.import_module("ageclf.own_photos").predict  # which takes seconds, unlike `import ageclf`


def resolve(path: str | Path) -> Path:
    """Return `path` as it is when absolute, else below `ROOT`, so that a notebook runs from any directory."""
    return ROOT / Path(path).expanduser()


def printable(text: object) -> str:
    """Return a line, or a file's name, as it may be shown: what controls a terminal, or is no text, as an escape."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(text))


def refuse_unknown_parameters() -> None:
    """Raise ValueError when papermill gave this notebook a parameter that it does not have: papermill only warns.

    The cell in which papermill gives parameters, after that of their defaults, starts with a comment of its own.
    """
    from IPython import get_ipython

    cells = get_ipython().user_ns["In"]
    known = re.findall(r"^(\w+): \w+ = ", "\n".join(cells), re.MULTILINE)
    given = [re.findall(r"^(\w+) = ", cell, re.MULTILINE) for cell in cells if cell.startswith("# Parameters\n")]
    for name in (name for names in given for name in names if name not in known):
        raise ValueError(f"{name!r} is no parameter of this notebook; those are {', '.join(known)}")


def atomic_write(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a hidden file beside `path`, then rename it: a kill leaves the old file or the new one.

    Both are on the disk before this returns, so that not even a power cut can leave an empty file. Raises OSError,
    and leaves the old file, when the new one cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}~{path.name}")  # ~ is in no run's name: see `remove_partial`
    try:
        write(partial)
        _to_disk(partial)
        partial.replace(path)
        _to_disk(path.parent)
    except OSError as error:  # a full disk does not say where
        raise OSError(f"{path} could not be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8 as `atomic_write` does."""
    atomic_write(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json(path: str | Path, content: dict) -> None:
    """Write a JSON file, with `schema` before its `content`, as `atomic_write` does.

    Raises ValueError for a number that JSON does not know, such as NaN.
    """
    write_text(path, json.dumps({"schema": SCHEMA, **content}, indent=1, ensure_ascii=False, allow_nan=False))


def read_json(path: str | Path) -> dict | None:
    """Return what a run.json or metrics.json holds, None where there is nothing.

    Raises ValueError for a file that is damaged, or was written by an earlier version of the project: run.schema.json
    and metrics.schema.json, beside this module, say what must be in it.
    """
    from jsonschema import Draft202012Validator, FormatChecker  # imported here: it would slow down every import of this

    path = Path(path)
    schema = json.loads(Path(__file__).with_name(f"{path.stem}.schema.json").read_text(encoding="utf-8"))
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        for error in Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(content):
            raise ValueError(f"{error.json_path}: {error.message:.99}")
    except ValueError as error:
        what = f"damaged, or written by an earlier version of the project ({error})"
        raise ValueError(f"{path}: {what}; remove it, and type the same command again") from error
    return content


def remove_partial(path: str | Path) -> None:
    """Remove what killed processes had half written for `path`."""
    for partial in Path(path).parent.glob(f".*~{Path(path).name}"):
        partial.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code() -> dict[str, str | dict[str, str] | None]:
    """Return `commit`, the checkout's (-dirty when files differ from it, None outside git), and `versions`."""
    try:
        describe = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        commit = subprocess.run(describe, cwd=CHECKOUT, capture_output=True, text=True).stdout.strip() or None
    except FileNotFoundError:  # no git on this machine
        commit = None
    packages = ("jax", "keras", "numpy", "pandas", "scikit-learn", "tensorflow")  # one backend may be missing
    versions = {one.name: one.version for package in packages for one in importlib.metadata.distributions(name=package)}
    return {"commit": commit, "versions": {"python": platform.python_version(), **versions}}
