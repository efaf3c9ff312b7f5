"""Modules of Python run on the sample, with data, checkpoints and reports below a root, and one thread."""

import os
import subprocess
import sys
from pathlib import Path

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
