"""What several files of tests start from."""

import os

import pytest
from sample_runs import SINGLE_THREAD
from tiny_checkout import make_checkout

from ageclf.workflow import run_files

# TensorFlow reads them when it is first used, processes that a test starts inherit them.
os.environ.update(SINGLE_THREAD)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    return make_checkout(tmp_path_factory.mktemp("shared") / "checkout")


@pytest.fixture
def checkout(shared, monkeypatch):
    """A checkout whose run files are read in this process; nothing is executed in it."""
    monkeypatch.setattr(run_files, "CHECKOUT", shared)
    return shared
