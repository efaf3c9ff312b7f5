"""Modules of Python run on the sample, with data, checkpoints and reports below a root, and one thread."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

import ageclf

# With one thread sums are added up in one order: what is computed twice on one machine is the same to the last bit.
SINGLE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def run(*command: object, root: Path) -> subprocess.CompletedProcess:
    """Run a Python module with its data, checkpoints and reports below `root`, and one thread: results repeat."""
    command = [sys.executable, "-m", *map(str, command)]
    return subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True)


def run_ageclf(*arguments: object, root: Path) -> None:
    """Run `python -m ageclf` as `run` does, to its end without an error."""
    done = run("ageclf", *arguments, root=root)
    assert done.returncode == 0, done.stdout + done.stderr


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "AGECLF_ROOT": str(root), "AGECLF_DATA": "sample"}


def run_cells_again(*notebooks: Path, root: Path) -> subprocess.CompletedProcess:
    """Execute every cell of executed notebooks again, in order: what comes out must be what stands there."""
    options = ("--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "-p", "no:xdist")
    return run("pytest", *options, *notebooks, root=root)


def made_once(cache: pytest.Cache, *command: str) -> Path:
    """Return the root below which `python -m ageclf <command>` ran: once for all processes and tests that only read it.

    It lies in pytest's cache under a hash of all that a run depends on; `make test` starts without it.
    """
    root = cache.mkdir(f"sample-{_sources()}")
    with FileLock(root / "lock"):
        done = root / " ".join(command)
        if not done.exists():
            run_ageclf(*command, root=root)
            done.touch()
    return root


def _sources() -> str:
    patterns = ("Snakefile", "requirements.lock", "ageclf/**/*.*", "notebooks/*.*", "runs/*.yaml")
    paths = sorted(path for pattern in patterns for path in ageclf.CHECKOUT.glob(pattern) if path.suffix != ".pyc")
    arithmetic = [item for item in os.environ.items() if item[0].startswith(("KERAS", "NPY", "OMP", "ONEDNN", "TF"))]
    parts = [sys.version, *sorted(arithmetic), *map(ageclf.sha256, paths)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
