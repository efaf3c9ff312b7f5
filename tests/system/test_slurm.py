"""A sweep through a real Slurm on this host: every notebook a job, and the same numbers as without."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from sample_runs import run_ageclf

import ageclf

SCRIPT = Path(__file__).with_name("slurm.sh")


@pytest.fixture
def slurm():
    subprocess.run([SCRIPT, "start"], check=True)
    yield
    subprocess.run([SCRIPT, "stop"], check=True)


def measures(reports: Path) -> dict[str, dict]:
    metrics = (reports / "sample-sweep").glob("*/metrics.json")
    return {path.parent.name: json.loads(path.read_text())["measures"] for path in metrics}


def test_a_sweep_through_slurm_gives_the_same_numbers(reports, slurm, tmp_path):
    profile = ageclf.CHECKOUT / "profiles" / "slurm"
    run_ageclf("sweep", "--run", "sample-sweep", "--profile", profile, root=tmp_path)
    jobs = subprocess.check_output(["squeue", "--states=all", "--noheader", "--format=%T %k"], text=True)
    done = Counter(job.split("_wildcards_")[0] for job in jobs.splitlines())
    assert (done["COMPLETED rule_04_training"], done["COMPLETED rule_05_evaluation"]) == (4, 4), jobs
    through_slurm = measures(tmp_path / "reports")
    assert len(through_slurm) == 4
    assert through_slurm == measures(reports)
