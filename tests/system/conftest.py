"""What several of these tests look at: a report and a batch of the sample."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sample_runs import SINGLE_THREAD

import ageclf


def command(root: Path, *arguments: str) -> None:
    """Run `python -m ageclf` below a root, on a machine without a data set."""
    environment = {**os.environ, **SINGLE_THREAD, "AGECLF_ROOT": str(root)}
    environment.pop("AGECLF_DATA", None)
    subprocess.run([sys.executable, "-m", "ageclf", *arguments], cwd=ageclf.CHECKOUT, env=environment, check=True)


@pytest.fixture(scope="session")
def run_ageclf():
    return command


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """The folder reports/ after `make report` and `make sweep RUN=sample-batch`."""
    root = tmp_path_factory.mktemp("root")
    command(root, "report")
    command(root, "sweep", "--run", "sample-batch")
    return root / "reports"
