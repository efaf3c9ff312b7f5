"""What several of these tests need: a report and a batch of the sample, and a browser."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
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


@pytest.fixture(scope="session")
def browser():
    chromium = shutil.which("chromium")
    assert chromium, "these tests need Chromium: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
