"""Six age groups from 48×48 grey faces: the thin package behind the notebooks."""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path

__version__ = "0.1.0"

CHECKOUT = Path(__file__).parents[1].resolve()
# data/, checkpoint/ and reports/ lie under ROOT: the checkout, unless a test or a cluster job says otherwise.
ROOT = Path(os.environ.get("AGECLF_ROOT") or CHECKOUT).resolve()
RUN_KEYS = ("run", "data", "parameters", "started", "commit", "versions", "earlier")  # of every run.json


def resolve(path: str | Path) -> Path:
    """Return `path` as it is when absolute, else below `ROOT`, so that a notebook runs from any directory."""
    return ROOT / Path(path).expanduser()


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a hidden file beside `path`, then rename it: a kill leaves the old file or the new one.

    Both are on the disk before this returns, so that not even a power cut can leave an empty file. Raises OSError,
    and leaves the old file, when the new one cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(aside)
        _to_disk(aside)
        aside.replace(path)
        _to_disk(path.parent)
    except OSError as error:  # a full disk does not say where
        raise OSError(f"{path} could not be written: {error}") from error
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 as `write_aside` does."""
    write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file as `write_aside` does. Raises ValueError for a number that JSON does not know, such as NaN."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))


def read_json(path: Path) -> dict | None:
    """Return what a run.json, metrics.json or the like holds, None where there is nothing.

    Raises ValueError for a file that is damaged, or was written by another version of the project.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        if content and content["schema"] != 1:
            raise ValueError(f"schema {content['schema']}, not 1")
        if content and path.name == "run.json":
            itemgetter(*RUN_KEYS)(content)  # KeyError says which it lacks
    except (ValueError, KeyError, TypeError) as error:
        what = f"damaged, or of another version of the project ({error})"
        raise ValueError(f"{path}: {what}; remove it, and type the same command again") from error
    return content


def remove_asides(path: Path) -> None:
    """Remove what killed processes had half written for `path`."""
    for aside in path.parent.glob(".*"):
        if re.fullmatch(rf"\.\d+-{re.escape(path.name)}", aside.name):
            aside.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
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
