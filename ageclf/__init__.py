"""Six age groups from 48×48 grey faces: the thin package behind the notebooks."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

__version__ = "0.1.0"

# data/, checkpoint/ and reports/ lie under ROOT: the checkout, unless a test or a cluster job says otherwise.
ROOT = Path(os.environ.get("AGECLF_ROOT") or Path(__file__).parent.parent).resolve()


def resolve(path: str | Path) -> Path:
    """Return `path` as it is when absolute, else below `ROOT`, so that a notebook runs from any directory."""
    return ROOT / Path(path).expanduser()


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a hidden file beside `path`, then rename it: a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
