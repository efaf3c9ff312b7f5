"""A batch through a real Slurm, on this host: every notebook of every point a job, and the same numbers as without."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import ageclf

SCRIPT = Path(__file__).with_name("slurm.sh")
# With one thread sums are added up in one order: results repeat to the last bit.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def slurm():
    subprocess.run([SCRIPT, "start"], check=True)
    yield
    subprocess.run([SCRIPT, "stop"], check=True)


def sweep(root: Path, *arguments: str) -> dict[str, dict]:
    """Execute the batch sample-batch below a root, and return the measures of each of its points."""
    environment = {**os.environ, **ONE_THREAD, "AGECLF_ROOT": str(root)}
    environment.pop("AGECLF_DATA", None)
    command = [sys.executable, "-m", "ageclf", "sweep", "--run", "sample-batch", *arguments]
    done = subprocess.run(command, cwd=ageclf.CHECKOUT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = (root / "reports" / "sample-batch").glob("*/metrics.json")
    return {path.parent.name: json.loads(path.read_text())["measures"] for path in metrics}


def test_a_batch_through_slurm_gives_the_same_numbers(slurm, tmp_path):
    through_slurm = sweep(tmp_path / "slurm", "--profile", "profiles/slurm")
    jobs = subprocess.check_output(["squeue", "--states=all", "--noheader", "--format=%T %k"], text=True)
    done = Counter(job.split("_wildcards_")[0] for job in jobs.splitlines())
    assert (done["COMPLETED rule_04_training"], done["COMPLETED rule_05_evaluation"]) == (4, 4), jobs
    assert len(through_slurm) == 4
    assert through_slurm == sweep(tmp_path / "local")
