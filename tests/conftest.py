"""What several files of tests start from."""

import os
from pathlib import Path

import pytest
from sample_runs import SINGLE_THREAD, made_once
from tiny_checkout import make_checkout

from ageclf.workflow import run_files

# TensorFlow reads them when it is first used, processes that a test starts inherit them.
os.environ.update(SINGLE_THREAD)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that no worker waits for it in the end.

    The report on the sample takes both cores, and keeps the sweep waiting: trainings and kernels come between them.
    """

    def turn(item: pytest.Item) -> int:
        if "sample_report" in item.fixturenames:
            return 0
        if item.path.parent.name == "network":
            return 1
        return 2 if item.path.parent.name == "workflow" or "sample_sweep" in item.fixturenames else 3

    items.sort(key=turn)


@pytest.fixture(scope="session")
def sample_report(pytestconfig) -> Path:
    """What `make report` leaves of the sample, to read only."""
    return made_once(pytestconfig.cache, "report", "--run", "sample") / "reports" / "sample"


@pytest.fixture(scope="session")
def sample_sweep(pytestconfig) -> Path:
    """What `make sweep RUN=sample-sweep` leaves, to read only."""
    return made_once(pytestconfig.cache, "sweep", "--run", "sample-sweep") / "reports" / "sample-sweep"


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    return make_checkout(tmp_path_factory.mktemp("shared") / "checkout")


@pytest.fixture
def checkout(shared, monkeypatch):
    """A checkout whose run files are read in this process; nothing is executed in it."""
    monkeypatch.setattr(run_files, "CHECKOUT", shared)
    return shared
